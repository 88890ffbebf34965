"""What the demo knows about its tasks: counts and last events, kept by an observer.

An observer must not block, so it only takes notes; the views look at them when they have the time.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from typing import Final, final

from .. import Event, State

#: States in which a task may still change: their counts go up and down.
OPEN: Final = (State.READY, State.RUNNING, State.SCHEDULED)

#: Up to so many tasks every event is kept for the view, which can tell them all; above, the last
#: ones only.
TELL_EACH: Final = 1_000


#: What is not worth a line: a retry is told when it starts, and the report tells what a stop left.
_NO_NEWS: Final = frozenset({"due", "handed_back"})


@final
class Board:
    """An observer: counts the tasks of each type in each state, and remembers the last events."""

    def __init__(self, types: Sequence[str], total: int, now: float) -> None:
        self.types = types
        self.total = total  # how many are going to be submitted
        self.began = now
        self.counts: dict[str, Counter[State]] = {name: Counter() for name in types}
        self.failures = Counter[str]()  # failed attempts, by type
        self.running: dict[str, Event] = {}  # task id -> "started"
        self.news: deque[Event] = deque(maxlen=200 if total > TELL_EACH else None)
        self._open: dict[str, State] = {}  # task id -> where it is

    def __call__(self, event: Event) -> None:
        """Take note of one event."""
        counts = self.counts[event.task_type]
        before = self._open.pop(event.task_id, None)
        if before is not None:
            counts[before] -= 1
        if event.state is not None:
            counts[event.state] += 1
            if event.state in OPEN:
                self._open[event.task_id] = event.state
        if event.state is State.RUNNING:
            self.running[event.task_id] = event
        elif before is State.RUNNING:
            del self.running[event.task_id]
        if event.name in {"retried", "died"}:
            self.failures[event.task_type] += 1
        if event.name not in _NO_NEWS:
            self.news.append(event)

    def count(self, *states: State) -> int:
        """How many tasks of all types are in one of ``states``."""
        return sum(counts[state] for counts in self.counts.values() for state in states)

    @property
    def done(self) -> int:
        """How many tasks nobody has to work on any more."""
        return self.count(State.SUCCEEDED, State.DEAD)


def describe(event: Event) -> str:
    """What happened, in a few words."""
    outcome = event.outcome
    error = "" if outcome is None or outcome.error is None else str(outcome.error)
    match event.name:
        case "submitted":
            return "queued"
        case "started" if event.attempt > 1:
            return f"started, attempt {event.attempt}"
        case "succeeded" if outcome is not None:
            return f"succeeded in {outcome.duration:.2f} s"
        case "retried":
            return f"failed, again in {event.delay or 0:.2f} s: {error}"
        case "died":
            return f"dead after {event.attempt} attempts: {error}"
        case "released":
            return "cut short"
        case name:
            return name
