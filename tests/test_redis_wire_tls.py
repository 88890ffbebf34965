"""The line over TLS: what does not fit is told at once, what is large gets through."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from tests.proxy_world import until
from tests.redis_tls import Certificate, TlsServer
from tests.test_redis_wire import ECHO, HANGS, INCR
from trioqueue import BrokerFailed, BrokerUnavailable, InvalidTask
from trioqueue.brokers._redis_address import RedisAddress
from trioqueue.brokers._redis_wire import open_wire

pytestmark = pytest.mark.tls


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate(tmp_path_factory.mktemp("own"), "server")


@pytest.fixture(scope="module")
def server(own: Certificate) -> Iterator[TlsServer]:
    with TlsServer(own) as server:
        yield server


def at(server: TlsServer, own: Certificate) -> RedisAddress:
    hosts = ((server.host, server.tls_port),)
    return RedisAddress(hosts=hosts, tls=True, ca=str(own.certificate))


async def check(address: RedisAddress, *, deadline: float = 10 * HANGS) -> None:
    """A deadline that would be a hang shows that nothing is waited for in vain."""
    with trio.fail_after(HANGS):
        async with open_wire(
            address, name="line", identity="me", deadline=deadline, replicas=0
        ) as wire:
            args = [b"x" * 700] * 20_000
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(wire.run, ECHO, args)
            assert await wire.run(ECHO, args) == args


async def test_all_goes_through(server: TlsServer, own: Certificate):
    await check(at(server, own))


async def test_messages_and_the_end_of_a_connection(server: TlsServer, own: Certificate):
    """As without TLS: a connection that is killed is made anew, and the gap is told."""
    heard: list[bytes] = []
    with trio.fail_after(HANGS):
        async with (
            open_wire(
                at(server, own), name="line", identity="me", deadline=5.0, replicas=0
            ) as wire,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(wire.listen, heard.append, lambda: heard.append(b"gap"))
            await until(lambda: heard == [b"gap"])
            for kind in "normal", "pubsub":
                server.call("CLIENT", "KILL", "TYPE", kind)
            await wire.run(INCR, ())
            await until(lambda: heard == [b"gap"] * 2)
            server.call("PUBLISH", wire.channel, "x" * 100_000)
            await until(lambda: heard[2:] == [b"x" * 100_000])
            nursery.cancel_scope.cancel()


async def test_a_certificate_that_does_not_fit(server: TlsServer, tmp_path: Path):
    """Of an authority that we do not know; and made for another host."""
    other = Certificate(tmp_path, "other")
    with pytest.raises(BrokerFailed, match=r"rediss://.*certificate verify failed"):
        await check(at(server, other))
    stranger = Certificate(tmp_path, "stranger", "DNS:elsewhere.example")
    with (
        TlsServer(stranger) as elsewhere,
        pytest.raises(BrokerFailed, match=r"not valid for '127\.0\.0\.1'"),
    ):
        await check(at(elsewhere, stranger))


async def test_a_server_that_wants_to_know_who_comes(own: Certificate, tmp_path: Path):
    other = Certificate(tmp_path, "other")
    with TlsServer(own, clients=other) as server:
        known = {"cert": str(other.certificate), "key": str(other.key)}
        await check(replace(at(server, own), **known))
        with pytest.raises((BrokerFailed, BrokerUnavailable), match="certificate required"):
            await check(at(server, own), deadline=0.6)


async def test_tls_where_there_is_none(server: TlsServer, own: Certificate):
    """And none where there is. The one server waits for more, the other one leaves."""
    plain = replace(at(server, own), hosts=((server.host, server.port),))
    with pytest.raises(BrokerUnavailable, match="no connection"):
        await check(plain, deadline=0.6)
    with pytest.raises((BrokerFailed, BrokerUnavailable)):
        await check(replace(at(server, own), tls=False, ca=None), deadline=0.6)


async def test_files_that_are_not_there(server: TlsServer, own: Certificate, tmp_path: Path):
    for given in {"ca": "missing"}, {"cert": "missing"}:
        files = {name: str(tmp_path / text) for name, text in given.items()}
        with pytest.raises(InvalidTask, match="the files for TLS"):
            await check(replace(at(server, own), **files))
