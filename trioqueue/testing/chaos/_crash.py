"""Dying everywhere: one process for each point of a broker, and a judge after each death."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from ._drain import drain_all
from ._fork import tail
from ._site import STRUCK, WAYS, Opener, Scene, Strike, open_sqlite
from ._zygote import HUNG, Play

#: How many failures are described.
_SHOWN: Final = 5
_DEATHS: Final = {"exit": STRUCK, "kill": -9}


class CrashFailure(NamedTuple):
    """One death after which something was wrong. ``strike``: ``None`` for the undisturbed play."""

    strike: Strike | None
    what: str

    def __str__(self) -> str:
        return f"died at {self.strike}:\n    {self.what}"


@dataclass
class CrashReport:
    """What was done: passages in the undisturbed play, deaths by point, excuses of what ran again.

    ``missed``: strikes whose passage did not come about; their plays ended, and were judged too.
    """

    scenario: str
    passages: dict[str, int] = field(default_factory=dict[str, int])
    deaths: Counter[str] = field(default_factory=Counter[str])
    excuses: Counter[str] = field(default_factory=Counter[str])
    missed: int = 0
    failures: list[CrashFailure] = field(default_factory=list[CrashFailure])

    def __str__(self) -> str:
        again = ", ".join(f"{count} {name}" for name, count in sorted(self.excuses.items()))
        return (
            f"{self.scenario}: {self.deaths.total()} deaths at {len(self.deaths)} points, "
            f"{self.missed} missed; ran again: {again or 'nothing'}"
        )


class BrokenByCrash(AssertionError):
    """A law was broken by a process's death. ``report`` has all of it."""

    def __init__(self, report: CrashReport) -> None:
        self.report = report
        shown = [f"  {failure}" for failure in report.failures[:_SHOWN]]
        super().__init__("\n".join([f"{len(report.failures)} failure(s): {report}", *shown]))


def crash_everywhere(
    scenario: Scene,
    *,
    opener: Opener | None = None,
    drain: Scene | None = None,
    points: Collection[str] | None = None,
    ways: Collection[str] = WAYS,
    most: int | None = None,
    lease: float = 5.0,
    stop_after: int = _SHOWN,
) -> CrashReport:
    """Play ``scenario`` in processes that die at each point of the broker, and judge what is left.

    ::

        async def scenario(site):
            async with site.open_broker() as broker:
                await broker.publish([Task("a", "resize", (), {}, Options())])

        def test_a_crash_loses_nothing():
            crash_everywhere(scenario)

    An undisturbed play counts how often each point is passed. Then, for each passage and each of
    ``ways`` ("exit": ``os._exit``, "kill": SIGKILL), a process plays until there and dies; another
    one opens the store again when all leases have run out, by its clock, drains it, and holds what
    was witnessed against what the broker says (`trioqueue.testing.chaos.check`), and the store
    against its own check. ``opener``: of another broker than the SQLite one, `open_sqlite`;
    ``drain``: what ends all that is left, else than `drain_all`. ``most``: at most so many passages
    of each point, spread evenly. ``points``: only these. ``lease``: of the broker's, in seconds.

    ``scenario``, ``drain`` and ``opener`` must be importable functions of modules without side
    effects: processes find them by their names. Needs ``os.fork``. Raises `BrokenByCrash`, naming
    point and passage, and `RuntimeError` if the undisturbed play fails. Takes about 0.1 s a death.
    """
    report = CrashReport(scenario.__qualname__)
    with (
        _zygote(scenario, drain or drain_all, opener or open_sqlite) as played,
        _scratch() as directory,
    ):
        _rehearse(played, Path(directory, "rehearsal"), lease, report)
        strikes = _strikes(report.passages, points, ways, most)
        for number, strike in enumerate(strikes):
            _strike(played, Path(directory, str(number)), lease, strike, report)
            if len(report.failures) >= stop_after:
                break
    if report.failures:
        raise BrokenByCrash(report)
    return report


def _strikes(
    passages: dict[str, int],
    points: Collection[str] | None,
    ways: Collection[str],
    most: int | None,
) -> Iterator[Strike]:
    for point, count in passages.items():
        if points is None or point in points:
            for passage in _spread(count, most):
                for way in ways:
                    yield Strike(point, passage, way)


def _spread(count: int, most: int | None) -> list[int]:
    """Up to ``most`` of 1 to ``count``: the first, the last, and some in between."""
    if most is None or count <= most:
        return list(range(1, count + 1))
    return sorted({1 + round(i * (count - 1) / max(1, most - 1)) for i in range(most)})


# --- plays --------------------------------------------------------------------------------------

_Played = Callable[[Play], int]


def _rehearse(played: _Played, directory: Path, lease: float, report: CrashReport) -> None:
    directory.mkdir()
    status = played(Play(str(directory), lease))
    if status:
        msg = f"the undisturbed play of {report.scenario} fails: {_told(directory, status)}"
        raise RuntimeError(msg)
    report.passages = _read(directory / "passages")
    _judge(played, directory, lease, None, 0, report)


def _strike(
    played: _Played, directory: Path, lease: float, strike: Strike, report: CrashReport
) -> None:
    directory.mkdir()
    status = played(Play(str(directory), lease, strike))
    if status == _DEATHS[strike.way]:
        report.deaths[strike.point] += 1
    elif status == 0:
        report.missed += 1
    else:
        report.failures.append(CrashFailure(strike, _told(directory, status)))
        return
    _judge(played, directory, lease, strike, status, report)


def _judge(
    played: _Played,
    directory: Path,
    lease: float,
    strike: Strike | None,
    status: int,
    report: CrashReport,
) -> None:
    judged = played(Play(str(directory), lease, None, True, status))
    if judged:
        what = f"what is left cannot be opened and drained: {_told(directory, judged)}"
        report.failures.append(CrashFailure(strike, what))
        return
    verdict = _read(directory / "verdict")
    report.excuses.update(verdict["excuses"])
    if verdict["violations"]:
        what = "\n    ".join(verdict["violations"][:_SHOWN])
        report.failures.append(CrashFailure(strike, what))


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _told(directory: Path, status: int) -> str:
    """How a play went wrong, with the end of what it printed."""
    how = f"hung for {HUNG} s" if status == -14 else f"ended with {status}"
    return f"its process {how}\n{tail(directory / 'output')}"


def _scratch() -> tempfile.TemporaryDirectory[str]:
    """In memory if there is such a place: a process's death leaves its writes with the kernel."""
    memory = "/dev/shm"
    place = memory if os.access(memory, os.W_OK | os.X_OK) else None
    return tempfile.TemporaryDirectory(prefix="trioqueue-crash-", dir=place)


# --- the zygote ---------------------------------------------------------------------------------


def _reference(function: Any) -> str:
    """By which name another process finds a function, or a class's own method."""
    owner = getattr(function, "__self__", None)
    name = f"{function.__module__}:{function.__qualname__}"
    if isinstance(owner, type):
        name = f"{owner.__module__}:{owner.__qualname__}.{function.__name__}"
    if "<" in name or name.startswith("__main__:"):
        msg = f"{name} cannot be found from another process: it must be a module's function"
        raise ValueError(msg)
    return name


@contextmanager
def _zygote(*functions: Any) -> Generator[_Played]:
    """Start the process that forks a process for each play."""
    if not hasattr(os, "fork"):
        msg = "crash_everywhere needs os.fork, which this system does not have"
        raise RuntimeError(msg)
    code = "import sys; from trioqueue.testing.chaos._zygote import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        [*command, *map(_reference, functions)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        orders, answers = process.stdin, process.stdout

        def played(play: Play) -> int:
            try:
                print(json.dumps(play), file=orders, flush=True)
                return int(answers.readline())
            except (OSError, ValueError) as error:
                msg = f"the process of the plays has ended: {process.poll()}"
                raise RuntimeError(msg) from error

        yield played
        orders.close()
