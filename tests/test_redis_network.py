"""Workers on a network that fails them go on, lose nothing, and do nothing twice without need."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
import trio

from tests.proxy_world import until
from tests.redis_server import Server, fresh_name
from trioqueue import Handle, Queue, TaskSet, _feed, open_queue
from trioqueue.brokers._redis import RedisBroker
from trioqueue.brokers._redis_open import open_redis_broker
from trioqueue.testing.chaos import TcpProxy, open_proxy

#: Seconds after which a test is taken to hang; on a machine that has much to do.
HANGS = 60.0

tasks = TaskSet()
runs: Counter[int] = Counter()
ends: Counter[str] = Counter()
gates: dict[int, trio.Event] = {}


@pytest.fixture(autouse=True)
def _fresh() -> None:
    runs.clear()
    ends.clear()
    gates.clear()


@tasks.task
async def note(number: int, seconds: float = 0.0) -> int:
    runs[number] += 1
    await trio.sleep(seconds)
    return number


@tasks.task
async def wait(number: int) -> int:
    """Until the test lets it go; by then its lease may be lost."""
    runs[number] += 1
    gate = gates.setdefault(number, trio.Event())
    try:
        await gate.wait()
    except trio.Cancelled:
        ends["cancelled"] += 1
        raise
    ends["ended"] += 1
    return number


@asynccontextmanager
async def workers(
    proxy: TcpProxy, server: Server, *, lease: float = 30.0, deadline: float = 2.0, count: int = 8
) -> AsyncGenerator[Queue]:
    more = {"lease": str(lease), "timeout": str(deadline)}
    url = server.url(fresh_name(), port=proxy.port, **more)
    async with open_queue(tasks, workers=count, broker=url) as queue:
        yield queue


@asynccontextmanager
async def world(server: Server) -> AsyncGenerator[TcpProxy]:
    """A server behind a proxy; what hangs fails."""
    with trio.fail_after(HANGS):
        async with open_proxy(server.host, server.port) as proxy:
            yield proxy


async def outage(proxy: TcpProxy, seconds: float) -> None:
    """All connections are reset and none is accepted, for so long."""
    proxy.refuse()
    proxy.reset()
    await trio.sleep(seconds)
    proxy.normal()


async def results(handles: list[Handle[int]]) -> list[int]:
    return [await handle.result() for handle in handles]


# --- while they work -----------------------------------------------------------------------------


@pytest.mark.network
@pytest.mark.parametrize("seconds", [0.7, 3.0])
async def test_a_server_that_is_away_for_a_while(own_redis: Server, seconds: float):
    """Handlers run on, as their leases last; what they did is told later; nothing is done twice."""
    async with world(own_redis) as proxy, workers(proxy, own_redis) as queue:
        waiting = await queue.submit(wait, -1)
        handles = await queue.submit_many([note.bind(number, 0.01) for number in range(400)])
        await until(lambda: len(runs) > 20)
        await outage(proxy, seconds)
        assert -1 in runs
        assert len(runs) < 400, "there was nothing left to do"
        gates[-1].set()
        assert await waiting.result() == -1
        assert await results(handles) == list(range(400))
    assert ends == {"ended": 1}
    assert set(runs.values()) == {1}, runs.most_common(3)


@pytest.mark.network
async def test_a_handler_may_end_while_the_server_is_away(own_redis: Server):
    """Its end is kept and told when the server is back, within the lease: it does not run again."""
    async with world(own_redis) as proxy, workers(proxy, own_redis) as queue:
        waiting = await queue.submit(wait, 1)
        await until(lambda: 1 in runs)
        proxy.refuse()
        proxy.reset()
        gates[1].set()
        await until(lambda: ends["ended"] == 1)
        await trio.sleep(0.3)
        proxy.normal()
        assert await waiting.result() == 1
    assert runs == {1: 1}


@pytest.mark.network
async def test_a_lease_that_cannot_be_renewed(own_redis: Server):
    """Its handler is cancelled, and the task runs again when the server is back."""
    async with (
        world(own_redis) as proxy,
        workers(proxy, own_redis, lease=0.6, deadline=0.5) as queue,
    ):
        waiting = await queue.submit(wait, 1)
        await until(lambda: 1 in runs)
        proxy.refuse()
        proxy.reset()
        await until(lambda: ends["cancelled"] == 1)
        proxy.normal()
        await until(lambda: runs[1] == 2)
        gates[1].set()
        assert await waiting.result() == 1
        history = await queue.inspector.history(waiting.id)
    assert ends == {"cancelled": 1, "ended": 1}
    assert [entry.name for entry in history].count("lost") == 1


@pytest.mark.network
async def test_a_server_that_is_silent_and_comes_back(own_redis: Server):
    """Stopped in the middle of a load: connections are open and nothing is answered."""
    async with world(own_redis) as proxy, workers(proxy, own_redis, deadline=0.6) as queue:
        handles = await queue.submit_many([note.bind(number, 0.01) for number in range(200)])
        await until(lambda: len(runs) > 20)
        own_redis.pause()
        await trio.sleep(1.5)
        own_redis.resume()
        assert await results(handles) == list(range(200))
    assert set(runs.values()) == {1}, runs.most_common(3)


@pytest.mark.network
async def test_a_server_that_restarts(start_redis: Callable[..., Server]):
    """Killed twice and started again with its append-only file, which it has to load first."""
    server = start_redis(appendonly="yes", appendfsync="always")
    async with world(server) as proxy, workers(proxy, server) as queue:
        handles = await queue.submit_many([note.bind(number, 0.01) for number in range(300)])
        for some in (50, 150):
            await until(lambda: len(runs) > some)  # noqa: B023 - used at once
            await trio.to_thread.run_sync(server.kill)
            await trio.sleep(0.2)
            server.start(wait=False)
        assert await results(handles) == list(range(300))
    assert set(runs.values()) == {1}, runs.most_common(3)


@pytest.mark.network
async def test_every_connection_is_killed_again_and_again(own_redis: Server):
    """More often than a pool of coredis has places; each loses what is on its way."""
    async with world(own_redis) as proxy, workers(proxy, own_redis) as queue:
        handles = await queue.submit_many([note.bind(number, 0.02) for number in range(600)])
        kills = 0
        while len(runs) < 600 or kills < 80:
            kills += 1
            await trio.to_thread.run_sync(_kill_all, own_redis)
            await trio.sleep(0.01)
        assert await results(handles) == list(range(600))
    assert set(runs.values()) == {1}, runs.most_common(3)


def _kill_all(server: Server) -> None:
    with server.client() as client:
        for kind in ("normal", "pubsub"):
            client.call("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")


@pytest.mark.network
async def test_replies_that_are_lost(own_redis: Server):
    """Every fifth request is carried out and its connection cut: the repeat finds it done."""
    async with world(own_redis) as proxy, workers(proxy, own_redis) as queue:
        handles: list[Handle[int]] = []
        for number in range(60):
            if number % 5 == 0:
                proxy.cut()
            handles.append(await queue.submit(note, number))
        assert await results(handles) == list(range(60))
        assert (await queue.inspector.counts()).succeeded == 60
    assert proxy.cuts == 12
    assert set(runs.values()) == {1}, runs.most_common(3)


# --- when they stop ------------------------------------------------------------------------------


async def shut_down(queue: Queue, proxy: TcpProxy) -> None:
    """Connections are refused."""
    proxy.refuse()
    proxy.reset()
    await queue.shutdown(grace=0.1)


async def leave(_: Queue, proxy: TcpProxy) -> None:
    """Connections are open and silent."""
    proxy.blackhole()
    raise KeyError("the block is left by an error")


@pytest.mark.network
@pytest.mark.parametrize("stop", [shut_down, leave])
async def test_a_stop_while_the_server_is_away(
    own_redis: Server,
    stop: Callable[[Queue, TcpProxy], Awaitable[None]],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    """It ends, and says what could not be told."""
    monkeypatch.setattr(_feed, "SETTLE_LIMIT", 0.5)
    caplog.set_level(logging.ERROR, "trioqueue")
    with suppress(KeyError):
        async with world(own_redis) as proxy, workers(proxy, own_redis, deadline=1.0) as queue:
            await queue.submit(wait, 1)
            await until(lambda: 1 in runs)
            await stop(queue, proxy)
    assert ends == {"cancelled": 1}
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "could not be told: it will run again" in caplog.text


@pytest.mark.network
async def test_a_stop_by_cancellation_gives_back_at_once(own_redis: Server):
    """All that is around the queue is cancelled: what ran is ready for others, without a wait."""
    async with world(own_redis) as proxy:
        name = fresh_name()
        with trio.CancelScope() as scope:
            url = own_redis.url(name, port=proxy.port)
            async with open_queue(tasks, workers=2, broker=url) as queue:
                await queue.submit(wait, 1)
                await until(lambda: 1 in runs)
                scope.cancel()
        async with open_redis_broker(own_redis.url().split("?")[0], queue=name) as broker:
            counts = await broker.counts()
    assert (counts.running, counts.ready) == (0, 1)
    assert ends == {"cancelled": 1}


@pytest.mark.network
@pytest.mark.parametrize("outer", [False, True], ids=["claim", "all"])
async def test_a_claim_that_is_cancelled_in_flight(own_redis: Server, outer: bool):
    """Its reply comes late, for nobody: the tasks are ready at once, and not after their lease.

    ``all``: the broker's whole block is cancelled with it.
    """
    async with world(own_redis) as proxy:
        name, plain = fresh_name(), own_redis.url().split("?")[0]
        async with open_queue(tasks, workers=0, broker=own_redis.url(name)) as queue:
            await queue.submit_many([note.bind(number) for number in range(5)])
        address = plain.replace(f":{own_redis.port}", f":{proxy.port}")
        with trio.CancelScope() as everything:
            async with open_redis_broker(address, queue=name) as broker:
                await broker.claim({"nothing": 1}, 1)  # the server knows the script from here on
                proxy.hold(replies=True, requests=False)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_claim, broker)
                    async with open_redis_broker(plain, queue=name) as other:
                        await _running(other, 5)
                        (everything if outer else nursery.cancel_scope).cancel()
                        proxy.normal()
                        if not outer:
                            await _running(other, 0)
        async with open_redis_broker(plain, queue=name) as other:
            counts = await other.counts()
            assert (counts.running, counts.ready) == (0, 5)
            assert len(await other.claim({"note": 9}, 9)) == 5


async def _claim(broker: RedisBroker) -> None:
    await broker.claim({"note": 9}, 9)


async def _running(broker: RedisBroker, number: int) -> None:
    while (await broker.counts()).running != number:  # noqa: ASYNC110 - of another process
        await trio.sleep(0.01)


@pytest.mark.network
async def test_a_claim_whose_reply_was_lost_for_good(own_redis: Server):
    """The next claim brings what it took: nobody waits for a lease of nobody to expire."""
    async with world(own_redis) as proxy:
        name, plain = fresh_name(), own_redis.url().split("?")[0]
        async with open_queue(tasks, workers=0, broker=own_redis.url(name)) as queue:
            await queue.submit_many([note.bind(number) for number in range(5)])
        address = plain.replace(f":{own_redis.port}", f":{proxy.port}")
        async with open_redis_broker(address, queue=name, timeout=0.3) as broker:
            await broker.claim({"nothing": 1}, 1)  # the server knows the script from here on
            proxy.blackhole(replies=True, requests=False)
            with pytest.raises(Exception, match="whether it was done is not known"):
                await _claim(broker)
            proxy.normal()
            proxy.reset()
            assert len(await broker.claim({"note": 9}, 9)) == 5
