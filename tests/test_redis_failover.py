"""The line asks the sentinels where the master is, and follows it when it changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import trio

from tests.redis_cluster import MASTER_NAME, Replicated, start_replicated
from tests.redis_lines import INCR, INCR_REPLICATED, TELL, lined, listening, until
from tests.redis_program import free_port
from tests.redis_server import Server, fresh_name
from trioqueue._errors import BrokerFailed, BrokerUnavailable
from trioqueue.brokers._redis_address import split_redis_url
from trioqueue.brokers._redis_wire import open_wire

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def lasting() -> Iterator[Replicated]:
    """For tests that leave the master as it is."""
    with start_replicated() as replicated:
        yield replicated


async def test_it_finds_the_next_master(redis_replicated: Replicated) -> None:
    """What the replica had is there. After a gap messages are heard from there as well."""
    async with (
        lined(redis_replicated.url(), replicas=1) as line,
        listening(line) as ears,
    ):
        assert await line.run(INCR_REPLICATED, []) == 1
        assert await line.run(TELL, [line.channel, "one"]) == 1
        assert await ears.message() == b"one"
        new = await trio.to_thread.run_sync(redis_replicated.fail_over)
        assert await line.run(INCR, []) == 2
        assert new.call("GET", f"{line.prefix}:n") == b"2"
        await ears.gap()
        assert await line.run(TELL, [line.channel, "two"]) == 1
        assert await ears.message() == b"two"


async def test_a_call_lasts_over_a_failover(redis_replicated: Replicated) -> None:
    """It began when nobody was the master, and within its deadline somebody is."""
    old, new = redis_replicated.servers
    async with lined(redis_replicated.url(), replicas=1) as line:
        assert await line.run(INCR_REPLICATED, []) == 1
        old.kill()
        assert await line.run(INCR, []) == 2
        assert new.call("GET", f"{line.prefix}:n") == b"2"


async def test_a_master_that_became_a_replica_is_left(redis_replicated: Replicated) -> None:
    """By the sentinel's own doing: both servers run, and the old one takes no writes."""
    old, new = redis_replicated.servers
    async with lined(redis_replicated.url()) as line:
        assert await line.run(INCR, []) == 1
        redis_replicated.sentinel.call("SENTINEL", "FAILOVER", MASTER_NAME)
        await until(lambda: old.info("replication")["role"] == "slave")
        number = await line.run(INCR, [])
        assert await line.run(INCR, []) == number + 1
        assert new.call("GET", f"{line.prefix}:n") == b"%d" % (number + 1)


async def test_a_replica_that_is_away_is_told(lasting: Replicated) -> None:
    """What was written is there, and the caller knows that one server alone has it.

    Others are not held up meanwhile: a lease is renewed while somebody waits for a replica.
    """
    async with lined(lasting.url(), replicas=1, deadline=4.0) as line:
        assert await line.run(INCR_REPLICATED, []) == 1
        lasting.cut_off()

        async def replicated() -> None:
            with pytest.raises(BrokerUnavailable, match="incr was done, but 0 replicas of 1"):
                await line.run(INCR_REPLICATED, [])

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(replicated)
                await until(lambda: lasting.master.call("GET", f"{line.prefix}:n") == b"2")
                assert await line.run(INCR, []) == 3
                assert lasting.master.info("clients")["blocked_clients"] == "1"
        finally:
            lasting.replica.resume()
    lasting.agree()


async def test_the_second_sentinel_is_asked(lasting: Replicated) -> None:
    """The first one in the address is away, silent, or knows nothing of the master."""
    known, _ = split_redis_url(lasting.url())
    with Server() as silent:
        silent.pause()
        for port in free_port(), silent.port:
            both = replace(known, hosts=(("127.0.0.1", port), *known.hosts))
            async with open_wire(
                both, name=fresh_name(), identity="me", deadline=30.0, replicas=0
            ) as line:
                assert await line.run(INCR, []) == 1
        silent.resume()


async def test_a_sentinel_that_does_not_know_the_master(lasting: Replicated) -> None:
    """A name is wrong, which somebody has to look at: it is said at once."""
    with pytest.raises(BrokerFailed, match="taks"):
        async with lined(lasting.url().replace("/tasks/", "/taks/")):
            pass


async def test_no_sentinel_at_all() -> None:
    """It is tried until the deadline, and no longer."""
    url = f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{free_port()}/tasks"
    with trio.fail_after(20), pytest.raises(BrokerUnavailable, match="sentinel"):
        async with lined(url, deadline=0.3):
            pass


async def test_a_server_that_was_made_a_replica_by_hand(
    start_redis: Callable[..., Server],
) -> None:
    """It is called unavailable, since its master may come back; then its writes are taken."""
    server = start_redis()
    async with lined(server.url(), deadline=0.5) as line:
        assert await line.run(INCR, []) == 1
        server.call("REPLICAOF", "127.0.0.1", free_port())
        with pytest.raises(BrokerUnavailable, match="replica"):
            await line.run(INCR, [])
        server.call("REPLICAOF", "NO", "ONE")
        assert await line.run(INCR, []) == 2
