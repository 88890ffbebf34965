"""Noticing that nothing can run: an instrument, so that watching adds no scheduling step."""

from __future__ import annotations

import logging
from collections.abc import Callable

import trio
from trio.lowlevel import Task

logger = logging.getLogger("trioqueue")


class QuietWatch(trio.abc.Instrument):
    """Calls ``quiet()`` when every Trio task is blocked and ``changes()`` has moved on."""

    def __init__(self, quiet: Callable[[], object], changes: Callable[[], int]) -> None:
        self._quiet = quiet
        self._changes = changes
        self._runnable: set[Task] = set()
        self._passes = 0
        self._seen = 0

    def task_scheduled(self, task: Task) -> None:
        """Trio's hook: a Trio task became runnable."""
        self._runnable.add(task)

    def before_task_step(self, task: Task) -> None:
        """Trio's hook: a Trio task is about to run."""
        self._runnable.discard(task)

    def before_io_wait(self, timeout: float) -> None:
        """Trio's hook: the end of a pass of the scheduler."""
        self._passes += 1
        # What was scheduled before this instrument was there is unknown until it has run, once.
        if self._runnable or self._passes < 2 or self._changes() == self._seen:
            return
        try:
            self._quiet()
        except Exception:  # Trio would drop the instrument for it, and the law with it
            logger.exception("the ledger could not look at a quiet queue")
            raise
        self._seen = self._changes()
