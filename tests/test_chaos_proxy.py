"""The proxy that plays a bad network does each thing that it can be told, and nothing else."""

from __future__ import annotations

from random import Random

import pytest
import trio

from tests.proxy_world import (
    HANGS,
    closing,
    connect,
    echo,
    is_reset,
    receive,
    silent,
    through_proxy,
    until,
)
from trioqueue.testing.chaos import open_proxy


async def test_everything_arrives_and_ends_in_order() -> None:
    """Megabytes in both directions, then an end in one direction and in the other one."""
    async with through_proxy() as (proxy, server):
        stream = await connect(proxy)
        await echo(stream, b"".join(b"%d," % n for n in range(300_000)))
        await stream.send_eof()
        assert await stream.receive_some() == b""
        await until(lambda: not proxy.connections)
        assert (server.ended, server.broken, proxy.accepted) == (1, 0, 1)


async def test_what_is_sent_last_arrives() -> None:
    """A stream that ends right after much data is not cut short."""
    async with through_proxy() as (proxy, _):
        for _ in range(20):
            stream = await connect(proxy)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send_and_end, stream, bytes(500_000))
                assert await receive(stream, 500_000) == bytes(500_000)
            assert await stream.receive_some() == b""


async def send_and_end(stream: trio.SocketStream, data: bytes) -> None:
    await stream.send_all(data)
    await stream.send_eof()


async def test_delay_takes_its_time_each_way_and_keeps_the_order() -> None:
    """Twice for a round trip; pieces that are on their way at once are not added up."""
    async with through_proxy() as (proxy, _):
        proxy.delay(0.05, jitter=0.05)
        stream = await connect(proxy)
        began = trio.current_time()
        for n in range(10):
            await stream.send_all(b"%d" % n)
            await trio.sleep(0.001)
        assert await receive(stream, 10) == b"0123456789"
        assert trio.current_time() - began >= 0.1
        proxy.normal()
        await echo(stream, b"a")


async def test_an_error_in_the_block_arrives_as_it_is() -> None:
    """And not in a group."""
    with pytest.raises(LookupError):
        async with open_proxy("127.0.0.1", 1):
            raise LookupError


async def test_jitter_is_drawn_from_what_one_gives() -> None:
    """So that a run can be repeated."""
    dues = []
    for _ in range(2):
        async with open_proxy("127.0.0.1", 1, random=Random(7)) as proxy:
            proxy.delay(1, jitter=1)
            dues.append([round(proxy.due() - trio.current_time(), 2) for _ in range(9)])
    assert dues[0] == dues[1]
    assert len(set(dues[0])) > 5
    assert all(1 <= due <= 2 for due in dues[0])


@pytest.mark.parametrize("requests", [True, False])
async def test_a_blackhole_swallows_in_one_direction(requests: bool) -> None:
    """For ever in a connection that has lost something; others go on when it is over."""
    async with through_proxy() as (proxy, server):
        loser, idle = await connect(proxy), await connect(proxy)
        await echo(loser, b"a")
        await echo(idle, b"a")
        proxy.blackhole(requests=requests, replies=not requests)
        await loser.send_all(b"b")
        assert await silent(loser)
        assert proxy.connections == 2
        proxy.normal()
        await loser.send_all(b"c")
        assert await silent(loser)
        await loser.send_eof()
        assert await silent(loser)
        if requests:
            assert not server.ended
        else:
            await until(lambda: server.ended == 1)
        await echo(idle, b"d")
        await echo(await connect(proxy), b"e")


async def test_what_is_held_back_arrives_later() -> None:
    """All of it, and in order; new connections are held as well."""
    async with through_proxy() as (proxy, _):
        old = await connect(proxy)
        proxy.hold(replies=False)
        new = await connect(proxy)
        for stream in old, new:
            await stream.send_all(b"a")
            await stream.send_all(b"b")
            assert await silent(stream)
        proxy.normal()
        for stream in old, new:
            assert await receive(stream, 2) == b"ab"


async def test_a_reset_is_seen_on_both_sides() -> None:
    """By all connections that are open, also those whose bytes are held back; new ones work."""
    async with through_proxy() as (proxy, server):
        streams = [await connect(proxy) for _ in range(3)]
        for stream in streams:
            await echo(stream, b"a")
        proxy.hold()
        await streams[0].send_all(b"b")
        assert await silent(streams[0])
        assert proxy.reset() == 3
        for stream in streams:
            assert await is_reset(stream)
        await until(lambda: not proxy.connections)
        await until(lambda: server.broken == 3)
        proxy.normal()
        await echo(await connect(proxy), b"c")


async def test_refused_and_at_the_same_port_again() -> None:
    """Nobody else gets the port in between, and open connections go on."""
    async with through_proxy() as (proxy, _):
        stream = await connect(proxy)
        await echo(stream, b"a")
        for _ in range(3):
            proxy.refuse()
            proxy.refuse()
            with pytest.raises(ConnectionRefusedError):
                await connect(proxy)
            await echo(stream, b"a")
            proxy.normal()
            await echo(await connect(proxy), b"b")


async def test_a_server_that_is_away_looks_so() -> None:
    """A connection that leads nowhere is reset; one whose server resets is reset as well."""
    with trio.fail_after(HANGS):
        async with closing(), open_proxy("127.0.0.1", 1) as proxy:
            assert await is_reset(await connect(proxy))
    async with through_proxy() as (proxy, server):
        stream = await connect(proxy)
        await echo(stream, b"a")
        for end in server.streams:
            end.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            await trio.aclose_forcefully(end)
        assert await is_reset(stream)


async def test_leaving_resets_what_is_open() -> None:
    """And the port is free again."""
    async with through_proxy() as (proxy, _):
        async with open_proxy(proxy.host, proxy.port) as outer:
            stream = await connect(outer)
            await echo(stream, b"a")
            taken = outer.port
        assert await is_reset(stream)
        async with open_proxy(proxy.host, proxy.port, listen=taken) as outer:
            assert outer.port == taken
            await echo(await connect(outer), b"b")


async def test_a_port_that_is_taken() -> None:
    """Is refused in words, and not taken over."""
    async with through_proxy() as (proxy, _):
        with pytest.raises(OSError, match="in use"):
            async with open_proxy(proxy.host, 1, listen=proxy.port):
                pass
