"""Pure functions over lists of figures, one figure per round."""

import math
import statistics
from collections.abc import Sequence

# Fewer rounds than this say too little about a median on a shared CI machine.
GATE_ROUNDS = 5


def median(values: Sequence[float]) -> float:
    """The middle value; the mean of the middle two for an even count."""
    if not values:
        raise ValueError("a median needs at least one value")
    return float(statistics.median(values))


def spread(values: Sequence[float]) -> float | None:
    """(maximum - minimum) / median, as a fraction; None where one round cannot tell.

    The full range, not the interquartile one: with five rounds there is too little to trim.
    """
    if len(values) < 2:
        return None
    middle = median(values)
    return None if middle == 0 else (max(values) - min(values)) / abs(middle)


def paired_ratios(subject: Sequence[float], baseline: Sequence[float]) -> list[float]:
    """subject / baseline, round by round.

    Paired, because a slow minute of the machine hits both halves of its round alike; the ratio of
    two medians would compare figures of different minutes.
    """
    pairs = zip(subject, baseline, strict=True)
    return [one / other if other else math.inf for one, other in pairs]


def percentile(values: Sequence[float], percent: float) -> float:
    """Nearest rank: the smallest value that at least `percent` % of the values do not exceed."""
    if not values:
        raise ValueError("a percentile needs at least one value")
    if not 0 < percent <= 100:
        raise ValueError(f"percent must be in (0, 100], not {percent}")
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


def meets(figure: float, limit: float, *, higher_is_better: bool) -> bool:
    """Whether `figure` is on the good side of `limit`, or on it."""
    return figure >= limit if higher_is_better else figure <= limit


def attainment(figure: float, goal: float, *, higher_is_better: bool) -> float:
    """How much of the goal was reached: 1 is the goal itself, more is better in both directions."""
    if higher_is_better:
        return figure / goal if goal else math.inf
    if figure == 0:
        return math.inf
    return goal / figure


def falls_under_gate(ratios: Sequence[float], gate: float | None) -> bool:
    """Whether CI has to refuse: a median of at least `GATE_ROUNDS` ratios under the figure."""
    if gate is None or len(ratios) < GATE_ROUNDS:
        return False
    return median(ratios) < gate
