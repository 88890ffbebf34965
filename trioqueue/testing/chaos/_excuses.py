"""The excuses: why a task was given out again, though it had been given out before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from math import inf
from types import MappingProxyType
from typing import Final, NamedTuple

from ... import Move
from ._records import STORE
from ._story import Attempt, Story

#: Clocks are read one after the other, and floats are rounded.
TICK: Final = 0.001


class Terms(NamedTuple):
    """What was agreed on. ``lease``: how long one lasts, in seconds.

    ``margin``: seconds that a handler may go on after its lease is over, in a process that runs:
    the time of its cancellation, and of a scheduler with other things to do. ``shared``: the store
    is a file, which one process can keep from the others. ``limits``: how many of the tasks whose
    ids begin so may be at work at once, in all processes together.
    """

    lease: float
    margin: float
    shared: bool = True
    limits: Mapping[str, int] = MappingProxyType({})

    @property
    def long(self) -> float:
        """The gap between two beats that tells that a process could not do what it must."""
        return self.lease / 4


#: Excuses by which the earlier attempt had ended before: it must not be at work any more.
ENDED: Final = frozenset({"retry", "snooze", "release", "replay"})

_BY_MOVE: Final = {Move.RETRIED: "retry", Move.SNOOZED: "snooze", Move.RELEASED: "release"}

#: All of them, and what each says.
EXCUSES: Final = {
    "retry": "the attempt failed, and is tried again",
    "snooze": "the handler asked to be called again",
    "release": "a stop gave the task back",
    "replay": "an operator brought a dead letter back",
    "revoke": "an operator took the lease away",
    "crash": "its process died before it settled, and the lease ran out",
    "left": "its process ended in order but could not give the lease back, which ran out",
    "stopped": "its process was stopped, and the lease ran out",
    "cut off": "the network kept its process from the store, and the lease ran out",
    "outage": "the store did not answer anybody, and the lease ran out",
    "blocked": "another process was stopped, holding the store perhaps, and the lease ran out",
    "starved": "its process had no time to renew, or tried in vain, and the lease ran out",
}


def excuse_for(first: Attempt, then: Attempt, story: Story, terms: Terms) -> str | None:
    """The excuse for giving out ``then`` after ``first``; ``None`` if there is none."""
    task = story.tasks[first.id]
    if first.move == Move.DIED and task.asked("replay", first.settling, then.claimed):
        return "replay"
    by_move = _BY_MOVE.get(Move(first.move)) if first.move else None
    if by_move and first.settling <= then.claimed and first.done is not False:
        return by_move
    if task.asked("revoke", first.since, then.claimed):
        return "revoke"
    if first.expires > then.claimed + TICK:
        return None
    return _why_over(first, then, story, terms)


def _why_over(first: Attempt, then: Attempt, story: Story, terms: Terms) -> str | None:
    """Why the lease ran out: what came first is the cause."""
    process = story.process(first.process)
    since, until = first.expires - terms.lease, then.claimed
    died = "left" if process.status == 0 else "crash"
    if process.died <= first.expires:
        return died
    if _overlap(process.stops, since, until):
        return "stopped"
    if _overlap(process.weather, since, until):
        return "cut off"
    if _overlap(_long_gaps(story, STORE, terms), since, until):
        return "outage"
    if process.died <= until + terms.lease:  # a death is noticed some time after it
        return died
    if terms.shared and any(
        _overlap(other.stops, since, until) for other in story.processes.values()
    ):
        return "blocked"
    tried = terms.shared and any(since + TICK < at <= until for at in first.tries)
    starved = tried or _overlap(_long_gaps(story, first.process, terms), since, until)
    return "starved" if starved else None


def _long_gaps(story: Story, process: str, terms: Terms) -> list[tuple[float, float]]:
    return [gap for gap in story.process(process).gaps() if gap[1] - gap[0] > terms.long]


def _overlap(windows: list[tuple[float, float]], since: float, until: float) -> bool:
    return any(begin <= until and since <= end for begin, end in windows)


def repeats(story: Story, terms: Terms) -> Iterator[tuple[Attempt, Attempt, str | None]]:
    """Every delivery after the first, with the one before it and its excuse."""
    for task in story.tasks.values():
        claims = [attempt for attempt in task.claims() if attempt.claimed < inf]
        for first, then in pairwise(claims):
            yield first, then, excuse_for(first, then, story, terms)


def count_excuses(story: Story, terms: Terms) -> Counter[str]:
    """How many handlers ran again, by their excuse: what had not begun was not repeated."""
    return Counter(
        excuse
        for first, then, excuse in repeats(story, terms)
        if excuse and first.began < inf and then.began < inf
    )


def zombie_until(attempt: Attempt, story: Story, terms: Terms) -> float:
    """Until when the handler of an attempt may be at work.

    A process that was stopped, or got no time, cannot know that a lease is over: it has the margin
    from the moment in which it goes on.
    """
    process = story.process(attempt.process)
    until = min(attempt.expires, attempt.learnt) + terms.margin
    for begin, end in sorted([*_long_gaps(story, attempt.process, terms), *process.stops]):
        if begin <= until:
            until = max(until, end + terms.margin)
    return until
