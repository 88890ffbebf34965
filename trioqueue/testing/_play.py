"""Playing a scenario once: seeded, on a virtual clock, watched, and ended even if it hangs."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from types import FrameType
from typing import Any, Final, NamedTuple

import trio
from trio.testing import MockClock

from ._schedule import seeded
from ._stage import Stage, set_stage

Scenario = Callable[[], Awaitable[object]]

#: Virtual seconds after which a scenario counts as hanging: nobody sleeps for that long.
PATIENCE: Final = 1e7
#: Steps over those of the undisturbed play, as a factor, after which it counts as spinning.
_SPIN: Final = 20


class Place(NamedTuple):
    """A scheduling step: which Trio task, and the line at which it stands."""

    task: str
    line: str

    def __str__(self) -> str:
        return f"{self.task} at {self.line}"


def place_of(task: trio.lowlevel.Task) -> Place:
    """Where a Trio task stands: the innermost of its lines that is not Trio's own."""
    best = last = "?"
    frame: FrameType | None
    coro: Any = task.coro
    while coro is not None:
        frame = getattr(coro, "cr_frame", None) or getattr(coro, "ag_frame", None)
        if frame is not None:
            last = _line(frame)
            if "/trio/" not in frame.f_code.co_filename:
                best = last
        coro = getattr(coro, "cr_await", None) or getattr(coro, "ag_await", None)
    return Place(task.name, best if best != "?" else last)


def _line(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


class Ended(NamedTuple):
    """How a play ended: with ``error``, or well. ``hung``: only since it was made to."""

    error: BaseException | None
    hung: str


class Guard(trio.abc.Instrument):
    """Ends a play that would not end: one that spins, or in which nobody can ever run again."""

    def __init__(self, most_steps: float) -> None:
        self._most = most_steps
        self._steps = 0
        self._still = 0
        self.tripped = ""

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Trio's hook: a Trio task is about to run."""
        self._steps += 1
        self._still = 0
        if self._steps > self._most:
            self._trip("it spins: it took far more steps than the undisturbed play")

    def before_io_wait(self, timeout: float) -> None:
        """Trio's hook: the end of a pass of the scheduler."""
        self._still += 1
        if self._still > 1000:  # the clock jumps nowhere any more
            self._trip("it hangs: nothing can ever run again")

    def _trip(self, why: str) -> None:
        if not self.tripped:
            self.tripped = why
            # As by Ctrl-C, which no cancel scope shields from.
            run: Any = trio._core._run.GLOBAL_RUN_CONTEXT
            run.runner.deliver_ki()


def play(
    scenario: Scenario,
    *,
    seed: int | str,
    stage: Stage,
    instruments: Sequence[trio.abc.Instrument] = (),
    steps: int = sys.maxsize,
) -> Ended:
    """Run ``scenario`` once. ``steps``: how many the undisturbed play takes."""
    guard = Guard(steps * _SPIN + 10_000)
    late = False

    async def main() -> None:
        nonlocal late
        with trio.move_on_after(PATIENCE) as patience, stage.scope("program"):
            await scenario()
        late = patience.cancelled_caught

    error: BaseException | None = None
    with set_stage(stage), seeded(seed):
        try:
            trio.run(
                main,
                clock=MockClock(autojump_threshold=0),
                instruments=[*instruments, guard],
            )
        except BaseException as caught:  # noqa: ASYNC103 - handed to the caller, outside of Trio
            error = caught
    hung = guard.tripped or ("it hangs: it waits for a time that never comes" if late else "")
    return Ended(error, hung)
