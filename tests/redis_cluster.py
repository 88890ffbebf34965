"""A cluster of three masters, and a master with a replica and a sentinel, on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any
from urllib.parse import quote

from tests.redis_client import ReplyError
from tests.redis_program import free_port
from tests.redis_server import Server

_SLOTS = 16_384
_MASTERS = 3
#: Seconds that a cluster may take to agree, or a sentinel to make a replica the master.
_PATIENCE = 30.0
MASTER_NAME = "tasks"
#: Milliseconds of silence after which a sentinel takes a server for dead; a busy machine has some.
DOWN_AFTER = 1_000
_PERIODS = {"PING-PERIOD": 500, "INFO-PERIOD": 500, "PUBLISH-PERIOD": 100}


def await_that(condition: Callable[[], object], what: str) -> None:
    """Wait for a state of the servers, which they can be asked for and do not announce.

    A server that gets another role closes its connections.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        with suppress(ConnectionError):
            if condition():
                return
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)


class Cluster:
    """Three masters, a third of the slots each. No replicas: who kills one stops the cluster."""

    def __init__(self, nodes: list[Server]) -> None:
        self.nodes = nodes

    def url(self, queue: str = "default", **more: str) -> str:
        """With all nodes, any of which tells of the others."""
        hosts = ",".join(f"{node.host}:{node.port}" for node in self.nodes)
        query = "&".join(f"{key}={quote(value)}" for key, value in {"queue": queue, **more}.items())
        return f"redis+cluster://{hosts}/?{query}"

    def node_of(self, name: str) -> Server:
        """The one that has a queue's keys."""
        slot = self.nodes[0].call("CLUSTER", "KEYSLOT", f"tq:{{{name}}}")
        owners = {
            port: node
            for node in self.nodes
            for first, last, (_, port, *_), *_ in node.call("CLUSTER", "SLOTS")
            if first <= slot <= last
        }
        (port,) = owners
        return next(node for node in self.nodes if node.port == port)

    def agree(self) -> None:
        """Wait until all nodes say that the cluster serves, and who has what."""
        for node in self.nodes:
            await_that(partial(_serves, node), f"the cluster, at port {node.port}")

    def move(self, name: str, target: Server) -> None:
        """Move a queue's slot to another node, its keys with it: clients are redirected."""
        source = self.node_of(name)
        slot = source.call("CLUSTER", "KEYSLOT", f"tq:{{{name}}}")
        here, there = (node.call("CLUSTER", "MYID") for node in (source, target))
        target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", here)
        source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", there)
        while keys := source.call("CLUSTER", "GETKEYSINSLOT", slot, 100):
            source.call("MIGRATE", target.host, target.port, "", 0, 5_000, "KEYS", *keys)
        for node in (target, source, *self.nodes):
            node.call("CLUSTER", "SETSLOT", slot, "NODE", there)


def _serves(node: Server) -> bool:
    info = dict(line.split(":") for line in node.call("CLUSTER", "INFO").decode().split())
    slots = node.call("CLUSTER", "SLOTS")
    return bool(
        info["cluster_state"] == "ok"
        and info["cluster_known_nodes"] == str(_MASTERS)
        and sum(last - first + 1 for first, last, *_ in slots) == _SLOTS
    )


@contextmanager
def start_cluster() -> Iterator[Cluster]:
    """Takes some two seconds, which a master waits before it serves."""
    with ExitStack() as stack:
        nodes = [
            stack.enter_context(
                Server(
                    cluster_enabled="yes",
                    cluster_port=str(free_port()),
                    cluster_node_timeout="5000",
                )
            )
            for _ in range(_MASTERS)
        ]
        for number, node in enumerate(nodes):
            first, last = (_SLOTS * n // _MASTERS for n in (number, number + 1))
            node.call("CLUSTER", "ADDSLOTSRANGE", first, last - 1)
            node.call("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in nodes[1:]:
            bus = nodes[0].options["cluster-port"]
            node.call("CLUSTER", "MEET", nodes[0].host, nodes[0].port, str(bus))
        cluster = Cluster(nodes)
        cluster.agree()
        yield cluster


class Sentinel(Server):
    """Watches a master, and makes its replica the master when it is away."""

    def __init__(self, master: Server) -> None:
        super().__init__()
        self.options = {
            "sentinel": [
                f"monitor {MASTER_NAME} {master.host} {master.port} 1",
                f"down-after-milliseconds {MASTER_NAME} {DOWN_AFTER}",
                f"failover-timeout {MASTER_NAME} 2000",
            ]
        }

    def _arguments(self) -> list[str]:
        return ["--sentinel"]


class Replicated:
    """A master and a replica, which a sentinel watches. ``servers``: both, at first in that order.

    A server that was killed may be started again: the sentinel makes it a replica.
    """

    def __init__(self, servers: list[Server], sentinel: Sentinel) -> None:
        self.servers = servers
        self.sentinel = sentinel

    def url(self, queue: str = "default", **more: str) -> str:
        """With the sentinel, which tells where the master is."""
        query = "&".join(f"{key}={quote(value)}" for key, value in {"queue": queue, **more}.items())
        host, port = self.sentinel.host, self.sentinel.port
        return f"redis+sentinel://{host}:{port}/{MASTER_NAME}/0?{query}"

    @property
    def master(self) -> Server:
        """Who is the master, as the sentinel says."""
        _, port = self.sentinel.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER_NAME)
        return next(server for server in self.servers if server.port == int(port))

    @property
    def replica(self) -> Server:
        """The other one."""
        return next(server for server in self.servers if server is not self.master)

    def agree(self) -> None:
        """Wait until the sentinel knows both, and the replica has all that the master has."""
        await_that(lambda: _follows(self.replica), "the replica to follow its master")
        await_that(self._known, "the sentinel to know the replica")

    def cut_off(self) -> None:
        """From here on nothing reaches the replica, until it is resumed."""
        self.replica.pause()
        # Or what is in the buffers of the connection would still get there.
        self.master.call("CLIENT", "KILL", "TYPE", "REPLICA")

    def fail_over(self) -> Server:
        """Kill the master; returns the new one as soon as it takes writes."""
        old, new = self.master, self.replica
        old.kill()
        new.resume()
        await_that(lambda: self.master is not old, "the failover")
        await_that(lambda: _role(self.master) == b"master", "the new master")
        return self.master

    def _known(self) -> bool:
        """Whether the sentinel would take the replica for a master."""
        replicas = self.sentinel.call("SENTINEL", "REPLICAS", MASTER_NAME)
        facts = [dict(zip(each[::2], each[1::2], strict=True)) for each in replicas]
        return [(each[b"flags"], each[b"master-link-status"]) for each in facts] == [
            (b"slave", b"ok")
        ]


def _role(server: Server) -> Any:
    return server.call("ROLE")[0]


def _follows(server: Server) -> bool:
    info = server.info("replication")
    return info["role"] == "slave" and info["master_link_status"] == "up"


@contextmanager
def start_replicated(**options: str | list[str]) -> Iterator[Replicated]:
    """``options``: of both servers."""
    with ExitStack() as stack:
        master = stack.enter_context(Server(program=None, **options))
        replica = stack.enter_context(
            Server(program=None, replicaof=f"{master.host} {master.port}", **options)
        )
        await_that(lambda: _follows(replica), "the replica to follow its master")
        sentinel = stack.enter_context(Sentinel(master))
        try:
            # Looks more often, so that a test need not wait: it is the same work in less time. No
            # more often than it asks a replica for news, or the news seem too old for a failover.
            for period, milliseconds in _PERIODS.items():
                sentinel.call("SENTINEL", "DEBUG", period, milliseconds)
        except ReplyError as error:
            raise AssertionError(f"{sentinel.program} is too old: {error}") from error
        replicated = Replicated([master, replica], sentinel)
        replicated.agree()
        yield replicated
