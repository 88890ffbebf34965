"""Baselines of plain Trio: what a program does without a queue library."""

from collections.abc import Awaitable, Callable

import trio

from benchmarks.measure import CAPACITY, TIMEOUT, WORKERS, Ledger, Sample, Stopwatch

Handler = Callable[[int], Awaitable[None]]


def handler(ledger: Ledger, *, pause: bool) -> Handler:
    """The no-op handler, or the one with a single checkpoint."""
    marks = ledger.marks

    async def no_op(number: int) -> None:
        marks[number] += 1

    async def checkpoint(number: int) -> None:
        await trio.lowlevel.checkpoint()
        marks[number] += 1

    return checkpoint if pause else no_op


async def _raw(size: int, pause: bool) -> Sample:
    ledger, watch = Ledger(size), Stopwatch()
    handle = handler(ledger, pause=pause)
    send, receive = trio.open_memory_channel[int](CAPACITY)

    async def worker() -> None:
        async for number in receive:
            await handle(number)

    with watch:
        async with trio.open_nursery() as nursery:
            for _ in range(WORKERS):
                nursery.start_soon(worker)
            for number in range(size):
                await send.send(number)
            send.close()
    ledger.verify()
    return watch.rates(size)


def raw(size: int, pause: bool = False) -> Sample:
    """A memory channel and a loop in each worker: no timeout, no limit, no bookkeeping."""
    trio.run(_raw, size // 20, pause)
    return trio.run(_raw, size, pause)


async def _naive(size: int) -> Sample:
    ledger, watch = Ledger(size), Stopwatch()
    handle = handler(ledger, pause=False)
    limiter = trio.CapacityLimiter(WORKERS)
    send, receive = trio.open_memory_channel[tuple[int, trio.Event]](CAPACITY)

    async def worker() -> None:
        async for number, done in receive:
            async with limiter:
                with trio.move_on_after(TIMEOUT):
                    await handle(number)
            done.set()

    with watch:
        async with trio.open_nursery() as nursery:
            for _ in range(WORKERS):
                nursery.start_soon(worker)
            for number in range(size):
                await send.send((number, trio.Event()))
            send.close()
    ledger.verify()
    return watch.rates(size)


def naive(size: int) -> Sample:
    """The semantics put together from Trio's parts: a deadline, a limit and an Event per task.

    The limiter admits every worker: a smaller one would make the workers wait for each other, and
    a baseline must not be slower than it has to be.
    """
    trio.run(_naive, size // 20)
    return trio.run(_naive, size)
