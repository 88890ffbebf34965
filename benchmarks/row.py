"""What a line of the table is, and what a group of them is."""

from dataclasses import dataclass

RATE = "tasks_per_cpu_s"
# Where threads, processes and a disk are waited for, CPU time is not what a user waits.
WALL_RATE = "tasks_per_wall_s"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    name: str
    group: str
    subject: str  # a name of `runs.RUNS`
    baseline: str | None  # the same; None: nothing to compare with
    metric: str  # key of the sample
    unit: str
    goal: float | None  # None: shown, not judged
    gate: float | None = None
    higher_is_better: bool = True
    absolute: bool = False  # the goal is for the value itself, not for the ratio


@dataclass(frozen=True, slots=True)
class Group:
    """Rows whose runs are interleaved with each other."""

    name: str
    title: str
    rounds: int | None = None  # at most so many: a long run that hardly varies
