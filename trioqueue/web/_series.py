"""The last seconds, minutes and hours as points of a curve, in a bounded memory.

Pure: whoever samples brings the times.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, final

from .. import Counts
from .._model import Move
from .._rates import Rates, _Reading, rates_between

#: (seconds between points, points): 10 minutes, 2 hours, a day.
RINGS: Final = ((1.0, 600), (10.0, 720), (60.0, 1440))

#: Seconds by which a sample may be early for a point: they come a little late as a rule, and the
#: next one must not be left out for that.
_EARLY: Final = 0.5

COUNTS: Final = ("scheduled", "ready", "running", "dead")
RATES: Final = ("submitted", "succeeded", "failed", "retried", "dead")

#: Durations are counted by size; the bounds of a size class are 10 % apart.
_BASE: Final = math.log(1.1)
_LEAST: Final = 1e-6


@final
class Sizes:
    """How many durations were of which size: quantiles within 5 %, from a few dozen numbers."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        """Count one."""
        self._counts[math.floor(math.log(max(seconds, _LEAST)) / _BASE)] += 1

    def include(self, other: Sizes) -> None:
        """Count all that another has counted."""
        self._counts.update(other._counts)

    def quantile(self, share: float) -> float | None:
        """A duration that this share of them do not exceed; ``None`` if there are none."""
        left = self._counts.total() * share
        for size in sorted(self._counts):
            left -= self._counts[size]
            if left <= 0:
                return math.exp((size + 0.5) * _BASE)
        return None

    def quantiles(self) -> dict[str, float] | None:
        """The median, and what 95 % do not exceed."""
        p50, p95 = self.quantile(0.5), self.quantile(0.95)
        return None if p50 is None or p95 is None else {"p50": p50, "p95": p95}


class Times(NamedTuple):
    """How long tasks waited, and how long attempts took."""

    waiting: Sizes
    duration: Sizes

    def include(self, other: Times) -> None:
        """Count all that another has counted."""
        self.waiting.include(other.waiting)
        self.duration.include(other.duration)


def no_times() -> Times:
    """None counted yet."""
    return Times(Sizes(), Sizes())


class _Point(NamedTuple):
    at: float  # Unix time
    counts: tuple[int, ...]
    rates: Rates | None
    waiting: dict[str, float] | None
    duration: dict[str, float] | None


@final
class Ring:
    """Points that are ``step`` seconds apart, the last ``size`` of them."""

    def __init__(self, step: float, size: int) -> None:
        self.step: Final = step
        self.span: Final = step * size
        self._points: deque[_Point] = deque(maxlen=size)
        self._times = no_times()
        self._due = float("-inf")
        self._before: tuple[float, Mapping[Move, int]] | None = None

    def add(self, now: float, wall: float, counts: Counts, times: Times) -> None:
        """One sample: at ``now`` seconds on a monotonic clock, ``wall`` on the wall's."""
        self._times.include(times)
        before = self._before
        if now < self._due - _EARLY:
            return
        self._due += self.step
        if self._due <= now:  # the first, or nobody has sampled for long
            self._due = now + self.step
        after = (now, counts.moves)
        self._points.append(
            _Point(
                wall,
                tuple(getattr(counts, name) for name in COUNTS),
                None if before is None else _rates(before, after),
                self._times.waiting.quantiles(),
                self._times.duration.quantiles(),
            )
        )
        self._before = after
        self._times = no_times()

    def since(self, wall: float) -> dict[str, Any]:
        """The points from ``wall`` on, as lists by name."""
        points = [point for point in self._points if point.at >= wall]
        return {
            "step": self.step,
            "at": [round(point.at, 3) for point in points],
            "counts": {
                name: [point.counts[index] for point in points] for index, name in enumerate(COUNTS)
            },
            "rates": {
                name: [
                    None if point.rates is None else round(getattr(point.rates, name), 3)
                    for point in points
                ]
                for name in RATES
            },
            "waiting": _quantiles(point.waiting for point in points),
            "duration": _quantiles(point.duration for point in points),
        }


def _rates(
    before: tuple[float, Mapping[Move, int]], after: tuple[float, Mapping[Move, int]]
) -> Rates | None:
    """``None`` also where a counter went back: a server that has lost its data."""
    if any(after[1].get(move, 0) < count for move, count in before[1].items()):
        return None
    return rates_between(before, _Reading(*after))


def _quantiles(found: Iterable[dict[str, float] | None]) -> dict[str, list[float | None]]:
    every = list(found)
    return {
        name: [None if each is None else round(each[name], 6) for each in every]
        for name in ("p50", "p95")
    }


@final
class Series:
    """All rings, and the times of the last minute."""

    def __init__(self) -> None:
        self._rings = [Ring(step, size) for step, size in RINGS]
        self._minute: deque[tuple[float, Times]] = deque(maxlen=120)

    def add(self, now: float, wall: float, counts: Counts, times: Times) -> None:
        """One sample."""
        for ring in self._rings:
            ring.add(now, wall, counts, times)
        self._minute.append((now, times))
        while self._minute and self._minute[0][0] < now - 60:
            self._minute.popleft()

    def last_minute(self) -> Times:
        """All times of the last minute."""
        every = no_times()
        for _, times in self._minute:
            every.include(times)
        return every

    def window(self, seconds: float, wall: float) -> dict[str, Any]:
        """The finest curve that reaches ``seconds`` back from ``wall``."""
        for ring in self._rings:
            if ring.span >= seconds:
                return ring.since(wall - seconds)
        return self._rings[-1].since(wall - seconds)
