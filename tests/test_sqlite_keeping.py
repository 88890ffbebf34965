"""What a SQLite broker keeps, for how long, and that its numbers are those of its rows."""

import os
import random
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from tests.sqlite_help import (
    PLACES,
    a_task,
    conserved,
    database,
    end,
    outsider,
    recount,
    take,
    verdict,
)
from trioqueue import Move, Options, State, UnknownTask
from trioqueue._model import Lease
from trioqueue.brokers._sqlite import SqliteBroker, open_sqlite_broker
from trioqueue.brokers._sqlite_rows import HISTORY_KEPT, front, place, priority_at, shorten
from trioqueue.brokers._sqlite_tend import BATCH

DAY = 86_400.0


async def succeed(broker: SqliteBroker, *ids: object) -> None:
    await broker.publish([a_task(task_id) for task_id in ids])
    leases = await take(broker, len(ids))
    assert all(await broker.settle([verdict(lease, Move.SUCCEEDED) for lease in leases]))


# --- results and tombstones -----------------------------------------------------------------------


async def test_a_result_is_dropped_after_its_retention_and_a_tombstone_stays(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    path = tmp_path / "jobs.db"
    async with open_sqlite_broker(path, retention=60) as broker:
        await succeed(broker, "1")
        await trio.sleep(59)
        task = await broker.get("1")
        assert task is not None
        assert task.outcome is not None
        assert (task.outcome.value, task.outcome.stored) == (b'"ok"', True)
        await trio.sleep(2)
        task = await broker.get("1")
        assert task is not None
        assert task.outcome is not None
        assert (task.outcome.value, task.outcome.stored) == (None, False)
        (same,) = await broker.publish([a_task("1")])
        assert same.state is State.SUCCEEDED, "it answers, instead of running again"
    with outsider(path) as db:
        assert db.execute("SELECT result, payload FROM tasks").fetchall() == [(None, None)]


async def test_a_tombstone_is_forgotten_after_a_day_at_least(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_sqlite_broker(tmp_path / "jobs.db", retention=60) as broker:
        await succeed(broker, "1")
        before = await broker.counts()
        await trio.sleep(DAY - 1)
        assert await broker.get("1") is not None
        await trio.sleep(2)
        assert await broker.get("1") is None
        with pytest.raises(UnknownTask):
            await broker.history("1")
        assert await broker.counts() == before, "what was counted stays counted"
        await broker.publish([a_task("1")])
        assert len(await take(broker)) == 1


async def test_a_longer_retention_keeps_tombstones_longer(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_sqlite_broker(tmp_path / "jobs.db", retention=3 * DAY) as broker:
        await succeed(broker, "1")
        await trio.sleep(3 * DAY - 1)
        task = await broker.get("1")
        assert task is not None
        assert task.outcome is not None
        assert task.outcome.stored
        await trio.sleep(2)
        assert await broker.get("1") is None


async def test_dead_letters_and_open_tasks_stay_for_ever(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    path = tmp_path / "jobs.db"
    async with open_sqlite_broker(path) as broker:
        await broker.publish([a_task("dead"), a_task("purged"), a_task("open")])
        for lease in await take(broker, 2):
            await end(broker, lease, Move.DIED)
        await broker.purge("purged")
        await trio.sleep(1000 * DAY)
        assert [letter.id for letter in await broker.dead_letters()] == ["dead"]
        assert [lease.task.id for lease in await take(broker, 9)] == ["open"]
        assert await broker.get("purged") is None


async def test_much_is_forgotten_in_many_small_steps(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    points: list[str] = []
    number = 3 * BATCH
    async with open_sqlite_broker(tmp_path / "jobs.db", probe=points.append) as broker:
        await succeed(broker, *range(number))
        points.clear()
        await trio.sleep(DAY + 1)
        assert await broker.tasks(State.SUCCEEDED) == []
    assert points.count("tend:after-commit") >= 3


async def test_a_lane_that_nothing_is_left_of_is_forgotten(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Or a queue for each customer would grow the file for ever."""
    path = tmp_path / "jobs.db"
    async with open_sqlite_broker(path) as broker:
        await broker.publish([a_task(n, queue=f"customer {n}") for n in range(5)])
        await broker.publish([a_task("stays", queue="stays")])
        for lease in await broker.claim({"a": 5}, 5):
            await end(broker, lease, Move.SUCCEEDED)
        await trio.sleep(DAY + 1)
        await broker.publish([a_task("new", queue="customer 1")])
        assert [lane.queue for lane in await broker.lanes()] == ["customer 1", "stays"]
    with outsider(path) as db:
        assert db.execute("SELECT count(*) FROM lanes").fetchall() == [(2,)]


async def test_a_payload_is_kept_while_it_can_be_needed(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    path = tmp_path / "jobs.db"
    async with open_sqlite_broker(path) as broker:
        await broker.publish([a_task(name) for name in ("good", "dead", "gone", "open")])
        good, dead, gone = await take(broker, 3)
        await end(broker, good, Move.SUCCEEDED)
        await end(broker, dead, Move.DIED)
        await end(broker, gone, Move.CANCELLED)
        await broker.cancel("open")
    with outsider(path) as db:
        kept = db.execute("SELECT id FROM tasks WHERE payload IS NOT NULL").fetchall()
    assert kept == [("dead",)]


# --- histories ------------------------------------------------------------------------------------


async def test_a_history_stays_short_however_much_happens(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    path = tmp_path / "jobs.db"
    async with open_sqlite_broker(path, synchronous="normal") as broker:
        await broker.publish([a_task("1")])
        for _ in range(200):
            (lease,) = await take(broker)
            await end(broker, lease, Move.SNOOZED)
        entries = await broker.history("1")
        assert entries[0].name == Move.SUBMITTED
        assert [entry.name for entry in entries[-3:]] == [Move.STARTED, Move.SNOOZED, Move.DUE]
        assert [entry.delivery for entry in entries[-3:]] == [200] * 3
        assert [entry.worker for entry in entries[-3:]] == [broker.identity, broker.identity, ""]
        tokens = [entry.delivery for entry in entries]
        assert tokens == sorted(tokens)
    with outsider(path) as db:
        assert db.execute("SELECT length(history) FROM tasks").get < 3 * HISTORY_KEPT


def test_a_history_is_cut_between_lines() -> None:
    lines = [f"line {number}" for number in range(2000)]
    short = shorten("\n".join(lines) + "\n").splitlines()
    assert short[0] == lines[0]
    assert short[1:] == lines[-len(short) + 1 :]
    assert shorten("a\nb\n") == "a\nb\n"


# --- places ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("priority", [0, 1, 100, 254, 255])
def test_a_place_fits_an_integer_of_sqlite(priority: int) -> None:
    for where in (front(priority, 1), place(priority, 2**54 - 1)):
        assert 0 < where < 2**63
        assert priority_at(where) == priority


def test_places_order_by_priority_then_front_then_time() -> None:
    wanted = [front(9, 1), front(9, 2**50), place(9, 1), place(9, 2), front(8, 1), place(8, 1)]
    assert wanted == sorted(wanted)


# --- numbers --------------------------------------------------------------------------------------


class Program:
    """Random steps by two brokers on one file."""

    def __init__(self, seed: int, *brokers: SqliteBroker) -> None:
        self.random = random.Random(seed)
        self.brokers = brokers
        self.held: list[Lease] = []
        self.ids: list[str] = []

    async def step(self) -> None:
        broker = self.random.choice(self.brokers)
        steps = (self.publish, self.claim, self.claim, self.settle, self.settle, self.operate)
        await self.random.choice(steps)(broker)

    async def publish(self, broker: SqliteBroker) -> None:
        draw = self.random
        tasks = []
        for _ in range(draw.randrange(4)):
            self.ids.append(str(draw.randrange(60)))
            task = a_task(self.ids[-1], draw.choice("ab"))
            task.options = Options(
                queue=draw.choice(["default", "mail"]),
                priority=draw.choice([0, 100, 255]),
                delay=draw.choice([0.0, 0.0, 3.0]),
                expires=draw.choice([None, None, 2.0]),
                key=draw.choice([None, None, "k"]),
            )
            tasks.append(task)
        await broker.publish(tasks)

    async def claim(self, broker: SqliteBroker) -> None:
        self.held += await broker.claim({"a": 2, "b": 1}, self.random.randrange(4))

    async def settle(self, broker: SqliteBroker) -> None:
        draw = self.random
        draw.shuffle(self.held)
        ended = [self.held.pop() for _ in range(min(len(self.held), draw.randrange(3)))]
        moves = (Move.SUCCEEDED, Move.RETRIED, Move.SNOOZED, Move.RELEASED, Move.DIED)
        verdicts = [
            verdict(lease, draw.choice((*moves, Move.CANCELLED)), draw.choice([0.0, 2.0]))
            for lease in ended
        ]
        await broker.settle(verdicts)

    async def operate(self, broker: SqliteBroker) -> None:
        draw = self.random
        task_id = draw.choice(self.ids or ["nobody"])
        letters = await broker.dead_letters()
        match draw.randrange(6):
            case 0:
                await broker.cancel(task_id)
            case 1:
                await broker.revoke(task_id)
            case 2 if letters and letters[0].key is None:
                await broker.replay(letters[0].id)
            case 3 if letters:
                await broker.purge(letters[-1].id)
            case 4:
                await broker.renew(self.held)
            case _:
                await trio.sleep(draw.choice([0.5, 4.0, 12.0]))


@pytest.mark.parametrize("seed", range(8))
async def test_the_numbers_are_those_of_the_rows(
    seed: int, tmp_path: Path, autojump_clock: MockClock
) -> None:
    """After any steps: in all, by lane, and by state; and no row stands where it must not."""
    path = tmp_path / "jobs.db"
    async with open_sqlite_broker(path) as one, open_sqlite_broker(path) as other:
        program = Program(seed, one, other)
        for _ in range(150):
            await program.step()
        counts = await one.counts()
        assert conserved(counts)
        assert counts == await other.counts()
        lanes = await one.lanes()
    assert {p: n for p in PLACES if (n := getattr(counts, p))} == recount(path)
    for name in ("scheduled", "ready", "running"):
        assert sum(getattr(lane, name) for lane in lanes) == getattr(counts, name)
    with outsider(path) as db:
        wrong = (
            "SELECT * FROM tasks WHERE (state = 0) <> (due IS NOT NULL) "
            "OR (state = 2) <> (lease_until IS NOT NULL) OR (state > 2) <> (finish IS NOT NULL) "
            "OR (expires_at IS NOT NULL AND (state > 1 OR deliveries > 0))"
        )
        assert db.execute(wrong).fetchall() == []
        by_lane = (
            "SELECT l.id FROM lanes l JOIN tasks t ON t.lane = l.id GROUP BY l.id "
            "HAVING l.scheduled <> sum(t.state = 0) OR l.ready <> sum(t.state = 1) "
            "OR l.running <> sum(t.state = 2) OR l.kept <> sum(t.state > 2)"
        )
        assert db.execute(by_lane).fetchall() == []
        assert db.pragma("integrity_check") == "ok"


# --- the log --------------------------------------------------------------------------------------


def size(path: str | Path) -> int:
    return os.path.getsize(path)


@pytest.mark.main
async def test_the_write_ahead_log_stays_small(tmp_path: Path) -> None:
    """It is copied into the database as it grows, and cut when it was once long."""
    path = tmp_path / "jobs.db"
    largest = 0
    async with open_sqlite_broker(path, synchronous="normal") as broker:
        for round_ in range(30):
            await succeed(broker, *(f"{round_} {number}" for number in range(300)))
            largest = max(largest, size(f"{path}-wal"))
        written = size(path)
        assert database(broker).pragma("journal_size_limit") > 0
    assert written > 2**20, "it was copied meanwhile"
    assert largest < 8 * 2**20
    assert os.listdir(tmp_path) == ["jobs.db"]
