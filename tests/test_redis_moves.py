"""Workers whose queue moves to another server while they work: by a failover, or with its slot."""

from __future__ import annotations

from collections import Counter

import pytest
import trio

from tests.proxy_world import until
from tests.redis_cluster import Cluster, Replicated
from tests.redis_server import Redis, fresh_name
from trioqueue import BrokerUnavailable, Handle, TaskSet, open_queue
from trioqueue.brokers._redis_address import split_redis_url
from trioqueue.brokers._redis_line import Script
from trioqueue.brokers._redis_wire import open_wire

pytestmark = pytest.mark.network

#: Seconds after which a test is taken to hang; on a machine that has much to do.
HANGS = 60.0

tasks = TaskSet()
runs: Counter[int] = Counter()
cancelled: list[int] = []
gate = [trio.Event()]


@pytest.fixture(autouse=True)
def _fresh() -> None:
    runs.clear()
    cancelled.clear()
    gate[0] = trio.Event()


@tasks.task
async def note(number: int) -> int:
    runs[number] += 1
    await trio.sleep(0.01)
    return number


@tasks.task
async def wait(number: int) -> int:
    """Until the test lets it go: it runs before the move, and after."""
    runs[number] += 1
    try:
        await gate[0].wait()
    except trio.Cancelled:
        cancelled.append(number)
        raise
    return number


async def results(handles: list[Handle[int]]) -> list[int]:
    return [await handle.result() for handle in handles]


def offset(server: Redis) -> int:
    """How much a server has of what its master, or it itself, has written."""
    info = server.info("replication")
    return int(info.get("slave_repl_offset") or info["master_repl_offset"])


def fail_over(replicated: Replicated) -> None:
    """The master dies, the replica takes its place, and the dead one comes back as a replica."""
    old = replicated.master
    replicated.fail_over()
    old.start()


@pytest.mark.parametrize("replicas", [0, 1])
async def test_a_failover_in_the_middle(redis_replicated: Replicated, replicas: int):
    """Handlers run on, nothing is lost; only what was in hand then may be done twice.

    ``replicas``: what the queue waits for. With none, the last answers may be lost; with one, what
    has been claimed before other things were settled is copied as they are.
    """
    url = redis_replicated.url(fresh_name(), lease="30", replicas=str(replicas), timeout="10")
    with trio.fail_after(HANGS):
        async with open_queue(tasks, workers=8, broker=url) as queue:
            waiting = await queue.submit(wait, -1)
            handles = await queue.submit_many([note.bind(number) for number in range(300)])
            await until(lambda: len(runs) > 50)
            written = offset(redis_replicated.master)  # the submits and the first claims
            await until(lambda: offset(redis_replicated.replica) >= written)
            await trio.to_thread.run_sync(fail_over, redis_replicated)
            gate[0].set()
            assert await waiting.result() == -1
            assert await results(handles) == list(range(300))
    assert cancelled == []
    assert runs[-1] == 1
    assert set(runs) == set(range(-1, 300))
    assert set(runs.values()) <= {1, 2}


@pytest.mark.parametrize("times", [1, 3])
async def test_a_slot_that_moves_in_the_middle(redis_cluster: Cluster, times: int):
    """To another node, or from one to the next: handlers run on, nothing is done twice."""
    name = fresh_name()
    with trio.fail_after(HANGS):
        async with open_queue(tasks, workers=8, broker=redis_cluster.url(name)) as queue:
            waiting = await queue.submit(wait, -1)
            handles = await queue.submit_many([note.bind(number) for number in range(300)])
            for some in range(times):
                await until(lambda: len(runs) > 50 * (some + 1))  # noqa: B023 - used at once
                here = redis_cluster.node_of(name)
                there = next(node for node in redis_cluster.nodes if node is not here)
                await trio.to_thread.run_sync(redis_cluster.move, name, there)
            gate[0].set()
            assert await waiting.result() == -1
            assert await results(handles) == list(range(300))
    assert cancelled == []
    assert set(runs) == set(range(-1, 300))
    assert set(runs.values()) == {1}, runs.most_common(3)


async def test_messages_come_from_the_new_node(redis_cluster: Cluster):
    """Who waits idle is called when the queue is elsewhere, and a cancel reaches its handler."""
    name = fresh_name()
    with trio.fail_after(HANGS):
        async with open_queue(tasks, workers=2, broker=redis_cluster.url(name)) as queue:
            assert await (await queue.submit(note, 1)).result() == 1
            here = redis_cluster.node_of(name)
            there = next(node for node in redis_cluster.nodes if node is not here)
            await trio.to_thread.run_sync(redis_cluster.move, name, there)
            waiting = await queue.submit(wait, -1)
            await until(lambda: -1 in runs)
            assert await waiting.cancel()
            await until(lambda: cancelled == [-1])


SET_ONCE = Script("set", b"return redis.call('SETNX', KEYS[1] .. ':n', '1')", replicated=True)


async def test_a_repeat_that_writes_nothing(redis_replicated: Replicated):
    """Is not told as copied when the replica is silent, though its connection has written nothing.

    Valkey waits for what a connection has written itself, and this one is new.
    """
    address, _ = split_redis_url(redis_replicated.url())
    with trio.fail_after(HANGS):
        async with open_wire(
            address, name=fresh_name(), identity="me", deadline=2.0, replicas=1
        ) as wire:
            redis_replicated.replica.pause()
            for _ in range(2):
                with pytest.raises(BrokerUnavailable, match="0 replicas of 1 have it"):
                    await wire.run(SET_ONCE, ())
                redis_replicated.master.call("CLIENT", "KILL", "TYPE", "normal")
            redis_replicated.replica.resume()
            assert await wire.run(SET_ONCE, ()) == 0
