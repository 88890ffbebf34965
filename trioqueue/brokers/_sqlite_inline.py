"""The database in Trio's own thread: the virtual clock of a test does not wait for another one.

The same jobs in the same transactions, each at once and by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, final

import trio

from .._errors import BrokerFailed, BrokerUnavailable, TrioqueueError
from .._events import logger
from .._ki import protected
from ._sqlite_engine import Engine
from ._sqlite_jobs import Job, Wait, deliver
from ._sqlite_siblings import join, leave, poke_others

#: Real seconds for which somebody else's lock is waited for; a test that holds one means it.
_LOCKED: Final = 0.2
#: Seconds until what time brings about is tried again, if it could not be written.
_TEND_AGAIN: Final = 1.0


@final
@protected
class InlineDesk:
    """See ``_sqlite_thread.ThreadDesk``."""

    def __init__(
        self,
        engine: Engine,
        holds: Callable[[], bool],
        asked: Callable[[Sequence[tuple[int, int]]], object],
    ) -> None:
        self._engine = engine
        self._holds = holds
        self._asked = asked
        self._token = trio.lowlevel.current_trio_token()
        self._closing = False
        self._changed = trio.Event()  # the alarms

    async def open(self, *, create: bool) -> None:
        """Open the file."""
        await trio.lowlevel.checkpoint()
        self._patiently(partial(self._engine.open, create=create))
        join(self._engine.path, self)

    async def close(self) -> None:
        """Close it; whoever waits still, fails."""
        leave(self._engine.path, self)
        waits = self._engine.all_waits()
        for wait in waits:
            self._engine.forget(wait)
            wait.job.error = BrokerFailed(self._closed_message())
        self._closing = True
        self._deliver([wait.job for wait in waits])
        self._engine.close()

    async def run_alarms(self) -> None:
        """Do what time brings about, until cancelled."""
        while True:
            self._changed = trio.Event()
            with trio.move_on_after(max(0.0, self._engine.until_alarm())):
                await self._changed.wait()
            if self._engine.rings():
                try:
                    tended = self._commit([])
                    for job in tended:
                        job.answer()
                    if not tended:  # not even begun
                        await trio.sleep(_TEND_AGAIN)
                except TrioqueueError as error:
                    logger.warning("what time brings about is put off: %s", error)
                    await trio.sleep(_TEND_AGAIN)

    async def do(self, job: Job) -> Any:
        """Do a job. Cancelled: it was not done."""
        await trio.lowlevel.checkpoint()
        self._check_open()
        if job.writes:
            self._commit([job])
        else:
            self._engine.look([job])
            self._deliver([job])
        return job.answer()

    async def wait(self, wait: Wait) -> Any:
        """Wait until it is so."""
        await trio.lowlevel.checkpoint()
        self._check_open()
        if done := self._engine.wait([wait]):
            self._deliver(done)
        else:
            wait.job.task = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(partial(self._abort, wait))
        return wait.job.answer()

    def _abort(self, wait: Wait, _: Any) -> trio.lowlevel.Abort:
        wait.job.task, wait.job.gone = None, True
        self._engine.forget(wait)
        return trio.lowlevel.Abort.SUCCEEDED

    def poke(self) -> None:
        """A sibling has changed something. From any thread."""
        self._token.run_sync_soon(self._look_outside, idempotent=True)

    def _look_outside(self) -> None:
        if self._closing or not self._engine.changed_outside():
            return
        self._deliver(self._engine.look_outside())
        self._changed.set()
        if self._holds() and (asked := self._engine.asked_for()):
            self._asked(asked)

    def _commit(self, jobs: list[Job]) -> list[Job]:
        self._patiently(self._engine.begin)
        done = self._engine.commit(jobs)
        if done is None:  # what time brings about failed: without it
            for job in jobs:
                job.alone = True
            self._patiently(self._engine.begin)
            done = self._engine.commit(jobs) or []
        self._changed.set()
        self._deliver(done)
        poke_others(self._engine.path, self)
        return [job for job in done if job.verb == "tend"]

    def _patiently(self, attempt: Callable[[], bool]) -> None:
        """Blocks, in real time: on the virtual clock nothing may happen meanwhile."""
        give_up = time.monotonic() + _LOCKED
        while not attempt():
            if time.monotonic() >= give_up:
                msg = f"{self._engine.name} is locked by another process. Nothing was done"
                raise BrokerUnavailable(msg)
            time.sleep(0.002)

    def _check_open(self) -> None:
        if self._closing:
            raise BrokerFailed(self._closed_message())

    def _closed_message(self) -> str:
        return f"{self._engine.name} is closed: its block was left. Nothing was done"

    def _deliver(self, jobs: list[Job]) -> None:
        deliver(jobs, self._engine.probe)
