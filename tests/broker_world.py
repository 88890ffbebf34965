"""The world of `tests.broker_machine`: a store, two openings of it, clocks, and how one dies."""

import copy
from collections import Counter
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import ClassVar

import trio
from hypothesis.stateful import invariant

from tests.broker_file_store import FileStore
from tests.broker_look import look
from tests.broker_model import Model
from tests.broker_store import UNDONE, AnyBroker, Store
from trioqueue import Event, State, fold
from trioqueue._model import Lease, Settlement
from trioqueue.testing import TrioMachine


@dataclass
class Held:
    """A lease that was handed out. ``told``: what this lease was settled with, as it knows."""

    lease: Lease
    number: int
    token: int
    told: Settlement | None = None


@dataclass
class Book:
    """What is undone if the process dies before the commit."""

    model: Model
    told: Counter[str] = field(default_factory=Counter[str])  # by all events
    states: dict[str, State | None] = field(default_factory=dict[str, State | None])


class BrokerWorld(TrioMachine):
    """See the module. The rules are in `tests.broker_machine`."""

    virtual = True
    store_type: ClassVar[type[Store]] = FileStore

    def __init__(self) -> None:
        self.store = self.store_type()
        self.book = Book(self.store.new_model())
        self.held: list[Held] = []
        self.steps = 0
        self.dies_at: str | None = None
        self.loses_reply = False
        self.seats: dict[int, AnyBroker] = {}
        self.exits: dict[int, trio.Event] = {}
        super().__init__()
        self._sit(0)

    @property
    def model(self) -> Model:
        return self.book.model

    @asynccontextmanager
    async def world(self) -> AsyncGenerator[None]:
        async with self.store.there():
            yield
            self.store.check_end(self.model)

    # --- openings ---------------------------------------------------------------------------------

    def _sit(self, seat: int) -> None:
        """Open the store. Whoever opens it looks at the clocks."""
        self.exits[seat] = trio.Event()
        self.start(self._occupy, seat, self.exits[seat])
        self.settle()
        self.model.tend()
        self.model.seen = self.model.now

    async def _occupy(self, seat: int, left: trio.Event) -> None:
        async with self.store.open(lambda: self.model) as broker:
            broker.events.add(self._observe)
            self.seats[seat] = broker
            await left.wait()

    def _leave(self) -> None:
        """Close every opening of the store. Nothing is settled."""
        for left in self.exits.values():
            left.set()
        self.settle()
        self.seats.clear()
        self.exits.clear()

    def _observe(self, event: Event) -> None:
        self.book.told[event.name] += 1
        before = self.book.states.get(event.task_id)
        if event.name in {"submitted", "delayed"}:
            before = None  # an id may come again, when it was forgotten
        self.book.states[event.task_id] = fold(before, event)

    def _look(self) -> None:
        """Everybody looks at the clocks."""
        for broker in self.seats.values():
            self.do(broker.claim, {}, 0)
        self.model.tend()
        self.model.seen = self.model.now

    @contextmanager
    def verb(self, name: str, seat: int, *, repeats: bool = True) -> Generator[AnyBroker]:
        """One call of a verb, in which the process may be about to die, or a reply to get lost.

        ``repeats``: it may be done again, and answers the same.
        """
        broker = self.seats.get(seat) or self.seats[0]
        stage, self.dies_at = self.dies_at, None
        if stage is None:
            if self.loses_reply and repeats:
                self._look()  # what time has brought about is told by the first reply alone
                self.loses_reply = False
                with self.store.failing(broker):
                    yield broker
            else:
                yield broker
            self.model.seen = self.model.now
            return
        book, held = copy.deepcopy(self.book), list(self.held)
        with self.store.dying(broker, name, stage):
            yield broker
        self.model.seen = self.model.now
        if stage in UNDONE:
            self.book = book
        self.held = held
        self._be_another()

    def _be_another(self) -> None:
        """Go on with what was stored. Those who held leases are other processes now."""
        self._leave()
        for held in self.held:
            held.lease = Lease(copy.copy(held.lease.task), held.token, 0.0)
            held.told = None
        self._sit(0)

    # --- comparing --------------------------------------------------------------------------------

    @invariant()
    def the_model_foretells_everything(self) -> None:
        if not self._ready:
            return
        self.steps += 1
        seats = sorted(self.seats)
        broker = self.seats[seats[self.steps % len(seats)]]
        self.do(look, broker, self.model, self.steps)
        self.store.check(self.model)
        if self.virtual:
            self._compare_events()

    def _compare_events(self) -> None:
        assert self.book.told == self.model.moves
        for job in self.model.jobs.values():
            assert self.book.states[job.id] == job.state
