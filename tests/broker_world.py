"""The world of `tests.broker_machine`: a file, two openings of it, clocks, and how one dies."""

import copy
import os
import tempfile
from collections import Counter
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio
from hypothesis.stateful import invariant

from tests.broker_file import check_file, copy_file, size_of_log
from tests.broker_look import look
from tests.broker_model import LEASE, MAX_LOSSES, RETENTION, Model
from trioqueue import Event, State, fold
from trioqueue._model import Lease, Settlement
from trioqueue.brokers._sqlite import SqliteBroker, open_sqlite_broker
from trioqueue.testing import TrioMachine

#: Where in a verb the process can die. "torn": while its transaction is being written to the disk.
STAGES = ("begun", "before-commit", "torn", "after-commit", "replied")
#: A disk would only be slower: the copies of a dead process' file are what counts.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
UNDONE = ("begun", "before-commit", "torn")


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

    model: Model = field(default_factory=Model)
    told: Counter[str] = field(default_factory=Counter[str])  # by all events
    states: dict[str, State | None] = field(default_factory=dict[str, State | None])


class BrokerWorld(TrioMachine):
    """See the module. The rules are in `tests.broker_machine`."""

    virtual = True

    def __init__(self) -> None:
        self.book = Book()
        self.held: list[Held] = []
        self.boot = 1
        self.files = 0
        self.steps = 0
        self.dies_at: str | None = None
        self.probe: Any = None
        self.seats: dict[int, SqliteBroker] = {}
        self.exits: dict[int, trio.Event] = {}
        super().__init__()
        self._sit(0)

    @property
    def model(self) -> Model:
        return self.book.model

    @asynccontextmanager
    async def world(self) -> AsyncGenerator[None]:
        with tempfile.TemporaryDirectory(prefix="broker-machine-", dir=MEMORY) as folder:
            self.path = Path(folder) / "jobs.db"
            yield
            check_file(self.path, self.model)

    # --- openings ---------------------------------------------------------------------------------

    def _sit(self, seat: int) -> None:
        """Open the file. Whoever opens it looks at the clocks."""
        self.exits[seat] = trio.Event()
        self.start(self._occupy, seat, self.path, self.exits[seat])
        self.settle()
        self.model.tend()

    async def _occupy(self, seat: int, path: Path, left: trio.Event) -> None:
        async with open_sqlite_broker(
            path,
            synchronous="normal",
            lease=LEASE,
            retention=RETENTION,
            max_losses=MAX_LOSSES,
            wall_clock=lambda: self.model.now,
            lease_clock=lambda: self.model.lease_now,
            boot_id=f"boot {self.boot}",
            probe=lambda name: self.probe and self.probe(name),
        ) as broker:
            broker.events.add(self._observe)
            self.seats[seat] = broker
            await left.wait()

    def _leave(self) -> None:
        """Close every opening of the file. Nothing is settled."""
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

    @contextmanager
    def verb(self, name: str, seat: int) -> Generator[SqliteBroker]:
        """One call of a verb, in which the process may be about to die."""
        broker = self.seats.get(seat) or self.seats[0]
        stage, self.dies_at = self.dies_at, None
        if stage is None:
            yield broker
            return
        book, held = copy.deepcopy(self.book), list(self.held)
        written = size_of_log(self.path)
        end = self.path.with_name(f"died {self.files}.db")
        at = f"{name}:{'after-commit' if stage == 'torn' else stage}"

        def probe(reached: str) -> None:
            if reached == at:
                copy_file(self.path, end, torn_after=written if stage == "torn" else None)

        self.probe = probe
        yield broker
        self.probe = None
        assert end.exists(), f"{at} was not reached"
        if stage in UNDONE:
            self.book = book
        self.held = held
        self._die(end)

    def _die(self, found: Path) -> None:
        """Go on with what was found on the disk. Those who held leases are other processes now."""
        self._leave()
        self.files += 1
        self.path = found
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
        if self.virtual:
            self._compare_events()

    def _compare_events(self) -> None:
        assert self.book.told == self.model.moves
        for job in self.model.jobs.values():
            assert self.book.states[job.id] == job.state
