"""What this process hears of tasks: how long they waited and ran, and what happened to each, when.

The observer is on the way of the work, so it only takes down the facts. They are sorted out later,
in portions, when somebody asks or once a second. Everything is bounded: the oldest go.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, cast, final

import trio

from .._events import REMARKS, Emitter, Event
from .._model import Move
from ._series import Times, no_times
from ._text import one_line

#: Facts that wait to be sorted out: a second of a queue that makes 16,000 tasks in it.
_WAITING: Final = 50_000

#: Facts sorted out before the rest of the program has its turn: a millisecond or two.
_AT_ONCE: Final = 500

#: Tasks whose timelines are kept, and entries of one; its first is kept as well.
_TASKS: Final = 5_000
_ENTRIES: Final = 100

#: Characters of an error in a timeline.
_ERROR: Final = 200

_WAITS: Final = frozenset({Move.SUBMITTED, Move.DUE, Move.REPLAYED, Move.RELEASED, Move.LOST})


_new: Any = cast("Any", tuple).__new__


class Fact(NamedTuple):
    """An event, without what would keep a task's arguments or its result alive."""

    name: str
    time: float  # on the broker's clock
    task_id: str
    attempt: int
    delivery: int
    delay: float | None
    waited: float | None
    progress: tuple[float, float | None] | None
    duration: float | None
    kind: str | None  # of the outcome
    error: str | None


@final
class Timeline:
    """What was heard of one task. ``whole``: from its acceptance on, and nothing was left out."""

    __slots__ = ("due_at", "facts", "ready_at", "whole")

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.whole = False
        self.ready_at: float | None = None
        self.due_at: float | None = None

    def add(self, fact: Fact) -> None:
        """Add the next one. Of progress told again and again, the last is kept."""
        facts = self.facts
        if facts and fact.name == facts[-1].name == "progressed":
            facts[-1] = fact
            return
        if not facts:
            self.whole = fact.name in (Move.SUBMITTED, Move.DELAYED)
        facts.append(fact)
        if len(facts) > _ENTRIES:
            del facts[1]
            self.whole = False
        if fact.name not in REMARKS:
            self.ready_at = fact.time if fact.name in _WAITS else None
            self.due_at = None if fact.delay is None else fact.time + fact.delay


@final
class Recorder:
    """Takes down what an emitter tells, for as long as the block lasts."""

    def __init__(self, events: Emitter | None) -> None:
        self._events = events
        self._facts: deque[Fact] = deque(maxlen=_WAITING)
        self._timelines: OrderedDict[str, Timeline] = OrderedDict()
        self._times = no_times()
        self._stop: Callable[[], None] | None = None
        self._taken = 0
        self._sorted = 0

    def __enter__(self) -> Recorder:
        if self._events is not None:
            self._stop = self._events.add(self.observe)
        return self

    def __exit__(self, *_: object) -> None:
        if self._stop is not None:
            self._stop()

    @property
    def hears(self) -> bool:
        """Whether anything is heard at all."""
        return self._events is not None

    @property
    def missed(self) -> int:
        """How many facts were dropped unread, as there were too many."""
        return self._taken - self._sorted - len(self._facts)

    def observe(self, event: Event) -> None:
        """Take down one event. On the way of the work: nothing more."""
        outcome = event.outcome
        duration = kind = error = None
        if outcome is not None:
            duration, kind = outcome.duration, outcome.kind
            if outcome.error is not None:
                error = f"{outcome.error.type}: {outcome.error.message[:_ERROR]}"
        self._taken += 1
        # By tuple.__new__: a NamedTuple's own takes as long as all the rest of this.
        fact: Fact = _new(
            Fact,
            (
                event.name,
                event.time,
                event.task_id,
                event.attempt,
                event.delivery,
                event.delay,
                event.waited,
                event.progress if event.name == "progressed" else None,
                duration,
                kind,
                error,
            ),
        )
        self._facts.append(fact)

    async def sort_out(self) -> None:
        """Go through all that was taken down. A checkpoint after each portion."""
        while True:
            missed = self.missed
            for _ in range(min(_AT_ONCE, len(self._facts))):
                self._sort(self._facts.popleft())
            if missed:
                self._taken -= missed
                for timeline in self._timelines.values():
                    timeline.whole = False
            await trio.lowlevel.checkpoint()
            if not self._facts:
                return

    def _sort(self, fact: Fact) -> None:
        self._sorted += 1
        timeline = self._timelines.get(fact.task_id)
        if timeline is None:
            timeline = self._timelines[fact.task_id] = Timeline()
            if len(self._timelines) > _TASKS:
                self._timelines.popitem(last=False)
        else:
            self._timelines.move_to_end(fact.task_id)
        if fact.name == Move.STARTED:
            self._note_start(fact, timeline)
        elif fact.duration is not None and fact.name not in REMARKS:
            self._times.duration.add(fact.duration)
        timeline.add(fact)

    def _note_start(self, fact: Fact, timeline: Timeline) -> None:
        """How long it waited: since it was ready, as far as that was heard."""
        if timeline.ready_at is not None:
            self._times.waiting.add(fact.time - timeline.ready_at)
        elif fact.delivery == 1 and fact.waited is not None:
            self._times.waiting.add(fact.waited)

    def take_times(self) -> Times:
        """What was counted since this was called last."""
        times, self._times = self._times, no_times()
        return times

    def timeline(self, task_id: str) -> Timeline | None:
        """What was heard of a task, as far as it is sorted out."""
        return self._timelines.get(task_id)

    def due_at(self, task_id: str) -> float | None:
        """When a scheduled task is due, on the broker's clock; ``None``: that was not heard."""
        timeline = self._timelines.get(task_id)
        return None if timeline is None else timeline.due_at

    def failed_at(self, task_id: str) -> float | None:
        """When a task failed last, on the broker's clock, as far as that was heard."""
        timeline = self._timelines.get(task_id)
        for fact in reversed([] if timeline is None else timeline.facts):
            if fact.name in (Move.RETRIED, Move.DIED):
                return fact.time
        return None


def detail(fact: Fact) -> str:
    """What there is to say of it besides its name."""
    said: Sequence[str | None] = (
        None if fact.waited is None else f"after waiting {_told(fact.waited)}",
        None if fact.duration is None else f"ran for {_told(fact.duration)}",
        _progress(fact),
        None if fact.delay is None else f"due in {_told(fact.delay)}",
        f"too late: {fact.kind} was not accepted" if fact.name == "refused" else None,
        fact.error,
    )
    return one_line(", ".join(part for part in said if part))


def _told(seconds: float) -> str:
    """Seconds as one would say them."""
    if seconds < 0.001:
        return "<1 ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.3g} s" if seconds < 100 else f"{seconds:,.0f} s"


def _progress(fact: Fact) -> str | None:
    if fact.progress is None:
        return None
    done, total = fact.progress
    return f"{done:g}" if total is None else f"{done:g} of {total:g}"
