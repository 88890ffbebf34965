"""A producer, a private server and one worker process, whatever system they belong to."""

import random
import time
from collections.abc import Sequence
from typing import Final

from benchmarks import hand
from benchmarks.arithmetic import percentile
from benchmarks.crew import Shift, verify
from benchmarks.measure import Sample, Stopwatch
from benchmarks.producer import Plan, Producer
from benchmarks.server import Server, Usage, running

# Seconds between two arrivals, on average: each finds the worker idle.
PAUSE: Final = 0.02
# Arrivals of one run, at most, and at most a tenth of its tasks.
PACED: Final = 200
# A fraction of the tasks is enqueued one by one: that is many times slower.
SINGLES: Final = 10


# Requests of a worker that looks for tasks every 10 ms, in `CALM` seconds, with room.
IDLE: Final = 20
CALM: Final = 0.1
# Seconds for what the last tasks leave to be written.
PATIENCE: Final = 5.0


def _shift(worker: hand.Hand, server: Server) -> Shift:
    """End a worker that has begun its last task: first what is left of them has to be written.

    Not every system waits for that by itself, and its commands count.
    """
    give_up = time.monotonic() + PATIENCE
    before = server.usage()
    while time.monotonic() < give_up:
        time.sleep(CALM)
        now = server.usage()
        if now.since(before).reads < IDLE:
            break
        before = now
    worker.tell()
    return worker.shift()


class Enqueued:
    """The figures of an enqueueing, of the producer's side and of the server's."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.single, self.bulk = Stopwatch(), Stopwatch()
        self.usage = Usage(0, 0, 0)

    def plan(self, singles: Sequence[int], rest: Sequence[int]) -> Plan:
        """One by one, each known to be accepted; then the rest at once."""

        async def follow(producer: Producer) -> None:
            with self.single:
                for number in singles:
                    await producer.put(number)
            before = self._server.usage()
            with self.bulk:
                await producer.fill(rest)
            self.usage = self._server.usage().since(before)

        return follow

    def sample(self, singles: int, rest: int) -> Sample:
        return {
            "single_per_s": singles / self.single.wall,
            "bulk_per_s": rest / self.bulk.wall,
            "bulk_cpu_us": 1e6 * self.bulk.cpu / rest,
            "bulk_server_us": 1e6 * self.usage.cpu / rest,
            "bulk_commands": self.usage.commands / rest,
        }


def drain(size: int, system: str, concurrency: int, aof: bool = False) -> Sample:
    """Enqueue everything, then start the worker: from its first task until its last has begun.

    The server's CPU and commands: from the worker's start to its end.
    """
    with running(aof=aof) as server, hand.hired(system, server.url, concurrency, size) as worker:
        enqueued = Enqueued(server)
        queue = hand.system(system)
        singles = size // SINGLES
        worker.wait_ready()  # its imports must not disturb
        queue.produce(server.url, enqueued.plan(range(singles), range(singles, size)))
        before = server.usage()
        worker.tell()
        worker.wait_reached(1)
        worker.wait_reached(size)
        shift, usage = _shift(worker, server), server.usage().since(before)
    verify(size, [shift])
    sample = enqueued.sample(singles, size - singles)
    worker_us, server_us = 1e6 * shift.cpu / size, 1e6 * usage.cpu / size
    return sample | {
        "tasks_per_wall_s": size / (shift.ended - shift.began),
        "cpu_us": worker_us + server_us,  # what other programs on the machine change least
        "worker_us": worker_us,
        "server_us": server_us,
        "whole_server_us": server_us + sample["bulk_server_us"],
        "commands": usage.commands / size,
        "reads": usage.reads / size,
    }


def _delays(shift: Shift, submitted: Sequence[float]) -> list[float]:
    """From the call that enqueued a task to the first line of its handler, in milliseconds."""
    began = dict(zip(shift.numbers, shift.starts, strict=True))
    return [1e3 * (began[number] - moment) for number, moment in enumerate(submitted)]


def flow(size: int, system: str, concurrency: int, aof: bool = False) -> Sample:
    """A worker that is up: first some tasks that each find it idle, then the rest at once.

    The rest is timed from the first enqueueing until the last task has begun: producer, server and
    worker at the same time.
    """
    submitted: list[float] = []
    draw, burst, paced = random.Random(size), time.monotonic(), min(PACED, size // 10)

    with running(aof=aof) as server, hand.hired(system, server.url, concurrency, size) as worker:

        async def plan(producer: Producer) -> None:
            nonlocal burst
            worker.tell()
            for number in range(paced):
                submitted.append(time.monotonic())
                await producer.put(number)
                if not number:
                    worker.wait_reached(1)  # until it is up
                await producer.sleep(draw.uniform(0, 2 * PAUSE))
            burst = time.monotonic()
            await producer.fill(range(paced, size))

        queue = hand.system(system)
        worker.wait_ready()
        queue.produce(server.url, plan)
        worker.wait_reached(size)
        shift = _shift(worker, server)
    verify(size, [shift])
    delays = _delays(shift, submitted)[paced // 10 :]  # the first tenth warms up
    return {
        "tasks_per_wall_s": (size - paced) / (shift.ended - burst),
        "p50_ms": percentile(delays, 50),
        "p99_ms": percentile(delays, 99),
        "max_ms": max(delays),
    }
