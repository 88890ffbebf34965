"""The file of a SQLite broker: made once by whoever comes first, up to date, never taken over."""

import multiprocessing
from pathlib import Path

import apsw
import pytest
import trio
from trio.testing import MockClock

from tests.sqlite_help import a_task, engine_of, outsider, take
from trioqueue import BrokerFailed, State
from trioqueue.brokers._sqlite import open_sqlite_broker
from trioqueue.brokers._sqlite_schema import APPLICATION_ID, MIGRATIONS, VERSION, migrate

spawn = multiprocessing.get_context("spawn")


async def test_a_new_file_says_whose_it_is_and_which_version(tmp_path: Path) -> None:
    async with open_sqlite_broker(tmp_path / "jobs.db"):
        pass
    with outsider(tmp_path / "jobs.db") as db:
        assert db.pragma("application_id") == APPLICATION_ID
        assert db.pragma("user_version") == VERSION
        assert db.pragma("journal_mode") == "wal"
        assert db.pragma("integrity_check") == "ok"


@pytest.mark.parametrize(("option", "level"), [("full", 2), ("normal", 1)])
async def test_durability_is_an_option(tmp_path: Path, option: str, level: int) -> None:
    async with open_sqlite_broker(tmp_path / "jobs.db", synchronous=option) as broker:  # type: ignore[arg-type]
        db = engine_of(broker)._db
        assert db is not None
        assert db.pragma("synchronous") == level


async def test_full_is_the_default(tmp_path: Path) -> None:
    async with open_sqlite_broker(tmp_path / "jobs.db") as broker:
        db = engine_of(broker)._db
        assert db is not None
        assert db.pragma("synchronous") == 2


async def test_tasks_are_there_after_closing_and_opening(tmp_path: Path) -> None:
    async with open_sqlite_broker(tmp_path / "jobs.db") as broker:
        await broker.publish([a_task(1), a_task(2, delay=60)])
    async with open_sqlite_broker(tmp_path / "jobs.db", create=False) as broker:
        assert [task.id for task in await broker.tasks()] == ["1", "2"]
        assert [lease.task.id for lease in await take(broker, 9)] == ["1"]


# --- versions -------------------------------------------------------------------------------------


async def test_a_newer_schema_is_refused_and_both_versions_are_said(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with open_sqlite_broker(path) as broker:
        await broker.publish([a_task(1)])
    with outsider(path) as db:
        db.pragma("user_version", VERSION + 41)
    with pytest.raises(BrokerFailed, match=rf"version {VERSION + 41}.* none above {VERSION}"):
        async with open_sqlite_broker(path):
            pytest.fail("it was opened")
    with outsider(path) as db:
        assert db.execute("SELECT id FROM tasks").fetchall() == [("1",)]


def test_migrations_run_forward_from_where_the_file_is(tmp_path: Path) -> None:
    ran: list[int] = []

    def step(version: int):  # type: ignore[no-untyped-def]
        return lambda _: ran.append(version)

    with outsider(tmp_path / "jobs.db") as db:
        migrate(db, "it", {1: MIGRATIONS[1], 2: step(2), 3: step(3)})  # type: ignore[arg-type]
        assert (ran, db.pragma("user_version")) == ([2, 3], 3)
        migrate(db, "it", {1: MIGRATIONS[1], 2: step(2), 3: step(3), 4: step(4)})  # type: ignore[arg-type]
        assert (ran, db.pragma("user_version")) == ([2, 3, 4], 4)
        migrate(db, "it", {1: MIGRATIONS[1], 2: step(2), 3: step(3), 4: step(4)})  # type: ignore[arg-type]
        assert ran == [2, 3, 4]


async def test_a_file_of_the_first_version_opens_and_works_with_headers(tmp_path: Path) -> None:
    """Its tasks have none, and run; from then on it is a file like any other."""
    path = tmp_path / "jobs.db"
    with outsider(path) as db:
        migrate(db, "it", {1: MIGRATIONS[1]})  # type: ignore[arg-type]
        assert db.pragma("user_version") == 1
        db.execute(
            "INSERT INTO lanes (id, queue, type, ready) VALUES (1, 'default', 'work', 1);"
            "INSERT INTO tasks (seq, id, lane, state, place, accepted_at, history, payload)"
            " VALUES (1, 'old', 1, 1, 1, 0.0, 'submitted 0.000 0 \n', x'5b5d');"
            "UPDATE meta SET counter = 1, ready = 1, n_submitted = 1"
        )
    async with open_sqlite_broker(path) as broker:
        await broker.publish([a_task(2, headers={"who": "me"})])
        found = await broker.tasks()
        assert [(task.id, task.options.headers) for task in found] == [
            ("old", None),
            ("2", {"who": "me"}),
        ]
        assert [lease.task.id for lease in await broker.claim({"work": 9, "a": 9}, 9)] == [
            "old",
            "2",
        ]
    with outsider(path) as db:
        assert db.pragma("user_version") == VERSION


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """All its steps are one transaction, the number of the version included."""

    def bad(db: apsw.Connection) -> None:
        db.execute("ALTER TABLE tasks ADD COLUMN colour TEXT")
        db.execute("SELECT nonsense")

    with outsider(tmp_path / "jobs.db") as db:
        db.execute("BEGIN IMMEDIATE")
        migrate(db, "it")  # type: ignore[arg-type]
        db.execute("COMMIT")
        db.execute("BEGIN IMMEDIATE")
        with pytest.raises(apsw.SQLError):
            migrate(db, "it", {**MIGRATIONS, VERSION + 1: bad})  # type: ignore[arg-type, dict-item]
        db.execute("ROLLBACK")
        assert db.pragma("user_version") == VERSION
        assert "colour" not in [row[1] for row in db.execute("PRAGMA table_info(tasks)")]


async def test_the_tables_of_another_program_are_not_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    with outsider(path) as db:
        db.execute("CREATE TABLE tasks (id INTEGER PRIMARY KEY, what TEXT)")
        db.execute("INSERT INTO tasks VALUES (1, 'precious')")
    with pytest.raises(BrokerFailed, match="another program"):
        async with open_sqlite_broker(path):
            pytest.fail("it was opened")
    with outsider(path) as db:
        assert db.execute("SELECT * FROM tasks").fetchall() == [(1, "precious")]


# --- opening at once ------------------------------------------------------------------------------


def _open_and_publish(path: str, number: int, start: object) -> None:
    async def main() -> None:
        async with open_sqlite_broker(path, synchronous="normal") as broker:
            await broker.publish([a_task(number)])

    start.wait()  # type: ignore[attr-defined]
    trio.run(main)


@pytest.mark.main
def test_processes_that_create_the_file_at_once_all_get_it(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    number = 4
    start = spawn.Barrier(number)
    processes = [
        spawn.Process(target=_open_and_publish, args=(str(path), n, start)) for n in range(number)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * number
    with outsider(path) as db:
        ids = {task_id for (task_id,) in db.execute("SELECT id FROM tasks")}
        assert ids == {str(n) for n in range(number)}
        assert db.execute(
            "SELECT submitted FROM (SELECT n_submitted AS submitted FROM meta)"
        ).get == (number)
        assert db.pragma("integrity_check") == "ok"


async def test_openings_at_once_in_one_process_all_get_it(tmp_path: Path) -> None:
    async def once(number: int) -> None:
        async with open_sqlite_broker(tmp_path / "jobs.db") as broker:
            await broker.publish([a_task(number)])

    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(once, number)
    async with open_sqlite_broker(tmp_path / "jobs.db") as broker:
        assert (await broker.counts()).ready == 8


# --- boots ----------------------------------------------------------------------------------------


async def test_another_boot_ends_every_lease(tmp_path: Path) -> None:
    """Its clock began anew, so that what a lease says of the time means nothing."""
    path = tmp_path / "jobs.db"
    async with open_sqlite_broker(
        path, lease=3600, lease_clock=lambda: 1e6, boot_id="one"
    ) as broker:
        await broker.publish([a_task(1)])
        (lease,) = await take(broker)
    async with open_sqlite_broker(
        path, lease=3600, lease_clock=lambda: 5.0, boot_id="one"
    ) as broker:
        assert await take(broker) == []
        task = await broker.get("1")
        assert task is not None
        assert task.state is State.RUNNING
    async with open_sqlite_broker(
        path, lease=3600, lease_clock=lambda: 5.0, boot_id="two"
    ) as broker:
        (again,) = await take(broker)
        assert again.token == lease.token + 1
        assert again.task.trail is not None
        assert again.task.trail.losses == 1


async def test_a_lease_outlives_the_process_that_took_it_within_one_boot(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    path = tmp_path / "jobs.db"
    async with open_sqlite_broker(path, lease=10) as broker:
        await broker.publish([a_task(1)])
        await take(broker)
    async with open_sqlite_broker(path, lease=10) as broker:
        assert await take(broker) == []
        await trio.sleep(10)
        assert [lease.token for lease in await take(broker)] == [2]
