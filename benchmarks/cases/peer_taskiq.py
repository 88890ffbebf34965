"""Peer: taskiq with its in-memory broker."""

import asyncio
import importlib
from typing import Any

from benchmarks.measure import WORKERS, Ledger, Sample, Stopwatch

# By name, because type checkers must not need the peers.
taskiq: Any = importlib.import_module("taskiq")

# The broker starts an asyncio task per message and bounds nothing: pause the producer as often as
# the other systems would, or memory decides the figure.
BATCH = 256


async def _no_op(size: int) -> Sample:
    ledger, watch = Ledger(size), Stopwatch()
    marks = ledger.marks

    async def handle(number: int) -> None:
        marks[number] += 1

    broker = taskiq.InMemoryBroker(max_async_tasks=WORKERS)
    task = broker.task(task_name="no-op")(handle)
    await broker.startup()
    with watch:
        for number in range(size):
            await task.kiq(number)
            if number % BATCH == BATCH - 1:
                await broker.wait_all()
        await broker.wait_all()
    await broker.shutdown()
    ledger.verify()
    return watch.rates(size)


def no_op(size: int) -> Sample:
    """`kiq` into the in-memory broker; no retries, no timeout."""
    asyncio.run(_no_op(size // 20))
    return asyncio.run(_no_op(size))
