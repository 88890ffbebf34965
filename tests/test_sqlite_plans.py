"""What SQLite does for each verb does not grow with what waits: with 60,000 tasks in the file.

No clock is looked at: the plans are SQLite's own, and the work is counted in its instructions.
"""

import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import apsw
import pytest
import trio
from trio.testing import MockClock

from tests.sqlite_help import ALL, a_task, database, end, take, verdict
from trioqueue import Move, State
from trioqueue.brokers._sqlite import SqliteBroker, open_sqlite_broker
from trioqueue.brokers._sqlite_tend import BATCH

#: Of each of six kinds.
MANY = 10_000
FEW = 200

pytestmark = pytest.mark.main


def fill(db: apsw.Connection, number: int) -> None:
    """Tasks in every state, ``number`` of each, as if they had come about one by one."""
    states = {"scheduled": 0, "ready": 1, "running": 2, "dead": 3, "succeeded": 4}
    db.execute("BEGIN")
    db.execute(
        "INSERT INTO lanes (id, queue, type, scheduled, ready, running, kept) VALUES "
        "(1, 'default', 'a', ?, ?, ?, ?), (2, 'default', 'stranger', 0, ?, 0, 0)",
        (number, number, number, 2 * number, number),
    )
    for nth, (name, code) in enumerate([*states.items(), ("stranger", 1)]):
        first = nth * number
        db.execute(
            "WITH series (value) AS "
            "  (SELECT ?4 UNION ALL SELECT value + 1 FROM series WHERE value < ?5) "
            "INSERT INTO tasks (seq, id, lane, state, place, accepted_at, due, expires_at, "
            "  lease_until, deliveries, finish, ended_at, history, payload, key, key_queue) "
            "SELECT value, ?1 || value, ?2, ?3, (155 << 55) | (1 << 54) | value, 0, "
            "  iif(?3 = 0, 1e6 + value, NULL), iif(?3 < 2, 1e7 + value, NULL), "
            "  iif(?3 = 2, 1e6 + value, NULL), ?3 >= 2, iif(?3 > 2, value, NULL), "
            "  iif(?3 > 2, value * 1e-3, NULL), 'submitted 0 0 ' || char(10), '[[],{}]', "
            "  'key ' || value, 'default' FROM series",
            (name, 2 if name == "stranger" else 1, code, first + 1, first + number),
        )
    db.execute(
        "UPDATE meta SET counter = ?, scheduled = ?, ready = ?, running = ?, n_submitted = ?",
        (6 * number, number, 2 * number, number, 6 * number),
    )
    db.execute("COMMIT")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Two files, one with many tasks and one with few."""
    folder = tmp_path_factory.mktemp("plans")
    made: dict[int, Path] = {}
    for number in (FEW, MANY):
        path = made[number] = folder / f"{number}.db"

        async def create(path: Path = path, number: int = number) -> None:
            async with open_broker(path) as broker:
                fill(database(broker), number)

        trio.run(create, clock=MockClock())
    return made


@pytest.fixture
def files(filled: dict[int, Path], tmp_path: Path) -> dict[int, Path]:
    """Copies, for one test."""
    return {n: Path(shutil.copy(path, tmp_path)) for n, path in filled.items()}


def open_broker(path: Path, **options: Any) -> AbstractAsyncContextManager[SqliteBroker]:
    """On clocks that stand still, in the boot in which the file was filled."""
    options = {"wall_clock": lambda: 0.0, "lease_clock": lambda: 0.0, "boot_id": "one"} | options
    return open_sqlite_broker(path, **options)


# --- every verb ----------------------------------------------------------------------------------


async def publish(broker: SqliteBroker) -> None:
    await broker.publish([a_task("new 1"), a_task("new 2", delay=9, expires=20, key="new")])
    await broker.publish([a_task("ready1", key="key 7"), a_task("new 3", key="new")])


async def claim_and_succeed(broker: SqliteBroker) -> None:
    leases = await broker.claim(ALL, 10)
    assert len(leases) == 10
    assert await broker.settle([verdict(one, Move.SUCCEEDED) for one in leases]) == [True] * 10
    assert await broker.settle([verdict(leases[0], Move.SUCCEEDED)]) == [False]


async def claim_of_two_lanes(broker: SqliteBroker) -> None:
    assert len(await broker.claim({"a": 5, "stranger": 5}, 10)) == 10


async def claim_of_nothing(broker: SqliteBroker) -> None:
    assert await broker.claim({"unheard of": 5}, 10) == []


async def claim_within_limits(broker: SqliteBroker) -> None:
    broker.limit_fleet({"a": 5 * MANY, "stranger": 2})
    await broker.wait_ready({"a"})
    assert len(await broker.claim({"a": 5, "stranger": 5}, 10)) == 7
    with trio.CancelScope() as scope:
        scope.cancel()
        await broker.wait_ready({"stranger"})


async def all_other_ends(broker: SqliteBroker) -> None:
    for move in (Move.RETRIED, Move.SNOOZED, Move.RELEASED, Move.DIED, Move.CANCELLED):
        (lease,) = await take(broker)
        await end(broker, lease, move, delay=5)


async def renew(broker: SqliteBroker) -> None:
    leases = await broker.claim(ALL, 3)
    assert await broker.renew(leases) == []


async def wait(broker: SqliteBroker) -> None:
    await broker.wait_ready({"a"})
    with trio.CancelScope() as scope:
        scope.cancel()
        await broker.wait_ready({"unheard of"})
    await broker.wait_settled(a_task(await dead(broker)))
    with trio.CancelScope() as scope:
        scope.cancel()
        await broker.wait_drained({"a"}, None)


async def dead(broker: SqliteBroker) -> str:
    (oldest,) = await broker.dead_letters(limit=1)
    (newest,) = await broker.dead_letters(limit=1, newest=True)
    assert oldest != newest
    return oldest.id


async def operate(broker: SqliteBroker) -> None:
    ready, running = (lease.task.id for lease in await broker.claim(ALL, 2))
    assert await broker.run_now("scheduled7")
    assert await broker.revoke(ready)
    assert await broker.cancel(ready)
    assert await broker.cancel(running)
    letters = await broker.dead_letters(limit=2)
    await broker.replay(letters[0].id)
    await broker.purge(letters[1].id)
    await broker.pause("default")
    await broker.resume()


async def look(broker: SqliteBroker) -> None:
    task_id = await dead(broker)
    await broker.get(task_id)
    await broker.history(task_id)
    await broker.counts()
    await broker.paused()
    await broker.workers()
    assert not await broker.is_drained({"a"}, None)
    assert not await broker.is_drained({"a", "stranger"}, {"default"})


VERBS: list[Callable[[SqliteBroker], Awaitable[None]]] = [
    *(publish, claim_and_succeed, claim_of_two_lanes, claim_of_nothing),
    *(claim_within_limits, all_other_ends, renew, wait, operate, look),
]


async def walking(broker: SqliteBroker) -> None:
    """For people: an index may be walked, the rows of the table not."""
    await broker.lanes()
    for state in (None, *State):
        await broker.tasks(state, limit=3)
        await broker.tasks(state, limit=3, newest=True)
    await broker.tasks(State.READY, type="a", limit=3)


# --- plans ---------------------------------------------------------------------------------------

Plans = list[tuple[str, str]]


@pytest.fixture
async def opened(files: dict[int, Path]) -> AsyncIterator[SqliteBroker]:
    async with open_broker(files[MANY]) as broker:
        yield broker


def plans_of(db: apsw.Connection, seen: list[tuple[str, Any]]) -> Plans:
    plans: Plans = []
    for sql, values in seen:
        if sql.split()[0] in {"SELECT", "UPDATE", "INSERT", "DELETE"}:
            for *_, plan in db.execute(f"EXPLAIN QUERY PLAN {sql}", values):
                plans.append((plan, sql))
    return plans


def spy(db: apsw.Connection) -> list[tuple[str, Any]]:
    """Every statement that the broker runs from now on."""
    seen: list[tuple[str, Any]] = []

    def note(_: apsw.Cursor, sql: str, values: Any) -> bool:
        seen.append((sql, values))
        return True

    # A cursor takes over its connection's tracer when it is made, as each transaction makes one.
    db.exec_trace = note
    return seen


#: Small tables, and the few lanes that have ready tasks.
SMALL = re.compile(r"SCAN (meta|paused|lanes|l|workers)\b|SCAN CONSTANT ROW")


@pytest.mark.parametrize("verb", VERBS)
async def test_nothing_is_scanned_and_nothing_sorted(
    verb: Callable[[SqliteBroker], Awaitable[None]],
    opened: SqliteBroker,
    autojump_clock: MockClock,
) -> None:
    db = database(opened)
    seen = spy(db)
    await verb(opened)
    db.exec_trace = None
    plans = plans_of(db, seen)
    assert any("USING" in plan for plan, _ in plans), "nothing was seen"
    for plan, sql in plans:
        # In the order of an index, and not to its end: that it stops early, the work shows.
        scan = plan.startswith("SCAN") and not ("INDEX" in plan and "ORDER BY" in sql)
        assert not scan or SMALL.match(plan), (plan, sql)
        assert "AUTOMATIC" not in plan, (plan, sql)
        if " tasks" in plan or "BY" in plan:
            assert "TEMP B-TREE" not in plan or "lanes" in sql or "workers" in sql, (plan, sql)


async def test_what_people_ask_for_walks_an_index_at_most(
    opened: SqliteBroker, autojump_clock: MockClock
) -> None:
    db = database(opened)
    seen = spy(db)
    await walking(opened)
    db.exec_trace = None
    for plan, sql in plans_of(db, seen):
        if plan.startswith("SCAN") and not SMALL.match(plan):
            assert "INDEX" in plan or "(subquery" in plan, (plan, sql)


# --- work ----------------------------------------------------------------------------------------


async def work(path: Path, verb: Callable[[SqliteBroker], Awaitable[None]]) -> int:
    """How many instructions SQLite's machine runs for a verb, in hundreds."""
    async with open_broker(path) as broker:
        db = database(broker)
        count = 0

        def tick() -> bool:
            nonlocal count
            count += 1
            return False

        db.set_progress_handler(tick, 100)
        await verb(broker)
        db.set_progress_handler(None)
        return count


@pytest.mark.parametrize("verb", VERBS)
async def test_the_work_does_not_grow_with_what_waits(
    verb: Callable[[SqliteBroker], Awaitable[None]],
    files: dict[int, Path],
    autojump_clock: MockClock,
) -> None:
    few, many = await work(files[FEW], verb), await work(files[MANY], verb)
    assert many <= 1.5 * few + 5, f"{few} with {FEW}, {many} with {MANY}"


async def test_time_is_dealt_with_in_batches(
    files: dict[int, Path], autojump_clock: MockClock
) -> None:
    """So that nobody waits long for the lock when 10,000 tasks are due at once."""
    now = 0.0
    points: list[str] = []
    async with open_broker(files[MANY], wall_clock=lambda: now, probe=points.append) as broker:
        now = 9e6
        await broker.claim({"unheard of": 1}, 1)
        scheduled = (await broker.counts()).scheduled
        assert MANY - scheduled == points.count("tend:after-commit") * BATCH > 0
        await trio.sleep(1)
        assert (await broker.counts()).scheduled == 0
