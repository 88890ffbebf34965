"""Listening to messages: each in its order, and whoever may have missed one is told."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from tests.proxy_world import until
from tests.redis_fake import HELLO, SILENCE, bulk, faked
from tests.redis_server import Server
from tests.test_redis_wire import HANGS, INCR, proxied, wired
from trioqueue import BrokerFailed
from trioqueue.brokers import _redis_ear
from trioqueue.brokers._redis_address import parse_redis_address
from trioqueue.brokers._redis_wire import Wire, open_wire

CHANNEL = "tq:{line}:@me"
SUBSCRIBED = b">3\r\n" + bulk("subscribe") + bulk(CHANNEL) + b":1\r\n"


class Heard:
    """What a listener is told: ``b"gap"`` stands for a gap; ``b"bad"`` cannot be understood."""

    def __init__(self) -> None:
        self.all: list[bytes] = []

    @property
    def gaps(self) -> int:
        return self.all.count(b"gap")

    def take(self, message: bytes) -> None:
        self.all.append(message)
        if message == b"bad":
            raise ValueError("what is this?")

    def miss(self) -> None:
        self.all.append(b"gap")


@asynccontextmanager
async def listening(wire: Wire) -> AsyncGenerator[Heard]:
    heard = Heard()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wire.listen, heard.take, heard.miss)
        await until(lambda: heard.gaps == 1)
        yield heard
        nursery.cancel_scope.cancel()


def tell(server: Server, *messages: bytes | str) -> list[int]:
    """How many listeners each has reached."""
    with server.client() as client:
        return [client.call("PUBLISH", CHANNEL, message) for message in messages]


async def test_messages_come_in_their_order(own_redis: Server):
    """Short ones, long ones, empty ones; to this channel and no other."""
    async with wired(own_redis) as wire, listening(wire) as heard:
        messages = [b"%d" % number for number in range(500)]
        messages += [b"x" * 1_000_000, b"", b"\xff\0\r\n", b"end"]
        own_redis.call("PUBLISH", CHANNEL + "2", "for somebody else")
        assert set(tell(own_redis, *messages)) == {1}
        await until(lambda: heard.all[-1] == b"end")
        assert heard.all == [b"gap", *messages]


async def test_calls_and_messages_do_not_mix(own_redis: Server):
    """Two connections; the end of one is none of the other's business."""
    async with wired(own_redis) as wire, listening(wire) as heard:
        own_redis.call("CLIENT", "KILL", "TYPE", "normal")
        assert await wire.run(INCR, ()) == 1
        assert tell(own_redis, "one") == [1]
        own_redis.call("CLIENT", "KILL", "TYPE", "pubsub")
        assert await wire.run(INCR, ()) == 2
        await until(lambda: heard.gaps == 2)
        assert heard.all == [b"gap", b"one", b"gap"]


async def test_a_gap_is_told_after_each_reconnect(own_redis: Server):
    """And from then on nothing is missed."""
    async with wired(own_redis) as wire, listening(wire) as heard:
        for number in range(2, 12):
            own_redis.call("CLIENT", "KILL", "TYPE", "pubsub")
            await until(lambda: heard.gaps == number)  # noqa: B023 - used at once
            assert tell(own_redis, str(number)) == [1]
            await until(lambda: heard.all[-1] == b"%d" % number)  # noqa: B023


@pytest.mark.main
async def test_a_connection_that_dies_without_a_word(own_redis: Server):
    """Nothing is asked on it, and yet it is found out."""
    async with proxied(own_redis, deadline=0.4) as (proxy, wire), listening(wire) as heard:
        proxy.blackhole()
        await until(lambda: proxy.accepted > 2)
        proxy.normal()
        proxy.reset()
        await until(lambda: heard.gaps == 2)
        assert tell(own_redis, "again") == [1]
        await until(lambda: heard.all[-1] == b"again")


@pytest.mark.main
async def test_a_server_that_is_away(own_redis: Server):
    """For longer than any call may take: whoever listens goes on trying."""
    async with proxied(own_redis, deadline=0.4) as (proxy, wire), listening(wire) as heard:
        proxy.refuse()
        proxy.reset()
        await trio.sleep(0.8)
        assert heard.gaps == 1
        proxy.normal()
        await until(lambda: heard.gaps == 2)


async def test_a_message_that_cannot_be_understood(
    own_redis: Server, caplog: pytest.LogCaptureFixture
):
    """Is logged, and the next one comes."""
    async with wired(own_redis) as wire, listening(wire) as heard:
        tell(own_redis, "bad", "good")
        await until(lambda: heard.all[-1] == b"good")
        assert heard.gaps == 1
    assert "what is this?" in caplog.text


async def test_who_may_not_listen(
    start_redis: Callable[..., Server],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    """Is warned, and tries again now and then: somebody may mend it while everything runs."""
    monkeypatch.setattr(_redis_ear, "_REFUSED", 0.01)
    caplog.set_level(logging.WARNING, "trioqueue")
    server = start_redis(user=["ann on >p ~tq:* +@all resetchannels"])
    address = parse_redis_address(f"redis://ann:p@{server.host}:{server.port}")
    heard = Heard()
    with trio.fail_after(HANGS):
        async with (
            open_wire(address, name="line", identity="me", deadline=5.0, replicas=0) as wire,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(wire.listen, heard.take, heard.miss)
            await until(lambda: "trioqueue check" in caplog.text)
            assert await wire.run(INCR, ()) == 1
            server.call("ACL", "SETUSER", "ann", "&tq:*")
            await until(lambda: heard.gaps == 1)
            nursery.cancel_scope.cancel()


@pytest.mark.main
async def test_a_subscription_that_is_not_answered():
    """The connection is given up, and another one made."""
    async with (
        faked(SUBSCRIBE=SILENCE) as server,
        wired(server, deadline=0.4) as wire,
        trio.open_nursery() as nursery,
    ):
        heard = Heard()
        nursery.start_soon(wire.listen, heard.take, heard.miss)
        await until(lambda: server.asked["SUBSCRIBE"] == 2)
        assert heard.gaps == 0
        server.answers["SUBSCRIBE"] = SUBSCRIBED
        await until(lambda: heard.gaps == 1)
        nursery.cancel_scope.cancel()


async def test_who_stops_listening_is_not_counted(own_redis: Server):
    """The server sees at once that nobody is there; another listener may come."""
    async with wired(own_redis) as wire:
        for _ in range(3):
            async with listening(wire):
                assert tell(own_redis, "here") == [1]
            await until(lambda: tell(own_redis, "gone") == [0])


async def test_who_stops_while_it_connects():
    """What was being connected for it is closed when it is there."""
    async with faked(SUBSCRIBE=SILENCE) as server, wired(server) as wire:
        server.answers["HELLO"] = SILENCE
        async with trio.open_nursery() as nursery:
            heard = Heard()
            nursery.start_soon(wire.listen, heard.take, heard.miss)
            await until(lambda: server.asked["HELLO"] == 2)
            nursery.cancel_scope.cancel()
        await server.say(HELLO)
        await until(lambda: server.open == 1)


async def test_the_end_of_the_line():
    """Who listens is told, rather than left to wait for ever."""
    async with faked(SUBSCRIBE=SUBSCRIBED) as server:
        heard = Heard()

        async def listen(wire: Wire) -> None:
            with pytest.raises(BrokerFailed, match="is closed"):
                await wire.listen(heard.take, heard.miss)

        with trio.fail_after(HANGS):
            async with trio.open_nursery() as nursery, wired(server) as wire:
                nursery.start_soon(listen, wire)  # noqa: ASYNC111 - that is what is tried
                await until(lambda: heard.gaps == 1)
