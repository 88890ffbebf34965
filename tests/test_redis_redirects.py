"""The line finds the node of a cluster that has its keys, and follows them."""

from __future__ import annotations

import pytest
import trio

from tests.redis_cluster import Cluster
from tests.redis_lines import INCR, TELL_SHARD, lined, listening, until
from tests.redis_program import free_port
from tests.redis_server import Server, fresh_name
from trioqueue._errors import BrokerFailed, BrokerUnavailable

pytestmark = pytest.mark.network


def others(cluster: Cluster, node: Server) -> list[Server]:
    return [other for other in cluster.nodes if other is not node]


async def test_every_queue_is_found_from_every_node(redis_cluster: Cluster) -> None:
    """Whichever of the nodes the address names."""
    for node in redis_cluster.nodes:
        url = f"redis+cluster://{node.host}:{node.port}"
        for _ in range(4):
            name = fresh_name()
            async with lined(url, name=name) as line:
                assert line.cluster
                assert await line.run(INCR, []) == 1
            assert redis_cluster.node_of(name).call("GET", f"{line.prefix}:n") == b"1"


async def test_a_node_of_the_address_that_is_away_is_passed_over(redis_cluster: Cluster) -> None:
    """The next one is asked."""
    node = redis_cluster.nodes[1]
    async with lined(f"redis+cluster://127.0.0.1:{free_port()},{node.host}:{node.port}") as line:
        assert await line.run(INCR, []) == 1


async def test_keys_that_move_are_followed(redis_cluster: Cluster) -> None:
    """To one node and to the next, with messages and all; nothing is done twice or forgotten."""
    name = fresh_name()
    async with lined(redis_cluster.url(), name=name) as line, listening(line) as ears:
        for turn in (1, 2):
            target = others(redis_cluster, redis_cluster.node_of(name))[0]
            assert await line.run(INCR, []) == 2 * turn - 1
            await trio.to_thread.run_sync(redis_cluster.move, name, target)
            await ears.gap()  # without any call: the server says that the slot has gone
            assert await line.run(INCR, []) == 2 * turn
            assert await line.run(TELL_SHARD, [line.channel, f"{turn}"]) == 1
            assert await ears.message() == b"%d" % turn
            await trio.to_thread.run_sync(redis_cluster.agree)


async def test_nothing_runs_on_half_of_the_keys(redis_cluster: Cluster) -> None:
    """While keys are moved some are here and some there: a script would see only a part of them.

    Its server sends the client on with ``ASK``, which must not be followed.
    """
    name = fresh_name()
    source = redis_cluster.node_of(name)
    target = others(redis_cluster, source)[0]
    async with lined(redis_cluster.url(), name=name, deadline=0.5) as line:
        assert await line.run(INCR, []) == 1
        slot = source.call("CLUSTER", "KEYSLOT", line.prefix)
        here, there = (node.call("CLUSTER", "MYID") for node in (source, target))
        target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", here)
        source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", there)
        try:
            with pytest.raises(BrokerUnavailable):
                await line.run(INCR, [])
        finally:
            for node in (source, target):
                node.call("CLUSTER", "SETSLOT", slot, "STABLE")
        assert await line.run(INCR, []) == 2
        assert target.call("CLUSTER", "COUNTKEYSINSLOT", slot) == 0


async def test_a_call_waits_for_the_end_of_a_move(redis_cluster: Cluster) -> None:
    """One that meets it is carried out after it, within its deadline."""
    name = fresh_name()
    source = redis_cluster.node_of(name)
    target = others(redis_cluster, source)[0]
    async with lined(redis_cluster.url(), name=name) as line:
        assert await line.run(INCR, []) == 1
        slot = source.call("CLUSTER", "KEYSLOT", line.prefix)
        source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", target.call("CLUSTER", "MYID"))
        replies: list[int] = []
        async with trio.open_nursery() as nursery:

            async def call() -> None:
                replies.append(await line.run(INCR, []))

            before = errors(source, "ASK")
            nursery.start_soon(call)
            await until(lambda: errors(source, "ASK") != before)
            assert replies == []
            await trio.to_thread.run_sync(redis_cluster.move, name, target)
        assert replies == [2]
        assert target.call("GET", f"{line.prefix}:n") == b"2"
    redis_cluster.agree()


def errors(server: Server, error: str) -> str:
    return server.info("errorstats").get(f"errorstat_{error}", "")


async def test_a_server_without_a_cluster(own_redis: Server) -> None:
    """Somebody has to look at the address."""
    with pytest.raises(BrokerFailed, match="cluster"):
        async with lined(f"redis+cluster://{own_redis.host}:{own_redis.port}", deadline=1.0):
            pass


async def test_a_cluster_that_was_taken_for_a_single_server(redis_cluster: Cluster) -> None:
    """The keys are on another node, which no waiting will change: what to write is said."""
    name = fresh_name()
    node = others(redis_cluster, redis_cluster.node_of(name))[0]
    async with lined(f"redis://{node.host}:{node.port}", name=name, deadline=1.0) as line:
        with pytest.raises(BrokerFailed, match=r"redis\+cluster://"):
            await line.run(INCR, [])
