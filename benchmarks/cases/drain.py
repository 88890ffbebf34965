"""How fast a full queue empties; filling it is not measured."""

import trio

from benchmarks.cases.policy import accept
from benchmarks.measure import Ledger, Sample, Stopwatch


async def _rounds(size: int, depth: int) -> Sample:
    ledger, watch = Ledger(size), Stopwatch()
    marks = ledger.marks

    async def handle(number: int) -> None:
        marks[number] += 1

    async with accept(handle, capacity=depth) as (queue, task):
        for first in range(0, size, depth):
            # No await in here: nothing runs before the queue is full.
            for number in range(first, min(size, first + depth)):
                queue.submit_nowait(task, number)
            with watch:
                await queue.drain()
    ledger.verify()
    return watch.rates(size)


def deep(size: int) -> Sample:
    """All tasks queued at once."""
    trio.run(_rounds, 1_000, 1_000)
    return trio.run(_rounds, size, size)


def repeated(size: int, depth: int) -> Sample:
    """As many tasks, `depth` at a time."""
    trio.run(_rounds, depth, depth)
    return trio.run(_rounds, size, depth)
