"""What is handed to a database: jobs that run in a transaction, and waits that look until it is so.

A job is a plain synchronous function. It runs where the database is, and what it returned is told
where Trio is, after the commit: first every event in order, then the callers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, Final, final

import trio
from trio.lowlevel import enable_ki_protection

from .._events import logger

Probe = Callable[[str], None]

#: Where a process can die, for tests: ``probe(name)`` is called there.
VERBS: Final = (
    *(
        "publish",
        "claim",
        "renew",
        "settle",
        "tend",
        "cancel",
        "revoke",
        "run_now",
        "pause",
        "resume",
    ),
    *("replay", "purge", "register"),
)
STAGES: Final = ("begun", "before-commit", "after-commit", "replied")
PROBES: Final = tuple(f"{verb}:{stage}" for verb in VERBS for stage in STAGES)


@final
class Job:
    """``run(tx)`` or, if it does not write, ``run(look)``; ``finish(what it returned)`` in Trio.

    ``task`` is the Trio task that waits for it, if one does.
    """

    __slots__ = (
        "alone",
        "error",
        "finish",
        "gone",
        "raw",
        "result",
        "run",
        "since",
        "task",
        "verb",
        "writes",
    )

    def __init__(
        self,
        verb: str,
        run: Callable[[Any], Any],
        finish: Callable[[Any], Any] | None = None,
        *,
        writes: bool = True,
    ) -> None:
        self.verb = verb
        self.writes = writes
        self.run = run
        self.finish = finish
        self.raw: Any = None
        self.result: Any = None
        self.error: BaseException | None = None
        self.task: trio.lowlevel.Task | None = None
        self.alone = False  # it, or one of its group, failed in a group
        self.gone = False  # nobody waits for it any more
        self.since = time.monotonic()

    def answer(self) -> Any:
        """The result, or the error raised."""
        if self.error is not None:
            raise self.error
        return self.result


#: What a wait looks for.
READY, SETTLED, DRAINED = "ready", "settled", "drained"


@final
class Wait:
    """A job whose ``run(look)`` is repeated until it does not return ``None``. Changes nothing."""

    __slots__ = ("about", "job", "kind", "slots")

    def __init__(
        self,
        kind: str,
        run: Callable[[Any], Any],
        finish: Callable[[Any], Any] | None = None,
        about: str = "",
        *,
        slots: bool = False,
    ) -> None:
        self.kind = kind
        self.about = about  # the id, if it waits for one task
        self.slots = slots  # whether the end of a lease may end it
        self.job = Job(f"wait {kind}", run, finish)


@enable_ki_protection
def deliver(jobs: Iterable[Job], probe: Probe | None) -> None:
    """Tell of jobs that are done, in order, then let their callers go on. In Trio's thread."""
    jobs = [job for job in jobs if not job.gone]
    for job in jobs:
        if job.error is None:
            job.result = job.raw
            if job.finish is not None:
                try:
                    job.result = job.finish(job.raw)
                except BaseException as error:  # noqa: ASYNC103 - a synchronous call, and our own bug
                    if job.task is None:
                        logger.exception("telling of %s failed", job.verb)
                    job.error = error
    for job in jobs:
        if probe is not None and job.verb in VERBS:
            probe(f"{job.verb}:replied")
        if job.task is not None:
            task, job.task = job.task, None
            trio.lowlevel.reschedule(task)
