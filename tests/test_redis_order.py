"""Order and room: priorities to the edges, queues side by side, cancellation by message, bounds."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tests.redis_audit import audit
from tests.redis_broker import a_task, ids_of, line_of, open_virtual, room
from tests.redis_server import Redis
from trioqueue import Move, QueueClosed, QueueFull, State
from trioqueue._model import Lease
from trioqueue.brokers._redis import RedisBroker
from trioqueue.testing.conformance._bench import verdict

#: The last number that is exact next to the highest and the lowest priority.
LAST = 2**44 - 1


async def test_priorities_are_exact_to_the_edges(
    redis_server: Redis, redis_queue: str, autojump_clock: MockClock
) -> None:
    """With as many tasks accepted before as there ever can be: no two stand at the same place."""
    async with open_virtual(redis_server, redis_queue) as broker:
        await broker.publish([a_task("first")])
        redis_server.call("HSET", f"{line_of(broker).prefix}:m", "counter", LAST - 20)
        for number in range(2):
            for priority in (0, 1, 100, 254, 255):
                await broker.publish([a_task(f"{priority}/{number}", priority=priority)])
        wanted = ["255/0", "255/1", "254/0", "254/1", "first", "100/0", "100/1", "1/0", "1/1"]
        leases = await broker.claim(room(), 5)
        assert [lease.task.id for lease in leases] == wanted[:5]
        audit(redis_server, redis_queue)
        await broker.settle([verdict(lease, Move.RELEASED) for lease in reversed(leases)])
        await broker.publish([a_task("late", priority=255)])
        audit(redis_server, redis_queue)
        found = await ids_of(broker.claim(room(), 99))
        assert found == [*wanted[:2], "late", *wanted[2:], "0/0", "0/1"]


async def test_no_queue_starves(
    redis_server: Redis, redis_queue: str, autojump_clock: MockClock
) -> None:
    """Tasks of several queues and types start in the order in which they became ready."""
    async with open_virtual(redis_server, redis_queue) as broker:
        lanes = [(queue, kind) for queue in "abc" for kind in "xy"]
        order: list[str] = []
        for number in range(30):
            queue, kind = lanes[number * number % len(lanes)]
            delay = 5.0 if number % 5 == 0 else 0.0
            await broker.publish([a_task(f"{number:02}", kind, queue=queue, delay=delay)])
            order += [f"{number:02}"] if not delay else []
        taken = await ids_of(broker.claim(room("x", "y"), 10))
        await trio.sleep(5.1)
        taken += await ids_of(broker.claim(room("x", "y"), 7))
        taken += await ids_of(broker.claim(room("x", "y"), 99))
        assert taken == order + [f"{number:02}" for number in range(0, 30, 5)]


async def test_cancelling_reaches_the_holder_by_message(
    redis_server: Redis, redis_queue: str, autojump_clock: MockClock
) -> None:
    """At once, in another opening, and without a renewal."""
    async with (
        open_virtual(redis_server, redis_queue) as holder,
        open_virtual(redis_server, redis_queue) as other,
    ):
        asked: list[Lease] = []
        holder.watch(asked.append, None)
        await holder.publish([a_task("1"), a_task("2")])
        one, two = await holder.claim(room(), 2)
        assert await other.cancel("2") is True
        assert asked == [two]
        assert (one.cancel_requested, two.cancel_requested) == (False, True)
        assert await other.revoke("1") is True
        assert asked == [two, one]
        assert one.lost
        assert line_of(holder).runs["renew"] == 0


@pytest.mark.parametrize("late", [False, True])
async def test_a_full_queue_makes_wait(
    redis_server: Redis, redis_queue: str, autojump_clock: MockClock, late: bool
) -> None:
    """In another opening, until there is room for all; then it is accepted at once."""
    options = {"capacity": 2, "late": late}
    async with (
        open_virtual(redis_server, redis_queue, **options) as one,
        open_virtual(redis_server, redis_queue, **options) as two,
        trio.open_nursery() as nursery,
    ):
        await one.publish([a_task("1"), a_task("2", delay=50.0)])
        nursery.start_soon(two.publish, [a_task("3"), a_task("4")])
        await trio.sleep(1)
        assert (await one.counts()).submitted == 2
        assert (await one.counts()).waiting_submitters == 1
        [lease] = await one.claim(room(), 1)
        await one.settle([verdict(lease, Move.SUCCEEDED)])
        await trio.sleep(1)
        assert (await one.counts()).submitted == 2, "there is room for one"
        assert await one.cancel("2")
        await trio.sleep(0.1)
        assert (await one.counts()).submitted == 4
        assert (await one.counts()).waiting_submitters == 0
        audit(redis_server, redis_queue)


async def test_a_full_queue_refuses_if_it_was_told_to(
    redis_server: Redis, redis_queue: str, autojump_clock: MockClock
) -> None:
    """What is there already needs no room."""
    async with open_virtual(redis_server, redis_queue, capacity=2, full="refuse") as broker:
        await broker.publish([a_task("1", key="k"), a_task("2")])
        with pytest.raises(QueueFull, match="2 open tasks"):
            await broker.publish([a_task("3")])
        with pytest.raises(QueueFull):
            await broker.publish([a_task("1"), a_task("3")])
        same = await broker.publish([a_task("2"), a_task("4", key="k")])
        assert [task.id for task in same] == ["2", "1"]
        counts = await broker.counts()
        assert (counts.submitted, counts.waiting_submitters) == (2, 0)
        audit(redis_server, redis_queue)


async def test_who_waits_for_room_hears_of_a_close(
    redis_server: Redis, redis_queue: str, autojump_clock: MockClock
) -> None:
    async with open_virtual(redis_server, redis_queue, capacity=1) as broker:
        await broker.publish([a_task("1")])
        closes_at = trio.current_time() + 3
        with pytest.raises(QueueClosed):
            await broker.publish([a_task("2")], lambda: trio.current_time() >= closes_at)
        assert closes_at <= trio.current_time() <= closes_at + 0.2
        assert (await broker.counts()).submitted == 1


async def test_one_opening_watches_the_clock_for_all(
    redis_server: Redis, redis_queue: str, autojump_clock: MockClock
) -> None:
    """While it lives; what is due sooner than it knows, it is told."""
    async with open_virtual(redis_server, redis_queue, poll=5.0) as heir:
        async with open_virtual(redis_server, redis_queue, poll=5.0) as warden:
            await trio.sleep(100)
            brokers = [heir, warden]
            if line_of(heir).runs["tend"] > line_of(warden).runs["tend"]:
                brokers.reverse()
            watched = [line_of(broker).runs["tend"] for broker in brokers]
            await trio.sleep(100)
            grown = [line_of(b).runs["tend"] - n for b, n in zip(brokers, watched, strict=True)]
            assert grown[1] > 0
            assert grown[0] <= 25, "a look at whether the other is there, now and then"
            for broker, task_id in ((heir, "1"), (warden, "2")):
                await broker.publish([a_task(task_id, delay=1.0)])
                await trio.sleep(1.01)
                assert await state(broker, task_id) is State.READY
            await heir.publish([a_task("3", delay=30.0)])
        await trio.sleep(30.01)
        assert await state(heir, "3") is State.READY, "the other is gone"


async def test_a_result_has_its_time(
    redis_server: Redis, redis_queue: str, autojump_clock: MockClock
) -> None:
    """Then it is dropped on the server too; the end is known for a day."""
    async with open_virtual(redis_server, redis_queue, retention=50.0) as broker:
        await broker.publish([a_task("1", payload=b"x" * 1_000)])
        [lease] = await broker.claim(room(), 1)
        await broker.settle([verdict(lease, Move.SUCCEEDED, result=b"y" * 1_000)])
        await trio.sleep(49.9)
        assert await stored(broker) is True
        assert audit(redis_server, redis_queue, retention=50.0).tasks["1"].has_result
        await trio.sleep(0.2)
        assert await stored(broker) is False
        assert not audit(redis_server, redis_queue, retention=50.0).tasks["1"].has_result
        await trio.sleep(86_300)  # noqa: ASYNC116 - virtual seconds
        assert await state(broker, "1") is State.SUCCEEDED
        await trio.sleep(100)
        assert await broker.get("1") is None
        assert not audit(redis_server, redis_queue, retention=50.0).tasks


async def test_what_was_purged_is_forgotten_in_its_time(
    redis_server: Redis, redis_queue: str, autojump_clock: MockClock
) -> None:
    """Though nothing else goes on by which somebody would look."""
    async with open_virtual(redis_server, redis_queue) as broker:
        await broker.publish([a_task("1")])
        [lease] = await broker.claim(room(), 1)
        await broker.settle([verdict(lease, Move.DIED)])
        await trio.sleep(100_000)  # noqa: ASYNC116 - virtual seconds
        await broker.purge("1")
        audit(redis_server, redis_queue)
        await trio.sleep(86_300)  # noqa: ASYNC116 - virtual seconds
        assert await state(broker, "1") is State.PURGED
        await trio.sleep(20_000)
        assert await broker.get("1") is None


async def state(broker: RedisBroker, task_id: str) -> State:
    task = await broker.get(task_id)
    assert task is not None
    return task.state


async def stored(broker: RedisBroker) -> bool:
    task = await broker.get("1")
    assert task is not None
    assert task.outcome is not None
    return task.outcome.stored
