"""The Redis broker where a server, a clock or an operator does what nobody asked for."""

from __future__ import annotations

import pytest
import trio.testing

from tests.bad_days import make_task
from tests.redis_broker import open_virtual
from tests.redis_server import Server
from trioqueue import BrokerUnavailable, Move
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
