"""Ctrl-C at every line: one play of a scenario for each line of trioqueue that it executes."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Final, NamedTuple

from ._errors import describe, holds_interrupt, is_expected
from ._play import Scenario, play
from ._stage import Stage

_PACKAGE: Final = str(Path(__file__).resolve().parent.parent)
_TOOLKIT: Final = str(Path(__file__).resolve().parent)
_SHOWN: Final = 5


class Line(NamedTuple):
    """An executed line of the core, by file (relative to the package) and number."""

    file: str
    number: int

    def __str__(self) -> str:
        return f"{self.file}:{self.number}"


@dataclass
class InterruptReport:
    """What was done: the lines that the scenario executes, how often, the plays, the failures.

    ``raised``: how many interrupts were raised at the line itself; the others were protected from,
    and raised by Trio at the main task's next checkpoint.
    """

    scenario: str
    executed: int = 0
    lines: int = 0
    plays: int = 0
    raised: int = 0
    failures: list[str] = field(default_factory=list[str])

    def __str__(self) -> str:
        return (
            f"{self.scenario}: {self.lines} lines executed {self.executed} times, "
            f"{self.plays} interrupts, {self.raised} of them in unprotected code"
        )


class BrokenByInterrupt(AssertionError):
    """A scenario broke when it was interrupted. ``report`` has all of it."""

    def __init__(self, report: InterruptReport) -> None:
        self.report = report
        head = f"{len(report.failures)} of {report.plays} plays broke: {report}"
        super().__init__("\n".join([head, *report.failures[:_SHOWN]]))


def interrupt_everywhere(
    scenario: Scenario,
    *,
    seed: int | str = 0,
    occurrences: int | None = None,
    every: int = 1,
    stop_after: int = _SHOWN,
) -> InterruptReport:
    """Play ``scenario`` once for each line of trioqueue it executes, with a Ctrl-C there. ::

        def test_nothing_is_lost_by_ctrl_c():
            interrupt_everywhere(scenario)

    Trio's own SIGINT handler is called at the line, so that Trio's protection decides what becomes
    of it. A play fails if a law is broken (`open_test_queue` checks them), if it hangs, or if the
    interrupt does not arrive outside as a KeyboardInterrupt.

    ``occurrences``: interrupt only the first so many executions of each line (``None``: all).
    ``every``: only every so many-th of those. Only in the main thread, like Ctrl-C itself.
    """
    report = InterruptReport(getattr(scenario, "__qualname__", repr(scenario)))
    executed = _record(scenario, seed)
    report.executed = len(executed)
    report.lines = len(set(executed))
    for number, moment in enumerate(_moments(executed, occurrences)):
        if number % every:
            continue
        _interrupt(scenario, seed, moment, report)
        if len(report.failures) >= stop_after:
            break
    if report.failures:
        raise BrokenByInterrupt(report)
    return report


class _Moment(NamedTuple):
    """The so many-th execution of a line. (Not of all lines: a set may be walked in any order.)"""

    line: Line
    time: int

    def __str__(self) -> str:
        return f"{self.line}, execution {self.time}"


def _moments(executed: list[Line], occurrences: int | None) -> list[_Moment]:
    seen: dict[Line, int] = {}
    chosen: list[_Moment] = []
    for line in executed:
        seen[line] = seen.get(line, 0) + 1
        if occurrences is None or seen[line] <= occurrences:
            chosen.append(_Moment(line, seen[line]))
    return chosen


def _record(scenario: Scenario, seed: int | str) -> list[Line]:
    executed: list[Line] = []

    def see(frame: FrameType) -> None:
        executed.append(_line(frame))

    with _Tracer(see):
        ended = play(scenario, seed=seed, stage=Stage())
    if ended.hung:
        raise AssertionError(ended.hung) from ended.error
    if ended.error is not None:
        raise ended.error
    return executed


class _Interrupter:
    """Calls the SIGINT handler at one moment."""

    def __init__(self, moment: _Moment) -> None:
        self._moment = moment
        self._count = 0
        self.done = False
        self.raised = False

    def see(self, frame: FrameType) -> None:
        if self.done or frame.f_lineno != self._moment.line.number:
            return
        if _line(frame) == self._moment.line:
            self._count += 1
            if self._count == self._moment.time:
                self._interrupt(frame)

    def _interrupt(self, frame: FrameType) -> None:
        self.done = True
        handler: Any = signal.getsignal(signal.SIGINT)
        try:
            handler(signal.SIGINT, frame)
        except KeyboardInterrupt:
            self.raised = True
            raise


def _interrupt(
    scenario: Scenario, seed: int | str, moment: _Moment, report: InterruptReport
) -> None:
    interrupter = _Interrupter(moment)
    with _Tracer(interrupter.see):
        ended = play(scenario, seed=seed, stage=Stage(), steps=report.executed)
    report.plays += 1
    report.raised += interrupter.raised
    if ended.hung:
        what = ended.hung
    elif ended.error is None and interrupter.done:
        what = "the interrupt was swallowed"
    elif ended.error is None or (holds_interrupt(ended.error) and is_expected(ended.error)):
        return
    else:
        what = describe(ended.error)
    report.failures.append(f"  Ctrl-C at {moment}: {what}")


def _line(frame: FrameType) -> Line:
    return Line(str(Path(frame.f_code.co_filename).relative_to(_PACKAGE)), frame.f_lineno)


class _Tracer:
    """Calls ``see(frame)`` before each line of the core, the toolkit's own lines left out."""

    def __init__(self, see: Callable[[FrameType], None]) -> None:
        self._see = see
        self._wanted: dict[str, bool] = {}
        self._before: Any = None

    def __enter__(self) -> None:
        self._before = sys.gettrace()
        sys.settrace(self._enter)

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _enter(self, frame: FrameType, event: str, _arg: object) -> Any:
        name = frame.f_code.co_filename
        wanted = self._wanted.get(name)
        if wanted is None:
            wanted = name.startswith(_PACKAGE) and not name.startswith(_TOOLKIT)
            self._wanted[name] = wanted
        return self._trace if wanted else None

    def _trace(self, frame: FrameType, event: str, _arg: object) -> Any:
        if event == "line":
            self._see(frame)
        return self._trace
