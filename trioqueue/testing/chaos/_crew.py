"""The processes of a chaos run: workers, producers, and the clean worker that comes last."""

from __future__ import annotations

import random
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import trio

from ... import BrokerUnavailable, RemoteBroker, open_queue
from ._chores import SCARCE, make_chores, produce
from ._excuses import Terms
from ._final import FinalState, look
from ._records import Submitting
from ._store import SqliteStore, Store
from ._watched import WatchedBroker, beating
from ._witness import Witness, open_witness, read_records

#: Puts something between the witness and the broker, to see it found out.
Wrap = Callable[[RemoteBroker], RemoteBroker]

#: Seconds that a clean worker may take to end what a run has left.
_DRAIN: Final = 180.0


@dataclass(frozen=True)
class Setup:
    """A chaos run: who takes part, and how much is struck. Times in seconds.

    ``strikes``: how many kills, stops, requests to stop there are, and troubles of the store or the
    way to it. ``grace``: of a process that is asked to stop. ``rate``: tasks per second, of all
    producers.
    """

    directory: Path
    seed: int = 0
    strikes: int = 30
    lease: float = 1.0
    workers: int = 3
    producers: int = 1
    slots: int = 8
    rate: float = 60.0
    grace: float = 0.5
    store: Store = field(default_factory=SqliteStore)
    wrap: Wrap | None = None

    @property
    def terms(self) -> Terms:
        """What the checker holds the run to."""
        return self.store.terms(self.lease)._replace(limits={"scarce-": SCARCE})

    @property
    def pace(self) -> float:
        """How often a handler says that it is at work."""
        return self.lease / 10

    @property
    def record(self) -> Path:
        """The file of the witness."""
        return self.directory / "witness"


# --- the processes ------------------------------------------------------------------------------


async def work(setup: Setup, name: str, address: str) -> None:
    """A worker process: serves until it is asked to stop, and has a grace then."""
    async with _joined(setup, name, address) as (witness, broker):
        chores = make_chores(witness, setup.pace)
        async with open_queue(chores.tasks, broker=broker, workers=setup.slots) as queue:
            await _asked_to_stop()
            await queue.shutdown(grace=setup.grace)


async def supply(setup: Setup, name: str, address: str) -> None:
    """A producer process: submits until it is asked to stop."""
    chance = random.Random(f"{setup.seed} {name}")
    async with _joined(setup, name, address) as (witness, broker):
        chores = make_chores(witness, setup.pace)
        async with (
            open_queue(chores.tasks, broker=broker, workers=0) as queue,
            trio.open_nursery() as nursery,
        ):
            rate = setup.rate / setup.producers
            nursery.start_soon(produce, queue, chores, chance, rate)
            await _asked_to_stop()
            nursery.cancel_scope.cancel(reason="the producer was asked to stop")


async def clean_up(setup: Setup, name: str, address: str) -> FinalState:
    """A clean worker: ends all that the run has left, then tells what the broker says of it.

    Raises `trio.TooSlowError` if that does not come to an end.
    """
    async with _joined(replace(setup, wrap=None), name, address) as (witness, broker):
        chores = make_chores(witness, setup.pace)
        with trio.fail_after(_DRAIN):
            async with open_queue(chores.tasks, broker=broker, workers=4 * setup.slots) as queue:
                await queue.drain()
        ids = {each.id for each in read_records(setup.record) if isinstance(each, Submitting)}
        integrity = await setup.store.check(broker, address)
        return await look(broker, sorted(ids), integrity=integrity)


@asynccontextmanager
async def _joined(
    setup: Setup, name: str, address: str
) -> AsyncGenerator[tuple[Witness, RemoteBroker]]:
    """What every process has: a pen, a pulse, and the broker under the eyes of the witness."""
    with open_witness(setup.record, name) as witness:
        async with (
            beating(witness, setup.lease / 10),
            _opened(setup, address) as inner,
        ):
            wrapped = setup.wrap(inner) if setup.wrap else inner
            yield witness, WatchedBroker(wrapped, witness, certain=setup.store.certain).broker


@asynccontextmanager
async def _opened(setup: Setup, address: str) -> AsyncGenerator[RemoteBroker]:
    """The broker, tried until it opens: a stopped process may hold a file, a server be away."""
    opened = False
    while not opened:
        try:
            async with setup.store.open(address, setup.lease) as broker:
                opened = True
                yield broker
        except BrokerUnavailable:
            if opened:
                raise
            await trio.sleep(0.05)


#: Requests to stop that came before anybody could wait for them.
_early: list[int] = []


def heed_requests() -> None:
    """Let a request to stop wait until the process has come so far. Before Trio starts.

    Whoever forks it has blocked SIGTERM, so that none comes before this.
    """
    signal.signal(signal.SIGTERM, lambda number, _: _early.append(number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])


async def _asked_to_stop() -> None:
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        if not _early:
            async for _ in signals:
                return
