"""The Redis broker where a server, a clock or an operator does what nobody asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import trio
import trio.testing

from tests.bad_days import make_task
from tests.redis_broker import open_virtual
from tests.redis_inline import InlineLine
from tests.redis_server import Redis, Server
from trioqueue import BrokerUnavailable, Move, Options, QueueClosed
from trioqueue.brokers._redis import RedisBroker
from trioqueue.brokers._redis_calls import CLAIM
from trioqueue.brokers._redis_line import Arg, Script
from trioqueue.testing.conformance._bench import verdict

ROOM = {"note": 100}


async def test_a_server_without_memory_refuses_new_tasks_only(
    own_redis: Server, autojump_clock: trio.testing.MockClock
) -> None:
    """Or workers would lose what they run, have it run again, and never make room."""
    async with open_virtual(own_redis, "q") as broker:
        await broker.publish([make_task(1), make_task(2)])
        [first] = await broker.claim(ROOM, 1)
        own_redis.call("CONFIG", "SET", "maxmemory", 1)
        with pytest.raises(BrokerUnavailable, match="OOM"):
            await broker.publish([make_task(3)])
        [second] = await broker.claim(ROOM, 1)
        assert await broker.renew([first, second]) == []
        ends = [verdict(first, Move.RETRIED, 5.0), verdict(second, Move.SUCCEEDED)]
        assert await broker.settle(ends) == [True, True]
        assert (await broker.counts()).scheduled == 1
        own_redis.call("CONFIG", "SET", "maxmemory", 0)
        await broker.publish([make_task(3)])


def lost_tasks(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage().split()[1] for record in caplog.records if record.levelname == "ERROR"
    ]


def delete(server: Redis, queue: str, number: int) -> None:
    assert server.call("DEL", f"tq:{{{queue}}}:t:id-{number}") == 1


async def test_a_record_that_is_gone_stops_nobody_else(
    redis_server: Redis,
    redis_queue: str,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As by an eviction: the others that were due, ready or lost in the same step are all there."""
    async with open_virtual(redis_server, redis_queue, lease=10.0) as broker:
        delayed = [make_task(number) for number in range(3)]
        for task in delayed:
            task.options = Options(delay=5.0)
        await broker.publish(delayed)
        await broker.publish([make_task(number) for number in range(3, 6)])
        delete(redis_server, redis_queue, 1)
        delete(redis_server, redis_queue, 3)
        assert [one.task.id for one in await broker.claim(ROOM, 5)] == ["id-4", "id-5"]
        delete(redis_server, redis_queue, 5)
        await trio.sleep(20.0)
        assert sorted(lost_tasks(caplog)) == ["id-1", "id-3", "id-5"]
        leases = await broker.claim(ROOM, 5)
        assert [one.task.id for one in leases] == ["id-4", "id-0", "id-2"]
        await broker.settle([verdict(lease, Move.DIED) for lease in leases])
        delete(redis_server, redis_queue, 0)
        assert [letter.id for letter in await broker.dead_letters()] == ["id-4", "id-2"]
        counts = await broker.counts()
        assert (counts.submitted, counts.dead, counts.evicted) == (6, 3, 3)
        assert (counts.scheduled, counts.ready, counts.running) == (0, 0, 0)


async def test_a_key_whose_task_is_gone_is_free(
    redis_server: Redis, redis_queue: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_virtual(redis_server, redis_queue) as broker:
        first, second = make_task(1), make_task(2)
        first.options = second.options = Options(key="k")
        await broker.publish([first])
        delete(redis_server, redis_queue, 1)
        assert [task.id for task in await broker.publish([second])] == ["id-2"]


async def test_nobody_asks_again_and_again_while_time_stands_still(
    redis_server: Redis, redis_queue: str, autojump_clock: trio.testing.MockClock
) -> None:
    """The server's clock was set back a little, and the next thing to do is a moment away."""
    ahead = 0.0
    async with open_virtual(redis_server, redis_queue, ahead=lambda: ahead) as broker:
        task = make_task(1)
        task.options = Options(delay=10.0)
        await broker.publish([task])
        await trio.sleep(9.99)
        await broker.pause("other")  # which the server notes the time of
        ahead = -30.0
        line = broker._line
        assert isinstance(line, InlineLine)
        line.runs.clear()
        await broker.wait_ready(ROOM)
        assert trio.current_time() == pytest.approx(40.0, abs=0.1)
        assert line.runs.total() < 10


async def test_what_waits_behind_many_others_shows_its_age(
    redis_server: Redis, redis_queue: str, autojump_clock: trio.testing.MockClock
) -> None:
    """Starved by what is more urgent, which is what the age is looked at for."""
    async with open_virtual(redis_server, redis_queue) as broker:
        for number in range(100):
            task = make_task(number)
            task.options = Options(priority=0 if number in {1, 2} else 7)
            await broker.publish([task])
            await trio.sleep(1.0)
        await broker.claim(ROOM, 1)
        [lane] = await broker.lanes()
        assert (lane.ready, lane.oldest) == (99, 99.0)
        listed = await broker.tasks(limit=3)
        assert [task.id for task in listed] == ["id-0", "id-1", "id-2"]


async def test_a_claim_that_was_on_its_way_for_long_takes_nothing(
    redis_server: Redis, redis_queue: str, autojump_clock: trio.testing.MockClock
) -> None:
    """Nobody waits for its reply any more, and a later one has been answered, with nothing even."""
    sent: list[Sequence[Arg]] = []
    async with open_virtual(redis_server, redis_queue) as broker:
        line = broker._line
        assert isinstance(line, InlineLine)
        run = line.run

        async def spied(script: Script, args: Sequence[Arg], *more: Any, **named: Any) -> Any:
            if script is CLAIM:
                sent.append(args)
            return await run(script, args, *more, **named)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(line, "run", spied)
            assert await broker.claim(ROOM, 1) == await broker.claim(ROOM, 1) == []
        await broker.publish([make_task(1)])
        _, leases, *_ = line.run_now(CLAIM, sent[0])
        assert leases == []
        assert (await broker.counts()).ready == 1
        _, leases, *_ = line.run_now(CLAIM, sent[1])
        assert leases == [], "it was answered with nothing before, and is again"
        [lease] = await broker.claim(ROOM, 1)
        assert lease.task.id == "id-1"


async def test_a_delay_of_ages_is_one(
    redis_server: Redis, redis_queue: str, autojump_clock: trio.testing.MockClock
) -> None:
    """It is a handler's to say, and must not end the worker."""
    async with open_virtual(redis_server, redis_queue, lease=1e300) as broker:
        late, expiring = make_task(1), make_task(2)
        late.options, expiring.options = Options(delay=1e300), Options(expires=1e300)
        await broker.publish([late, expiring])
        [lease] = await broker.claim(ROOM, 5)
        assert await broker.renew([lease]) == []
        assert await broker.settle([verdict(lease, Move.SNOOZED, 1e300)]) == [True]
        await trio.sleep(1e5)  # noqa: ASYNC116 - virtual seconds
        assert (await broker.counts()).scheduled == 2
        assert await broker.cancel("id-1")
        assert await broker.claim(ROOM, 5) == []


async def test_what_one_keeps_for_a_week_another_does_not_throw_away_after_a_day(
    redis_server: Redis, redis_queue: str, autojump_clock: trio.testing.MockClock
) -> None:
    """As somebody who only looks, with an opening that was not told how long things are kept."""
    day = 86_400.0
    async with open_virtual(redis_server, redis_queue, retention=7 * day) as worker:
        await worker.publish([make_task(1)])
        await worker.settle(
            [verdict(lease, Move.SUCCEEDED) for lease in await worker.claim(ROOM, 1)]
        )
        await trio.sleep(2 * day)
        async with open_virtual(redis_server, redis_queue, retention=day) as other:
            await other.pause("other")
            await trio.sleep(day)
        found = await worker.get("id-1")
        assert found is not None
        assert found.outcome is not None
        assert found.outcome.stored
        await trio.sleep(5 * day)
        await worker.claim(ROOM, 1)
        assert await worker.get("id-1") is None


async def test_what_was_accepted_is_told_once(
    redis_server: Redis, redis_queue: str, autojump_clock: trio.testing.MockClock
) -> None:
    """Though the reply comes twice: the wait for replicas ended with the connection."""
    told: list[str] = []
    async with open_virtual(redis_server, redis_queue) as broker:
        broker.events.add(lambda event: told.append(event.name))
        line = broker._line
        assert isinstance(line, InlineLine)
        run = line.run

        async def twice(script: Script, args: Sequence[Arg], *more: Any, **named: Any) -> Any:
            if script.replicated:
                await run(script, args, *more, **named)
            return await run(script, args, *more, **named)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(line, "run", twice)
            [task] = await broker.publish([make_task(1)])
            [lease] = await broker.claim(ROOM, 1)
            assert await broker.settle([verdict(lease, Move.SUCCEEDED)]) == [True]
        assert task.order == 1
        assert told == ["submitted", "started", "succeeded"]


async def test_those_who_wait_for_room_are_let_in_in_order_and_one_asks_for_all(
    redis_server: Redis, redis_queue: str, autojump_clock: trio.testing.MockClock
) -> None:
    closing = False
    accepted: list[str] = []
    refused: list[int] = []

    async def publish(broker: RedisBroker, number: int) -> None:
        try:
            [task] = await broker.publish([make_task(number)], lambda: closing)
            accepted.append(task.id)
        except QueueClosed:
            refused.append(number)

    async with open_virtual(redis_server, redis_queue, capacity=1) as broker:
        line = broker._line
        assert isinstance(line, InlineLine)
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(publish, broker, number)
                await trio.testing.wait_all_tasks_blocked()
            line.runs.clear()
            for _ in range(10):
                [lease] = await broker.claim(ROOM, 1)
                await broker.settle([verdict(lease, Move.SUCCEEDED)])
                await trio.sleep(1.0)
            assert accepted == [f"id-{number}" for number in range(11)]
            assert line.runs["publish"] == 20, "one call that lets in, and one of the next"
            closing = True
            await trio.sleep(1.0)
            assert sorted(refused) == list(range(11, 20))
