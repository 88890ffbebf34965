"""Bad days of a broker's file, when it is opened: what cannot be is said at once, and untouched."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest
import trio

from tests.bad_days import as_nobody, check_sound, folder_of_nobody, make_task, outsider
from trioqueue import BrokerFailed, BrokerUnavailable, InvalidTask, TaskSet, open_queue
from trioqueue.brokers._sqlite import open_sqlite_broker
from trioqueue.brokers._url import open_broker_url

tasks = TaskSet()


@tasks.task
async def note(number: int) -> int:
    return number


async def make_file(path: Path, number: int = 3) -> None:
    """A broker's file with tasks in it, closed."""
    async with open_sqlite_broker(path) as broker:
        await broker.publish([make_task(n) for n in range(number)])


async def open_it(path: Any, **options: Any) -> int:
    """Open a file, write to it, and tell how many tasks it has."""
    async with open_sqlite_broker(path, **options) as broker:
        await broker.publish([make_task("another")])
        return (await broker.counts()).submitted


async def refused(path: Any, *words: str, error: type[Exception] = BrokerFailed) -> None:
    """Opening fails by a broker's own door and by a queue's, with the same words.

    The message is one line that names the file and says these words.
    """
    with pytest.raises(error) as own:
        await open_it(path, busy_timeout=0.0)
    with pytest.raises(error):
        async with open_queue(tasks, broker=f"sqlite:///{path}?busy_timeout=0", workers=1):
            pass
    message = str(own.value)
    for each in (*words, repr(os.fspath(path))):
        assert each in message
    assert "\n" not in message


def contents(folder: Path) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in folder.iterdir() if one.is_file()}


# --- what is no broker's file --------------------------------------------------------------------


def foreign(path: Path, *statements: str) -> None:
    db: Any = apsw.Connection(str(path))
    db.execute("CREATE TABLE theirs (it); INSERT INTO theirs VALUES (1)")
    for sql in statements:
        db.execute(sql)
    db.close()


STRANGERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "text": (lambda path: path.write_text("dear diary\n" * 1000), "not an SQLite database"),
    "short text": (lambda path: path.write_text("dear diary"), "not an SQLite database"),
    "random bytes": (lambda path: path.write_bytes(os.urandom(10_000)), "not an SQLite database"),
    "zeros": (lambda path: path.write_bytes(bytes(10_000)), "not an SQLite database"),
    "another program's database": (foreign, "tables of another program"),
    "another program's, with versions": (
        lambda path: foreign(path, "PRAGMA user_version = 7"),
        "tables of another program",
    ),
    "another program's, in WAL mode": (
        lambda path: foreign(path, "PRAGMA journal_mode = wal"),
        "tables of another program",
    ),
}


@pytest.mark.parametrize("kind", STRANGERS)
async def test_what_is_no_brokers_file_is_refused_and_left_as_it_is(kind: str, tmp_path: Path):
    """Not even its journal mode is changed, and nothing is left beside it."""
    make, words = STRANGERS[kind]
    path = tmp_path / "jobs.db"
    make(path)
    before = contents(tmp_path)
    await refused(path, words)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("size", [0, 1])
async def test_an_empty_file_is_a_new_one(size: int, tmp_path: Path):
    """Made by `touch`, or by `mkstemp`; SQLite takes one byte for a sign of its own."""
    path = tmp_path / "jobs.db"
    path.write_bytes(b"x" * size)
    assert await open_it(path) == 1
    check_sound(path)


async def test_a_database_without_tables_is_a_new_one(tmp_path: Path):
    """Of which size and encoding its pages are is its maker's business."""
    path = tmp_path / "jobs.db"
    db: Any = apsw.Connection(str(path))
    db.execute("PRAGMA page_size = 1024; PRAGMA encoding = 'UTF-16'; VACUUM")
    db.close()
    assert await open_it(path) == 1
    check_sound(path)


async def test_a_newer_schema_is_refused_and_left_as_it_is(tmp_path: Path):
    """With both versions, and what to do."""
    path = tmp_path / "jobs.db"
    await make_file(path)
    db: Any = apsw.Connection(str(path))
    db.pragma("user_version", 1000)
    db.close()
    before = contents(tmp_path)
    await refused(path, "schema version 1000", "upgrade trioqueue")
    assert contents(tmp_path) == before


# --- what is damaged -----------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [0.001, 0.01, 0.1, 0.5, 0.9])
async def test_a_truncated_file_is_refused(kept: float, tmp_path: Path):
    """Cut off at any page: it is damaged, and says so before anything is written to it."""
    path = tmp_path / "jobs.db"
    await make_file(path, 300)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    before = path.read_bytes()
    await refused(path)
    assert path.read_bytes() == before


async def test_a_damaged_schema_is_refused(tmp_path: Path):
    path = tmp_path / "jobs.db"
    await make_file(path)
    data = bytearray(path.read_bytes())
    data[100:4000] = b"\x55" * 3900
    path.write_bytes(data)
    await refused(path, "is damaged", "copy")


# --- what is no file -----------------------------------------------------------------------------


async def test_a_folder_is_no_file(tmp_path: Path):
    await refused(tmp_path, "is a folder")


async def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    """It is not made: a path with a typing error in it would be."""
    await refused(tmp_path / "no" / "jobs.db", "make it first", repr(str(tmp_path / "no")))
    (tmp_path / "file").touch()
    await refused(tmp_path / "file" / "jobs.db", "make it first")
    assert os.listdir(tmp_path) == ["file"]


async def test_a_device_or_a_pipe_is_no_file(tmp_path: Path):
    """SQLite itself would take /dev/null for a new database."""
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        for path in (Path("/dev/null"), tmp_path / "pipe", tmp_path / "socket"):
            await refused(path, "is a device or a pipe")
    assert "null-wal" not in os.listdir("/dev")


async def test_links_lead_to_the_file(tmp_path: Path):
    """By any name it is one file, with one log; a link to nothing makes what it points to."""
    real, link, other = (tmp_path / name for name in ("real.db", "link.db", "other.db"))
    link.symlink_to(real)
    other.symlink_to(link)
    async with open_sqlite_broker(link) as one, open_sqlite_broker(real) as two:
        await one.publish([make_task(1)])
        await two.publish([make_task(2)])
        assert (await one.counts()).submitted == (await two.counts()).submitted == 2
        beside = {"real.db-wal", "real.db-shm"}
        assert set(os.listdir(tmp_path)) == {"real.db", "link.db", "other.db", *beside}
    assert await open_it(other) == 3
    check_sound(real)


async def test_links_that_lead_nowhere_are_refused(tmp_path: Path):
    loop, astray = tmp_path / "loop.db", tmp_path / "astray.db"
    loop.symlink_to(loop)
    astray.symlink_to(tmp_path / "no" / "jobs.db")
    await refused(loop, "cannot be opened", "symbolic links")
    await refused(astray, "make it first", repr(str(tmp_path / "no")))


# --- odd names -----------------------------------------------------------------------------------


NAMES = [
    "two words.db",
    "ä日本.db",
    "what?lease=3&#.db",
    "100%25.db",
    "a'b\"c.db",
    "file:x.db",
    "-",
]


@pytest.mark.parametrize("name", NAMES)
async def test_odd_names_are_names(name: str, tmp_path: Path):
    """As a path, and written for a URL (``?`` as %3F, ``%`` as %25)."""
    path = tmp_path / name
    assert await open_it(path) == 1
    url = str(path).replace("%", "%25").replace("?", "%3F")
    async with open_broker_url(f"sqlite:///{url}") as broker:
        assert (await broker.counts()).submitted == 1
    assert set(os.listdir(tmp_path)) == {name}


@pytest.mark.parametrize("name", ["nul\0.db", "not utf-8 \udcff.db", b"bytes.db", 3, None])
async def test_what_is_no_name_is_refused(name: Any):
    with pytest.raises(InvalidTask, match="path"):
        await open_it(name)


async def test_a_name_that_is_too_long_is_refused(tmp_path: Path):
    await refused(tmp_path / ("x" * 300), "cannot be opened", "too long")
    await refused(tmp_path / ("x" * 253), "cannot be opened")  # room for the name, not for -wal


# --- what may not be written ---------------------------------------------------------------------


def read_only_file(path: Path) -> None:
    path.chmod(0o444)


def read_only_folder(path: Path) -> None:
    path.parent.chmod(0o555)


def secret_file(path: Path) -> None:
    path.chmod(0)


def secret_folder(path: Path) -> None:
    path.parent.chmod(0)


@pytest.mark.parametrize("forbid", [read_only_file, read_only_folder, secret_file, secret_folder])
async def test_what_may_not_be_written_is_refused_until_it_may(
    forbid: Callable[[Path], None], tmp_path: Path
):
    """Nothing is left behind that would have to be mended as well."""
    await make_file(tmp_path / "warm.db")  # nobody may not import what is not imported yet
    with folder_of_nobody() as folder, as_nobody():
        path = folder / "jobs.db"
        await make_file(path, 2)
        forbid(path)
        await refused(path, "cannot be")
        folder.chmod(0o755)
        assert os.listdir(folder) == ["jobs.db"]
        path.chmod(0o644)
        assert await open_it(path) == 3
        check_sound(path)


async def test_a_folder_in_which_nothing_can_be_made_is_refused(tmp_path: Path):
    await make_file(tmp_path / "warm.db")
    with folder_of_nobody() as folder, as_nobody():
        folder.chmod(0o555)
        await refused(folder / "jobs.db", "read-only", repr(str(folder)))


@pytest.mark.parametrize("ending", ["-wal", "-shm"])
async def test_files_beside_it_that_may_not_be_written_are_named(ending: str, tmp_path: Path):
    """Left by another user's process, as a rule."""
    await make_file(tmp_path / "warm.db")
    with folder_of_nobody() as folder, as_nobody():
        path = folder / "jobs.db"
        async with open_sqlite_broker(path) as broker:
            await broker.publish([make_task()])
            (folder / f"jobs.db{ending}").chmod(0o444)
            await refused(path, repr(f"{path}{ending}"))
            await broker.publish([make_task("still")])


# --- what somebody else holds --------------------------------------------------------------------


@pytest.mark.parametrize("fresh", [True, False])
async def test_a_locked_file_is_waited_for(fresh: bool, tmp_path: Path):
    """For ``busy_timeout``, then it is `BrokerUnavailable`: it may be free in a moment."""
    path = tmp_path / "jobs.db"
    if not fresh:
        await make_file(path, 1)
    with outsider(path, "BEGIN EXCLUSIVE") as other:
        await refused(path, "locked by another process", error=BrokerUnavailable)
        with trio.move_on_after(0.05) as scope:
            await open_it(path)
        assert scope.cancelled_caught, "cancelled while it waited"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(open_it, path)
            other.let_go()
    assert await open_it(path) == (1 if fresh else 2)
    check_sound(path)


@pytest.mark.parametrize("mode", ["wal", "delete"])
async def test_a_program_that_keeps_the_file_to_itself_is_waited_for(mode: str, tmp_path: Path):
    """`PRAGMA locking_mode = exclusive`: even readers are kept out."""
    path = tmp_path / "jobs.db"
    await make_file(path, 1)
    statements = (
        "PRAGMA locking_mode = exclusive",
        f"PRAGMA journal_mode = {mode}",
        "BEGIN IMMEDIATE",
        "COMMIT",
    )
    with outsider(path, *statements) as other:
        await refused(path, "locked by another process", error=BrokerUnavailable)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(open_it, path)
            other.let_go()
    check_sound(path)
