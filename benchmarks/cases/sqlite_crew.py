"""Worker processes beside a producer on one SQLite file: throughput, and how soon a task starts."""

import random
import time
from array import array
from typing import Final

import trio

from benchmarks import scratch
from benchmarks.arithmetic import percentile
from benchmarks.cases.sqlite_queue import producer, submit_all, url
from benchmarks.crew import hired, verify
from benchmarks.measure import Sample

# Workers of each process. Handlers on a durable queue wait, for others' services, more often than
# not, and what is claimed in one go is what could be started.
WORKERS: Final = 64
# Seconds between two arrivals, on average: each finds everybody waiting.
PAUSE: Final = 0.03


async def _submit_all(broker: str, size: int) -> None:
    async with producer(broker) as (queue, task):
        await submit_all(queue, task, size)


def drain(size: int, processes: int, synchronous: str, workers: int = WORKERS) -> Sample:
    """From the opening of the queue in each process until no task is open; a no-op handler."""
    with scratch.directory() as place:
        broker = url(place, synchronous)
        trio.run(_submit_all, broker, size)
        with hired(processes, broker, workers) as members:
            for _ in range(2):  # begin, and end when all is done
                for member in members:
                    member.tell()
            shifts = [member.shift() for member in members]
    verify(size, shifts)
    wall = max(shift.ended for shift in shifts) - min(shift.began for shift in shifts)
    cpu = sum(shift.cpu for shift in shifts)
    return {
        "tasks_per_cpu_s": size / cpu,
        "tasks_per_wall_s": size / wall,
        "cpu_s": cpu,
        "wall_s": wall,
        # 1 / processes where they share evenly.
        "largest_share": max(len(shift.numbers) for shift in shifts) / size,
    }


async def _pace(broker: str, size: int) -> "array[float]":
    """Submit at random moments; when each submit was called."""
    submitted, draw = array("d"), random.Random(size)
    async with producer(broker) as (queue, task):
        for number in range(size):
            await trio.sleep(draw.uniform(0, 2 * PAUSE))
            submitted.append(time.monotonic())
            await queue.submit(task, number)
    return submitted


def latency(size: int) -> Sample:
    """From the call of submit in one process to the first line of the handler in another, in ms."""
    with scratch.directory() as place:
        broker = url(place, "full")
        with hired(1, broker, WORKERS) as [member]:
            member.tell()
            submitted = trio.run(_pace, broker, size)
            member.tell()
            shift = member.shift()
    verify(size, [shift])
    began = dict(zip(shift.numbers, shift.starts, strict=True))
    # The first tenth warms up, and finds the worker's process still opening its file.
    numbers = range(size // 10, size)
    delays = [1e3 * (began[number] - submitted[number]) for number in numbers]
    return {
        "p50_ms": percentile(delays, 50),
        "p99_ms": percentile(delays, 99),
        "max_ms": max(delays),
    }
