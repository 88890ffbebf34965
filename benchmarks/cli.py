"""Arguments, the order of a session, exit codes.

Exit codes: 0 measured; 1 a row has no result, or the gate refuses; 2 bad arguments; 130 Ctrl-C.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NoReturn

from benchmarks import chart, judge, record, runner, table, versions
from benchmarks.arithmetic import GATE_ROUNDS
from benchmarks.plan import ROWS, Row

PROGRAM = "python -m benchmarks"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line instead of the usage and a line."""
        self.exit(2, f"{PROGRAM}: {message}\n")


def _rounds(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"needs a whole number above 0, not {text!r}")
    return int(text)


def _new_file(text: str) -> Path:
    """A path that can be written: found out now, not after minutes of measuring."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is a directory")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"the directory of {text!r} does not exist")
    return path


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = _Parser(prog=PROGRAM, description="Measure trioqueue against its baselines and peers.")
    made.add_argument("--quick", action="store_true", help="small sizes, one round: a smoke run")
    made.add_argument("--only", metavar="PATTERN", help="rows or groups: a part of a name, or a*b")
    made.add_argument("--json", metavar="FILE", type=_new_file, help="write the figures")
    made.add_argument("--svg", metavar="FILE", type=_new_file, help="write a chart")
    made.add_argument("--rounds", metavar="N", type=_rounds, help="default 5; with --quick 1")
    made.add_argument(
        "--gate", action="store_true", help="only the rows with a CI figure; exit 1 if one fails"
    )
    return made


def select(pattern: str | None, *, gate: bool) -> list[Row]:
    """The rows that were asked for."""
    rows = [row for row in ROWS if row.gate is not None] if gate else list(ROWS)
    if pattern is None:
        return rows
    wanted = pattern.lower()
    return [
        row
        for row in rows
        if any(wanted in name or fnmatch(name, wanted) for name in (row.name.lower(), row.group))
    ]


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _measure_all(rows: Sequence[Row], rounds: int, quick: bool) -> list[judge.Report]:
    reports = []
    for group, members in runner.grouped(rows):
        count = runner.rounds_of(group, rounds)
        measure_one = partial(runner.spawn, quick=quick)
        measured = runner.measure(members, count, measure_one, _progress)
        _progress("")
        found = [judge.report(row, measured) for row in members]
        print(table.block(group, found, count), flush=True)
        reports += found
    return reports


def _passes_gate(reports: Sequence[judge.Report], rounds: int, quick: bool) -> bool:
    """Whether CI may go on; measures once more what fails, as one bad minute is no regression."""
    failing = judge.refused(reports)
    if failing:
        print("under the CI figure, measured once more:\n")
        failing = judge.refused(_measure_all([one.row for one in failing], rounds, quick))
    for one in failing:
        print(f"gate: {one.row.name} is {one.ratio:.2f} x, CI needs {one.row.gate:g} x")
    return not failing


def _session(options: argparse.Namespace, rows: Sequence[Row], rounds: int) -> int:
    print(table.heading(versions.everything()))
    reports = _measure_all(rows, rounds, options.quick)
    print(table.summary(reports))
    if options.json:
        options.json.write_text(record.document(reports), encoding="utf-8")
    if options.svg:
        options.svg.write_text(chart.document(reports), encoding="utf-8")
    passed = not options.gate or _passes_gate(reports, rounds, options.quick)
    return 0 if passed and not judge.broken(reports) else 1


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    """End like Ctrl-C does, by an exception, so that the running child is ended as well."""
    raise SystemExit(128 + number)


def main(arguments: Sequence[str]) -> int:
    """Measure what the arguments ask for; returns the exit code."""
    made = parser()
    options = made.parse_args(arguments)
    rounds = options.rounds or (1 if options.quick and not options.gate else GATE_ROUNDS)
    if options.gate and rounds < GATE_ROUNDS:
        made.error(f"--gate needs at least {GATE_ROUNDS} rounds, not {rounds}")
    rows = select(options.only, gate=options.gate)
    if not rows:
        made.error(f"no row matches --only {options.only}")
    previous = signal.signal(signal.SIGTERM, _terminate)
    try:
        return _session(options, rows, rounds)
    except KeyboardInterrupt:
        print(f"{PROGRAM}: interrupted", file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGTERM, previous)
