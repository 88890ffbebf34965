"""Keeps several worker processes alive, and stops them: nothing in it knows what a worker does.

Each child has a session of its own, so that a Ctrl-C reaches this process alone, and the reading
end of a pipe, through which it is asked to stop. A pipe, and not a signal: a service manager that
signals the whole group would otherwise make of one request two. And its end, which the children of
a supervisor that was killed see as well, needs nobody to send it.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Final, final

import trio

from ._child import Child, Restarts, describe
from ._exits import FAILED, INTERRUPTED, LEFT_RUNNING, OK, TERMINATED
from ._stop import HARD_LIMIT, SAY_NOW, SAY_STOP, heeded_signals

logger = logging.getLogger("trioqueue.run")

#: Seconds after its own hard limit until a child is killed: it should have ended itself by then.
MARGIN: Final = 0.5

#: Seconds that the system may take to end what was killed; what hangs in a disk may take longer.
KILLING: Final = 5.0

#: Runs beside the children, and calls what it is given whenever they are to be renewed.
Renewals = Callable[[Callable[[], None]], Awaitable[None]]

#: What the child of a number gets besides: arguments, and open files.
Equip = Callable[[int], tuple[Sequence[str], Sequence[int]]]

#: How a child ends that was stopped before it had begun to work.
_ENDED_EARLY: Final = frozenset({INTERRUPTED, TERMINATED, -signal.SIGINT, -signal.SIGTERM})


@final
class Supervisor:
    """Runs ``count`` processes of ``command`` until they are done, or told to stop.

    ``command`` gets the pipe's descriptor as one more argument. ``grace``: seconds that a child
    takes for a stop; it gets `HARD_LIMIT` more. ``burst``: a child that exits with 0 is done, and
    is not replaced. ``environment``: put into this process's own. ``renewals``: says when the
    children are to be renewed; one that ends with an error of its own then waits for that.
    ``equip``: what each child gets besides.
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
        renewals: Renewals | None = None,
        equip: Equip | None = None,
    ) -> None:
        self._command = tuple(command)
        self._grace = grace
        self._burst = burst
        self._environment = {**os.environ, **(environment or {})}
        self._restarts = restarts or Restarts()
        self._children = [Child(number) for number in range(1, count + 1)]
        self._renewals = renewals
        self._equip = equip
        self._stopping = trio.Event()
        self._news = trio.Event()  # a stop, or a renewal: a child need not wait any longer
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
                if self._renewals is not None:
                    watching.start_soon(self._renewals, self.renew)
                async with trio.open_nursery() as nursery:
                    for child in self._children:
                        nursery.start_soon(self._keep, child)
                watching.cancel_scope.cancel()
        logger.info("supervisor ended: exit code %d", self._code)
        return self._code

    @property
    def stopping(self) -> bool:
        """Whether a stop has begun."""
        return self._stopping.is_set()

    def places(self) -> Sequence[tuple[int, int | None]]:
        """The number of each child that is not done, from 1, and its process id if it is there."""
        return [
            (child.number, None if child.process is None else child.process.pid)
            for child in self._children
            if not child.done
        ]

    def renew(self) -> None:
        """Stop every process with its grace, and start another in its place as soon as it is gone.

        One that has ended and waits to be replaced is replaced now.
        """
        if self._stopping.is_set():
            return
        end = trio.current_time() + self._grace + HARD_LIMIT + MARGIN
        for child in self._children:
            if not child.renewed:
                child.renewed = True
                child.limit.deadline = end
                child.say(SAY_STOP)
        self._news.set()
        self._news = trio.Event()

    # --- one child -----------------------------------------------------------------------------

    async def _keep(self, child: Child) -> None:
        """Keep one place filled until it is done, or all is to stop."""
        while not self._stopping.is_set():
            began = trio.current_time()
            code = await self._live(child)
            if self._stopping.is_set():
                self._judge(code)
                return
            if child.renewed:
                child.deaths = child.errors = 0
                continue
            if code == OK and self._burst:
                child.done = True
                return
            await self._rest(child, code, trio.current_time() - began)

    async def _rest(self, child: Child, code: int, lived: float) -> None:
        """Wait until a process that died is to be replaced, or all is to stop."""
        delay = self._next_delay(child, code, lived)
        how = describe(code)
        if code > 0 and self._renewals is not None:
            delay = math.inf
            logger.warning("process %d %s; waiting for a change", child.number, how)
        else:
            logger.warning("process %d %s; another in %g s", child.number, how, delay)
            self._give_up_if_pointless()
        with trio.move_on_after(delay):
            await self._news.wait()

    async def _live(self, child: Child) -> int:
        """One process, from its start to its end; returns its exit code."""
        more, files = ((), ()) if self._equip is None else self._equip(child.number)
        theirs, ours = os.pipe()
        child.pipe, child.renewed, child.limit = ours, False, trio.CancelScope()
        try:
            try:
                child.process = await trio.lowlevel.open_process(
                    [*self._command, str(theirs), *more],
                    stdin=subprocess.DEVNULL,
                    env=self._environment,
                    start_new_session=True,
                    pass_fds=[theirs, *files],
                )
            finally:
                os.close(theirs)
            logger.info("process %d started: pid %d", child.number, child.process.pid)
            if self._limit.cancelled_caught:  # late: all the others have been killed already
                child.process.kill()
            with child.limit:
                return await child.process.wait()
            self._kill(child)
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
        self._news.set()
        for child in self._children:
            child.say(word)

    async def _keep_limit(self) -> None:
        """Kill what has not ended in time."""
        with self._limit:
            await trio.sleep_forever()
        for child in self._children:
            self._kill(child)

    def _kill(self, child: Child) -> None:
        if child.process is not None:
            logger.error("process %d (pid %d) is killed", child.number, child.process.pid)
            child.process.kill()
