"""Finding the server of a queue: which of those who may know is asked, and who is believed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import trio

from tests.redis_fake import HELLO, SILENCE, FakeServer, array, bulk, error, faked
from tests.redis_server import Server
from trioqueue import BrokerFailed, BrokerUnavailable
from trioqueue.brokers import _redis_find
from trioqueue.brokers._redis_address import RedisAddress
from trioqueue.brokers._redis_find import Finder
from trioqueue.brokers._redis_line import Script
from trioqueue.brokers._redis_wire import open_wire

HANGS = 30.0
ONE = Script("one", b"return 1", again=False)
REPLICA = HELLO.replace(b"$6\r\nmaster", b"$7\r\nreplica")
ASK = "GET-MASTER-ADDR-BY-NAME"


def at(server: FakeServer) -> bytes:
    """How a sentinel names a server."""
    return array(bulk(server.host), bulk(str(server.port)))


def places(*servers: FakeServer | Server) -> tuple[tuple[str, int], ...]:
    return tuple((server.host, server.port) for server in servers)


async def run_one(address: RedisAddress, *, deadline: float = HANGS) -> int:
    with trio.fail_after(2 * HANGS):
        async with open_wire(
            address, name="line", identity="me", deadline=deadline, replicas=0
        ) as wire:
            return int(await wire.run(ONE, ()))


# --- sentinels -----------------------------------------------------------------------------------


@pytest.mark.network
async def test_the_first_sentinel_that_answers():
    """One is not there, one is silent, one is loading, one knows no such master."""
    async with AsyncExitStack() as stack:
        master = await stack.enter_async_context(faked())
        silent = await stack.enter_async_context(faked(HELLO=SILENCE))
        loading = await stack.enter_async_context(faked(SENTINEL=error("LOADING for a while")))
        foreign = await stack.enter_async_context(faked(SENTINEL=b"_\r\n"))
        knows = await stack.enter_async_context(faked(SENTINEL=at(master)))
        hosts = (("127.0.0.1", 1), *places(silent, loading, foreign, knows))
        address = RedisAddress("sentinel", hosts, service="mine")
        assert await run_one(address) == 1
        assert knows.words[-1] == [b"SENTINEL", ASK.encode(), b"mine"]


@pytest.mark.network
async def test_more_silent_sentinels_than_an_attempt_has_time_for(
    monkeypatch: pytest.MonkeyPatch,
):
    """The next attempt goes on where the last one was: the one that knows is found."""
    monkeypatch.setattr(_redis_find, "_EACH", 0.2)
    async with AsyncExitStack() as stack:
        master = await stack.enter_async_context(faked())
        silent = [await stack.enter_async_context(faked(HELLO=SILENCE)) for _ in range(4)]
        knows = await stack.enter_async_context(faked(SENTINEL=at(master)))
        address = RedisAddress("sentinel", places(*silent, knows), service="mine")
        assert await run_one(address, deadline=1.4) == 1  # half of it is for one attempt


@pytest.mark.network
async def test_no_sentinel_knows_the_master():
    """That is nothing to wait for; unless one of them was not reached, who may know it."""
    async with faked(SENTINEL=b"_\r\n") as one, faked(SENTINEL=b"_\r\n") as other:
        address = RedisAddress("sentinel", places(one, other), service="mine")
        with pytest.raises(BrokerFailed, match="knows no master 'mine'"):
            await run_one(address)
        address = RedisAddress("sentinel", (("127.0.0.1", 1), *places(one)), service="mine")
        with pytest.raises(BrokerUnavailable, match="none of the sentinels told"):
            await run_one(address, deadline=0.6)


async def test_a_sentinel_that_wants_a_password():
    """Its own, and not the server's; neither is shown."""
    address = RedisAddress("sentinel", (), service="mine", password="secret-of-servers")
    async with faked(SENTINEL=error("NOAUTH Authentication required.")) as one:
        with pytest.raises(BrokerFailed, match="check the user and the password") as caught:
            await run_one(_of(address, one))
        assert "secret" not in str(caught.value)
        assert b"AUTH" not in one.words[0]
    async with faked() as master, faked(SENTINEL=at(master)) as one:
        own: dict[str, Any] = {"sentinel_user": "s", "sentinel_password": "secret-of-sentinels"}
        assert await run_one(_of(address, one, **own)) == 1
        assert one.words[0][2:5] == [b"AUTH", b"s", b"secret-of-sentinels"]
        assert master.words[0][2:5] == [b"AUTH", b"default", b"secret-of-servers"]


def _of(address: RedisAddress, *servers: FakeServer, **more: Any) -> RedisAddress:
    kind, service, password = address.kind, address.service, address.password
    return RedisAddress(kind, places(*servers), service=service, password=password, **more)


async def test_a_sentinel_that_is_behind():
    """It names the old master, which is dead, or a replica by now: the next one is asked."""
    async with faked() as master, faked(SENTINEL=at(master)) as ahead:
        async with faked(HELLO=REPLICA) as old, faked(SENTINEL=at(old)) as behind:
            address = RedisAddress("sentinel", places(behind, ahead), service="mine")
            assert await run_one(address) == 1
            assert (old.asked["EVALSHA"], master.asked["EVALSHA"]) == (0, 1)
        async with faked(SENTINEL=array(bulk("127.0.0.1"), bulk("1"))) as behind:
            address = RedisAddress("sentinel", places(behind, ahead), service="mine")
            assert await run_one(address) == 1


@pytest.mark.network
async def test_a_failover_that_takes_its_time():
    """All name a replica for a while, until it is the master."""
    async with faked(HELLO=REPLICA) as server, faked(SENTINEL=at(server)) as sentinel:
        address = RedisAddress("sentinel", places(sentinel), service="mine")
        with pytest.raises(BrokerUnavailable, match="which is no master"):
            await run_one(address, deadline=0.6)

        def elected(*_: bytes) -> bytes:
            return HELLO if server.asked["HELLO"] > 3 else REPLICA

        server.answers["HELLO"] = elected
        server.asked.clear()
        assert await run_one(address) == 1


# --- clusters ------------------------------------------------------------------------------------


def slots(*ranges: tuple[int, int, bytes, int]) -> bytes:
    """What ``CLUSTER SLOTS`` answers: from, to, the name as it is sent, the port."""
    return array(
        *(
            array(b":%d\r\n" % first, b":%d\r\n" % last, array(name, b":%d\r\n" % port, bulk("id")))
            for first, last, name, port in ranges
        )
    )


def node(answer: Callable[[], bytes] | bytes) -> Callable[..., bytes]:
    """Answers CLUSTER: the slot 7, and who has which slots."""

    def cluster(what: bytes, *_: bytes) -> bytes:
        if what == b"KEYSLOT":
            return b":7\r\n"
        return answer() if callable(answer) else answer

    return cluster


@pytest.mark.parametrize("name", [bulk("127.0.0.1"), bulk(""), bulk("?"), b"_\r\n"])
async def test_the_owner_of_the_slot(name: bytes):
    """A node that knows no name of another one means its own host."""
    async with faked() as owner, faked() as asked:
        asked.answers["CLUSTER"] = node(slots((0, 6, bulk("no"), 1), (7, 9, name, owner.port)))
        assert await run_one(RedisAddress("cluster", places(asked))) == 1
        assert (asked.asked["EVALSHA"], owner.asked["EVALSHA"]) == (0, 1)


@pytest.mark.parametrize("host", ["127.0.0.1", ""])
async def test_a_slot_that_has_moved(host: str):
    """Who says so is believed at once, whatever the nodes that are asked say still."""
    async with faked() as new, faked() as old:
        old.answers["CLUSTER"] = node(slots((0, 16_383, bulk(old.host), old.port)))
        old.answers["EVALSHA"] = error(f"MOVED 7 {host}:{new.port}")
        assert await run_one(RedisAddress("cluster", places(old))) == 1
        assert (old.asked["EVALSHA"], new.asked["EVALSHA"]) == (1, 1)


@pytest.mark.network
async def test_a_slot_that_moves_is_waited_for():
    """A half of it is of no use: nobody goes where the other half is."""
    async with faked() as new, faked() as old:
        old.answers["CLUSTER"] = node(slots((0, 16_383, bulk(old.host), old.port)))
        old.answers["EVALSHA"] = error(f"ASK 7 127.0.0.1:{new.port}")
        with pytest.raises(BrokerUnavailable, match="is moving to another node"):
            await run_one(RedisAddress("cluster", places(old)), deadline=0.6)
        assert new.accepted == 0


@pytest.mark.network
async def test_a_slot_of_nobody():
    """A part of the cluster is down."""
    async with faked() as asked:
        asked.answers["CLUSTER"] = node(slots((8, 9, bulk("no"), 1)))
        with pytest.raises(BrokerUnavailable, match="no node of the cluster has the slot 7"):
            await run_one(RedisAddress("cluster", places(asked)), deadline=0.6)


async def test_a_single_server_for_a_cluster(own_redis: Server):
    """The other way round is told, too."""
    with pytest.raises(BrokerFailed, match="cluster support disabled"):
        await run_one(RedisAddress("cluster", places(own_redis)))
    async with faked(EVALSHA=error("MOVED 7 127.0.0.1:1")) as server:
        with pytest.raises(BrokerFailed, match=r"write redis\+cluster://"):
            await run_one(RedisAddress("single", places(server)))


# --- one server ----------------------------------------------------------------------------------


@pytest.mark.network
async def test_a_server_and_a_socket_are_where_they_are(own_redis: Server):
    """Nobody is asked."""
    assert await Finder(RedisAddress(hosts=(("there", 1),)), "tq:{a}").find() == ("there", 1)
    address = RedisAddress(path=str(own_redis.address))
    assert await Finder(address, "tq:{a}").find() is None
    assert await run_one(address) == 1
    gone = RedisAddress(path=str(own_redis.address) + "-not")
    with pytest.raises(BrokerUnavailable, match="No such file"):
        await run_one(gone, deadline=0.6)


@pytest.mark.network
async def test_a_host_that_nobody_knows():
    """The name's resolution is named."""
    address = RedisAddress(hosts=(("no-such-host.invalid", 6379),))
    with pytest.raises(BrokerUnavailable, match=r"no-such-host\.invalid:6379"):
        await run_one(address, deadline=0.6)
