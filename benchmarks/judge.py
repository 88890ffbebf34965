"""Samples in, reports out: pure, so that what decides is tested without measuring."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from benchmarks import arithmetic
from benchmarks.measure import Sample
from benchmarks.plan import Row


class Verdict(Enum):
    """What the last column of the table says."""

    PASS = "pass"
    MISS = "MISS"
    SHOWN = "-"  # the row has no goal
    MISSING = "not installed"
    BUSY = "not measured"  # the machine could not keep the pace: no fault of what is measured
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a run gave no sample."""

    verdict: Verdict  # MISSING, BUSY or ERROR
    note: str


@dataclass(slots=True)
class Measured:
    """All rounds of one run; a failure makes its samples worthless."""

    samples: list[Sample] = field(default_factory=list)
    failure: Failure | None = None

    def figures(self, metric: str) -> list[float]:
        """One figure per round."""
        return [sample[metric] for sample in self.samples]


@dataclass(frozen=True, slots=True)
class Report:
    """One row with what was measured for it."""

    row: Row
    verdict: Verdict
    note: str = ""
    values: tuple[float, ...] = ()
    baselines: tuple[float, ...] = ()
    ratios: tuple[float, ...] = ()

    @property
    def judged(self) -> tuple[float, ...]:
        """The figures that the goal is about, one per round."""
        return self.values if self.row.absolute or self.row.baseline is None else self.ratios

    @property
    def value(self) -> float | None:
        return arithmetic.median(self.values) if self.values else None

    @property
    def baseline(self) -> float | None:
        return arithmetic.median(self.baselines) if self.baselines else None

    @property
    def ratio(self) -> float | None:
        return arithmetic.median(self.ratios) if self.ratios else None

    @property
    def spread(self) -> float | None:
        return arithmetic.spread(self.judged) if self.judged else None


def report(row: Row, measured: Mapping[str, Measured]) -> Report:
    """Judge one row by the runs of its group."""
    subject = measured[row.subject]
    baseline = None if row.baseline is None else measured[row.baseline]
    failure = subject.failure or (baseline.failure if baseline else None)
    if failure is not None:
        return Report(row, failure.verdict, failure.note)
    values = subject.figures(row.metric)
    others = [] if baseline is None else baseline.figures(row.metric)
    ratios = arithmetic.paired_ratios(values, others) if baseline is not None else []
    verdict = _verdict(row, values if row.absolute else ratios)
    return Report(row, verdict, "", tuple(values), tuple(others), tuple(ratios))


def _verdict(row: Row, judged: Sequence[float]) -> Verdict:
    if row.goal is None:
        return Verdict.SHOWN
    figure = arithmetic.median(judged)
    good = arithmetic.meets(figure, row.goal, higher_is_better=row.higher_is_better)
    return Verdict.PASS if good else Verdict.MISS


def refused(reports: Sequence[Report]) -> list[Report]:
    """The reports that fall under the figure that CI insists on."""
    return [one for one in reports if arithmetic.falls_under_gate(one.ratios, one.row.gate)]


def broken(reports: Sequence[Report]) -> list[Report]:
    """The reports without a result, apart from peers that are not installed."""
    return [one for one in reports if one.verdict is Verdict.ERROR]
