"""Chaos on Redis: processes, server and network are struck at random; nothing is lost or doubled.

TRIOQUEUE_CHAOS_SEED and TRIOQUEUE_CHAOS_STRIKES: see test_chaos.py.
"""

import re
from pathlib import Path

import pytest

from tests.redis_server import find_server
from tests.test_chaos import STRIKES, chaos, numbers, passed
from trioqueue.testing.chaos._server import Server

#: What befalls the network between one process and the server.
WEATHER = ("blackhole", "delay", "hold", "mute", "refuse", "reset", "sever")


def chaos_redis(directory: Path, *arguments: str):
    return chaos(directory, "redis", "--server", find_server(), *arguments)


@pytest.mark.network
def test_a_little_chaos_on_redis_breaks_no_law(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Kills, stops, restarts of the server, and a network that delays, swallows, resets, cuts."""
    run = chaos_redis(tmp_path, "--strikes", "30", "--lease", "0.7")
    found = passed(run, capsys)
    assert found["accepted"] > 20
    done = mischief(run.stdout)
    assert sum(done.values()) - done.get("continue", 0) >= 30


def mischief(output: str) -> dict[str, int]:
    """What was done: some of its words stand for excuses as well."""
    return numbers(re.findall(r"^mischief: .*", output, re.M)[0])


@pytest.mark.long
@pytest.mark.parametrize("fsync", ["always", "no"])  # everysec loses something: see _server.py
def test_much_chaos_on_redis_breaks_no_law(
    fsync: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    run = chaos_redis(
        tmp_path,
        *("--strikes", STRIKES, "--lease", "1.0", "--fsync", fsync),
        *("--workers", "4", "--producers", "2"),
    )
    passed(run, capsys)
    done = mischief(run.stdout)
    assert done["kill"] + done["stop"] >= int(STRIKES) // 6
    assert sum(done.get(kind, 0) for kind in WEATHER) >= int(STRIKES) // 6
    assert done["restart"]


def found_out(directory: Path, *arguments: str) -> set[str]:
    """The rules that a run with something wrong offends."""
    run = chaos_redis(directory, "--lease", "0.7", *arguments)
    assert run.returncode == 1, run.stdout + run.stderr
    return set(re.findall(r"^  ([\w-]+): ", run.stdout, re.M))


@pytest.mark.long
@pytest.mark.parametrize(
    ("mutant", "rule"),
    [
        ("SettlesFirst", "lost"),
        ("SettlesNothing", "resurrected"),
        ("HasNoFence", "unfenced"),
        ("SaysYesTooSoon", "lost"),
        ("RenewsNothing", "duplicated"),
        ("LimitsNothing", "crowded"),
    ],
)
def test_a_broken_broker_does_not_survive_chaos_on_redis(mutant: str, rule: str, tmp_path: Path):
    wrap = f"tests.crash_mutants:{mutant}"
    assert rule in found_out(tmp_path, "--strikes", "100", "--wrap", wrap)


@pytest.mark.long
def test_a_server_that_keeps_nothing_does_not_survive_chaos(tmp_path: Path):
    """What it accepted is lost when it is killed: the proof that it is, and that it is started."""
    assert "lost" in found_out(tmp_path, "--strikes", "200", "--fsync", "off")


def test_a_server_that_is_not_installed_is_said_to_be_missing(tmp_path: Path):
    with pytest.raises(RuntimeError, match="no program 'no-such-server': install redis-server"):
        Server("no-such-server", tmp_path / "server", "always")
