"""The queue on an SQLite file, as a producer sees it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import trio

import trioqueue
from benchmarks import scratch
from benchmarks.measure import TIMEOUT, WORKERS, Ledger, Sample, Stopwatch

Task = trioqueue.TaskType[[int], None]
# Tasks of one `submit_many`.
BATCH: Final = 256


def url(place: Path, synchronous: str) -> str:
    """The broker of every durable case: one file in ``place``."""
    return f"sqlite:///{place / 'queue.db'}?synchronous={synchronous}"


def registered(marks: bytearray) -> tuple[trioqueue.TaskSet, Task]:
    """The no-op handler, all semantics on, under a name that several processes share."""
    tasks = trioqueue.TaskSet()
    retry = trioqueue.Retry(attempts=4)

    @tasks.task(name="no-op", timeout=TIMEOUT, limit=None, retry=retry)
    async def handle(number: int) -> None:
        marks[number] += 1

    return tasks, handle


@asynccontextmanager
async def producer(broker: str) -> AsyncIterator[tuple[trioqueue.Queue, Task]]:
    """A queue without workers: nothing that it accepts is run here."""
    tasks, task = registered(bytearray())
    async with trioqueue.open_queue(tasks, broker=broker, workers=0) as queue:
        yield queue, task


async def stored(queue: trioqueue.Queue, ledger: Ledger) -> None:
    """Read back what the broker keeps, into the ledger."""
    for task in await queue.inspector.tasks(limit=len(ledger.marks) + 1):
        [number] = task.args
        assert isinstance(number, int)
        ledger.marks[number] += 1


async def _enqueue(size: int, submitters: int, synchronous: str) -> Sample:
    ledger, watch = Ledger(size), Stopwatch()

    async def submit(queue: trioqueue.Queue, task: Task, first: int) -> None:
        for number in range(first, size, submitters):
            await queue.submit(task, number)

    with scratch.directory() as place:
        async with producer(url(place, synchronous)) as (queue, task):
            with watch:
                async with trio.open_nursery() as nursery:
                    for first in range(submitters):
                        nursery.start_soon(submit, queue, task, first)
            await stored(queue, ledger)
    ledger.verify()
    return watch.rates(size)


def enqueue(size: int, submitters: int, synchronous: str) -> Sample:
    """Trio tasks that each submit one task after the other, and know each to be safe."""
    trio.run(_enqueue, size // 20, submitters, synchronous)
    return trio.run(_enqueue, size, submitters, synchronous)


async def _bulk(size: int, synchronous: str) -> Sample:
    ledger, watch = Ledger(size), Stopwatch()
    with scratch.directory() as place:
        async with producer(url(place, synchronous)) as (queue, task):
            with watch:
                await submit_all(queue, task, size)
            await stored(queue, ledger)
    ledger.verify()
    return watch.rates(size)


async def submit_all(queue: trioqueue.Queue, task: Task, size: int) -> None:
    """One batch after the other."""
    for first in range(0, size, BATCH):
        numbers = range(first, min(size, first + BATCH))
        await queue.submit_many([task.bind(number) for number in numbers])


def bulk(size: int, synchronous: str) -> Sample:
    """By `submit_many`."""
    trio.run(_bulk, size // 20, synchronous)
    return trio.run(_bulk, size, synchronous)


async def _idle(seconds: float) -> Sample:
    ledger = Ledger(WORKERS)
    tasks, task = registered(ledger.marks)
    with scratch.directory() as place:
        broker = url(place, "full")
        async with trioqueue.open_queue(tasks, broker=broker, workers=WORKERS) as queue:
            for number in range(WORKERS):  # idle after work, not before it
                await queue.submit(task, number)
            await queue.drain()
            await trio.sleep(0.2)  # let whatever settles settle
            watch = Stopwatch()
            with watch:
                await trio.sleep(seconds)
    ledger.verify()
    return {"cpu_percent": 100 * watch.cpu / watch.wall}


def idle(size: int) -> Sample:
    """CPU of a process that waits for work of others, over wall time, in percent."""
    return trio.run(_idle, size)
