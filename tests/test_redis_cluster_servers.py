"""The cluster and the replicated servers of the other tests are what they seem to be."""

from __future__ import annotations

import pytest

from tests.redis_client import ReplyError
from tests.redis_cluster import Cluster, Replicated
from tests.redis_server import fresh_name

pytestmark = pytest.mark.network

INCR = "return redis.call('INCR', KEYS[1] .. ':n')"


def test_a_queue_is_on_one_node(redis_cluster: Cluster) -> None:
    """Queues spread over all nodes, and the others say where to go."""
    names = [fresh_name() for _ in range(60)]
    owners = {name: redis_cluster.node_of(name) for name in names}
    assert set(owners.values()) == set(redis_cluster.nodes)
    for name in names[:10]:
        for node in redis_cluster.nodes:
            if node is owners[name]:
                assert node.call("EVAL", INCR, 1, f"tq:{{{name}}}") == 1
            else:
                with pytest.raises(ReplyError, match=f"MOVED .*:{owners[name].port}"):
                    node.call("EVAL", INCR, 1, f"tq:{{{name}}}")


def test_a_queue_moves_with_all_that_it_has(redis_cluster: Cluster) -> None:
    """A slot can be given to another node, which goes on with what is there."""
    name = fresh_name()
    old = redis_cluster.node_of(name)
    new = next(node for node in redis_cluster.nodes if node is not old)
    assert old.call("EVAL", INCR, 1, f"tq:{{{name}}}") == 1
    redis_cluster.move(name, new)
    redis_cluster.agree()
    assert redis_cluster.node_of(name) is new
    assert new.call("EVAL", INCR, 1, f"tq:{{{name}}}") == 2
    with pytest.raises(ReplyError, match=f"MOVED .*:{new.port}"):
        old.call("EVAL", INCR, 1, f"tq:{{{name}}}")


def test_messages_cross_the_cluster_by_their_slot(redis_cluster: Cluster) -> None:
    """A sharded channel is heard on the node that has the slot, and nowhere else."""
    name = fresh_name()
    channel = f"tq:{{{name}}}:@one"
    node = redis_cluster.node_of(name)
    with node.client() as listener:
        listener.call("SSUBSCRIBE", channel)
        assert node.call("SPUBLISH", channel, "a") == 1
        assert listener.read() == [b"smessage", channel.encode(), b"a"]


def test_a_replica_takes_over_and_the_old_master_follows(redis_replicated: Replicated) -> None:
    """What it had got is there; the killed one comes back as a replica and takes no writes."""
    old, new = redis_replicated.servers
    assert redis_replicated.master is old
    with old.client() as client:
        client.call("SET", "a", 1)
        assert client.call("WAIT", 1, 5_000) == 1
    assert redis_replicated.fail_over() is new
    assert new.call("INCR", "a") == 2
    old.start()
    redis_replicated.agree()
    assert redis_replicated.replica is old
    assert old.call("GET", "a") == b"2"
    with pytest.raises(ReplyError, match="READONLY"):
        old.call("INCR", "a")


def test_what_a_replica_has_not_got_is_lost(redis_replicated: Replicated) -> None:
    """A failover forgets what was acknowledged meanwhile, as a test may want it to."""
    with redis_replicated.master.client() as client:
        client.call("SET", "a", 1)
        assert client.call("WAIT", 1, 5_000) == 1
    redis_replicated.cut_off()
    assert redis_replicated.master.call("INCR", "a") == 2
    assert redis_replicated.fail_over().call("GET", "a") == b"1"
