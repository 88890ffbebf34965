"""What was seen of one attempt, one task, one process: parts of a `Story`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf

from ._records import Operated, Operating


@dataclass
class Attempt:
    """One delivery of one task: all that was seen under one fencing token.

    ``expires``: until when the lease is known to have lasted; what a killed process did not write
    down may have prolonged it further. ``busy``: when its handler was seen at work.
    """

    id: str
    token: int
    process: str = ""
    since: float = inf  # when its claim was begun
    claimed: float = inf
    expires: float = -inf
    tries: list[float] = field(default_factory=list[float])  # to renew or to settle
    learnt: float = inf  # when its holder was told that the lease is lost
    began: float = inf
    thread: bool = False
    busy: list[float] = field(default_factory=list[float])
    how: str = ""  # its handler ended
    settling: float = inf  # the first time
    move: str = ""  # by which it was to be settled
    done: bool | None = None  # what the broker answered; ``None``: nobody lived to hear it
    twice: list[str] = field(default_factory=list[str])  # who claimed or began it once more


@dataclass
class TaskStory:
    """All that was seen of one task."""

    id: str
    submitting: float = inf
    accepted: float = inf
    refused: str = ""
    attempts: dict[int, Attempt] = field(default_factory=dict[int, Attempt])
    operations: list[Operating | Operated] = field(default_factory=list[Operating | Operated])

    def held(self, attempt: Attempt) -> tuple[float, float]:
        """From when to when an attempt was seen at work while its lease was its own."""
        if not attempt.busy:
            return inf, inf
        over = min(attempt.expires, attempt.learnt, self.revoked(attempt.claimed))
        return attempt.began, max(attempt.began, min(max(attempt.busy), over))

    def claims(self) -> list[Attempt]:
        """The attempts in the order of their tokens, which is that of their claims."""
        return [self.attempts[token] for token in sorted(self.attempts)]

    def asked(self, verb: str, since: float, until: float) -> bool:
        """Whether somebody may have done this to the task in that time.

        A call that was begun earlier may have had its effect then: until its answer came.
        """
        return any(
            each.at <= until and since <= self._answered(each)
            for each in self.operations
            if isinstance(each, Operating) and each.verb == verb
        )

    def revoked(self, since: float) -> float:
        """When a lease that was given out then may have been taken away; infinity: it was not."""
        calls = (
            max(each.at, since)
            for each in self.operations
            if isinstance(each, Operating) and each.verb == "revoke"
            if since <= self._answered(each)
        )
        return min(calls, default=inf)

    def _answered(self, call: Operating) -> float:
        """When a call was answered; infinity if nobody lived to hear it."""
        answers = (
            each.at
            for each in self.operations
            if isinstance(each, Operated)
            and (each.process, each.verb) == (call.process, call.verb)
            and each.at >= call.at
        )
        return min(answers, default=inf)


@dataclass
class ProcessStory:
    """All that was seen of one start of one process. ``stops``: (stopped, continued) each.

    ``weather``: (from, to) of each time in which the network between it and the store was not as it
    should. ``unheard``: (from, to) of each claim that brought no answer in time.
    """

    beats: list[float] = field(default_factory=list[float])
    stops: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    weather: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    unheard: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    status: int | None = None
    died: float = inf

    @property
    def begun(self) -> float:
        """Its first beat, if it was seen to have one."""
        return self.beats[0] if self.beats else -inf

    def gaps(self) -> Iterator[tuple[float, float]]:
        """The times between two beats: what is longer than usual was not the process's doing."""
        yield from zip(self.beats, self.beats[1:], strict=False)
