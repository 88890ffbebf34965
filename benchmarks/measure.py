"""Tools shared by all cases: the ledger, the stopwatch, resident memory, one core."""

import gc
import os
import resource
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final

Sample = dict[str, float]

WORKERS: Final = 8
# Room on both sides of every throughput case: deep enough that a burst is a burst.
CAPACITY: Final = 1024
# Seconds; far away, so that a timeout is armed in every task and never fires.
TIMEOUT: Final = 30.0


class TooBusy(Exception):
    """The machine could not keep the pace that was asked for: there is no figure."""


class LedgerError(Exception):
    """A task was lost or ran twice: what was measured is not a result."""


class Ledger:
    """Counts completions by task number, independently of the system under test.

    Handlers do `marks[number] += 1` themselves: a method call would cost as much as the work.
    """

    def __init__(self, size: int) -> None:
        # Multiplied, not bytearray(size): that maps zero pages lazily, and marking them would
        # look like a leak in resident memory.
        self.marks = bytearray(b"\0") * size

    def verify(self) -> None:
        """Raise LedgerError unless each task ran exactly once."""
        size, lost = len(self.marks), self.marks.count(0)
        doubled = size - lost - self.marks.count(1)
        if lost or doubled:
            raise LedgerError(f"{lost} tasks lost and {doubled} doubled of {size}")


class Stopwatch:
    """CPU seconds of the whole process (every thread) and wall seconds of a `with` block.

    May be entered again; the times add up.
    """

    def __init__(self) -> None:
        self.cpu = self.wall = 0.0

    def __enter__(self) -> "Stopwatch":
        gc.collect()  # what was built before the block is not the block's to collect
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cpu += time.process_time() - self._cpu
        self.wall += time.perf_counter() - self._wall

    def rates(self, tasks: int) -> Sample:
        """Tasks per CPU second and per wall second."""
        return {
            "tasks_per_cpu_s": tasks / self.cpu,
            "tasks_per_wall_s": tasks / self.wall,
            "cpu_s": self.cpu,
            "wall_s": self.wall,
        }


def resident_bytes() -> int:
    """Resident memory now; the peak where the platform tells no more (not Linux)."""
    with suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def cores() -> list[int]:
    """The cores that this process may use; empty where the platform cannot tell."""
    if sys.platform == "linux":
        return sorted(os.sched_getaffinity(0))
    else:
        return []


def pin(core: int) -> None:
    """Stay on one core, so that no migration shows up as a difference between systems."""
    if sys.platform == "linux":
        os.sched_setaffinity(0, {core})
