"""The one stream of events: what happened to a task, as immutable values, in order.

An event is emitted after the change that it reports, in the same step: an observer never sees a
task that is not yet, or no longer, what the event says. Observers are plain callables and must not
block. One that raises is logged once and dropped; it never breaks the work. Folding a task's events
gives its state, which is how the ledger of ``trioqueue.testing`` checks the brokers.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, cast

from ._ki import protected
from ._model import Move, Outcome, State, Task, transition

logger = logging.getLogger("trioqueue")


class Event(NamedTuple):
    """One thing that happened to one task. (A NamedTuple: immutable, and cheap to make.)

    ``name`` is a `Move`, or one of the `REMARKS`, which change no state. ``time`` and the durations
    are seconds, on the broker's clock (``trio.current_time()`` in memory). Fields that do not apply
    to the event are ``None``.
    """

    name: str
    time: float
    task_id: str
    task_type: str
    queue: str
    attempt: int  # from 1: the attempt that runs, has just ended, or comes next
    delivery: int  # the fencing token of the lease; 0 before the first
    state: State | None  # after the event
    outcome: Outcome | None = None  # of the attempt that ended
    delay: float | None = None  # until it is due: submitted with a delay, retried, snoozed
    waited: float | None = None  # "started": seconds since acceptance
    progress: tuple[float, float | None] | None = None  # "progressed": (done, total)


#: Events that change no state: progress told, a cancellation asked for, a late settle refused.
REMARKS = frozenset({"progressed", "cancel_requested", "refused"})

Observer = Callable[[Event], object]

_new: Any = cast("Any", tuple).__new__


def fold(state: State | None, event: Event) -> State | None:
    """The state after ``event`` of a task that was in ``state``. `IllegalMove` if that cannot be.

    Start from ``None``; an observer that folds all events of a task always holds its state.
    """
    if event.name in REMARKS:
        return state
    after = transition(state, Move(event.name))
    if event.state is not None and after is not event.state:
        msg = f"event {event.name} says {event.state}, the table says {after}"
        raise AssertionError(msg)
    return after


@protected
class Emitter:
    """Hands events to observers. Ask ``if emitter.observers:`` first: none should cost nothing."""

    __slots__ = ("_telling", "_untold", "observers")

    def __init__(self) -> None:
        self.observers: tuple[Observer, ...] = ()
        self._telling = False
        self._untold: deque[Event] = deque()  # what observers brought about while they were told

    def add(self, observer: Observer) -> Callable[[], None]:
        """Start to observe; call what is returned to stop."""
        self.observers = (*self.observers, observer)
        return lambda: self._drop(observer)

    def _drop(self, observer: Observer) -> None:
        """Drop it once: the same callable may observe twice."""
        kept = list(self.observers)
        for index, other in enumerate(kept):
            if other is observer:
                del kept[index]
                break
        self.observers = tuple(kept)

    def task(
        self,
        name: str,
        time: float,
        task: Task,
        outcome: Outcome | None = None,
        delay: float | None = None,
        waited: float | None = None,
        attempt: int | None = None,
    ) -> None:
        """Emit an event about ``task`` as it is now."""
        # By tuple.__new__: the NamedTuple's own takes as long as all the rest of this.
        event: Event = _new(
            Event,
            (
                name,
                time,
                task.id,
                task.type,
                task.options.queue,
                task.failures + 1 if attempt is None else attempt,
                task.deliveries,
                task.state,
                outcome,
                delay,
                waited,
                task.trail.progress if task.trail else None,
            ),
        )
        if self._telling:
            # An observer acts on an event: the others hear of that one first.
            self._untold.append(event)
            return
        self._telling = True
        self._tell(event)
        while self._untold:
            self._tell(self._untold.popleft())
        self._telling = False

    def _tell(self, event: Event) -> None:
        for observer in self.observers:
            try:
                observer(event)
            except BaseException:  # noqa: ASYNC103 - it must not break the step that it is told of
                logger.exception("%r failed on %r and was dropped", observer, event)
                self._drop(observer)
