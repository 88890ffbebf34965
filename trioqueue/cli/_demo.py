"""``trioqueue demo``: a queue at work. Its tasks take their time, fail at random, are tried again.

Read `make_tasks` for how handlers and their policies are written, and `run_demo` for how a program
opens a queue, fills it, and stops it on Ctrl-C.
"""

from __future__ import annotations

import itertools
import random
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass

import trio

import trioqueue

from ._demo_board import Board
from ._demo_report import report
from ._demo_view import View, open_view
from ._exits import FAILED, OK

#: Seconds that running tasks get after the first Ctrl-C; none are given after the second.
GRACE = 5.0


@dataclass(frozen=True)
class Settings:
    """What the command line says."""

    tasks: int
    workers: int
    max_attempts: int
    failure_rate: float
    seed: int
    work: float | None  # seconds; None: random

    @property
    def pace(self) -> float:
        """The average seconds of one attempt: less the more tasks there are, to end in time."""
        if self.work is not None:
            return self.work
        return min(0.7, 60 / self.tasks) if self.tasks <= 1_000 else 0.0


class Simulation:
    """Plays the world outside. Seed, task and attempt alone decide: a run can be repeated."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def work(self, number: int) -> bool:
        """Take the time that the running attempt takes. ``False``: it fails."""
        attempt = trioqueue.current_task().attempt
        luck, length = self._draw(number, attempt)
        if self._settings.pace:
            random_length = self._settings.work is None
            await trio.sleep(self._settings.pace * (0.5 + length if random_length else 1))
        rate = self._settings.failure_rate
        hopeless = attempt > 1 and self._draw(number, 1)[0] < rate / 3
        return luck >= rate and not hopeless

    def _draw(self, number: int, attempt: int) -> tuple[float, float]:
        """Two numbers in [0, 1): how lucky the attempt is, and how long it takes."""
        draw = random.Random(f"{self._settings.seed}/{number}/{attempt}")
        return draw.random(), draw.random()


def make_tasks(settings: Settings) -> trioqueue.TaskSet:
    """Four task types, with different limits, timeouts and ways to fail."""
    simulation = Simulation(settings)
    pace = settings.pace
    tasks = trioqueue.TaskSet(
        timeout=30 + 10 * pace,
        retry=trioqueue.Retry(
            attempts=settings.max_attempts,
            initial=0.5 if pace else 0.005,
            maximum=2.0 if pace else 0.05,
        ),
    )

    @tasks.task
    async def resize_image(number: int) -> None:
        if not await simulation.work(number):
            raise OSError("the image is truncated")

    @tasks.task(timeout=1.5 * pace + 0.5 if pace else 0.001)
    async def fetch_page(number: int) -> None:
        if not await simulation.work(number):
            if number % 3:
                raise ConnectionError("connection reset by peer")
            await trio.sleep_forever()  # a server that never answers: the timeout ends this

    @tasks.task(limit=2)  # as many connections as the mail server allows
    async def send_mail(number: int) -> None:
        if not await simulation.work(number):
            raise ConnectionError("the mail server hung up")

    @tasks.task(limit=1)  # one after the other
    async def book_order(number: int) -> None:
        if not await simulation.work(number):
            raise ValueError(f"order {number} is in conflict with another")

    return tasks


async def run_demo(settings: Settings) -> int:
    """Run the demo and return its exit code."""
    tasks = make_tasks(settings)
    board = Board([task.name for task in tasks], settings.tasks, trio.current_time())
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        with open_view(board, f"{settings.workers} workers, seed {settings.seed}") as view:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(view.keep_fresh)
                async with trioqueue.open_queue(
                    tasks,
                    workers=settings.workers,
                    capacity=max(1_000, 4 * settings.workers),
                    dead_capacity=settings.tasks,  # all are shown at the end
                    observers=[board],
                    random=random.Random(settings.seed),
                    new_id=map("task-{}".format, itertools.count(1)).__next__,
                ) as queue:
                    stopper = Stopper(queue, view)
                    nursery.start_soon(stopper.listen, signals)
                    await submit_all(queue, tasks, settings.tasks)
                # Like a nursery, the block was left when all that it accepted had ended.
                nursery.cancel_scope.cancel()
        add_up = report(board, queue, stopper.signal)
    if stopper.signal is not None:
        return 128 + stopper.signal
    return OK if add_up else FAILED


async def submit_all(queue: trioqueue.Queue, tasks: trioqueue.TaskSet, count: int) -> None:
    """Submit ``count`` tasks, of each type in turn; waits whenever the queue is full."""
    types = itertools.cycle(tasks)
    for number in range(1, count + 1):
        try:
            await queue.submit(next(types), number)
        except trioqueue.QueueClosed:  # by the `Stopper`
            return


class Stopper:
    """Stops the queue on a signal: with a grace for what runs, and at once on another signal."""

    def __init__(self, queue: trioqueue.Queue, view: View) -> None:
        self._queue = queue
        self._view = view
        self.signal: signal.Signals | None = None  # the first that arrived

    async def listen(self, signals: AsyncIterator[int]) -> None:
        """Wait for signals, until cancelled."""
        async with trio.open_nursery() as nursery:
            async for number in signals:
                grace = GRACE if self.signal is None else 0.0
                self.signal = self.signal or signal.Signals(number)
                self._view.tell_stop(self.signal.name, grace)
                nursery.start_soon(self._queue.shutdown, grace)
