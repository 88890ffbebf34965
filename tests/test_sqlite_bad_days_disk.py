"""Bad days of the disk: full, or failing, for a moment or for longer than a lease.

On the virtual clock, with a disk that fails on order between SQLite and the system's files; and
with the limits that SQLite and the kernel themselves know.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
import trio
from trio.testing import MockClock

from tests.bad_days import Disk, check_excused, check_sound, engine_of, faulty_disk, make_task
from tests.durable import LEASE, in_file
from trioqueue import BrokerUnavailable, Handle, Retry, TaskFailed, TaskSet, current_task
from trioqueue.brokers._sqlite import open_sqlite_broker
from trioqueue.brokers._sqlite_schema import DEAD, SUCCEEDED

tasks = TaskSet(retry=Retry(attempts=2, initial=1))
runs: Counter[Any] = Counter()


@pytest.fixture(autouse=True)
def _fresh() -> None:
    runs.clear()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
def disk() -> Iterator[Disk]:
    with faulty_disk() as one:
        yield one


@tasks.task
async def note(name: str) -> str:
    runs[name] += 1
    return name


@tasks.task
async def rest(name: str, seconds: float) -> str:
    runs[name] += 1
    await trio.sleep(seconds)
    return name


@tasks.task
async def second_try(name: str) -> str:
    runs[name] += 1
    if current_task().attempt == 1:
        raise ValueError("the first time")
    return name


@tasks.task
async def never(name: str) -> None:
    runs[name] += 1
    raise ValueError("every time")


async def again(submit: Any) -> Handle[Any]:
    """What a producer does that wants its task accepted, whatever the disk is like."""
    while True:
        try:
            handle: Handle[Any] = await submit()
        except BrokerUnavailable:
            await trio.sleep(0.3)
        else:
            return handle


# --- full ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", ["full", "away"])
async def test_a_short_trouble_is_waited_out(
    trouble: str, path: Path, disk: Disk, autojump_clock: MockClock
):
    """A submit tells its caller; what runs goes on, ends, and is told when the disk is back."""
    async with in_file(path, tasks) as queue:
        short, long = await queue.submit(rest, "short", 1), await queue.submit(rest, "long", 20)
        await trio.sleep(0.5)
        setattr(disk, trouble, True)
        with pytest.raises(BrokerUnavailable, match=r"jobs\.db"):
            await queue.submit(note, "refused")
        await trio.sleep(LEASE / 3)
        assert runs == {"short": 1, "long": 1}
        setattr(disk, trouble, False)
        assert await short.result() == "short"
        assert await long.result() == "long"
        assert (await queue.inspector.counts()).submitted == 2
        assert runs == {"short": 1, "long": 1}
    assert check_sound(path) == {SUCCEEDED: 2}
    assert disk.failed


async def test_a_full_disk_says_what_to_do(path: Path, disk: Disk, autojump_clock: MockClock):
    """And what is there can still be read."""
    async with in_file(path, tasks) as queue:
        handle = await queue.submit(note, "before")
        await handle.result()
        disk.full = True
        with pytest.raises(BrokerUnavailable, match=r"disk is full .* free space"):
            await queue.submit(note, "refused")
        assert await queue.handle(handle.id).result() == "before"
        assert (await queue.inspector.counts()).succeeded == 1
        disk.full = False


@pytest.mark.parametrize("trouble", ["full", "away"])
async def test_trouble_for_longer_than_a_lease_ends_handlers_and_is_recovered_from(
    trouble: str, path: Path, disk: Disk, autojump_clock: MockClock
):
    """They are cancelled in time, and run again once the disk is back, each with its excuse."""
    async with in_file(path, tasks) as queue:
        handles = {"short": await queue.submit(rest, "short", 1)}
        handles["long"] = await queue.submit(rest, "long", 100)
        handles["later"] = await queue.options(delay=15).submit(note, "later")
        await trio.sleep(0.5)
        setattr(disk, trouble, True)
        await trio.sleep(5 * LEASE)
        assert runs == {"short": 1, "long": 1}, "nothing new starts"
        setattr(disk, trouble, False)
        for name, handle in handles.items():
            assert await handle.result() == name
        await check_excused(queue, runs, handles)
        assert runs["long"] == 2
        assert runs["later"] == 1
    check_sound(path)


async def test_leaving_ends_though_the_disk_is_full(
    path: Path, disk: Disk, autojump_clock: MockClock
):
    """What could not be told runs again another day; nothing waits for that day."""
    async with in_file(path, tasks) as queue:
        handle = await queue.submit(rest, "cut", 100)
        await trio.sleep(0.5)
        disk.full = True
        with trio.fail_after(60):
            await queue.shutdown(grace=1)
    disk.full = False
    async with in_file(path, tasks) as queue:
        assert await queue.handle(handle.id).result() == "cut"
        await check_excused(queue, runs, {"cut": handle})
    check_sound(path)


async def test_opening_on_a_full_disk_may_be_tried_again(
    path: Path, disk: Disk, autojump_clock: MockClock
):
    """Whatever was made of the file until then is no hindrance."""
    disk.full = True
    with pytest.raises(BrokerUnavailable, match="disk is full"):
        async with in_file(path, tasks):
            pass
    disk.full = False
    async with in_file(path, tasks) as queue:
        assert await (await queue.submit(note, "first")).result() == "first"
    check_sound(path)


async def test_one_task_too_big_for_the_disk_does_not_stop_the_small_ones(tmp_path: Path):
    """SQLite's own limit, in a thread of its own: in one group, each is refused or kept alone."""
    path = tmp_path / "jobs.db"
    async with open_sqlite_broker(path) as broker:
        await broker.publish([make_task(0)])
        db = engine_of(broker)._db
        db.pragma("max_page_count", db.pragma("page_count") + 8)
        big = make_task("big")
        big.payload = b"x" * 200_000
        results: dict[str, object] = {}

        async def publish(task: Any) -> None:
            try:
                results[task.id] = await broker.publish([task])
            except BrokerUnavailable as error:
                results[task.id] = error

        async with trio.open_nursery() as nursery:
            for task in (make_task(1), big, make_task(2)):
                nursery.start_soon(publish, task)
        assert isinstance(results["id-big"], BrokerUnavailable)
        for number in (1, 2):
            assert isinstance(results[f"id-{number}"], list), results
        assert (await broker.counts()).submitted == 3
        db.pragma("max_page_count", 100_000)
        await broker.publish([big])
        assert (await broker.counts()).submitted == 4
    check_sound(path)


# --- everywhere ----------------------------------------------------------------------------------


async def a_day(path: Path) -> None:
    """Some of everything that can happen to a task."""
    async with in_file(path, tasks) as queue:
        handles: dict[str, Handle[Any]] = {}
        for name, submit in {
            "note": lambda: queue.submit(note, "note"),
            "rest": lambda: queue.submit(rest, "rest", 4),
            "later": lambda: queue.options(delay=2).submit(note, "later"),
            "second": lambda: queue.submit(second_try, "second"),
            "never": lambda: queue.submit(never, "never"),
        }.items():
            handles[name] = await again(submit)
        for name, handle in handles.items():
            with trio.fail_after(1000):
                if name == "never":
                    await _dies(handle)
                else:
                    assert await _patiently(handle.result) == name
        await check_excused(queue, runs, handles)
        assert (await queue.inspector.counts()).submitted == len(handles), "no ghosts"


async def _patiently(call: Any) -> Any:
    while True:
        try:
            return await call()
        except BrokerUnavailable:
            await trio.sleep(0.3)


async def _dies(handle: Handle[Any]) -> None:
    with pytest.raises(TaskFailed):
        await _patiently(handle.result)


#: How many calls fail in a row: one, a transaction's, and all for a while.
WIDTHS = (1, 8)
#: Of so many calls one is struck; another one in each run of the tests.
STRIDE = 12


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("error", [apsw.FullError, apsw.IOError])
@pytest.mark.main
def test_the_disk_may_fail_anywhere(
    error: type[apsw.Error], width: int, tmp_path: Path, disk: Disk
):
    """At each call that changes a file: nothing is lost, doubled, or run without excuse."""
    disk.error = error
    path = tmp_path / "opened.db"

    async def make() -> None:
        async with open_sqlite_broker(path):
            pass

    trio.run(make, clock=MockClock(autojump_threshold=0))
    empty = path.read_bytes()
    first = disk.calls
    trio.run(a_day, path, clock=MockClock(autojump_threshold=0))
    number = disk.calls - first
    assert number > 50
    hit = 0
    strikes = range(random.randrange(STRIDE), number, STRIDE)
    for strike in strikes:
        file = tmp_path / f"{strike}.db"
        file.write_bytes(empty)
        runs.clear()
        disk.failed, disk.bad = 0, range(disk.calls + strike, disk.calls + strike + width)
        trio.run(_a_bad_day, file, disk, clock=MockClock(autojump_threshold=0))
        hit += disk.failed > 0
        disk.bad = range(0)
        assert check_sound(file) == {SUCCEEDED: 4, DEAD: 1}, strike
    # Trio's schedule differs a little from run to run, so that the last strikes may come too late.
    assert hit > 0.8 * len(strikes)


async def _a_bad_day(path: Path, disk: Disk) -> None:
    while True:
        try:
            async with open_sqlite_broker(path, lease=LEASE):
                break
        except BrokerUnavailable:
            await trio.sleep(1)
    await a_day(path)
