"""Connections that die, in whatever moment and however often, use up nothing.

A pool of coredis has 64 places and forgets one with each connection that dies in use; each test
lets more than that die.
"""

from __future__ import annotations

import gc
import os

import pytest
import trio
import trio.testing

from tests.redis_lines import INCR, PATIENCE, TELL, lined, listening, until
from tests.redis_server import Redis, Server
from trioqueue._errors import BrokerFailed, BrokerUnavailable
from trioqueue.brokers._redis_line import Script
from trioqueue.brokers._redis_wire import Wire
from trioqueue.testing.chaos import open_proxy

#: More than any pool would have.
MANY = 66
#: Keeps the server busy for a millisecond or two.
BUSY = Script("busy", b"for _ = 1, 4000 do redis.call('TIME') end return 'done'")


def descriptors() -> int:
    """How many files and sockets this process has open."""
    gc.collect()
    return len(os.listdir("/dev/fd"))


def clients(server: Redis) -> int:
    """How many connections a server has besides the one that asks."""
    return int(server.info("clients")["connected_clients"]) - 1


async def test_callers_that_leave(own_redis: Server) -> None:
    """Each reply comes to its caller, or to who takes those that nobody waits for; never to both.

    They leave at any of the steps that Trio takes meanwhile. Who takes them is told of each, with
    ``None`` where there is no reply, since nothing was done.
    """
    ends: list[int | None] = []
    calls = 3 * MANY

    async def call(line: Wire, steps: int) -> None:
        async with trio.open_nursery() as nursery:
            if steps:
                nursery.start_soon(leave, nursery.cancel_scope, steps)
            else:
                nursery.cancel_scope.cancel()
            ends.append(await line.run(INCR, [], abandoned=ends.append))
            nursery.cancel_scope.cancel()

    async def leave(scope: trio.CancelScope, steps: int) -> None:
        for _ in range(1, steps):
            await trio.lowlevel.checkpoint()
        scope.cancel()

    async with lined(own_redis.url()) as line:
        for number in range(calls):
            await call(line, number % 24)
        await until(lambda: len(ends) == calls)
        done = own_redis.call("GET", f"{line.prefix}:n")
        assert sorted(end for end in ends if end) == list(range(1, int(done) + 1))
        assert 0 < int(done) < calls
        assert clients(own_redis) == 1


@pytest.mark.network
async def test_calls_without_an_answer(own_redis: Server) -> None:
    """Each gives its connection up, as nothing will ever come on it, or for another one."""
    async with (
        open_proxy(own_redis.host, own_redis.port) as proxy,
        lined(own_redis.url(port=proxy.port), deadline=0.05) as line,
    ):
        before = descriptors()
        for number in range(MANY):
            # The server does it, and its answer is lost; the next connection is a good one.
            await answered(line)
            proxy.blackhole(requests=False)
            with pytest.raises(BrokerUnavailable):
                await line.run(INCR, [])
            proxy.normal()
            assert proxy.accepted > number
        await answered(line)
        proxy.reset()
        await until(lambda: proxy.connections == 0)
        assert descriptors() <= before


@pytest.mark.network
async def test_connections_that_are_killed(own_redis: Server) -> None:
    """Those of calls that are on their way, and the one that listens, by the server."""
    async with lined(own_redis.url()) as line, listening(line) as ears:
        before = descriptors()
        for _ in range(MANY):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(line.run, BUSY, ())
                await trio.to_thread.run_sync(kill_all, own_redis)
            await ears.gap()
        assert await line.run(TELL, [line.channel, "still here"]) == 1
        assert await ears.message() == b"still here"
        assert clients(own_redis) == 2
        assert descriptors() <= before + 2


def kill_all(server: Server) -> None:
    for kind in ("NORMAL", "PUBSUB"):
        server.call("CLIENT", "KILL", "TYPE", kind, "SKIPME", "YES")


@pytest.mark.network
async def test_connections_that_are_given_up_while_they_are_made(own_redis: Server) -> None:
    """In each moment of it: nobody accepts it, or nobody answers, or nobody waits for it."""
    async with open_proxy(own_redis.host, own_redis.port) as proxy:
        url = own_redis.url(port=proxy.port)
        before = descriptors()
        for number in range(MANY):
            with trio.move_on_after(0.0004 * (number % 20)):
                async with lined(url):
                    pass
        proxy.blackhole()
        for _ in range(MANY):
            with pytest.raises(BrokerUnavailable):
                async with lined(url, deadline=0.01):
                    pass
        proxy.refuse()
        for _ in range(MANY):
            with pytest.raises(BrokerUnavailable):
                async with lined(url, deadline=0.01):
                    pass
        proxy.reset()
        await until(lambda: proxy.connections == 0)
        proxy.normal()
        assert descriptors() <= before
        async with lined(url) as line:
            assert await line.run(INCR, []) == 1


@pytest.mark.network
async def test_a_deadline_is_the_time_that_all_of_it_takes(own_redis: Server) -> None:
    """Of callers at once, when the server is stopped: they do not wait one after the other."""
    async with lined(own_redis.url(), deadline=0.3) as line:
        own_redis.pause()
        failed = 0

        async def call() -> None:
            nonlocal failed
            with pytest.raises(BrokerUnavailable):
                await line.run(INCR, [])
            failed += 1

        try:
            with trio.fail_after(0.3 * MANY / 4):
                async with trio.open_nursery() as nursery:
                    for _ in range(MANY):
                        nursery.start_soon(call)
        finally:
            own_redis.resume()
        assert failed == MANY
        await answered(line)
        await until(lambda: clients(own_redis) == 1)


async def test_a_line_that_is_left_keeps_nobody_waiting(own_redis: Server) -> None:
    """Who still waits for a reply is told, and so is who comes too late."""
    told: list[str] = []

    async def call(line: Wire) -> None:
        with pytest.raises(BrokerFailed, match="closed") as info:
            await line.run(INCR, [])
        told.append(str(info.value))

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            async with lined(own_redis.url()) as line:
                own_redis.pause()
                nursery.start_soon(call, line)  # noqa: ASYNC111 - it outlives the line
                await trio.testing.wait_all_tasks_blocked()
            own_redis.resume()
        await call(line)
    assert len(told) == 2
    await until(lambda: clients(own_redis) == 0)


async def answered(line: Wire) -> None:
    """Wait until a call gets its reply again."""
    with trio.fail_after(PATIENCE):
        while True:
            try:
                await line.run(INCR, [])
            except BrokerUnavailable:
                continue
            return
