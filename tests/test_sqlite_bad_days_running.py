"""Bad days of a broker's file in use: deleted, replaced, locked, killed; clocks that are set."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest
import trio
from trio.testing import MockClock

from tests.bad_days import PATIENCE, check_excused, check_sound, make_task, outsider
from tests.command import ROOT
from tests.durable import LEASE, in_file
from trioqueue import (
    BrokerFailed,
    BrokerUnavailable,
    Queue,
    QueueClosed,
    TaskSet,
    open_queue,
)
from trioqueue.brokers._sqlite import open_sqlite_broker

tasks = TaskSet()
runs: Counter[Any] = Counter()
ends: list[str] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    runs.clear()
    ends.clear()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@tasks.task
async def note(name: str) -> str:
    runs[name] += 1
    return name


@tasks.task
async def rest(name: str, seconds: float) -> str:
    runs[name] += 1
    try:
        await trio.sleep(seconds)
    except trio.Cancelled:
        ends.append("cancelled")
        raise
    ends.append("ended")
    return name


# --- the file itself -----------------------------------------------------------------------------


async def _block(path: Path, spoil: Any) -> None:
    url = f"sqlite:///{path}?lease=0.6"
    async with open_queue(tasks, broker=url, workers=2) as queue:
        await queue.submit(rest, "running", 1000)
        while not runs:  # noqa: ASYNC110 - of another thread
            await trio.sleep(0.01)
        spoil()
        await trio.sleep_forever()


def _failed(error: BaseException) -> list[str]:
    """What all the parts of an error say; but for a drain, which is told of the stop alone."""
    if isinstance(error, BaseExceptionGroup):
        return [words for each in error.exceptions for words in _failed(each)]
    if isinstance(error, QueueClosed):
        return []
    assert isinstance(error, BrokerFailed), repr(error)
    return [str(error)]


@contextmanager
def fails(*words: str) -> Iterator[None]:
    """The block is ended by `BrokerFailed`, perhaps by several, each of which says these words."""
    failed: list[str] = []
    try:
        yield
    except Exception as error:
        failed = _failed(error)
    assert failed
    for message in failed:
        for each in words:
            assert each in message


async def test_a_deleted_file_ends_the_block(path: Path):
    """Nobody has to submit anything: handlers are cancelled, and the error says what happened."""
    with trio.fail_after(PATIENCE), fails("deleted or replaced", repr(str(path))):
        await _block(path, path.unlink)
    assert ends == ["cancelled"]


async def test_a_file_put_in_its_place_is_left_alone(path: Path, tmp_path: Path):
    """Neither written to nor deprived of its log when the old one is closed."""
    other = tmp_path / "other.db"
    async with open_sqlite_broker(other) as broker:
        await broker.publish([make_task(n) for n in range(5)])
    before = other.read_bytes()
    with trio.fail_after(PATIENCE), fails("deleted or replaced"):
        await _block(path, lambda: os.replace(other, path))
    assert path.read_bytes() == before  # noqa: ASYNC240 - a small file


async def test_whoever_waits_for_a_result_is_told_of_a_deleted_file(path: Path):
    async with open_sqlite_broker(path) as broker:
        task = make_task()
        await broker.publish([task])
        path.unlink()  # noqa: ASYNC240 - a small file
        with trio.fail_after(PATIENCE), pytest.raises(BrokerFailed, match="deleted or replaced"):
            await broker.wait_settled(task)
        with pytest.raises(BrokerFailed, match="deleted or replaced"):
            await broker.publish([make_task(1)])
        with pytest.raises(BrokerFailed, match="deleted or replaced"):
            await broker.counts()


async def test_a_schema_that_grows_while_it_is_open_is_noticed(path: Path):
    """A newer program has brought it up to date: the older one writes nothing any more."""
    async with open_sqlite_broker(path) as broker:
        await broker.publish([make_task(0)])
        db: Any = apsw.Connection(str(path))
        db.pragma("user_version", 1000)
        db.close()
        with pytest.raises(BrokerFailed, match="schema version 1000"):
            await broker.publish([make_task(1)])
    assert check_sound(path).total() == 1


async def test_a_damaged_page_is_said_and_not_hung_on(path: Path):
    async with open_sqlite_broker(path) as broker:
        for number in range(300):
            task = make_task(number)
            task.payload = b'[["%d"],{}]' % number
            await broker.publish([task])
    data = bytearray(path.read_bytes())  # noqa: ASYNC240 - a small file
    for position in range(4096 * 20, len(data)):
        data[position] ^= 0x5A
    path.write_bytes(data)  # noqa: ASYNC240 - a small file
    with trio.fail_after(PATIENCE), fails("is damaged"):
        async with open_queue(tasks, broker=f"sqlite:///{path}", workers=5) as queue:
            await queue.drain()


# --- locks ---------------------------------------------------------------------------------------


async def test_a_short_lock_is_waited_out(path: Path):
    """Nobody is told, and nothing runs twice."""
    async with open_queue(tasks, broker=f"sqlite:///{path}", workers=1) as queue:
        handles = {"running": await queue.submit(rest, "running", 0.05)}
        with outsider(path) as other:
            async with trio.open_nursery() as nursery:

                async def submit() -> None:
                    handles["late"] = await queue.submit(note, "late")

                nursery.start_soon(submit)
                assert (await queue.inspector.counts()).submitted == 1, "reading goes on"
                other.let_go()
        for name, handle in handles.items():
            assert await handle.result() == name
        assert runs == {"running": 1, "late": 1}
    check_sound(path)


@pytest.mark.parametrize("stopped", [False, True])
@pytest.mark.main
async def test_a_lock_for_longer_than_a_lease_is_recovered_from(stopped: bool, path: Path):
    """Also if who holds it stands still, and is killed at last."""
    url = f"sqlite:///{path}?lease=0.5&busy_timeout=0.1"
    async with open_queue(tasks, broker=url, workers=1) as queue:
        handles = {"running": await queue.submit(rest, "running", 1.0)}
        while not runs:  # noqa: ASYNC110 - of another thread
            await trio.sleep(0.01)
        with outsider(path) as other:
            if stopped:
                other.process.send_signal(signal.SIGSTOP)
            with pytest.raises(BrokerUnavailable, match="locked by another process"):
                await queue.submit(note, "refused")
            while not ends:  # noqa: ASYNC110 - of another thread
                await trio.sleep(0.01)
            assert ends == ["cancelled"], "by our own clock"
        handles["after"] = await _again(queue, "after")
        for name, handle in handles.items():
            assert await handle.result() == name
        await check_excused(queue, runs, handles)
        assert (await queue.inspector.counts()).submitted == 2
    check_sound(path)


async def _again(queue: Queue, name: str) -> Any:
    while True:
        try:
            return await queue.submit(note, name)
        except BrokerUnavailable:
            continue


# --- killed --------------------------------------------------------------------------------------

_PUBLISH = """
import os, signal, sys, trio
from tests.bad_days import make_task
from trioqueue.brokers._sqlite import open_sqlite_broker

async def main():
    async with open_sqlite_broker(sys.argv[1]) as broker:
        for number in range(int(sys.argv[2])):
            await broker.publish([make_task(number)])
        if sys.argv[3] == "kill":
            os.kill(os.getpid(), signal.SIGKILL)

trio.run(main)
"""


def publisher(path: Path, number: int, how: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _PUBLISH, path, str(number), how], cwd=ROOT)


@pytest.mark.parametrize("without", ["", "-shm"])
@pytest.mark.main
def test_what_a_killed_process_had_accepted_is_in_its_log(without: str, path: Path):
    """The log is read at the next opening; its index may be missing."""
    assert publisher(path, 30, "kill").wait(PATIENCE) == -signal.SIGKILL
    assert Path(f"{path}-wal").stat().st_size > 0
    if without:
        Path(f"{path}{without}").unlink()
    assert trio.run(_count, path) == 30
    check_sound(path)


async def _count(path: Path) -> int:
    async with open_sqlite_broker(path) as broker:
        return (await broker.counts()).submitted


@pytest.mark.main
def test_a_log_cut_off_keeps_what_came_before(path: Path):
    """Whole transactions from the first on, and a file that is sound."""
    assert publisher(path, 30, "kill").wait(PATIENCE) == -signal.SIGKILL
    log = Path(f"{path}-wal")
    log.write_bytes(log.read_bytes()[: -log.stat().st_size // 3])
    assert 0 < trio.run(_count, path) < 30
    check_sound(path)


@pytest.mark.main
def test_a_fresh_file_may_be_opened_by_many_at_once(path: Path):
    """One of them makes it. The ids are the same, so each task is accepted once."""
    crowd = [publisher(path, 5, "leave") for _ in range(6)]
    assert [one.wait(PATIENCE) for one in crowd] == [0] * 6
    assert check_sound(path).total() == 5


# --- clocks --------------------------------------------------------------------------------------

DAY = 86_400.0


@pytest.mark.parametrize("days", [-3, 3])
async def test_a_wall_clock_set_by_days_moves_no_lease(
    days: int, path: Path, autojump_clock: MockClock
):
    """What runs goes on. What is due waits for its time, or comes early; nothing is lost."""
    error = 0.0

    def wall() -> float:
        return 1_000 * DAY + trio.current_time() + error

    async with in_file(path, tasks, broker={"wall_clock": wall}) as queue:
        handles = {"running": await queue.submit(rest, "running", 3 * LEASE)}
        handles["due"] = await queue.options(delay=5).submit(note, "due")
        await trio.sleep(1)
        error = days * DAY
        assert await handles["running"].result() == "running"
        assert runs["due"] == (1 if days > 0 else 0)
        handles["new"] = await queue.submit(note, "new")
        assert await handles["new"].result() == "new"
        error = 0.0
        await trio.sleep(61)
        assert await handles["due"].result() == "due"
        await check_excused(queue, runs, {"due": handles["due"]})
        assert runs == dict.fromkeys(handles, 1)
    check_sound(path)


async def test_leases_of_another_boot_are_over(path: Path, autojump_clock: MockClock):
    """Whatever the clock said then: that one began to count at another time."""
    clocks = {"lease_clock": lambda: 1e6 + trio.current_time(), "boot_id": "before"}
    async with open_sqlite_broker(path, lease=LEASE, **clocks) as broker:  # type: ignore[arg-type]
        await broker.publish([make_task()])
        assert len(await broker.claim({"note": 1}, 1)) == 1
    async with open_sqlite_broker(path, lease_clock=trio.current_time, boot_id="now") as broker:
        await trio.sleep(1)
        (lease,) = await broker.claim({"note": 1}, 1)
        assert (lease.token, lease.task.trace().losses) == (2, 1)
    check_sound(path)


# --- sizes ---------------------------------------------------------------------------------------


async def test_eight_mebibytes_go_there_and_back(path: Path):
    text = "x" * 2**23
    async with open_queue(tasks, broker=f"sqlite:///{path}", workers=1) as queue:
        handle = await queue.submit(note, text)
        assert await handle.result() == text
    check_sound(path)


async def test_an_id_and_a_key_may_be_long(path: Path, autojump_clock: MockClock):
    async with in_file(path, tasks) as queue:
        key = "k" * 100_000
        first = await queue.options(key=key, delay=1).submit(note, "first")
        second = await queue.options(key=key, delay=1).submit(note, "second")
        assert first.id == second.id
        assert await second.result() == "first"
    check_sound(path)
