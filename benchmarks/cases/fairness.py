"""How long another Trio task waits for its turn while the pool is saturated."""

from collections.abc import Awaitable, Callable
from time import perf_counter_ns
from typing import Final

import trio

from benchmarks.arithmetic import percentile
from benchmarks.cases.policy import accept
from benchmarks.measure import Ledger, Sample

BUSY_NS: Final = 200_000  # 0.2 ms of computation in each handler
Handler = Callable[[int], Awaitable[None]]


class Probe:
    """The other Trio task: passes a checkpoint in a loop until every handler has run."""

    def __init__(self, size: int) -> None:
        self.ledger = Ledger(size)
        self.remaining = size
        self.turns: list[int] = []  # nanoseconds

    def handler(self) -> Handler:
        """Computes for 0.2 ms without a checkpoint."""
        marks = self.ledger.marks

        async def handle(number: int) -> None:
            until = perf_counter_ns() + BUSY_NS
            while perf_counter_ns() < until:
                pass
            marks[number] += 1
            self.remaining -= 1

        return handle

    async def watch(self) -> None:
        """Take turns."""
        while self.remaining:
            before = perf_counter_ns()
            await trio.lowlevel.checkpoint()
            self.turns.append(perf_counter_ns() - before)

    def sample(self) -> Sample:
        """Percentiles in milliseconds."""
        self.ledger.verify()
        turns = [turn / 1e6 for turn in self.turns]
        return {
            "p50_ms": percentile(turns, 50),
            "p99_ms": percentile(turns, 99),
            "max_ms": max(turns),
        }


async def _channel(size: int, workers: int) -> Sample:
    probe = Probe(size)
    handle = probe.handler()
    send, receive = trio.open_memory_channel[int](size)

    async def worker() -> None:
        async for number in receive:
            await handle(number)

    for number in range(size):
        send.send_nowait(number)
    send.close()
    async with trio.open_nursery() as nursery:
        for _ in range(workers):
            nursery.start_soon(worker)
        nursery.start_soon(probe.watch)
    return probe.sample()


def channel(size: int, workers: int) -> Sample:
    """Raw channel loop: every worker runs a handler before anybody else's turn."""
    return trio.run(_channel, size, workers)


async def _queue(size: int, workers: int) -> Sample:
    probe = Probe(size)
    opened = accept(probe.handler(), workers=workers, limit=workers, capacity=size)
    async with opened as (queue, task), trio.open_nursery() as nursery:
        for number in range(size):
            queue.submit_nowait(task, number)
        nursery.start_soon(probe.watch)
    return probe.sample()


def queue(size: int, workers: int) -> Sample:
    """The queue, all semantics on."""
    return trio.run(_queue, size, workers)
