"""What the ledger writes down: one list of entries, in the order in which things happened.

A history is plain data. The laws are functions of it, so that each of them can be shown a history
that breaks it. Times are seconds on Trio's clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from .. import Event, Options, Statistics


class Seen(NamedTuple):
    """An event, and what the ledger looked up in the same step.

    ``options``: the task's, when it was accepted. ``full``: the types that had no room when a task
    was started, that is, all tokens of which others held.
    """

    time: float
    event: Event
    options: Options | None = None
    full: frozenset[str] = frozenset()


class Began(NamedTuple):
    """A handler's body really began, whatever the events say.

    ``timeout``: what its submit asked for; ``deadline``: what it got. ``stopped``: a cancellation
    from outside of the attempt was in force already. ``spoilt``: the context variables that differ
    from those that the queue was opened with.
    """

    time: float
    task_id: str
    task_type: str
    token: int
    timeout: float | None = None
    deadline: float = float("inf")
    stopped: bool = False
    spoilt: tuple[str, ...] = ()


class Ended(NamedTuple):
    """A handler's body really ended: by ``error``, or by a return.

    ``stopped``: a cancellation from outside of the attempt was in force; ``toppled``: and nobody
    had asked for it. ``stray``: the error is a Cancelled although nothing was cancelled.
    """

    time: float
    task_id: str
    task_type: str
    token: int
    error: BaseException | None = None
    stopped: bool = False
    toppled: bool = False
    stray: bool = False

    @property
    def returned(self) -> bool:
        """Whether the handler returned."""
        return self.error is None


class Told(NamedTuple):
    """What a caller of submit was told: ``ids`` were accepted, or none since it got ``error``."""

    time: float
    ids: tuple[str, ...]
    error: BaseException | None = None


class Replayed(NamedTuple):
    """Somebody asked for a dead letter's replay. ``error``: why it did not happen."""

    time: float
    task_id: str
    error: BaseException | None = None


class Closed(NamedTuple):
    """A close began: nothing is accepted from here on."""

    time: float


class Stopping(NamedTuple):
    """A stop began: no handler begins from here on, and those that run have ``grace`` seconds."""

    time: float
    grace: float


class Stopped(NamedTuple):
    """A stop was over, and said so to whoever had asked for it."""

    time: float


class Paused(NamedTuple):
    """A queue (lane) was paused; ``None``: all of them."""

    time: float
    queue: str | None


class Resumed(NamedTuple):
    """A queue (lane) was resumed; ``None``: all of them."""

    time: float
    queue: str | None


class Quiet(NamedTuple):
    """Nothing could run: every Trio task was blocked. What the queue said of itself then.

    ``statistics``: ``None`` where they cannot be known without waiting. ``tokens``: how many each
    type's limiter had lent. ``over``: the pool was cancelled, or had ended; ``ended``: the latter.
    """

    time: float
    statistics: Statistics | None
    tokens: Mapping[str, int]
    over: bool = False
    ended: bool = False


class Left(NamedTuple):
    """The block was left. ``unfinished``: the ids that the queue named as such."""

    time: float
    statistics: Statistics | None
    tokens: Mapping[str, int]
    unfinished: tuple[str, ...] = ()


Entry: TypeAlias = (
    Seen
    | Began
    | Ended
    | Told
    | Replayed
    | Closed
    | Stopping
    | Stopped
    | Paused
    | Resumed
    | Quiet
    | Left
)


@dataclass
class History:
    """All that happened to one queue, and the promises that were made when it was opened.

    ``middleware``: attempts are wrapped by ``around``, so that a handler's end is not yet the
    attempt's. ``slack``: seconds that may pass without anybody's doing; 0 on a virtual clock.
    ``elsewhere``: tasks are kept on a durable broker and claimed ahead of the handler's beginning.
    ``perhaps``: over a network, so that what was cancelled, or was too late, may have been done.
    ``fleet``: the types there that have limits in the whole fleet, and so are never claimed ahead.
    ``whole``: the queue's tasks end with it, since its broker does. ``interrupted``: it ended by a
    Ctrl-C, which in a worker or a handler takes the whole pool down, and is meant to.
    """

    workers: int = 1
    capacity: float = 100
    elsewhere: bool = False
    perhaps: bool = False
    limits: Mapping[str, int] = field(default_factory=dict[str, int])
    fleet: frozenset[str] = frozenset()
    middleware: bool = False
    slack: float = 0.0
    whole: bool = True
    interrupted: bool = False
    entries: list[Entry] = field(default_factory=list[Entry])

    def of_task(self, task_id: str) -> list[Event]:
        """The events of one task."""
        return [
            entry.event
            for entry in self.entries
            if isinstance(entry, Seen) and entry.event.task_id == task_id
        ]
