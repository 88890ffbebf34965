"""Time on a Redis broker is the server's, whatever the clocks of those who use it say."""

from __future__ import annotations

import time

import pytest
import trio
from trio.testing import MockClock

from tests.redis_audit import audit
from tests.redis_broker import a_task, ids_of, line_of, open_virtual, room
from tests.redis_inline import open_inline_line
from tests.redis_server import Redis
from trioqueue import State
from trioqueue.brokers._redis import RedisBroker, serve_line
from trioqueue.brokers._redis_calls import Setting


async def test_an_opening_speaks_of_no_time(
    redis_server: Redis, redis_queue: str, autojump_clock: MockClock
) -> None:
    """Trio stands at the beginning, the lease clock anywhere: the server knows the time."""
    lease_clock = trio.current_time() + 12345.0
    setting = Setting("f00d", 10.0, 0.5, 100.0, 3, None, True, lambda: lease_clock)
    before = time.time()
    with open_inline_line(redis_server, redis_queue, "f00d") as line:
        async with serve_line(line, setting) as broker:
            await broker.publish([a_task("1"), a_task("2", delay=50.0)])
            [lease] = await broker.claim(room(), 9)
            task, later = await broker.get("1"), await broker.get("2")
    after = time.time()
    assert lease.expires == lease_clock + 9.5
    assert task is not None
    assert later is not None
    assert before - 0.001 <= task.accepted_at <= after + 0.001
    keys = audit(redis_server, redis_queue, retention=100.0)
    assert before + 10 - 0.001 <= keys.sorted["l"]["1"] / 1e6 <= after + 10.001
    assert before + 50 - 0.001 <= keys.sorted["d"]["2"] / 1e6 <= after + 50.001


async def test_clocks_that_are_apart_do_not_matter(
    redis_server: Redis, redis_queue: str, autojump_clock: MockClock
) -> None:
    """One process' own clock is an hour ahead of the other's; a lease of both lasts as long."""
    async with (
        open_virtual(redis_server, redis_queue, lease=10.0) as one,
        open_virtual(redis_server, redis_queue, lease=10.0) as two,
    ):
        two._setting = two._setting._replace(lease_clock=lambda: trio.current_time() + 3_600)
        await one.publish([a_task("1"), a_task("2")])
        [mine], [other] = await one.claim(room(), 1), await two.claim(room(), 1)
        assert other.expires - mine.expires == 3_600
        await trio.sleep(9.9)
        assert [await state(one, "1"), await state(one, "2")] == [State.RUNNING] * 2
        await trio.sleep(0.2)
        assert [await state(one, "1"), await state(one, "2")] == [State.READY] * 2


async def test_a_clock_set_back_a_little_stands_still(
    redis_server: Redis, redis_queue: str, autojump_clock: MockClock
) -> None:
    ahead = 100.0
    async with open_virtual(redis_server, redis_queue, ahead=lambda: ahead) as broker:
        await broker.publish([a_task("1"), a_task("2", delay=20.0)])
        await broker.claim(room(), 1)
        ahead = 50.0
        await broker.publish([a_task("3")])
        tasks = {task.id: task for task in await broker.tasks()}
        assert tasks["3"].accepted_at == tasks["1"].accepted_at
        audit(redis_server, redis_queue)
        ahead = 112.0
        assert await ids_of(broker.claim(room(), 9)) == ["1", "3"], "its lease has not got longer"
        ahead = 121.0
        assert await ids_of(broker.claim(room(), 9)) == ["2"]


@pytest.mark.parametrize("verb", ["claim", "renew", "settle", "look"])
async def test_a_clock_set_back_far_keeps_nothing_for_long(
    redis_server: Redis, redis_queue: str, verb: str, autojump_clock: MockClock
) -> None:
    """Whoever calls first: leases that would have lasted for a day end within one lease."""
    ahead = 100_000.0
    async with open_virtual(redis_server, redis_queue, ahead=lambda: ahead, lease=10.0) as broker:
        await broker.publish([a_task("1"), a_task("2")])
        lease, _ = await broker.claim(room(), 2)
        ahead = 0.0
        match verb:
            case "claim":
                await broker.claim(room(), 0)
            case "renew":
                await broker.renew([lease])
            case "settle":
                await broker.settle([])
            case _:
                await broker.get("1")
        audit(redis_server, redis_queue)
        await trio.sleep(10.1)
        assert await state(broker, "2") is State.READY
        assert (await broker.counts()).running == 0


async def test_a_worker_that_is_asleep_is_late_by_no_more_than_the_others(
    redis_server: Redis, redis_queue: str, autojump_clock: MockClock
) -> None:
    """What time brings about is done by anybody's claim, before it takes."""
    ahead = 0.0
    async with open_virtual(redis_server, redis_queue, ahead=lambda: ahead) as broker:
        await broker.publish([a_task("1", delay=5.0), a_task("2", expires=5.0)])
        ahead = 5.0
        runs = line_of(broker).runs["tend"]
        assert await ids_of(broker.claim(room(), 9)) == ["1"]
        assert line_of(broker).runs["tend"] == runs
        assert await state(broker, "2") is State.EXPIRED


async def state(broker: RedisBroker, task_id: str) -> State:
    task = await broker.get(task_id)
    assert task is not None
    return task.state
