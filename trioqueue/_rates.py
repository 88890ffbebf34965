"""How fast things happen: from what a broker has counted at several instants to rates.

Pure: the caller brings the times, by a monotonic clock, and the counters, as `Counts.moves` has
them. Shared by everything that shows rates, so that all of them say the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final, NamedTuple, final

from ._model import Move

#: Long enough to be calm at one task a second, short enough to notice that the work has stopped.
SPAN: Final = 60.0


class Rates(NamedTuple):
    """What happened per second, over the last ``span`` seconds.

    ``submitted``: accepted, delayed ones included. ``failed``: attempts that failed, whether they
    are tried again (``retried``) or not (``dead``).
    """

    submitted: float
    started: float
    succeeded: float
    failed: float
    retried: float
    dead: float
    span: float

    @property
    def failure_rate(self) -> float | None:
        """Of the attempts that ended by themselves, the share that failed; ``None``: none ended."""
        ended = self.failed + self.succeeded
        return self.failed / ended if ended else None


class _Reading(NamedTuple):
    at: float
    moves: Mapping[Move, int]


@final
class Window:
    """The readings of the last ``span`` seconds; at least two, however far they are apart."""

    def __init__(self, span: float = SPAN) -> None:
        self._span = span
        self._readings: deque[_Reading] = deque()

    def note(self, at: float, moves: Mapping[Move, int]) -> None:
        """Add a reading: what was counted at ``at`` seconds, later than all before.

        A counter that went back (a server that lost its data) begins a new window.
        """
        readings = self._readings
        if readings and any(moves.get(move, 0) < n for move, n in readings[-1].moves.items()):
            readings.clear()
        readings.append(_Reading(at, dict(moves)))
        while len(readings) > 2 and readings[1].at <= at - self._span:
            readings.popleft()

    def rates(self) -> Rates | None:
        """From the oldest reading to the newest; ``None`` while there are not two."""
        if len(self._readings) < 2:
            return None
        return rates_between(self._readings[0], self._readings[-1])

    def last(self) -> Rates | None:
        """Between the last two readings, for a curve; ``None`` while there are not two."""
        if len(self._readings) < 2:
            return None
        return rates_between(self._readings[-2], self._readings[-1])


def rates_between(before: tuple[float, Mapping[Move, int]], after: _Reading) -> Rates | None:
    """What happened between two readings of (time, counters); ``None`` if no time has passed."""
    (began, old), (at, new) = before, after
    span = at - began
    if span <= 0:
        return None

    def rate(*moves: Move) -> float:
        return sum(new.get(move, 0) - old.get(move, 0) for move in moves) / span

    return Rates(
        submitted=rate(Move.SUBMITTED, Move.DELAYED),
        started=rate(Move.STARTED),
        succeeded=rate(Move.SUCCEEDED),
        failed=rate(Move.RETRIED, Move.DIED),
        retried=rate(Move.RETRIED),
        dead=rate(Move.DIED),
        span=span,
    )
