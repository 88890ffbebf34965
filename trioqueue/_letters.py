"""Records for people: dead letters, unfinished tasks, numbers. Snapshots, made when asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

from ._model import NO_HEADERS, ErrorRecord, State, Task


@final
@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A task that failed for good: everything needed to understand it and to run it again.

    ``failures``: attempts that failed. ``errors``: the last ones, oldest first, tracebacks as text.
    ``died_at``: Unix time in seconds. ``payload``: the arguments as a durable broker keeps them,
    also when they cannot be decoded. ``headers``: as they were submitted.
    """

    id: str
    type: str
    queue: str
    args: tuple[object, ...]
    kwargs: Mapping[str, object]
    key: str | None
    failures: int
    deliveries: int
    errors: tuple[ErrorRecord, ...]
    died_at: float
    payload: bytes | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=lambda: NO_HEADERS)

    @property
    def error(self) -> ErrorRecord | None:
        """The error it died of."""
        return self.errors[-1] if self.errors else None


@final
@dataclass(frozen=True, slots=True)
class Unfinished:
    """A task that was accepted and had not ended when the queue stopped.

    ``state``: where it was: ``running`` if its handler is still on its way (it shields itself,
    swallows its cancellation, or blocks a thread), else ``handed_back``. ``interruptions``: how
    often a stop cut an attempt short.
    """

    id: str
    type: str
    queue: str
    args: tuple[object, ...] = field(repr=False)
    kwargs: Mapping[str, object] = field(repr=False)
    state: State
    attempt: int
    interruptions: int


@final
@dataclass(frozen=True, slots=True)
class Statistics:
    """A queue's numbers at one instant. Cheap to make.

    ``submitted == scheduled + ready + running + succeeded + dead + cancelled + expired +
    handed_back + purged + evicted``, always. The others count what happened, not where tasks are:
    ``retried`` failed attempts that are tried again, ``snoozed``, ``released`` attempts that a stop
    cut short, ``replayed`` dead letters. ``capacity``: ``None`` is without a bound.
    """

    submitted: int
    scheduled: int
    ready: int
    running: int
    succeeded: int
    dead: int
    cancelled: int
    expired: int
    handed_back: int
    purged: int
    evicted: int
    retried: int
    snoozed: int
    released: int
    replayed: int
    capacity: int | None
    waiting_submitters: int
    workers: int
    idle_workers: int


def dead_letter(task: Task) -> DeadLetter:
    """The `DeadLetter` of a task that is dead."""
    trail = task.trace()
    return DeadLetter(
        task.id,
        task.type,
        task.options.queue,
        task.args,
        task.kwargs,
        task.options.key,
        task.failures,
        task.deliveries,
        trail.errors,
        trail.died_at,
        task.payload,
        task.options.headers or NO_HEADERS,
    )


def unfinished(task: Task) -> Unfinished:
    """The `Unfinished` record of an open or handed-back task."""
    return Unfinished(
        task.id,
        task.type,
        task.options.queue,
        task.args,
        task.kwargs,
        task.state or State.HANDED_BACK,
        task.attempt,
        task.trail.interruptions if task.trail else 0,
    )
