"""The dedicated thread of a SQLite broker: it takes what has queued up and commits it as one.

While one group is being written the next one gathers, so that many small calls share one
transaction, and the disk is waited for once. The thread sleeps until it is called, or until the
next alarm; only while somebody waits for what other processes do, it looks whether they did
anything, ever more seldom up to `_POLL`.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, final

import trio

from .._errors import BrokerFailed, BrokerUnavailable, TrioqueueError
from .._events import logger
from .._ki import protected
from ._sqlite_engine import Engine
from ._sqlite_jobs import Job, Wait, deliver
from ._sqlite_siblings import join, leave, poke_others

#: Seconds between two looks at what other processes did: from, up to. The first is what a wake-up
#: across processes takes while work is going on; the second is what idling costs 20 looks a second.
_POLL: Final = (0.002, 0.05)
#: Seconds between two tries to get the write lock: from, up to. SQLite cannot be told to wake us.
_LOCKED: Final = (0.0003, 0.01)
#: Seconds between two looks whether the file is still there, while nothing else is done.
_CHECK: Final = 1.0
#: Seconds of sleep at most, should somebody set the wall clock meanwhile.
_SLEEP: Final = 60.0
#: Seconds until what time brings about is tried again, if it could not be written.
_TEND_AGAIN: Final = 1.0
#: Jobs in one transaction: enough to share its cost, few enough for others to get their turn.
_GROUP: Final = 500
#: Seconds that closing may take: the thread ends with the transaction that it is in.
_CLOSING: Final = 30.0


@final
@protected
class ThreadDesk:
    """Where the Trio thread hands in jobs. ``asked`` is called with (seq, token) pairs, in Trio.

    ``holds()``: whether leases are held here whose cancellation others may ask for.
    """

    def __init__(
        self,
        engine: Engine,
        busy_timeout: float,
        holds: Callable[[], bool],
        asked: Callable[[Sequence[tuple[int, int]]], object],
    ) -> None:
        self._engine = engine
        self._busy_timeout = busy_timeout
        self._holds = holds
        self._asked = asked
        self._token = trio.lowlevel.current_trio_token()
        # The Trio thread appends, this thread takes from the left; a deque's ends are atomic. A job
        # that is in its deque has not begun and can be withdrawn.
        self._writes: deque[Job] = deque()
        self._reads: deque[Job] = deque()
        self._waits: deque[Wait] = deque()
        self._begun: list[Job] = []  # taken, and not told of yet
        self._gone: deque[Wait] = deque()  # nobody waits any more
        # A lock as a binary semaphore, released to call the thread: a tenth of what an Event costs.
        self._bell = threading.Lock()
        self._bell.acquire()
        self._rung = False  # the thread has been called, and has not looked yet
        self._closing = False
        self._poked = False  # a sibling in this process has committed something
        self._opened = Job("open", lambda _: None)
        self._closed = trio.Event()
        self._poll = _POLL[0]
        # Turns that were told of, and those that Trio has heard of: in between lie leases that are
        # held here already, and that ``holds`` does not know of yet.
        self._sent = 0
        self._delivered = 0
        self._polled = 0.0
        self._checked = 0.0
        self._locked = 0.0  # the last pause, while somebody else has the write lock
        self._tend_after = 0.0

    # --- in Trio's thread -------------------------------------------------------------------------

    async def open(self, *, create: bool) -> None:
        """Start the thread and open the file. Raises `BrokerFailed`, `BrokerUnavailable`."""
        # A daemon: if Trio itself crashes, the interpreter must not wait for it at its exit. What
        # was not committed then is undone by SQLite.
        threading.Thread(
            target=self._main, args=(create,), name="trioqueue sqlite", daemon=True
        ).start()
        self._opened.task = trio.lowlevel.current_task()
        try:
            await trio.lowlevel.wait_task_rescheduled(self._give_up)
        except BaseException:
            await self.close()  # noqa: ASYNC102 - bounded and shielded in itself
            raise
        self._opened.answer()

    def _give_up(self, _: Any) -> trio.lowlevel.Abort:
        self._opened.task, self._opened.gone = None, True
        return trio.lowlevel.Abort.SUCCEEDED

    async def close(self) -> None:
        """End the thread: what has begun is finished, what has not fails."""
        self._closing = True
        self.ring()
        # Shielded, as nobody else may use the file's connection before; bounded by one transaction.
        with trio.move_on_after(_CLOSING, shield=True) as scope:
            await self._closed.wait()
        if scope.cancelled_caught:
            logger.error("%s did not close within %g s", self._engine.name, _CLOSING)

    def ring(self) -> None:
        """Call the thread. From any thread."""
        self._rung = True
        with suppress(RuntimeError):  # two have called at once
            self._bell.release()

    def poke(self) -> None:
        """A sibling has changed something: look now instead of at the next poll."""
        self._poked = True
        self.ring()

    async def do(self, job: Job) -> Any:
        """Do a job. Cancelled: it has not begun, and never will."""
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._closing:
            raise self._closed_error()
        line = self._writes if job.writes else self._reads
        job.task = trio.lowlevel.current_task()

        def abort(_: Any) -> trio.lowlevel.Abort:
            try:
                line.remove(job)
            except ValueError:
                return trio.lowlevel.Abort.FAILED  # it has begun: its answer is waited for
            job.task, job.gone = None, True
            return trio.lowlevel.Abort.SUCCEEDED

        line.append(job)
        if not self._rung:
            self.ring()
        await trio.lowlevel.wait_task_rescheduled(abort)
        if job.error is not None:
            raise job.error
        return job.result

    async def wait(self, wait: Wait) -> Any:
        """Wait until it is so."""
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._closing:
            raise self._closed_error()
        job = wait.job
        job.task = trio.lowlevel.current_task()

        def abort(_: Any) -> trio.lowlevel.Abort:
            job.task, job.gone = None, True
            self._gone.append(wait)
            self.ring()
            return trio.lowlevel.Abort.SUCCEEDED

        self._waits.append(wait)
        self.ring()
        await trio.lowlevel.wait_task_rescheduled(abort)
        return job.answer()

    def _closed_error(self) -> BrokerFailed:
        return BrokerFailed(f"{self._engine.name} is closed: its block was left. Nothing was done")

    def _deliver(self, jobs: list[Job]) -> None:
        deliver(jobs, self._engine.probe)
        self._delivered += 1

    # --- in the thread ----------------------------------------------------------------------------

    def _main(self, create: bool) -> None:
        opened = False
        try:
            opened = self._open(create)
            if opened:
                join(self._engine.path, self)
                self._serve()
        except BaseException as error:  # noqa: ASYNC103 - a thread: there is nobody to raise it to
            logger.exception("the thread of %s has crashed", self._engine.name)
            self._fail_all(error)
        finally:
            if opened:
                leave(self._engine.path, self)
            self._engine.close()
            self._closing = True
            self._fail_all(self._closed_error())
            self._send(partial(self._closed.set))

    def _open(self, create: bool) -> bool:
        give_up = time.monotonic() + self._busy_timeout
        try:
            while not self._engine.open(create=create):
                if time.monotonic() >= give_up or self._closing:
                    raise BrokerUnavailable(self._locked_message())
                self._bell.acquire(timeout=self._next_try())
        except BaseException as error:  # noqa: ASYNC103 - raised by `open`, in Trio's thread
            self._opened.error = error
        self._sent += 1
        self._send(partial(self._deliver, [self._opened]))
        return self._opened.error is None

    def _serve(self) -> None:
        while not self._closing:
            rung = self._bell.acquire(timeout=self._pause())
            self._rung = False  # before looking: what is handed in later rings again
            done: list[Job] = []
            # Else it is nothing but time to look outside, which is what idling costs.
            if rung or self._locked or self._writes or self._tending():
                while self._gone:
                    self._engine.forget(self._gone.popleft())
                done += self._read()
                done += self._write()
            done += self._look_outside()
            if done:
                self._sent += 1
                self._send(partial(self._deliver, done))
            self._begun.clear()

    def _pause(self) -> float:
        """Seconds to sleep, unless called."""
        if self._locked:
            return self._next_try()
        if self._writes or self._reads or self._waits:
            return 0.0
        pause = min(_SLEEP, self._engine.until_alarm())
        pause = max(pause, self._tend_after - time.monotonic(), 0.0)
        if self._engine.waited_for or self._may_hold():
            pause = min(pause, self._poll)
        return pause

    def _read(self) -> list[Job]:
        done: list[Job] = []
        with suppress(IndexError):  # looking whether there is one would be too late to know
            while True:
                done.append(self._reads.popleft())
        if done:
            self._begun += done
            self._engine.look(done)
        waits: list[Wait] = []
        while self._waits:
            wait = self._waits.popleft()
            if not wait.job.gone:
                waits.append(wait)
        if waits:
            self._poll = _POLL[0]
            done += self._engine.wait(waits)
        return done

    def _write(self) -> list[Job]:
        """One transaction, if there is anything to write."""
        engine = self._engine
        now = time.monotonic()
        if not self._writes and not self._tending():
            self._locked = 0.0
            return []
        try:
            if not engine.begin():
                self._locked = self._locked or _LOCKED[0]
                return self._expire_jobs(now)
        except TrioqueueError as error:
            self._tend_after = now + _TEND_AGAIN
            return self._fail(self._writes, error)
        self._locked = 0.0
        jobs = self._take()
        self._begun += jobs
        done = engine.commit(jobs)
        if done is None:
            # Nothing was done: back into the line, each to be tried alone.
            for job in reversed(jobs):
                self._begun.remove(job)
                job.alone = True
                self._writes.appendleft(job)
            self._tend_after = now + _TEND_AGAIN
            return []
        if any(job.verb == "tend" and job.error is not None for job in done):
            self._tend_after = now + _TEND_AGAIN
        poke_others(engine.path, self)
        return done

    def _may_hold(self) -> bool:
        """Whether leases are held here, of which others may ask for something."""
        return self._sent > self._delivered or self._holds()

    def _tending(self) -> bool:
        """Whether it is time to do what time has brought about."""
        return self._engine.rings() and time.monotonic() >= self._tend_after

    def _take(self) -> list[Job]:
        """The jobs of the next transaction, which have begun with this."""
        jobs: list[Job] = []
        with suppress(IndexError):  # the Trio thread may have withdrawn the last one
            while len(jobs) < _GROUP:
                job = self._writes.popleft()
                if job.alone and jobs:
                    self._writes.appendleft(job)
                    break
                jobs.append(job)
                if job.alone:
                    break
        return jobs

    def _look_outside(self) -> list[Job]:
        """What other connections did, if anybody here waits for it and it is time to look."""
        engine = self._engine
        holds = self._may_hold()
        if not (engine.waited_for or holds):
            return []
        now = time.monotonic()
        if not self._poked and now < self._polled + self._poll:
            return []
        self._poked = False
        self._polled = now
        try:
            if not engine.changed_outside():
                self._poll = min(1.5 * self._poll, _POLL[1])
                if now >= self._checked + _CHECK:
                    self._checked = now
                    engine.check_file()
                return []
            self._poll = _POLL[0]
            done = engine.look_outside()
            if holds and (asked := engine.asked_for()):
                self._send(partial(self._asked, asked))
            return done
        except BaseException as error:  # noqa: ASYNC103 - told to those who wait
            return self._fail_waits(engine.as_ours(error))  # noqa: ASYNC104

    # --- failing ----------------------------------------------------------------------------------

    def _next_try(self) -> float:
        """Seconds until the lock is tried again. With jitter: others wait in the same way."""
        self._locked = min(1.5 * (self._locked or _LOCKED[0]), _LOCKED[1])
        return self._locked * random.uniform(0.5, 1.0)

    def _locked_message(self) -> str:
        return (
            f"{self._engine.name} has been locked by another process for {self._busy_timeout:g} s: "
            "end what holds it. Nothing was done"
        )

    def _expire_jobs(self, now: float) -> list[Job]:
        """Fail those that have waited for the lock for too long."""
        late: deque[Job] = deque()
        with suppress(IndexError):
            while self._writes[0].since + self._busy_timeout <= now:
                late.append(self._writes.popleft())
        return self._fail(late, BrokerUnavailable(self._locked_message()))

    def _fail(self, line: deque[Job], error: BaseException) -> list[Job]:
        failed: list[Job] = []
        with suppress(IndexError):
            while True:
                job = line.popleft()
                job.error = _copy(error)
                failed.append(job)
        return failed

    def _fail_waits(self, error: BaseException) -> list[Job]:
        waits = self._engine.all_waits()
        for wait in waits:
            self._engine.forget(wait)
            wait.job.error = _copy(error)
        return [wait.job for wait in waits]

    def _fail_all(self, error: BaseException) -> None:
        """Nobody may wait for an answer that cannot come."""
        failed = self._fail(deque(self._begun), error)
        self._begun.clear()
        for line in (self._writes, self._reads):
            failed += self._fail(line, error)
        while self._waits:
            wait = self._waits.popleft()
            wait.job.error = _copy(error)
            failed.append(wait.job)
        failed += self._fail_waits(error)
        self._send(partial(self._deliver, failed))

    def _send(self, call: Callable[[], object]) -> None:
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(call)


def _copy(error: BaseException) -> BaseException:
    """The same error for another caller: one object raised twice would gather both tracebacks."""
    if isinstance(error, (BrokerFailed, BrokerUnavailable)):
        copy = type(error)(*error.args)
        copy.__cause__ = error.__cause__
        return copy
    return error
