"""Baseline of asyncio: asyncio.Queue and asyncio.timeout."""

import asyncio
from collections.abc import Awaitable, Callable

from benchmarks.measure import CAPACITY, TIMEOUT, WORKERS, Ledger, Sample, Stopwatch


async def _worker(queue: "asyncio.Queue[int]", handle: Callable[[int], Awaitable[None]]) -> None:
    while True:
        number = await queue.get()
        async with asyncio.timeout(TIMEOUT):
            await handle(number)
        queue.task_done()


async def _no_op(size: int) -> Sample:
    ledger, watch = Ledger(size), Stopwatch()
    marks = ledger.marks
    queue: asyncio.Queue[int] = asyncio.Queue(CAPACITY)

    async def handle(number: int) -> None:
        marks[number] += 1

    with watch:
        workers = [asyncio.create_task(_worker(queue, handle)) for _ in range(WORKERS)]
        for number in range(size):
            await queue.put(number)
        await queue.join()
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    ledger.verify()
    return watch.rates(size)


def no_op(size: int) -> Sample:
    """A queue and a timeout round each handler; no limit, no retries, no handles."""
    asyncio.run(_no_op(size // 20))
    return asyncio.run(_no_op(size))
