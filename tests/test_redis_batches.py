"""Many tasks in one call: each script does it in one step, and in parts that Lua can take."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.redis_audit import audit
from tests.redis_broker import a_task, line_of, open_virtual, room
from tests.redis_server import Redis
from trioqueue import InvalidTask, Move
from trioqueue.brokers._redis import MOST_PUBLISHED
from trioqueue.testing.conformance._bench import verdict


@pytest.mark.main
async def test_ten_thousand_tasks_in_one_call(
    redis_server: Redis, redis_queue: str, autojump_clock: MockClock
) -> None:
    """Published at once, claimed in two goes, renewed and settled in one each."""
    number = MOST_PUBLISHED
    async with open_virtual(redis_server, redis_queue, retention=100.0) as broker:
        line = line_of(broker)
        tasks = [
            a_task(f"{n:05}", "xy"[n % 2], payload=b"p" * (600 if n % 7 == 0 else 10), key=f"k{n}")
            for n in range(number)
        ]
        there = await broker.publish(tasks)
        assert [task.order for task in there] == list(range(1, number + 1))
        assert [task.id for task in await broker.publish(tasks)] == [task.id for task in tasks]
        leases = [
            *await broker.claim(room("x", "y", each=number), 5_000),
            *await broker.claim(room("x", "y", each=number), number),
        ]
        assert [lease.task.id for lease in leases] == [task.id for task in tasks]
        assert await broker.renew(leases) == []
        moves = (Move.SUCCEEDED, Move.RETRIED, Move.RELEASED, Move.DIED)
        ends = [verdict(lease, moves[n % 4]) for n, lease in enumerate(leases)]
        assert await broker.settle(ends) == [True] * number
        counts = await broker.counts()
        assert (counts.ready, counts.running, counts.succeeded, counts.dead) == (
            5_000,
            0,
            2_500,
            2_500,
        )
        audit(redis_server, redis_queue, retention=100.0)
        assert {name: line.runs[name] for name in ("publish", "claim", "renew", "settle")} == {
            "publish": 2,
            "claim": 2,
            "renew": 1,
            "settle": 1,
        }


@pytest.mark.main
async def test_what_time_brings_about_is_done_in_batches(
    redis_server: Redis, redis_queue: str, autojump_clock: MockClock
) -> None:
    """So that nobody else waits long; the rest at once after it."""
    async with open_virtual(redis_server, redis_queue, lease=10.0) as broker:
        await broker.publish([a_task(f"{n:04}", delay=5.0) for n in range(1_000)])
        await trio.sleep(5.1)
        assert (await broker.counts()).ready == 1_000
        assert len(await broker.claim(room(), 1_000)) == 1_000
        await trio.sleep(10.1)
        assert (await broker.counts()).ready == 1_000
        assert line_of(broker).runs["tend"] >= 10
        leases = await broker.claim(room(), 1_000)
        assert [lease.task.id for lease in leases] == [f"{n:04}" for n in range(1_000)]
        audit(redis_server, redis_queue)


async def test_more_is_refused_before_anything_is_sent(
    redis_server: Redis, redis_queue: str, autojump_clock: MockClock
) -> None:
    async with open_virtual(redis_server, redis_queue) as broker:
        with pytest.raises(InvalidTask, match=r"10001 tasks .* submit 10000 at most"):
            await broker.publish([a_task(str(n)) for n in range(MOST_PUBLISHED + 1)])
        assert line_of(broker).runs["publish"] == 0
    async with open_virtual(redis_server, redis_queue, capacity=5) as broker:
        with pytest.raises(InvalidTask, match="submit 5 at most"):
            await broker.publish([a_task(str(n)) for n in range(6)])
        assert await broker.publish([]) == []


async def test_scripts_that_the_server_has_forgotten(
    redis_server: Redis, redis_queue: str, autojump_clock: MockClock
) -> None:
    """As after a restart or a failover: they are sent again."""
    async with open_virtual(redis_server, redis_queue) as broker:
        await broker.publish([a_task("1")])
        redis_server.call("SCRIPT", "FLUSH", "SYNC")
        [lease] = await broker.claim(room(), 1)
        redis_server.call("SCRIPT", "FLUSH", "SYNC")
        assert await broker.settle([verdict(lease, Move.SUCCEEDED)]) == [True]
