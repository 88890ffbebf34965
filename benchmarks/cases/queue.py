"""Throughput of the queue, all semantics on."""

from collections.abc import Callable
from typing import Final

import trio

import trioqueue
from benchmarks.cases.channels import handler
from benchmarks.cases.policy import accept
from benchmarks.measure import WORKERS, Ledger, Sample, Stopwatch

Queue = trioqueue.Queue
Task = trioqueue.TaskType[[int], None]
# Tasks of one `submit_many`: a quarter of the capacity, so that filling and draining overlap.
BATCH: Final = 256


async def submit_many(queue: Queue, task: Task, size: int) -> None:
    """Batches, each accepted as a whole."""
    for first in range(0, size, BATCH):
        numbers = range(first, min(size, first + BATCH))
        await queue.submit_many([task.bind(number) for number in numbers])


async def submit_nowait(queue: Queue, task: Task, size: int) -> None:
    """Until it is full, then wait for room with the one task that was refused."""
    for number in range(size):
        try:
            queue.submit_nowait(task, number)
        except trio.WouldBlock:
            await queue.submit(task, number)


async def submit(queue: Queue, task: Task, size: int) -> None:
    """One full checkpoint per task."""
    for number in range(size):
        await queue.submit(task, number)


VERBS: Final = {"submit_many": submit_many, "submit_nowait": submit_nowait, "submit": submit}


async def _measure(
    size: int, verb: str, *, pause: bool, limit: int | None, observed: bool
) -> Sample:
    ledger, watch, feed = Ledger(size), Stopwatch(), VERBS[verb]
    seen: list[int] = [0]

    def observe(event: trioqueue.Event) -> None:
        seen[0] += 1

    observers: list[Callable[[trioqueue.Event], None]] = [observe] if observed else []
    handle = handler(ledger, pause=pause)
    # Leaving the block waits for everything, so it belongs to the measured time.
    opened = accept(handle, limit=limit, observers=observers)
    async with opened as (queue, task):
        with watch:
            await feed(queue, task, size)
            await queue.drain()
    ledger.verify()
    if observed and seen[0] < size:
        raise RuntimeError(f"the observer saw {seen[0]} events of {size} tasks")
    return watch.rates(size)


def _run(size: int, verb: str, *, pause: bool, limit: int | None, observed: bool) -> Sample:
    async def main(tasks: int) -> Sample:
        return await _measure(tasks, verb, pause=pause, limit=limit, observed=observed)

    trio.run(main, size // 20)
    return trio.run(main, size)


def no_op(size: int, verb: str, observed: bool = False) -> Sample:
    """The no-op handler. Its limit admits every worker, as the naive baseline's does."""
    return _run(size, verb, pause=False, limit=WORKERS, observed=observed)


def checkpoint(size: int, limit: int | None = None) -> Sample:
    """The handler with one checkpoint, without a limit or with one below the workers."""
    return _run(size, "submit_many", pause=True, limit=limit, observed=False)
