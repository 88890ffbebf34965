"""What a failover loses, and what it does not lose when the queue waits for a replica."""

from __future__ import annotations

from collections import Counter

import pytest
import trio

from tests.bad_days import make_task
from tests.redis_cluster import Replicated
from tests.redis_lines import until
from tests.redis_server import Server, fresh_name
from trioqueue import BrokerUnavailable, Handle, Move, TaskSet, UnknownTask, open_queue
from trioqueue._patience import patiently
from trioqueue.brokers._redis_open import open_redis_broker
from trioqueue.testing.conformance._bench import verdict

pytestmark = pytest.mark.network

#: Seconds after which a test is taken to hang; on a machine that has much to do.
HANGS = 90.0

tasks = TaskSet()
runs: Counter[int] = Counter()


@pytest.fixture(autouse=True)
def _fresh() -> None:
    runs.clear()


@tasks.task
async def note(number: int) -> int:
    runs[number] += 1
    await trio.sleep(0.01)
    return number


def has(server: Server, name: str, handle: Handle[int]) -> bool:
    """Whether a server has got a task."""
    return any(handle.id in key for key in server.keys(name))


def kill(server: Server) -> None:
    """All connections of clients; those of replicas stay."""
    server.call("CLIENT", "KILL", "TYPE", "NORMAL", "SKIPME", "YES")


async def test_what_was_told_is_not_lost(redis_replicated: Replicated) -> None:
    """With ``replicas=1``: a task that was accepted runs, and one that has a result does not again.

    While there is no replica nobody is told of anything; work goes on when there is one.
    """
    url = redis_replicated.url(fresh_name(), replicas="1", lease="5", timeout="2")
    told: list[int] = []

    async def hear(handle: Handle[int]) -> None:
        told.append(await handle.result())

    with trio.fail_after(HANGS):
        async with (
            open_queue(tasks, workers=4, broker=url) as queue,
            trio.open_nursery() as nursery,
        ):
            for handle in await queue.submit_many([note.bind(number) for number in range(400)]):
                nursery.start_soon(hear, handle)
            await until(lambda: len(told) > 40)
            await trio.to_thread.run_sync(redis_replicated.cut_off)
            await until(lambda: len(runs) > len(told))
            with trio.move_on_after(0.5):  # in which a queue that does not wait tells more
                await until(lambda: len(told) > 120)
            before = list(told)
            old = redis_replicated.master
            await trio.to_thread.run_sync(redis_replicated.fail_over)
            await trio.to_thread.run_sync(old.start)
    assert sorted(told) == list(range(400))
    assert len(before) < 400  # or it was not in the middle of anything
    assert {number: runs[number] for number in before} == dict.fromkeys(before, 1)


async def test_a_repeat_does_not_make_it_true(redis_replicated: Replicated) -> None:
    """What is done already is not told as replicated, on whichever connection it is asked again.

    A server answers ``WAIT`` for what was written on the same connection: a repeat that wrote
    nothing, on a new one, would be told at once that the replica has it all.
    """
    name = fresh_name()
    url = redis_replicated.url().partition("?")[0]
    with trio.fail_after(HANGS):
        async with open_redis_broker(url, queue=name, replicas=1, timeout=1.0) as broker:
            await broker.publish([make_task(1)])
            [delivery] = await broker.claim({"note": 100}, 1)
            settlement = verdict(delivery, Move.SUCCEEDED)
            redis_replicated.replica.pause()  # it stays connected
            for _ in range(2):
                with pytest.raises(BrokerUnavailable, match="publish was done, but 0 replicas"):
                    await broker.publish([make_task(2)])
                await trio.to_thread.run_sync(kill, redis_replicated.master)
                with pytest.raises(BrokerUnavailable, match="settle was done, but 0 replicas"):
                    await broker.settle([settlement])
                await trio.to_thread.run_sync(kill, redis_replicated.master)
            redis_replicated.replica.resume()
            await patiently(lambda: broker.publish([make_task(2)]))
            settled = await patiently(lambda: broker.settle([settlement]))
    assert settled == [True]


async def test_what_was_lost_is_unknown(redis_replicated: Replicated) -> None:
    """Without ``replicas`` a submit may be answered by a server that dies with the task.

    Who asks for the result is told so, and does not wait for ever; other tasks are not touched.
    """
    name = fresh_name()
    url = redis_replicated.url(name, timeout="2")
    with trio.fail_after(HANGS):
        async with open_queue(tasks, workers=0, broker=url) as queue:
            kept = await queue.submit(note, 1)
            await until(lambda: has(redis_replicated.replica, name, kept))
            await trio.to_thread.run_sync(redis_replicated.cut_off)
            lost = await queue.submit(note, 2)
            await trio.to_thread.run_sync(redis_replicated.fail_over)
            async with open_queue(tasks, workers=1, broker=url):
                assert await kept.result() == 1
            with pytest.raises(UnknownTask):
                await lost.result()
    assert runs == {1: 1}
