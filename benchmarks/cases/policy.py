"""The queue as every case opens it: all semantics on."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import trioqueue
from benchmarks.measure import CAPACITY, TIMEOUT, WORKERS

Accepted = tuple[trioqueue.Queue, trioqueue.TaskType[[int], None]]


@asynccontextmanager
async def accept(
    handler: Callable[[int], Awaitable[None]],
    *,
    limit: int | None = WORKERS,
    workers: int = WORKERS,
    capacity: int = CAPACITY,
    observers: Sequence[Callable[[trioqueue.Event], object]] = (),
) -> AsyncIterator[Accepted]:
    """A queue in memory, and `handler` registered with a timeout, a limit and retries armed."""
    tasks = trioqueue.TaskSet()
    armed = tasks.task(timeout=TIMEOUT, limit=limit, retry=trioqueue.Retry(attempts=4))
    task = armed(handler)
    opened = trioqueue.open_queue(tasks, workers=workers, capacity=capacity, observers=observers)
    async with opened as queue:
        yield queue, task
