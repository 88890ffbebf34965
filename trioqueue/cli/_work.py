"""One worker process: it opens the queue, works until it is asked to stop or all is done, and ends.

The order matters at the end: a first request gives running handlers their grace, a second takes it
away, and the `Stop` ends the process by force if even that does not end it.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from typing import Final, final

import trio

import trioqueue

from .. import Event, OutcomeKind, Queue, State, TaskSet
from .._patience import patiently
from ..observe import log_events
from ._exits import OK
from ._listen import Counting
from ._progress import Count, progress
from ._stop import HARD_LIMIT, Request, Stop

logger = logging.getLogger("trioqueue.run")

#: Tasks that are named when a process is ended by force.
NAMED: Final = 5
#: Seconds between two looks at what is left of a burst: the broker has other things to do.
LOOK: Final = 1.0


#: How attempts end: events, and the words for them.
_ENDS: Final = (
    ("succeeded", "succeeded"),
    ("retried", "failed"),
    ("died", "died"),
    ("snoozed", "snoozed"),
    ("cancelled", "cancelled"),
    ("released", "cut short"),
    ("refused", "refused"),
)


@dataclass(frozen=True)
class WorkSettings:
    """What the command line says."""

    broker: str
    workers: int
    grace: float
    burst: bool
    queues: tuple[str, ...] | None
    verbose: bool
    instruments: tuple[trioqueue.Instrument, ...] = ()
    bar: bool = False  # whether to show how far a burst is


@final
class Tally:
    """An observer that counts what happened, and knows what runs."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.held: dict[str, str] = {}  # task id -> type; not all have begun, if they are quick

    def __call__(self, event: Event) -> None:
        """See `trioqueue.Observer`."""
        if event.name == "started":
            self.held[event.task_id] = event.task_type
        elif event.name == "refused" or event.state not in {None, State.RUNNING}:
            self.held.pop(event.task_id, None)
        if event.outcome is None or event.outcome.kind is not OutcomeKind.HANDED_BACK:
            self.counts[event.name] += 1  # else: it had not begun

    @property
    def ended(self) -> int:
        """How many tasks have ended here."""
        return sum(self.counts[name] for name in ("succeeded", "died", "cancelled"))

    def describe(self) -> str:
        """How the attempts ended, as words."""
        told = [f"{self.counts[name]:,} {word}" for name, word in _ENDS if self.counts[name]]
        return ", ".join(told) or "nothing was started"

    def last_words(self) -> str:
        """Why the process has to be ended by force. May be called in any thread."""
        held = list(self.held.items())
        names = ", ".join(f"{task_type} {task_id}" for task_id, task_type in held[:NAMED])
        more = ", ..." if len(held) > NAMED else ""
        what = f"{len(held)} unfinished: {names}{more}" if held else "no task was unfinished"
        return (
            f"ended by force, {HARD_LIMIT:g} s after the grace ({what}); "
            "they will run again when their leases have expired"
        )


@final
class Work:
    """The work of this process."""

    def __init__(
        self,
        settings: WorkSettings,
        tasks: TaskSet,
        stop: Stop,
        tally: Tally,
        counting: Counting | None = None,
    ) -> None:
        self._settings = settings
        self._counting = counting
        self._tasks = tasks
        self._stop = stop
        self._tally = tally
        self._opening = trio.CancelScope()
        self._queue: Queue | None = None
        self._asked = trio.Event()
        self._grace = settings.grace

    async def run(self) -> int:
        """Work until a stop or the end of a burst; returns the exit code.

        Raises what the broker, the lifespan or a fault of ours raises: `BrokerFailed` and others.
        """
        with self._stop.requests() as requests:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._listen, requests)
                with self._opening:
                    async with (
                        nullcontext() if self._counting is None else self._counting.running()
                    ):
                        await self._work()
                nursery.cancel_scope.cancel()
        logger.info("ended: %s", self._tally.describe())
        return OK

    async def _work(self) -> None:
        settings = self._settings
        observers: list[trioqueue.Observer] = [self._tally]
        if settings.verbose:
            observers.append(log_events())
        if self._counting is not None:
            observers.append(self._counting.metrics)
        async with trioqueue.open_queue(
            self._tasks,
            broker=settings.broker,
            workers=settings.workers,
            queues=settings.queues,
            observers=observers,
            instruments=settings.instruments,
        ) as queue:
            if self._opening.cancel_called:  # asked for in the last moment: nothing is begun
                return
            self._queue = queue
            if self._counting is not None:
                self._counting.work.take(queue)
            self._tell_start()
            if settings.burst:
                await self._drain(queue)
            else:
                await self._asked.wait()
            if self._asked.is_set():
                await queue.shutdown(self._grace)

    async def _drain(self, queue: Queue) -> None:
        """Until nothing is left, or a stop; with a bar, if somebody would see it."""
        wait = (partial(patiently, queue.drain), self._asked.wait)
        if not self._settings.bar:
            await first_of(*wait)
            return
        bar = Count()

        async def look() -> None:
            while True:
                with suppress(trioqueue.BrokerUnavailable):
                    counts = await queue.inspector.counts()
                    left = counts.scheduled + counts.ready + counts.running
                    bar.total = self._tally.ended + left
                await trio.sleep(LOOK)

        def refresh() -> None:
            bar.done = self._tally.ended

        async with progress("burst", bar, refresh=refresh):
            await first_of(*wait, look)

    async def _listen(self, requests: trio.MemoryReceiveChannel[Request]) -> None:
        """Answer requests to stop, until cancelled."""
        async with trio.open_nursery() as nursery:
            async for request in requests:
                if self._counting is not None:
                    self._counting.work.stopping = True
                self._tell_stop(request)
                if request.now:
                    self._grace = 0.0
                if self._queue is None:
                    self._opening.cancel()
                elif self._asked.is_set():
                    nursery.start_soon(self._queue.shutdown, self._grace)
                self._asked.set()

    def _tell_start(self) -> None:
        settings = self._settings
        logger.info(
            "started: process %d with %d workers for %s, queues: %s",
            os.getpid(),
            settings.workers,
            ", ".join(task_type.name for task_type in self._tasks),
            ", ".join(settings.queues) if settings.queues else "all",
        )

    def _tell_stop(self, request: Request) -> None:
        running = self._queue.pool.running if self._queue is not None else 0
        if request.now:
            logger.info("stopping at once (%s): %d running are cancelled", request.why, running)
        elif not self._asked.is_set():
            logger.info(
                "stopping (%s): nothing more is started, %d running have %g s",
                request.why,
                running,
                self._stop.grace,
            )


async def first_of(*functions: Callable[[], Awaitable[object]]) -> None:
    """Wait for the first of them; the others are cancelled."""
    async with trio.open_nursery() as nursery:

        async def wait(function: Callable[[], Awaitable[object]]) -> None:
            await function()
            nursery.cancel_scope.cancel()

        for function in functions:
            nursery.start_soon(wait, function)
