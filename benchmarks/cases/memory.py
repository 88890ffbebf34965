"""Memory of queued tasks, and of many finished ones."""

import gc
import tracemalloc
from collections.abc import Callable

import trio

from benchmarks.cases.policy import accept
from benchmarks.cases.queue import BATCH, submit_many
from benchmarks.measure import CAPACITY, Ledger, Sample, resident_bytes


async def _queued(size: int, level: Callable[[], int]) -> Sample:
    ledger = Ledger(size)
    marks = ledger.marks

    async def handle(number: int) -> None:
        marks[number] += 1

    numbers = list(range(size))  # the arguments are the user's, not the queue's
    async with accept(handle, capacity=size) as (queue, task):
        gc.collect()
        before = level()
        for number in numbers:  # no await in here: nothing runs before it was measured
            queue.submit_nowait(task, number)
        gc.collect()
        used = level() - before
    ledger.verify()
    return {"bytes_per_task": used / size}


def traced(size: int) -> Sample:
    """By tracemalloc: what Python allocated."""
    tracemalloc.start()
    return trio.run(_queued, size, lambda: tracemalloc.get_traced_memory()[0])


def resident(size: int) -> Sample:
    """By resident memory: what the system gave, with the waste of the allocators."""
    return trio.run(_queued, size, resident_bytes)


async def _growth(size: int) -> Sample:
    # Everything bounded is full after this: kept results, free lists, channel buffers.
    warm = size // 10
    ledger = Ledger(size + warm)
    marks, offset = ledger.marks, [0]

    async def handle(number: int) -> None:
        marks[offset[0] + number] += 1

    async with accept(handle) as (queue, task):
        await submit_many(queue, task, warm)
        await queue.drain()
        offset[0] = warm
        gc.collect()
        before = resident_bytes()
        await submit_many(queue, task, size)
        await queue.drain()
        gc.collect()
        grown = resident_bytes() - before
    ledger.verify()
    return {"grown_mb": grown / 1e6, "tasks": float(size)}


def growth(size: int) -> Sample:
    """Resident memory after many finished tasks less the same after a tenth of them, in MB."""
    assert CAPACITY % BATCH == 0
    return trio.run(_growth, size)
