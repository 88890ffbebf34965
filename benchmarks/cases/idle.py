"""Parked workers must cost nothing. Sizes are seconds here."""

import time

import trio

from benchmarks.cases.policy import accept
from benchmarks.measure import Ledger, Sample


class Wakes(trio.abc.Instrument):
    """Counts how often Trio's loop went to wait for input or a deadline."""

    count = 0

    def before_io_wait(self, timeout: float) -> None:
        self.count += 1


async def _idle(seconds: float, workers: int, instrument: Wakes | None) -> Sample:
    ledger = Ledger(workers)
    marks = ledger.marks

    async def handle(number: int) -> None:
        marks[number] += 1

    async with accept(handle, workers=workers, limit=None) as (queue, task):
        for number in range(workers):  # idle after work, not before it
            await queue.submit(task, number)
        await queue.drain()
        await trio.sleep(0.2)  # let whatever settles settle
        if instrument is not None:
            trio.lowlevel.add_instrument(instrument)
        cpu, wall = time.process_time(), time.perf_counter()
        await trio.sleep(seconds)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        # Read before the queue stops, which wakes everybody. One wait is our own sleep.
        wakes = 0 if instrument is None else instrument.count - 1
    ledger.verify()
    return {"cpu_percent": 100 * cpu / wall, "wakes_per_s": wakes / wall}


def cpu(size: int, workers: int) -> Sample:
    """CPU of the process over wall time, in percent."""
    return trio.run(_idle, size, workers, None)


def ticks(size: int, workers: int) -> Sample:
    """Wake-ups of the event loop per second, which a periodic tick of any length would show.

    Apart from the CPU figure, because counting costs CPU.
    """
    return trio.run(_idle, size, workers, Wakes())
