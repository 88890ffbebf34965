"""Waits end when another process, or another broker of this one, does what they wait for."""

import multiprocessing
import os
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.sqlite_help import a_task, end, engine_of, take
from trioqueue import Move, OutcomeKind, QueuePaused, State
from trioqueue._model import Lease, Task
from trioqueue.brokers._sqlite import SqliteBroker, open_sqlite_broker

#: Seconds after which a wait has missed its end: less than the thread sleeps when nobody calls it.
PATIENCE = 30.0
#: Short, where a lease has to expire.
LEASE = 0.3

spawn = multiprocessing.get_context("spawn")


# --- across processes -----------------------------------------------------------------------------


def in_process(path: Path, play: Callable[[SqliteBroker], Awaitable[None]], lease: float) -> None:
    async def main() -> None:
        with trio.fail_after(PATIENCE):
            async with open_sqlite_broker(path, lease=lease) as broker:
                await play(broker)

    trio.run(main)


class Other:
    """Another process that does one thing with the same file."""

    def __init__(self, path: Path, play: Callable[..., Awaitable[None]], lease: float = 10) -> None:
        self._process = spawn.Process(target=in_process, args=(path, play, lease))
        self._process.start()

    async def join(self) -> int | None:
        await trio.to_thread.run_sync(self._process.join)
        return self._process.exitcode


async def work_once(broker: SqliteBroker) -> None:
    await broker.wait_ready({"a"})
    (lease,) = await take(broker)
    await end(broker, lease, Move.SUCCEEDED)


async def obey(broker: SqliteBroker) -> None:
    """Hold a task until its cancellation is asked for."""
    asked = trio.Event()

    def on_cancel(lease: Lease) -> None:
        assert lease.cancel_requested
        asked.set()

    broker.watch(on_cancel, None)
    await broker.wait_ready()
    (lease,) = await take(broker)
    await asked.wait()
    await end(broker, lease, Move.CANCELLED)


async def take_and_die(broker: SqliteBroker) -> None:
    await broker.wait_ready()
    assert len(await take(broker)) == 1
    os._exit(0)


@pytest.mark.main
async def test_a_worker_and_a_producer_in_two_processes_wake_each_other(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    other = Other(path, work_once)
    async with open_sqlite_broker(path) as broker:
        with trio.fail_after(PATIENCE):
            task = a_task("1")
            await trio.sleep(0.5)  # noqa: ASYNC116 - so that it waits, rather; either is right
            await broker.publish([task])
            async with trio.open_nursery() as nursery:
                nursery.start_soon(broker.wait_drained, {"a"}, None)
                await broker.wait_settled(task)
        assert task.state is State.SUCCEEDED
        assert task.outcome is not None
        assert task.outcome.value == b'"ok"'
    assert await other.join() == 0


@pytest.mark.main
async def test_a_cancellation_reaches_the_holder_in_another_process(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with open_sqlite_broker(path) as broker:
        task = a_task("1")
        await broker.publish([task])
        other = Other(path, obey)
        with trio.fail_after(PATIENCE):
            while not await broker.tasks(State.RUNNING):  # noqa: ASYNC110 - of another process
                await trio.sleep(0.01)
            assert await broker.cancel("1")
            await broker.wait_settled(task)
        assert task.state is State.CANCELLED
    assert await other.join() == 0


@pytest.mark.main
async def test_what_a_dead_process_held_is_ready_again_and_wakes_who_waits(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with open_sqlite_broker(path, lease=LEASE) as broker:
        await broker.publish([a_task("1")])
        other = Other(path, take_and_die, LEASE)
        assert await other.join() == 0
        with trio.fail_after(PATIENCE):
            await broker.wait_ready()
            (lease,) = await take(broker)
        assert lease.token == 2
        assert lease.task.trail is not None
        assert lease.task.trail.losses == 1


@pytest.mark.main
async def test_whoever_waits_for_a_task_hears_of_its_death_by_losses(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    dead: list[Task] = []
    async with open_sqlite_broker(path, lease=LEASE, max_losses=0) as broker:
        broker.watch(None, dead.append)
        task = a_task("1")
        await broker.publish([task])
        other = Other(path, take_and_die, LEASE)
        assert await other.join() == 0
        with trio.fail_after(PATIENCE):
            await broker.wait_settled(task)
        assert task.state is State.DEAD
        assert task.outcome is not None
        assert task.outcome.kind is OutcomeKind.LOST
        assert [one.id for one in dead] == ["1"]


# --- two brokers in one process, on the virtual clock ---------------------------------------------


async def two(path: Path, play: Callable[[SqliteBroker, SqliteBroker], Awaitable[None]]) -> None:
    async with open_sqlite_broker(path) as one, open_sqlite_broker(path) as other:
        with trio.fail_after(100):
            await play(one, other)


async def wakes(one: SqliteBroker, other: SqliteBroker) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.wait_ready)
        await wait_all_tasks_blocked()
        await other.publish([a_task("1")])
    assert trio.current_time() == 0


async def asks(one: SqliteBroker, other: SqliteBroker) -> None:
    asked: list[Lease] = []
    one.watch(asked.append, None)
    await other.publish([a_task("1")])
    (lease,) = await take(one)
    await other.cancel("1")
    await wait_all_tasks_blocked()
    assert asked == [lease]
    await other.cancel("1")
    await one.renew([lease])
    assert asked == [lease], "once"


async def drains(one: SqliteBroker, other: SqliteBroker) -> None:
    await other.publish([a_task("1"), a_task("2", "b")])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.wait_drained, {"a"}, None)
        (lease,) = await take(other)
        await wait_all_tasks_blocked()
        assert len(nursery.child_tasks) == 1
        await end(other, lease, Move.SUCCEEDED)


async def is_told_that_all_is_paused(one: SqliteBroker, other: SqliteBroker) -> None:
    await other.publish([a_task("1")])
    async with trio.open_nursery() as nursery:

        async def drain() -> None:
            with pytest.raises(QueuePaused, match="task 1, a"):
                await one.wait_drained({"a"}, None)

        nursery.start_soon(drain)
        await wait_all_tasks_blocked()
        await other.pause()


@pytest.mark.parametrize("play", [wakes, asks, drains, is_told_that_all_is_paused])
async def test_what_one_does_the_other_hears(
    play: Callable[[SqliteBroker, SqliteBroker], Awaitable[None]],
    tmp_path: Path,
    autojump_clock: MockClock,
) -> None:
    await two(tmp_path / "jobs.db", play)


async def test_a_drain_ends_in_an_error_when_a_task_comes_back_into_a_paused_queue(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_sqlite_broker(tmp_path / "jobs.db") as broker:
        await broker.publish([a_task("1")])
        (lease,) = await take(broker)
        await broker.pause("default")
        async with trio.open_nursery() as nursery:

            async def drain() -> None:
                with pytest.raises(QueuePaused, match="default"):
                    await broker.wait_drained({"a"}, None)

            nursery.start_soon(drain)
            await wait_all_tasks_blocked()
            await end(broker, lease, Move.RETRIED, delay=5)
            with trio.fail_after(1):
                while nursery.child_tasks:  # noqa: ASYNC110 - it ends by what is tested
                    await trio.lowlevel.checkpoint()


# --- what waiting costs ---------------------------------------------------------------------------


@pytest.mark.main
async def test_waiting_looks_ever_more_seldom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """20 times a second in the end; a machine that is busy can only make it fewer."""
    async with open_sqlite_broker(tmp_path / "jobs.db") as broker:
        engine = engine_of(broker)
        looks = 0

        def count(look: Callable[[], bool] = engine.changed_outside) -> bool:
            nonlocal looks
            looks += 1
            return look()

        monkeypatch.setattr(engine, "changed_outside", count)
        with trio.move_on_after(1.0):
            await broker.wait_ready()
        assert 1 <= looks <= 40


async def test_a_wait_looks_again_only_for_what_concerns_it(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with open_sqlite_broker(tmp_path / "jobs.db") as broker:
        looks: list[Any] = []
        real = engine_of(broker)._look_again

        def look(waits: Any) -> Any:
            looks.extend(wait.kind for wait in waits)
            return real(waits)

        tasks = [a_task(number) for number in range(20)]
        await broker.publish(tasks)
        async with trio.open_nursery() as nursery:
            for wait in (
                partial(broker.wait_drained, {"a"}, None),
                partial(broker.wait_ready, {"b"}),
                *[partial(broker.wait_settled, task) for task in tasks[:10]],
            ):
                nursery.start_soon(wait)
            await wait_all_tasks_blocked()
            engine_of(broker)._look_again = look  # type: ignore[method-assign]
            for lease in await take(broker, 19):
                await end(broker, lease, Move.SUCCEEDED)
            assert looks == ["settled"] * 10
            (lease,) = await take(broker)
            await end(broker, lease, Move.SUCCEEDED)
            assert looks == ["settled"] * 10 + ["drained"]
            await broker.publish([a_task("b", "b")])
        assert looks == ["settled"] * 10 + ["drained", "ready"]
