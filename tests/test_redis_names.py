"""Whatever names, keys and payloads there are: the keys of a queue share a slot, and are whole."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from tests.redis_audit import audit
from tests.redis_broker import a_task, line_of, open_virtual, room
from tests.redis_server import Redis, fresh_name
from trioqueue import Move
from trioqueue.testing.conformance._bench import verdict

ODD = ("with space", "ünï→çode", "{braces}", "}{", "a:b:@c", "*?[x]\\", "-1", "%d %s", "x" * 5_000)


async def test_all_keys_share_the_hash_tag(
    redis_server: Redis, redis_queue: str, autojump_clock: MockClock
) -> None:
    """A cluster hashes what is between the first brace and the next one that closes it."""
    async with open_virtual(redis_server, redis_queue, capacity=50) as broker:
        await broker.pause("{paused}")
        tasks = [
            a_task(f"{{{name}}}1", name, queue=name, key=name, payload=b"x" * size, delay=delay)
            for name in ODD
            for size, delay in ((10, 0.0), (1_000, 5.0))
        ]
        await broker.publish(tasks)
        leases = await broker.claim(room(*ODD), 5)
        await broker.settle([verdict(leases[0], Move.SUCCEEDED), verdict(leases[1], Move.DIED)])
        keys = redis_server.keys(redis_queue)
    assert len(keys) >= 30
    for key in [*keys, line_of(broker).channel]:
        assert key.startswith(f"tq:{{{redis_queue}}}:")
        assert key[key.index("{") + 1 : key.index("}")] == redis_queue
    audit(redis_server, redis_queue)


@pytest.mark.parametrize("name", ODD, ids=range(len(ODD)))
async def test_odd_names_are_names(
    redis_server: Redis, redis_queue: str, name: str, autojump_clock: MockClock
) -> None:
    """Of types, queues and keys; they stand for nothing but themselves."""
    async with open_virtual(redis_server, redis_queue) as broker:
        await broker.publish([a_task("1", name, queue=name, key=name), a_task("2", "y", queue="q")])
        [same] = await broker.publish([a_task("3", name, queue=name, key=name)])
        assert same.id == "1"
        assert [lane[:2] for lane in await broker.lanes()] == sorted([(name, name), ("q", "y")])
        assert [task.id for task in await broker.tasks(type=name)] == ["1"]
        assert [task.id for task in await broker.tasks(queue=name)] == ["1"]
        await broker.pause(name)
        assert await broker.claim(room(name), 9) == []
        await broker.resume(name)
        assert await broker.claim(room(name), 9, ["q"]) == []
        [lease] = await broker.claim(room(name), 9, [name])
        options = lease.task.options
        assert (lease.task.type, options.queue, options.key) == (name, name, name)
        assert not await broker.is_drained([name], [name])
        await broker.settle([verdict(lease, Move.SUCCEEDED)])
        assert await broker.is_drained([name], [name])
        audit(redis_server, redis_queue)


@pytest.mark.parametrize("name", ["with space", "ünï→çode", "a:b:@c", "*?[x]\\", "x" * 1_000])
async def test_odd_names_of_the_queue_itself(
    redis_server: Redis, name: str, autojump_clock: MockClock
) -> None:
    name = fresh_name() + name
    try:
        async with (
            open_virtual(redis_server, name) as broker,
            open_virtual(redis_server, name + "2") as other,
        ):
            await broker.publish([a_task("1")])
            assert (await other.counts()).submitted == 0
            assert len(await broker.claim(room(), 9)) == 1
        assert audit(redis_server, name).tasks.keys() == {"1"}
    finally:
        for key in audit(redis_server, name).tasks:
            assert key == "1"
        redis_server.call("DEL", *_all_keys(redis_server, name))


def _all_keys(redis_server: Redis, name: str) -> list[bytes]:
    found: list[bytes] = redis_server.call("KEYS", "*")
    return [key for key in found if name.encode() in key]


@pytest.mark.parametrize("size", [0, 1, 31, 32, 255, 256, 512, 513, 65_535, 65_536, 1_000_000])
async def test_a_payload_is_any_bytes(
    redis_server: Redis, redis_queue: str, size: int, autojump_clock: MockClock
) -> None:
    """And so is a result; of every length that is written down in another way."""
    data = (bytes(range(256)) * (size // 256 + 1))[:size]
    async with open_virtual(redis_server, redis_queue) as broker:
        await broker.publish([a_task("1", payload=data)])
        [lease] = await broker.claim(room(), 1)
        assert lease.task.payload == data
        assert await broker.settle([verdict(lease, Move.SUCCEEDED, result=data)]) == [True]
        task = await broker.get("1")
        assert task is not None
        assert task.outcome is not None
        assert task.outcome.value == data
        audit(redis_server, redis_queue)
