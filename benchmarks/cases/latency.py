"""From the call of submit to the first line of the handler, at a fixed rate of arrivals."""

import gc
from array import array
from collections.abc import Awaitable, Callable
from time import perf_counter_ns
from typing import Final

import trio

from benchmarks import pacer
from benchmarks.arithmetic import percentile
from benchmarks.cases.policy import accept
from benchmarks.measure import CAPACITY, TIMEOUT, WORKERS, Ledger, Sample, TooBusy

# A fraction of the rate; with fewer arrivals the figure is one of another rate.
SLOWEST: Final = 0.6

Handler = Callable[[int], Awaitable[None]]


class Times:
    """Two time stamps in nanoseconds for each task, and the handler that takes the second."""

    def __init__(self, size: int, rate: int) -> None:
        self.rate = rate
        self.ledger = Ledger(size)
        self.submitted = array("q", bytes(8 * size))
        self.started = array("q", bytes(8 * size))

    def handler(self) -> Handler:
        """Stamp, then mark."""
        started, marks = self.started, self.ledger.marks

        async def handle(number: int) -> None:
            started[number] = perf_counter_ns()
            marks[number] += 1

        return handle

    def sample(self) -> Sample:
        """Percentiles in microseconds, without the first tenth, which warms up."""
        self.ledger.verify()
        rate = len(self.submitted) / ((self.submitted[-1] - self.submitted[0]) / 1e9)
        if rate < SLOWEST * self.rate:
            raise TooBusy(f"only {rate:.0f} arrivals per second, not {self.rate}")
        pairs = zip(self.submitted, self.started, strict=True)
        delays = [(start - submit) / 1e3 for submit, start in pairs][len(self.started) // 10 :]
        return {
            "p50_us": percentile(delays, 50),
            "p99_us": percentile(delays, 99),
            "max_us": max(delays),
            "rate_per_s": rate,
        }


async def _pace(
    times: Times,
    wait: Callable[[int], Awaitable[object]] | None,
    nowait: Callable[[int], object],
) -> None:
    """Submit what is due, by `wait` if given; the stamp is taken right before the call."""
    size, submitted, first = len(times.submitted), times.submitted, 0
    gc.collect()
    with pacer.arrivals(times.rate, size) as source:
        stream = trio.socket.from_stdlib_socket(source)
        while first < size:
            due = len(await stream.recv(256))
            if not due:
                raise RuntimeError("the pacer ended early")
            for number in range(first, first + due):
                submitted[number] = perf_counter_ns()
                if wait is None:
                    nowait(number)
                else:
                    await wait(number)
            first += due


async def _channel(size: int, rate: int, nowait: bool) -> Sample:
    times = Times(size, rate)
    handle = times.handler()
    send, receive = trio.open_memory_channel[int](CAPACITY)

    async def worker() -> None:
        async for number in receive:
            with trio.move_on_after(TIMEOUT):
                await handle(number)

    async with trio.open_nursery() as nursery:
        for _ in range(WORKERS):
            nursery.start_soon(worker)
        await _pace(times, None if nowait else send.send, send.send_nowait)
        send.close()
    return times.sample()


def channel(size: int, rate: int, nowait: bool) -> Sample:
    """A memory channel and `move_on_after` round each handler."""
    return trio.run(_channel, size, rate, nowait)


async def _queue(size: int, rate: int, nowait: bool) -> Sample:
    times = Times(size, rate)
    async with accept(times.handler()) as (queue, handle):

        def submit_nowait(number: int) -> object:
            return queue.submit_nowait(handle, number)

        async def submit(number: int) -> object:
            return await queue.submit(handle, number)

        await _pace(times, None if nowait else submit, submit_nowait)
    return times.sample()


def queue(size: int, rate: int, nowait: bool) -> Sample:
    """The queue, all semantics on."""
    return trio.run(_queue, size, rate, nowait)
