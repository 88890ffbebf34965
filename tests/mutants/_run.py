"""Running a selection of the suite against a mutated copy of the package."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.mutants._mutant import Mutant

ROOT = Path(__file__).resolve().parents[2]
#: Seconds after which a run is taken for one that hangs. (The quickest takes half of one.)
PATIENCE = 300

#: The copy's own conftest: what is tested must be the copy, wherever the package is installed.
CONFTEST = """\
from pathlib import Path

import trioqueue

here = Path(__file__).resolve().parent
assert Path(trioqueue.__file__).resolve().is_relative_to(here), trioqueue.__file__
"""
#: They would make the run slow, or not repeatable.
OURS = ("PYTEST_ADDOPTS", "TRIOQUEUE_RACE_SEEDS", "TRIOQUEUE_SWITCH_INTERVAL", "CI")


class Run(NamedTuple):
    status: int
    output: str

    @property
    def failed(self) -> int:
        """How many tests failed; errors in fixtures, or in collecting, are no failures."""
        found = re.search(r"^(?:=+ )?(\d+) failed\b(?!.*\berrors?\b)", self.output, re.MULTILINE)
        return int(found[1]) if self.status == 1 and found else 0


def copy_to(place: Path, mutant: Mutant | None) -> None:
    """Copy what the tests need, with the mutant in the package."""
    for name in ("trioqueue", "tests"):
        shutil.copytree(ROOT / name, place / name)
    shutil.copy2(ROOT / "pyproject.toml", place)
    (place / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    if mutant is not None:
        target = place / "trioqueue" / mutant.file
        target.write_text(mutant.apply(target.read_text(encoding="utf-8")), encoding="utf-8")


def run_tests(place: Path, tests: Sequence[str], *, first_only: bool = True) -> Run:
    """Run ``tests`` in the copy, by a scheduler that is always seeded alike."""
    environment = {name: value for name, value in os.environ.items() if name not in OURS}
    environment |= {"PYTHONPATH": str(place), "TRIOQUEUE_SEED": "0"}
    arguments = ["-q", "-m", "", "-p", "no:cacheprovider", *(["-x"] if first_only else [])]
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", *arguments, *(f"tests/{test}" for test in tests)],
        cwd=place,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as process:
        try:
            output, _ = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
            return Run(-1, f"{output}\nstill running after {PATIENCE} s")
    return Run(process.returncode, output)


def attack(place: Path, mutant: Mutant) -> Run:
    """The run of the mutant's own selection."""
    copy_to(place, mutant)
    return run_tests(place, mutant.tests)
