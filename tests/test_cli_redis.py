"""The command line on a real server: the same commands, several processes, and bad days."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.redis_server import Redis, Server

from .test_cli_run import wait_until_noted
from .workers import JOBS, LEASE, Site, kill

pytestmark = pytest.mark.network


class RedisSite(Site):
    """A directory with a ledger, and a broker on a server."""

    def __init__(self, path: Path, url: str) -> None:
        super().__init__(path)
        self.variables["TRIOQUEUE_BROKER"] = url


@pytest.fixture
def site(tmp_path: Path, redis_server: Redis, redis_queue: str) -> Site:
    return RedisSite(tmp_path, redis_server.url(redis_queue, lease=str(LEASE)))


@pytest.fixture
def kept(start_redis: Callable[..., Server]) -> Server:
    """A server that has everything again after it was killed, and asks for a password."""
    return start_redis(appendonly="yes", appendfsync="always", requirepass="hush")


def far(tmp_path: Path, server: Server) -> Site:
    """Its calls do not take long to fail."""
    return RedisSite(tmp_path, server.url("q", lease=str(LEASE), timeout="1"))


# --- working -----------------------------------------------------------------------------------


def test_dead_letters_are_listed_shown_replayed_and_purged(site: Site):
    """The same words as for a file."""
    (first,) = site.publish("fail", "--json", '["one"]')
    (second,) = site.publish("fail", "--json", '["two"]')
    site.work()
    assert site.counts() == {"dead": 2}
    listed = site.here("dead", "list").stdout.splitlines()[1:]
    assert {line.split()[0] for line in listed} == {first, second}
    assert "ValueError: one" in site.here("dead", "show", first).stdout
    assert site.here("dead", "replay", first).stdout == "1 replayed\n"
    assert site.here("dead", "purge", "--all", "--error", "two").stdout == "1 purged\n"
    assert site.counts() == {"ready": 1, "purged": 1}


def test_publishing_has_all_its_options(site: Site):
    """A key, an id, a priority, a queue; and the status shows who would take what."""
    assert site.publish("send", "--id", "x") == site.publish("send", "--id", "x") == ["x"]
    (first,) = site.publish("note", "--json", "[7]", "--key", "k")
    assert site.publish("note", "--json", "[8]", "--key", "k") == [first]
    site.publish("note", "--json", "[9]", "--queue", "other", "--priority", "200")
    text = site.here("status").stdout
    assert "3 submitted" in text
    assert text.count("No live worker takes") == 3


def test_a_broker_that_is_full_says_so(site: Site):
    """What was accepted until then is printed, and stays."""
    site.variables["TRIOQUEUE_BROKER"] += "&capacity=3&full=refuse"
    done = site.here("publish", JOBS, "send", "--count", "5")
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 3
    assert "3 open tasks" in done.stderr
    assert site.counts() == {"ready": 3}


def test_a_signal_lets_running_tasks_end_and_starts_no_other(site: Site):
    """Ctrl-C: within the grace; what waits stays on the server; exit 0."""
    site.publish("slow", "--json", "[1]", "--count", "50")
    with site.workers("--workers", "2", "--processes", "2") as workers:
        workers.until_told("slow began")
        workers.send(signal.SIGINT)
        assert workers.end() == 0
    begun = workers.output.count("slow began")
    assert workers.output.count("slow ended") == begun < 50
    assert site.counts() == {"succeeded": begun, "ready": 50 - begun}
    assert "stopping (SIGINT)" in workers.errors


def test_a_second_signal_cancels_and_gives_back(site: Site):
    """At once; no attempt is counted."""
    site.publish("slow", "--count", "2")
    with site.workers() as workers:
        workers.until_told("slow began")
        workers.until_told("slow began")
        workers.send(signal.SIGTERM)
        workers.until_logged(r"stopping \(SIGTERM\)")
        workers.send(signal.SIGTERM)
        assert workers.end() == 0
    assert site.counts() == {"ready": 2}


def test_a_worker_that_is_killed_is_replaced_and_nothing_is_lost(site: Site):
    """SIGKILL in the middle: another takes its place, and what it ran is run again.

    The burst ends with exit 0 when nothing is left, what is due later included.
    """
    site.publish("note", "--json", "[4]", "--delay", "0.5")
    for number in range(4):
        site.publish("note", "--json", f"[{number}, 0.02]", "--count", "100")
    with site.workers("--processes", "2", "--workers", "4", "--burst") as workers:
        victim = int(workers.until_logged(r"process 1 started: pid (\d+)")[1])
        workers.until_logged(rf"\[{victim}\]: started: ")
        wait_until_noted(site, victim)
        kill(victim)
        workers.until_logged(r"process 1 was killed by SIGKILL; another in 0\.5 s")
        assert workers.end() == 0
    assert site.counts() == {"succeeded": 401}
    noted = site.noted()
    assert noted[4] == 1
    assert all(noted[number] >= 100 for number in range(4))
    # What ran twice is what the victim held: it had four workers, and each lost its lease.
    assert noted.total() - 401 <= site.moves("lost")


# --- bad days ----------------------------------------------------------------------------------


def test_workers_survive_a_server_that_is_away(tmp_path: Path, kept: Server):
    """Killed in the middle and started again: the same processes work on, and nothing is lost.

    No process shows the password, neither in its arguments, which everybody on the machine can
    read, nor in the log, which is about the server then.
    """
    site = far(tmp_path, kept)
    site.publish("note", "--json", "[7, 0.2]", "--count", "100")
    with site.workers("--processes", "2", "--workers", "4", "--burst") as workers:
        pids = {int(workers.until_logged(r"started: process (\d+) with")[1]) for _ in range(2)}
        arguments = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids]
        kept.kill()
        time.sleep(1.5)  # longer than any call takes: it must have failed
        kept.start()
        assert workers.end() == 0
    assert site.counts() == {"succeeded": 100}
    assert {int(pid) for pid in re.findall(r"\[(\d+)\]: ended: ", workers.errors)} == pids
    assert all(b"--supervised-by" in words and b"hush" not in words for words in arguments)
    assert "the broker is away" in workers.errors
    assert "hush" not in workers.errors


COMMANDS = [
    ("status",),
    ("dead", "list"),
    ("publish", JOBS, "send"),
    ("run", JOBS, "--check"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_server_that_is_away_is_one_line_and_exit_1(
    tmp_path: Path, kept: Server, command: tuple[str, ...]
):
    """Who starts it again decides when; the line says which server, and not the password."""
    kept.kill()
    done = far(tmp_path, kept).here(*command)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"trioqueue: redis://127.0.0.1:{kept.port}")
    assert "hush" not in line


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_wrong_password_is_one_line_and_exit_1(
    tmp_path: Path, kept: Server, command: tuple[str, ...]
):
    """It is not shown either."""
    site = far(tmp_path, kept)
    site.variables["TRIOQUEUE_BROKER"] = site.variables["TRIOQUEUE_BROKER"].replace("hush", "hash")
    done = site.here(*command)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert "check the user and the password" in line
    assert "hash" not in line


def test_check_reports_on_standard_output_alone(tmp_path: Path, start_redis: Callable[..., Server]):
    """A user who may not listen: a problem and exit 1, and what is logged of it is not shown."""
    users = ["default on nopass ~* &* +@all", "deaf on >hush ~* &* +@all -subscribe"]
    server = start_redis(user=users)
    server.user, server.password = "deaf", "hush"
    done = far(tmp_path, server).command("check")
    assert (done.returncode, done.stderr) == (1, "")
    assert "PROBLEM  messages" in done.stdout
    assert done.stdout.splitlines()[-1] == "1 problem, 1 warning"
