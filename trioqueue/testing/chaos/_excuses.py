"""The excuses: why a task was given out again, though it had been given out before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from math import inf
from typing import Final, NamedTuple

from ... import Move
from ._story import Attempt, Story

#: Clocks are read one after the other, and floats are rounded.
TICK: Final = 0.001


class Terms(NamedTuple):
    """What was agreed on. ``lease``: how long one lasts, in seconds.

    ``margin``: seconds that a handler may go on after its lease is over, in a process that runs:
    the time of its cancellation, and of a scheduler with other things to do.
    """

    lease: float
    margin: float

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
    if process.died <= until + terms.lease:  # a death is noticed some time after it
        return died
    if any(_overlap(other.stops, since, until) for other in story.processes.values()):
        return "blocked"
    gaps = [gap for gap in process.gaps() if gap[1] - gap[0] > terms.long]
    tried = any(since + TICK < at <= until for at in first.tries)
    return "starved" if tried or _overlap(gaps, since, until) else None


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
    gaps = [gap for gap in process.gaps() if gap[1] - gap[0] > terms.long]
    for begin, end in sorted([*gaps, *process.stops]):
        if begin <= until:
            until = max(until, end + terms.margin)
    return until
