"""One subprocess per measurement, rounds interleaved A B A B."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from benchmarks.judge import Failure, Measured, Verdict
from benchmarks.measure import Sample
from benchmarks.plan import GROUPS, Group, Row
from benchmarks.runs import QUICK_LIMIT, RUNS

ROOT: Final = Path(__file__).resolve().parent.parent
INSTALL: Final = "not installed: pip install trioqueue[sqlite,redis,bench]"
# Seconds between asking a child to end and killing it.
PATIENCE: Final = 2.0

Spawn = Callable[[str], Sample | Failure]
Progress = Callable[[str], None]


def spawn(name: str, *, quick: bool) -> Sample | Failure:
    """Measure one run in a process of its own, which has ended when this returns or raises."""
    run = RUNS[name]
    size, limit = (run.quick, QUICK_LIMIT) if quick else (run.size, run.limit)
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.child", name, str(size)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        output, errors = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        return Failure(Verdict.ERROR, f"no end after {limit:.0f} s")
    finally:
        _end(process)
    if process.returncode != 0:
        return Failure(Verdict.ERROR, _last_line(errors) or f"exit code {process.returncode}")
    return read_answer(_last_line(output))


def read_answer(line: str) -> Sample | Failure:
    """What a child said in its last line of output."""
    try:
        reply = json.loads(line)
    except ValueError:
        return Failure(Verdict.ERROR, f"no answer, but {line[:60]!r}")
    if "missing" in reply:
        return Failure(Verdict.MISSING, INSTALL)
    if "busy" in reply:
        return Failure(Verdict.BUSY, str(reply["busy"]))
    if "error" in reply:
        return Failure(Verdict.ERROR, str(reply["error"]))
    return {str(key): float(value) for key, value in reply["sample"].items()}


def _end(process: "subprocess.Popen[str]") -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else ""


def runs_of(rows: Sequence[Row]) -> list[str]:
    """The distinct runs of some rows; each is measured once per round, whoever compares it."""
    names: dict[str, None] = {}
    for row in rows:
        names[row.subject] = None
        if row.baseline is not None:
            names[row.baseline] = None
    return list(names)


#: How often a run is tried again for which the machine was too busy.
PATIENT_TRIES = 2


def measure(
    rows: Sequence[Row], rounds: int, measure_one: Spawn, progress: Progress
) -> dict[str, Measured]:
    """All runs of one group, interleaved; a run that failed is not tried again."""
    names = runs_of(rows)
    measured = {name: Measured() for name in names}
    for number in range(rounds):
        for name in names:
            if measured[name].failure is not None:
                continue
            progress(f"{name}, round {number + 1} of {rounds}")
            result = measure_one(name)
            for _ in range(PATIENT_TRIES):
                if not (isinstance(result, Failure) and result.verdict is Verdict.BUSY):
                    break
                result = measure_one(name)
            if isinstance(result, Failure):
                measured[name].failure = result
            else:
                measured[name].samples.append(result)
    return measured


def rounds_of(group: Group, rounds: int) -> int:
    """The rounds asked for, unless the group needs fewer."""
    return rounds if group.rounds is None else min(rounds, group.rounds)


def grouped(rows: Sequence[Row]) -> list[tuple[Group, list[Row]]]:
    """The groups that have rows, in the order of the plan."""
    pairs = [(group, [row for row in rows if row.group == group.name]) for group in GROUPS]
    return [(group, members) for group, members in pairs if members]
