"""The clocks of a SQLite broker are set, stopped and jump; nothing is lost, nothing hangs."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.sqlite_help import a_task, conserved, end, take
from trioqueue import Move, State
from trioqueue._model import Lease
from trioqueue.brokers._sqlite import SqliteBroker, open_sqlite_broker
from trioqueue.brokers._sqlite_clocks import choose_clocks

HOUR = 3600.0


class Times:
    """A wall clock and a lease clock, each as somebody sets it."""

    def __init__(self) -> None:
        self.wall = 1.8e9
        self.lease = 1000.0

    @asynccontextmanager
    async def open(self, path: Path, **options: Any) -> AsyncIterator[SqliteBroker]:
        async with open_sqlite_broker(
            path / "jobs.db",
            wall_clock=lambda: self.wall,
            lease_clock=lambda: self.lease,
            boot_id="one",
            **options,
        ) as broker:
            yield broker
            assert conserved(await broker.counts())


@pytest.fixture
def times(autojump_clock: MockClock) -> Times:
    return Times()


# --- the wall clock -------------------------------------------------------------------------------


async def test_a_wall_clock_set_back_delays_what_is_due_and_loses_nothing(
    times: Times, tmp_path: Path
) -> None:
    async with times.open(tmp_path) as broker:
        await broker.publish([a_task("1", delay=5), a_task("2", expires=5), a_task("3")])
        times.wall -= HOUR
        await broker.publish([a_task("4", delay=5)])
        assert [lease.task.id for lease in await take(broker, 9)] == ["2", "3"]
        times.wall += 5
        assert [lease.task.id for lease in await take(broker, 9)] == ["4"]
        times.wall += HOUR
        assert [lease.task.id for lease in await take(broker, 9)] == ["1"]


async def test_a_wall_clock_set_back_keeps_leases_results_and_orders_as_they_were(
    times: Times, tmp_path: Path
) -> None:
    events: list[Any] = []
    async with times.open(tmp_path) as broker:
        broker.events.add(events.append)
        await broker.publish([a_task(number) for number in range(4)])
        first, second, third, fourth = await take(broker, 4)
        await end(broker, first, Move.SUCCEEDED)
        await end(broker, second, Move.DIED)
        times.wall -= HOUR
        await end(broker, third, Move.DIED)
        assert await broker.renew([fourth]) == []
        assert [letter.id for letter in await broker.dead_letters()] == ["1", "2"], (
            "the oldest death comes first, whatever the clock said"
        )
        await end(broker, fourth, Move.RELEASED)
        (again,) = await take(broker)
        assert again.task.id == "3"
        assert all(event.waited >= 0 for event in events if event.waited is not None)
        (lane,) = [lane for lane in await broker.lanes() if lane.running]
        assert lane.oldest is None
        stored = await broker.get("0")
        assert stored is not None
        assert stored.outcome is not None
        assert stored.outcome.stored


async def test_a_wall_clock_set_forward_makes_due_and_expires_at_the_next_claim(
    times: Times, tmp_path: Path
) -> None:
    async with times.open(tmp_path) as broker:
        await broker.publish([a_task("1", delay=HOUR), a_task("2", expires=HOUR)])
        times.wall += 2 * HOUR
        assert [lease.task.id for lease in await take(broker, 9)] == ["1"]
        task = await broker.get("2")
        assert task is not None
        assert task.state is State.EXPIRED


async def test_a_jump_of_the_wall_clock_is_noticed_while_somebody_waits(tmp_path: Path) -> None:
    """On the real clock: the thread compares its alarms with the clocks whenever it looks."""
    ahead = 0.0
    async with open_sqlite_broker(
        tmp_path / "jobs.db", wall_clock=lambda: time.time() + ahead
    ) as broker:
        await broker.publish([a_task("1", delay=HOUR)])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(broker.wait_ready)
            await wait_all_tasks_blocked(0.01)
            ahead = 2 * HOUR
            with trio.fail_after(30):
                while nursery.child_tasks:  # noqa: ASYNC110 - it ends by what is tested
                    await trio.sleep(0.01)
        assert len(await take(broker)) == 1


# --- the lease clock ------------------------------------------------------------------------------


async def test_leases_do_not_follow_the_wall_clock(times: Times, tmp_path: Path) -> None:
    async with times.open(tmp_path, lease=10) as broker:
        await broker.publish([a_task("1")])
        (lease,) = await take(broker)
        times.wall += 24 * HOUR
        assert await take(broker) == []
        times.lease += 9.9
        assert await take(broker) == []
        times.lease += 0.1
        (other,) = await take(broker)
        assert other.token == lease.token + 1


async def test_a_lease_is_believed_shorter_than_it_is(times: Times, tmp_path: Path) -> None:
    """By a margin, so that the holder gives up before anybody else may have the task."""
    async with times.open(tmp_path, lease=10) as broker:
        await broker.publish([a_task("1")])
        (lease,) = await take(broker)
        assert times.lease < lease.expires < times.lease + 10
        times.lease += 5
        before = lease.expires
        await broker.renew([lease])
        assert lease.expires == before + 5
        times.lease = lease.expires + 0.001
        assert await take(broker) == []


async def test_an_expired_lease_that_nobody_has_revoked_still_counts(
    times: Times, tmp_path: Path
) -> None:
    async with times.open(tmp_path, lease=10) as broker:
        await broker.publish([a_task("1")])
        (lease,) = await take(broker)
        times.lease += HOUR
        assert await broker.renew([lease]) == []
        times.lease += HOUR
        await end(broker, lease, Move.SUCCEEDED)
        assert (await broker.counts()).moves[Move.LOST] == 0


async def test_a_lost_lease_that_is_held_here_is_told_at_once(times: Times, tmp_path: Path) -> None:
    lost: list[Lease] = []
    async with times.open(tmp_path, lease=10) as broker:
        broker.watch(lost.append, None)
        await broker.publish([a_task("1")])
        (lease,) = await take(broker)
        times.lease += 10
        assert await take(broker, b=1) == []
        assert lost == [lease]
        assert lease.lost
        assert await broker.renew([lease]) == [lease]


async def test_a_request_to_cancel_outlives_its_holder(times: Times, tmp_path: Path) -> None:
    """Whoever gets the task next is told with the lease, and once more by a renewal."""
    asked: list[Lease] = []
    async with times.open(tmp_path, lease=10) as broker:
        broker.watch(asked.append, None)
        await broker.publish([a_task("1")])
        await take(broker)
        await broker.cancel("1")
        times.lease += 10
        (lease,) = await take(broker)
        assert lease.cancel_requested
        await end(broker, lease, Move.CANCELLED)


# --- which clocks ---------------------------------------------------------------------------------


async def test_the_machines_clocks_are_the_default() -> None:
    clocks = choose_clocks(time.time, None, None)
    assert clocks.wall is time.time
    assert not clocks.virtual
    assert abs(clocks.lease() - time.clock_gettime(time.CLOCK_BOOTTIME)) < 60
    assert clocks.boot == choose_clocks(time.time, None, None).boot != ""


async def test_on_a_virtual_clock_both_follow_it(autojump_clock: MockClock) -> None:
    clocks = choose_clocks(time.time, None, None)
    assert clocks.virtual
    await trio.sleep(5)
    assert clocks.wall() == clocks.lease() == 5
    given = choose_clocks(lambda: 7.0, lambda: 8.0, "mine")
    assert (given.wall(), given.lease(), given.boot, given.virtual) == (7, 8, "mine", True)


def test_each_virtual_clock_is_a_boot_of_its_own() -> None:
    boots: list[str] = []

    async def look() -> None:
        for _ in range(2):
            boots.append(choose_clocks(time.time, None, None).boot)

    for _ in range(2):
        trio.run(look, clock=MockClock())
    assert boots[0] == boots[1] != boots[2] == boots[3]


def test_a_system_that_does_not_tell_its_boot_is_given_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("trioqueue.brokers._sqlite_clocks._BOOT_ID", tmp_path / "nothing")

    async def look() -> str:
        return choose_clocks(time.time, None, None).boot

    assert trio.run(look).startswith("booted ")
