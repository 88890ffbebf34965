"""Processes that are killed, stopped and asked to stop at random: nothing is lost or doubled.

TRIOQUEUE_CHAOS_SEED      the seed (default: drawn, and printed)
TRIOQUEUE_CHAOS_STRIKES   how many kills, stops and requests to stop the long run has
"""

import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import ROOT

SEED = os.environ.get("TRIOQUEUE_CHAOS_SEED") or str(random.SystemRandom().randrange(2**32))
STRIKES = os.environ.get("TRIOQUEUE_CHAOS_STRIKES") or "400"
#: Only so that a hang fails.
PATIENCE = 900


def chaos(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A run in a process of its own: it forks, and must have no threads."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "trioqueue.testing.chaos"),
            *("--directory", str(directory), "--seed", SEED, *arguments),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def numbers(output: str) -> dict[str, int]:
    """Every number of a report by the word that follows it."""
    return {word: int(number) for number, word in re.findall(r"(\d+) (\w+)", output)}


def passed(
    run: subprocess.CompletedProcess[str], capsys: pytest.CaptureFixture[str]
) -> dict[str, int]:
    with capsys.disabled():
        print(f"\nseed {SEED}\n{run.stdout}")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "violations: 0" in run.stdout
    return numbers(run.stdout)


@pytest.mark.network
def test_a_little_chaos_breaks_no_law(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Kills, stops beyond the lease, and requests to stop, of workers and of a producer."""
    run = chaos(tmp_path, "--strikes", "25", "--lease", "0.6")
    found = passed(run, capsys)
    assert found["accepted"] > 20
    assert found["kill"] + found["stop"] + found["ask"] >= 25


@pytest.mark.long
@pytest.mark.parametrize("synchronous", ["full", "normal"])
def test_much_chaos_breaks_no_law(
    synchronous: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    run = chaos(
        tmp_path,
        *("--strikes", str(int(STRIKES) // 2), "--lease", "0.8"),
        *("--workers", "4", "--producers", "2", "--synchronous", synchronous),
    )
    found = passed(run, capsys)
    assert found["kill"] + found["stop"] >= int(STRIKES) // 4


def found_out(directory: Path, mutant: str, strikes: int) -> set[str]:
    """The rules that a run with a broken broker offends."""
    run = chaos(
        directory,
        *("--strikes", str(strikes), "--lease", "0.5"),
        *("--wrap", f"tests.crash_mutants:{mutant}"),
    )
    assert run.returncode == 1, run.stdout + run.stderr
    return set(re.findall(r"^  ([\w-]+): ", run.stdout, re.M))


@pytest.mark.network
@pytest.mark.parametrize(
    ("mutant", "rule"), [("SettlesFirst", "lost"), ("SettlesNothing", "resurrected")]
)
def test_a_broken_broker_does_not_survive_chaos(mutant: str, rule: str, tmp_path: Path):
    assert rule in found_out(tmp_path, mutant, 15)


@pytest.mark.long
@pytest.mark.parametrize(
    ("mutant", "rule"),
    [("HasNoFence", "unfenced"), ("SaysYesTooSoon", "lost"), ("RenewsNothing", "duplicated")],
)
def test_a_broken_broker_does_not_survive_much_chaos(mutant: str, rule: str, tmp_path: Path):
    """What only shows when a process is struck at the wrong moment."""
    assert rule in found_out(tmp_path, mutant, 100)
