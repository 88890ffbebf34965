"""The SQLite broker alone: claims and settlements in batches, as the workers' feed makes them."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Literal

import trio

from benchmarks import scratch
from benchmarks.cases.stores import DEPTH
from benchmarks.measure import Ledger, Sample, Stopwatch
from trioqueue._model import Lease, Move, Options, Outcome, OutcomeKind, Settlement, Task
from trioqueue.brokers._sqlite import open_sqlite_broker

Broker = Any  # a RemoteBroker
TYPE: Final = "no-op"
# Leases of one claim: so many workers, or so many tasks ahead of fewer.
BATCH: Final = 200
OPTIONS: Final = Options()
# Tasks of one publish where nothing but the filling is wanted.
BULK: Final = 5_000


@asynccontextmanager
async def opened(place: Path, synchronous: str) -> AsyncIterator[Broker]:
    mode: Literal["full", "normal"] = "full" if synchronous == "full" else "normal"
    async with open_sqlite_broker(place / "queue.db", synchronous=mode) as broker:
        yield broker


async def fill(broker: Broker, first: int, end: int) -> None:
    """Publish the numbers from `first` up to `end`."""
    for start in range(first, end, BULK):
        await broker.publish([_task(number) for number in range(start, min(end, start + BULK))])


def _task(number: int) -> Task:
    task = Task(f"{number:020d}", TYPE, (), {}, OPTIONS)
    task.payload = b"[[%d],{}]" % number
    return task


async def _settle(broker: Broker, leases: Sequence[Lease], marks: bytearray) -> None:
    ended, numbers = [], []
    for lease in leases:
        settlement = Settlement(lease, Move.SUCCEEDED, Outcome(OutcomeKind.RETURNED))
        settlement.result = b"null"
        ended.append(settlement)
        numbers.append(json.loads(lease.task.payload or b"")[0][0])
    for number, kept in zip(numbers, await broker.settle(ended), strict=True):
        marks[number] += kept  # one that is refused stays unmarked: lost, as far as we can tell


async def complete(broker: Broker, most: int, marks: bytearray) -> None:
    """Claim and complete `most` tasks; each batch is settled while the next one is claimed."""
    leases: Sequence[Lease] = await broker.claim({TYPE: BATCH}, min(BATCH, most), None)
    while leases:
        most -= len(leases)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_settle, broker, leases, marks)
            count = min(BATCH, most)
            leases = await broker.claim({TYPE: count}, count, None) if count else ()


async def _claims(size: int, synchronous: str) -> Sample:
    ledger, watch = Ledger(size), Stopwatch()
    with scratch.directory() as place:
        async with opened(place, synchronous) as broker:
            for first in range(0, size, DEPTH):
                end = min(size, first + DEPTH)
                await fill(broker, first, end)
                with watch:
                    await complete(broker, end - first, ledger.marks)
    ledger.verify()
    return watch.rates(size)


def claims(size: int, synchronous: str) -> Sample:
    """Claim and complete, with up to `DEPTH` tasks waiting."""
    trio.run(_claims, size // 20, synchronous)
    return trio.run(_claims, size, synchronous)


async def _deep(waiting: int, taken: int) -> Sample:
    ledger, watch = Ledger(taken), Stopwatch()
    with scratch.directory() as place:
        async with opened(place, "normal") as broker:
            await fill(broker, 0, waiting)
            with watch:
                await complete(broker, taken, ledger.marks)
    ledger.verify()
    return watch.rates(taken)


def deep(size: int) -> Sample:
    """Claim and complete a twentieth, at least 1,000, of the tasks that wait."""
    trio.run(_claims, DEPTH, "normal")
    return trio.run(_deep, size, max(1_000, size // 20))
