"""Keeps several worker processes alive, and stops them: nothing in it knows what a worker does.

Each child has a session of its own, so that a Ctrl-C reaches this process alone, and the reading
end of a pipe, through which it is asked to stop. A pipe, and not a signal: a service manager that
signals the whole group would otherwise make of one request two. And its end, which the children of
a supervisor that was killed see as well, needs nobody to send it.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

import trio

from ._exits import FAILED, INTERRUPTED, LEFT_RUNNING, OK, TERMINATED
from ._stop import HARD_LIMIT, SAY_NOW, SAY_STOP, heeded_signals

logger = logging.getLogger("trioqueue.run")

#: Seconds after its own hard limit until a child is killed: it should have ended itself by then.
MARGIN: Final = 0.5

#: Seconds that the system may take to end what was killed; what hangs in a disk may take longer.
KILLING: Final = 5.0

#: How a child ends that was stopped before it had begun to work.
_ENDED_EARLY: Final = frozenset({INTERRUPTED, TERMINATED, -signal.SIGINT, -signal.SIGTERM})


@final
@dataclass(frozen=True)
class Restarts:
    """When a child that has died gets a successor.

    After ``initial`` seconds, doubled up to ``maximum`` with each death, until one has lived for
    ``settled`` seconds. When ``patience`` deaths in a row of every child were errors of its own
    (not signals), starting more of them is pointless: a minute and a half with these values.
    """

    initial: float = 0.5
    maximum: float = 30.0
    settled: float = 30.0
    patience: int = 8

    def delay(self, deaths: int) -> float:
        """Seconds to wait after the last of ``deaths`` (>= 1) in a row."""
        return min(self.maximum, self.initial * 2.0 ** min(deaths - 1, 64))


@dataclass
class Child:
    """A place for a process, and the process that has it."""

    number: int
    process: trio.Process | None = None
    pipe: int | None = None  # our end, while there is a process
    deaths: int = 0  # in a row, each soon after its start
    errors: int = 0  # those of them, in a row, that were exits with an error
    done: bool = False  # ended as it should, for good

    def say(self, word: bytes) -> None:
        """Tell the process, if it is there to hear."""
        if self.pipe is not None:
            try:
                os.write(self.pipe, word)
            except BrokenPipeError:
                pass  # it has just ended, as it was to be asked

    def close(self) -> None:
        """Close our end of the pipe. To a process that still runs it says: stop."""
        if self.pipe is not None:
            os.close(self.pipe)
            self.pipe = None


@final
class Supervisor:
    """Runs ``count`` processes of ``command`` until they are done, or told to stop.

    ``command`` gets the pipe's descriptor as one more argument. ``grace``: seconds that a child
    takes for a stop; it gets `HARD_LIMIT` more. ``burst``: a child that exits with 0 is done, and
    is not replaced. ``environment``: put into this process's own.
    """

    def __init__(
        self,
        command: Sequence[str],
        count: int,
        grace: float,
        *,
        burst: bool = False,
        environment: Mapping[str, str] | None = None,
        restarts: Restarts | None = None,
    ) -> None:
        self._command = tuple(command)
        self._grace = grace
        self._burst = burst
        self._environment = {**os.environ, **(environment or {})}
        self._restarts = restarts or Restarts()
        self._children = [Child(number) for number in range(1, count + 1)]
        self._stopping = trio.Event()
        self._limit = trio.CancelScope()  # its deadline: when the children are killed
        self._code = OK

    async def run(self) -> int:
        """Supervise until every child is done, or stopped; returns the exit code.

        Cancelled: the children are stopped, with their grace.
        """
        with trio.open_signal_receiver(*heeded_signals()) as signals:
            async with trio.open_nursery() as watching:
                watching.start_soon(self._listen, signals)
                watching.start_soon(self._keep_limit)
                async with trio.open_nursery() as nursery:
                    for child in self._children:
                        nursery.start_soon(self._keep, child)
                watching.cancel_scope.cancel()
        logger.info("supervisor ended: exit code %d", self._code)
        return self._code

    # --- one child -----------------------------------------------------------------------------

    async def _keep(self, child: Child) -> None:
        """Keep one place filled until it is done, or all is to stop."""
        while not self._stopping.is_set():
            began = trio.current_time()
            code = await self._live(child)
            if self._stopping.is_set():
                self._judge(code)
                return
            if code == OK and self._burst:
                child.done = True
                return
            delay = self._next_delay(child, code, trio.current_time() - began)
            logger.warning("process %d %s; another in %g s", child.number, describe(code), delay)
            self._give_up_if_pointless()
            with trio.move_on_after(delay):
                await self._stopping.wait()

    async def _live(self, child: Child) -> int:
        """One process, from its start to its end; returns its exit code."""
        theirs, ours = os.pipe()
        child.pipe = ours
        try:
            try:
                child.process = await trio.lowlevel.open_process(
                    [*self._command, str(theirs)],
                    stdin=subprocess.DEVNULL,
                    env=self._environment,
                    start_new_session=True,
                    pass_fds=[theirs],
                )
            finally:
                os.close(theirs)
            logger.info("process %d started: pid %d", child.number, child.process.pid)
            if self._limit.cancelled_caught:  # late: all the others have been killed already
                child.process.kill()
            return await child.process.wait()
        finally:
            child.close()
            await self._see_off(child)  # noqa: ASYNC102 - shielded, and bounded, in there

    async def _see_off(self, child: Child) -> None:
        """If we were cancelled: the end of its pipe says stop to the process; see that it does."""
        process, child.process = child.process, None
        if process is None or process.returncode is not None:
            return
        seconds = self._grace + HARD_LIMIT + MARGIN  # as for a stop
        with trio.move_on_after(seconds + KILLING, shield=True):
            with trio.move_on_after(seconds):
                await process.wait()
            if process.returncode is None:
                process.kill()
                await process.wait()

    def _next_delay(self, child: Child, code: int, lived: float) -> float:
        if lived >= self._restarts.settled or code == OK:
            child.deaths = child.errors = 0
        child.deaths += 1
        child.errors = child.errors + 1 if code > 0 else 0
        return self._restarts.delay(child.deaths)

    def _give_up_if_pointless(self) -> None:
        hopeful = [child for child in self._children if not child.done]
        if all(child.errors >= self._restarts.patience for child in hopeful):
            logger.error("giving up: no process stays alive")
            self._code = FAILED
            self._stop(SAY_STOP)

    def _judge(self, code: int) -> None:
        """What the end of a child, in a stop, means for our own exit code."""
        if code == LEFT_RUNNING or (self._limit.cancelled_caught and code == -signal.SIGKILL):
            self._code = max(self._code, LEFT_RUNNING)
        elif code != OK and code not in _ENDED_EARLY:
            self._code = max(self._code, FAILED)

    # --- the stop ------------------------------------------------------------------------------

    async def _listen(self, signals: AsyncIterator[int]) -> None:
        """The first signal stops with the grace, every other one without."""
        signalled = False
        async for number in signals:
            name = signal.Signals(number).name
            if signalled:
                logger.info("stopping at once (%s)", name)
            else:
                logger.info("stopping (%s): the processes have %g s", name, self._grace)
            self._stop(SAY_NOW if signalled else SAY_STOP)
            signalled = True

    def _stop(self, word: bytes) -> None:
        """Tell every child; what it says to one that is being started waits in its pipe."""
        grace = 0.0 if word == SAY_NOW else self._grace
        end = trio.current_time() + grace + HARD_LIMIT + MARGIN
        self._limit.deadline = min(self._limit.deadline, end)
        self._stopping.set()
        for child in self._children:
            child.say(word)

    async def _keep_limit(self) -> None:
        """Kill what has not ended in time."""
        with self._limit:
            await trio.sleep_forever()
        for child in self._children:
            if child.process is not None:
                logger.error("process %d (pid %d) is killed", child.number, child.process.pid)
                child.process.kill()


def describe(code: int) -> str:
    """An exit code, as words."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:  # a signal without a name, such as one of the real-time ones
        return f"was killed by signal {-code}"
