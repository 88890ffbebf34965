"""The line to Redis: one deadline for all that a call takes, repeats, and no caller forgotten."""

from __future__ import annotations

import gc
import logging
import re
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock, lockstep_stream_pair, wait_all_tasks_blocked

from tests.command import ROOT
from tests.proxy_world import until
from tests.redis_fake import HELLO, OK, SILENCE, FakeServer, error, faked, in_turn
from tests.redis_server import Server
from trioqueue import BrokerFailed, BrokerUnavailable
from trioqueue.brokers._redis_address import RedisAddress, parse_redis_address
from trioqueue.brokers._redis_connection import Connection, pack
from trioqueue.brokers._redis_faults import Lost
from trioqueue.brokers._redis_line import Script
from trioqueue.brokers._redis_wire import Wire, open_wire
from trioqueue.testing.chaos import TcpProxy, open_proxy

#: Seconds after which a test is taken to hang.
HANGS = 30.0
INCR = Script("incr", b"return redis.call('INCR', KEYS[1] .. ':n')")
ONCE = Script("once", b"return redis.call('INCR', KEYS[1] .. ':n') -- once", again=False)
ECHO = Script("echo", b"return ARGV")
SHAPES = Script("shapes", b"return {1, 'two', false, {}, {3, {'four'}}, KEYS[1]}")
UNKNOWN = r"\(whether it was done is not known\)"


@asynccontextmanager
async def wired(
    server: Server | FakeServer | TcpProxy, *, deadline: float = 5.0, replicas: int = 0, db: int = 0
) -> AsyncGenerator[Wire]:
    """A line to a server, or to the proxy in front of it; what hangs fails."""
    address = RedisAddress(hosts=((server.host, server.port),), db=db)
    with trio.fail_after(HANGS):
        async with open_wire(
            address, name="line", identity="me", deadline=deadline, replicas=replicas
        ) as wire:
            yield wire


@asynccontextmanager
async def proxied(
    server: Server, *, deadline: float = 5.0
) -> AsyncGenerator[tuple[TcpProxy, Wire]]:
    """A line through a proxy, which is connected and knows its scripts."""
    async with (
        open_proxy(server.host, server.port) as proxy,
        wired(proxy, deadline=deadline) as wire,
    ):
        for script in INCR, ONCE:
            await wire.run(script, ())
        server.call("DEL", "tq:{line}:n")
        yield proxy, wire


def hurry(wire: Wire) -> None:
    """From here on a call has little time; to connect there is as much as before."""
    wire._deadline = 0.05


def counted(server: Server) -> int:
    return int(server.call("GET", "tq:{line}:n") or 0)


# --- what goes over it ---------------------------------------------------------------------------


async def test_replies_come_as_they_are(own_redis: Server):
    """Numbers, bytes, nothing, lists of them; arguments as bytes, text, numbers."""
    async with wired(own_redis) as wire:
        prefix = b"tq:{line}"
        assert await wire.run(SHAPES, ()) == [1, b"two", None, [], [3, [b"four"]], prefix]
        assert await wire.run(ECHO, [b"\0\r\n\xff", "ö", 7]) == [b"\0\r\n\xff", "ö".encode(), b"7"]
        assert await wire.run(ECHO, ()) == []
        assert await wire.ask("ECHO", "a word") == b"a word"


async def test_a_script_may_be_forgotten(own_redis: Server):
    """By a server that was restarted, or told to: it is sent once more."""
    async with wired(own_redis) as wire:
        for number in range(1, 4):
            assert await wire.run(INCR, ()) == number
            own_redis.call("SCRIPT", "FLUSH")


@pytest.mark.network
async def test_much_at_once(own_redis: Server):
    """More than any buffer of the way takes, in both directions, while others ask as well."""
    args = [b"x" * 700] * 20_000
    async with wired(own_redis) as wire, trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(_echo, wire, args)
        for number in range(50):
            nursery.start_soon(_echo, wire, [str(number).encode()])


async def _echo(wire: Wire, args: list[bytes]) -> None:
    assert await wire.run(ECHO, args) == args


async def test_who_we_are(own_redis: Server):
    """The server's list of clients shows a name and the database of the address."""
    async with wired(own_redis, db=3) as wire:
        (client,) = re.findall(r".*name=trioqueue:me.*", own_redis.call("CLIENT", "LIST").decode())
        assert " db=3 " in client
        await wire.run(INCR, ())
        assert counted(own_redis) == 0, "it was written to another database"


@pytest.mark.network
async def test_calls_leave_nothing_behind(own_redis: Server):
    """Nothing grows with the number of calls, those that are cancelled included."""
    async with wired(own_redis) as wire:
        await _call_often(wire, 500)
        gc.collect()
        before = len(gc.get_objects())
        await _call_often(wire, 5_000)
        gc.collect()
        assert len(gc.get_objects()) - before < 200


async def _call_often(wire: Wire, times: int) -> None:
    for number in range(times):
        with trio.CancelScope() as scope:
            if number % 10 == 0:
                scope.deadline = trio.current_time() + 1e-4
            await wire.run(INCR, ["argument"], lambda _: None)


# --- a bad way -----------------------------------------------------------------------------------


@pytest.mark.network
async def test_nobody_is_there(own_redis: Server):
    """It is tried until the deadline, and the error says what happened, and that nothing did."""
    async with proxied(own_redis, deadline=0.3) as (proxy, wire):
        proxy.refuse()
        proxy.reset()
        await until(lambda: not proxy.connections)
        for script in INCR, ONCE:
            with pytest.raises(BrokerUnavailable, match=r"refused$") as caught:
                await wire.run(script, ())
            assert f"{proxy.host}:{proxy.port}" in str(caught.value)
        proxy.normal()
        assert await wire.run(INCR, ()) == 1


async def test_a_reply_that_is_lost_is_asked_for_again(own_redis: Server):
    """Cut after the request: it was done, and is done once more."""
    async with proxied(own_redis) as (proxy, wire):
        proxy.cut(b"EVALSHA")
        assert await wire.run(INCR, ()) == 2
        proxy.cut(b"EVALSHA", times=3)
        assert await wire.run(INCR, ()) == 6
        assert proxy.cuts == 4


async def test_what_must_not_be_done_twice_is_not(own_redis: Server):
    """Without being sent again: it was done, or not, and the error says that nobody knows."""
    async with proxied(own_redis, deadline=HANGS) as (proxy, wire):
        proxy.cut(b"EVALSHA")
        with pytest.raises(BrokerUnavailable, match=UNKNOWN):
            await wire.run(ONCE, ())
        assert counted(own_redis) == 1
        proxy.cut(b"EVALSHA", forward=False)
        with pytest.raises(BrokerUnavailable, match=UNKNOWN):
            await wire.run(ONCE, ())
        assert counted(own_redis) == 1
        assert await wire.run(ONCE, ()) == 2


@pytest.mark.network
async def test_silence_is_not_waited_out(own_redis: Server):
    """A connection that has died without a word is given up in time for another one."""
    async with proxied(own_redis, deadline=1.0) as (proxy, wire):
        proxy.blackhole()
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_incr, wire)
                await until(lambda: proxy.accepted == 2)  # a new one, which is as silent
                proxy.normal()
                proxy.reset()
        assert not scope.cancelled_caught
        assert counted(own_redis) == 1


async def _incr(wire: Wire) -> None:
    assert await wire.run(INCR, ()) == 1


@pytest.mark.parametrize("stops", [False, True])
async def test_a_slow_way_is_no_silence(autojump_clock: MockClock, stops: bool):
    """A long request takes its time; the connection is given up if the other side takes no more."""
    ours, theirs = lockstep_stream_pair()
    connection = Connection(ours, None, patience=1.0)

    async def server() -> None:
        left = len(pack(("ECHO", b"x" * 300_000)))
        while left > (100_000 if stops else 0):
            await trio.sleep(0.9)
            left -= len(await theirs.receive_some(65_536))
        if not stops:
            await theirs.send_all(b":1\r\n")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.run)
        nursery.start_soon(server)
        if stops:
            with pytest.raises(Lost, match="silent for 1 s"):
                await connection.ask("ECHO", b"x" * 300_000)
        else:
            assert await connection.ask("ECHO", b"x" * 300_000) == 1
            assert trio.current_time() > 4
        nursery.cancel_scope.cancel()


@pytest.mark.network
async def test_a_server_that_is_stopped(own_redis: Server):
    """All calls end by the deadline, whatever was before; afterwards the line works again."""
    async with proxied(own_redis, deadline=0.4) as (proxy, wire):
        proxy.reset()  # the first try of a call fails at once, and the next one is not answered
        own_redis.pause()
        for _ in range(2):
            for call in (partial(wire.run, INCR, ()), partial(wire.run, ONCE, ()), _ping(wire)):
                with pytest.raises(BrokerUnavailable, match=r"silent|no answer|no connection"):
                    await call()
        own_redis.resume()
        await wire.run(INCR, ())


def _ping(wire: Wire) -> Callable[[], Any]:
    return partial(wire.ask, "PING")


@pytest.mark.network
async def test_five_hundred_at_once_connect_once(own_redis: Server):
    """When the connection is gone; and when there is nobody there, nearly as few try in vain."""
    async with proxied(own_redis) as (proxy, wire):
        proxy.reset()
        async with trio.open_nursery() as nursery:
            for _ in range(500):
                nursery.start_soon(wire.run, INCR, ())
        assert counted(own_redis) == 500
        assert proxy.accepted == 2


# --- what servers say ----------------------------------------------------------------------------


async def test_a_server_that_loads_its_data():
    """Is waited for within the deadline, and named after it."""
    loading = error("LOADING Redis is loading the dataset in memory")
    async with faked(EVALSHA=in_turn(loading, loading, b":7\r\n")) as server, wired(server) as wire:
        assert await wire.run(ONCE, ()) == 7
        server.answers["EVALSHA"] = loading
    async with faked(EVALSHA=loading) as server, wired(server) as wire:
        hurry(wire)
        with pytest.raises(BrokerUnavailable, match=r"is loading its data \(.*memory\)$"):
            await wire.run(INCR, ())


@pytest.mark.parametrize(
    "text",
    [
        "OOM command not allowed when used memory > 'maxmemory'.",
        "MISCONF Errors writing to the AOF file",
        "BUSY Redis is busy running a script",
        "READONLY You can't write against a read only replica.",
        "MASTERDOWN Link with MASTER is down",
        "NOREPLICAS Not enough good replicas to write.",
        "CLUSTERDOWN The cluster is down",
        "TRYAGAIN Multiple keys request during rehashing of slot",
        "ASK 7 127.0.0.1:1",
    ],
)
async def test_what_passes_is_waited_for(text: str):
    """Also by what must not be done twice: it was not done."""
    async with faked(EVALSHA=in_turn(error(text), b":7\r\n")) as server, wired(server) as wire:
        assert await wire.run(ONCE, ()) == 7
    async with faked(EVALSHA=error(text)) as server, wired(server) as wire:
        hurry(wire)
        with pytest.raises(BrokerUnavailable) as caught:
            await wire.run(ONCE, ())
        assert "not known" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ERR value is not an integer", "value is not an integer"),
        ("WRONGTYPE Operation against a key", "Operation against a key"),
        ("NOPERM User ann has no permissions", "trioqueue check"),
        ("ERR unknown command 'EVALSHA'", "7.0"),
    ],
)
async def test_what_does_not_pass_is_told_at_once(text: str, said: str):
    """A deadline that would be a hang shows that it is not waited for."""
    async with faked(EVALSHA=error(text)) as server, wired(server, deadline=10 * HANGS) as wire:
        with pytest.raises(BrokerFailed, match=re.escape(said)):
            await wire.run(INCR, ())
        assert server.asked["EVALSHA"] == 1
        server.answers["EVALSHA"] = b":1\r\n"
        assert await wire.run(INCR, ()) == 1
        assert server.accepted == 1


async def test_a_wrong_password(start_redis: Callable[..., Server]):
    """Is told at once, and not shown; so is one that is missing."""
    server = start_redis(requirepass="secret-of-mine")
    for login in ("someone:wrong-secret@", ":wrong-secret@", ""):
        address = parse_redis_address(f"redis://{login}{server.host}:{server.port}")
        with trio.fail_after(HANGS), pytest.raises(BrokerFailed, match="password") as caught:
            async with open_wire(
                address, name="line", identity="me", deadline=10 * HANGS, replicas=0
            ):
                pass
        assert "secret" not in repr(caught.value)
        assert "secret" not in str(caught.value.__cause__)
    address = parse_redis_address(f"redis://:secret-of-mine@{server.host}:{server.port}")
    async with open_wire(address, name="line", identity="me", deadline=5.0, replicas=0) as wire:
        assert await wire.run(INCR, ()) == 1


@pytest.mark.network
async def test_a_user_who_may_only_do_what_is_documented(start_redis: Callable[..., Server]):
    """All that the line itself sends is allowed: scripts, messages, waits for replicas."""
    rights = "~tq:{line}* &tq:{line}* +@all -@admin -@dangerous +info"
    server = start_redis(user=[f"ann on >p {rights}"])
    assert rights.replace("line", "default") in (ROOT / "docs/running.md").read_text("utf-8")
    address = parse_redis_address(f"redis://ann:p@{server.host}:{server.port}/2")
    copied = Script("copied", INCR.source, replicated=True)
    with trio.fail_after(HANGS):
        async with (
            open_wire(address, name="line", identity="me", deadline=2.0, replicas=1) as wire,
            trio.open_nursery() as nursery,
        ):
            gap = trio.Event()
            nursery.start_soon(wire.listen, print, gap.set)
            await gap.wait()
            assert await wire.run(INCR, ()) == 1
            with pytest.raises(BrokerUnavailable, match="0 replicas of 1"):
                await wire.run(copied, ())
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("greeting", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"220 mail ESMTP\r\n"])
async def test_no_redis_at_all(greeting: bytes):
    """Somebody else listens on the port."""
    async with faked(HELLO=greeting) as server:
        with pytest.raises(BrokerFailed, match="this is no Redis server"):
            async with wired(server, deadline=10 * HANGS):
                pass


async def test_a_server_that_is_too_old():
    async with faked(HELLO=error("NOPROTO unsupported protocol version")) as server:
        with pytest.raises(BrokerFailed, match=r"Redis 7\.0, or Valkey, is the oldest"):
            async with wired(server, deadline=10 * HANGS):
                pass


async def test_too_many_clients():
    """Passes when others leave."""
    turned_away = error("ERR max number of clients reached")
    async with faked(HELLO=in_turn(turned_away, turned_away, HELLO)) as server:
        async with wired(server) as wire:
            assert await wire.run(INCR, ()) == 1
        assert server.accepted == 3


async def test_nonsense_in_the_middle():
    """What cannot be read ends the connection, and is asked for again on another one."""
    for nonsense in b"?what\r\n", b"$-\r\n", b"-\xff\xfe\r\n", b":1\r\n:2\r\n:3\r\n":
        async with faked(EVALSHA=in_turn(nonsense, b":7\r\n")) as server, wired(server) as wire:
            assert await wire.run(INCR, ()) in {1, 7}
            assert await wire.run(INCR, ()) == 7


@pytest.mark.network
async def test_too_few_replicas(own_redis: Server):
    """The call was done and says so; nobody else is held up meanwhile."""
    replicated = Script("copied", INCR.source, replicated=True)
    async with wired(own_redis, deadline=2.0, replicas=1) as wire, trio.open_nursery() as nursery:
        ended = trio.Event()

        async def publish() -> None:
            with pytest.raises(BrokerUnavailable, match=r"was done, but 0 replicas of 1 have it"):
                await wire.run(replicated, ())
            ended.set()

        nursery.start_soon(publish)
        await until(lambda: counted(own_redis) == 1)
        for _ in range(20):  # all in the second wait
            nursery.start_soon(publish)
        await wire.run(INCR, ())
        assert not ended.is_set()


# --- callers that leave --------------------------------------------------------------------------


async def _cancelled(wire: Wire, script: Script, replies: list[Any], ready: Callable[[], bool]):
    """A call that is cancelled when ``ready`` says so."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wire.run, script, (), replies.append)
        await until(ready)
        nursery.cancel_scope.cancel()


async def test_a_reply_for_nobody_is_handed_over_once(own_redis: Server):
    async with proxied(own_redis) as (proxy, wire):
        replies: list[Any] = []
        proxy.hold(replies=True, requests=False)
        await _cancelled(wire, INCR, replies, lambda: counted(own_redis) == 1)
        assert replies == []
        proxy.normal()
        assert await wire.run(INCR, ()) == 2
        assert replies == [1]


async def test_a_call_that_was_never_sent(own_redis: Server):
    """Nothing will come, and that is told at once: cancelled before, or while it connects."""
    async with proxied(own_redis) as (proxy, wire):
        replies: list[Any] = []
        with trio.CancelScope() as scope:
            scope.cancel()
            await wire.run(INCR, (), replies.append)
        assert replies == [None]
        proxy.refuse()
        proxy.reset()
        await until(lambda: not proxy.connections)
        with trio.move_on_after(0.05):
            await wire.run(INCR, (), replies.append)
        assert replies == [None, None]
        proxy.normal()
        assert await wire.run(INCR, ()) == 1


@pytest.mark.parametrize(("script", "reply"), [(INCR, 2), (ONCE, None)])
async def test_a_reply_for_nobody_that_is_lost(own_redis: Server, script: Script, reply: Any):
    """Is asked for again behind the scenes, if that may be; else there is none."""
    async with proxied(own_redis) as (proxy, wire):
        replies: list[Any] = []
        proxy.blackhole(replies=True, requests=False)
        await _cancelled(wire, script, replies, lambda: counted(own_redis) == 1)
        proxy.normal()
        proxy.reset()
        await until(lambda: bool(replies))
        await wire.run(INCR, ())
        assert replies == [reply]


async def test_an_error_in_the_hands_of_who_takes_it(
    own_redis: Server, caplog: pytest.LogCaptureFixture
):
    """Is logged; the line and all others go on."""

    def fail(_: Any) -> None:
        raise ValueError("the broker's own mistake")

    async with proxied(own_redis) as (_, wire):
        with trio.CancelScope() as scope:
            scope.cancel()
            await wire.run(INCR, (), fail)
        assert await wire.run(INCR, ()) == 1
    assert "the broker's own mistake" in caplog.text


# --- the end of a line ---------------------------------------------------------------------------


async def test_who_waits_when_the_line_is_left():
    """Is told so, and so is who comes later; what was cancelled gets its last word."""
    replies: list[Any] = []

    async def wait(wire: Wire, script: Script) -> None:
        with pytest.raises(BrokerFailed, match="is closed: its block was left"):
            await wire.run(script, ())

    async with faked(EVALSHA=SILENCE) as server, trio.open_nursery() as nursery:
        async with wired(server) as wire:
            for script in INCR, ONCE:
                nursery.start_soon(wait, wire, script)  # noqa: ASYNC111 - that is what is tried
            await until(lambda: server.asked["EVALSHA"] == 2)
            await _cancelled(wire, INCR, replies, lambda: server.asked["EVALSHA"] == 3)
        with trio.fail_after(HANGS):
            await wait(wire, INCR)
            with pytest.raises(BrokerFailed, match="is closed"):
                await wire.ask("PING")
    assert replies == [None]


async def test_the_line_serves_who_is_shielded(own_redis: Server):
    """All around it is cancelled; those who must tell the server of their end still can."""
    with trio.CancelScope() as scope:
        async with wired(own_redis) as wire:
            scope.cancel()
            with trio.CancelScope(shield=True):
                await wait_all_tasks_blocked()
                assert await wire.run(INCR, ()) == 1
                own_redis.call("CLIENT", "KILL", "TYPE", "normal")
                assert await wire.run(INCR, ()) == 2
            await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught


_whose: ContextVar[str] = ContextVar("whose", default="the opener's")


async def test_what_goes_on_behind_is_no_part_of_a_call(own_redis: Server):
    """A connection that a call has made runs in the context of whoever has opened the line."""
    heard: list[str] = []
    async with proxied(own_redis) as (proxy, wire):
        proxy.reset()
        _whose.set("the caller's")
        await wire.run(INCR, (), arrived=lambda _: heard.append(_whose.get()))
    assert heard == ["the opener's"]


async def test_a_mistake_of_who_takes_a_reply(own_redis: Server):
    """Is raised where the reply was waited for; others on the connection go on."""

    def fail(_: Any) -> None:
        raise ValueError("the broker's own mistake")

    async with proxied(own_redis) as (proxy, wire):
        with pytest.raises(ValueError, match="own mistake"):
            await wire.run(INCR, (), arrived=fail)
        assert await wire.run(INCR, ()) == 2
        assert proxy.accepted == 1


async def test_the_names_are_those_of_the_queue():
    async with faked(EVALSHA=OK) as server, wired(server) as wire:
        await wire.run(INCR, ["x"])
        assert (wire.prefix, wire.channel, wire.cluster) == ("tq:{line}", "tq:{line}:@me", False)
        assert server.words[-1] == [b"EVALSHA", INCR.sha.encode(), b"1", b"tq:{line}", b"x"]


def test_nothing_of_coredis_is_silenced():
    """Loggers are the program's to set."""
    assert logging.getLogger("coredis").level == logging.NOTSET


async def _interrupted(wire: Wire, replies: list[Any]) -> None:
    """A call of the main task, at which Ctrl-C arrives while its reply is on the way."""
    with pytest.raises(KeyboardInterrupt):
        await wire.run(INCR, (), replies.append)


def test_an_interrupt_in_a_call(own_redis: Server):
    """Arrives as what it is; the reply is handed over, and the line serves who cleans up."""
    replies: list[Any] = []

    @trio.lowlevel.enable_ki_protection  # it is for the main task
    async def interrupt(proxy: TcpProxy) -> None:
        await until(lambda: counted(own_redis) == 1)
        signal.raise_signal(signal.SIGINT)
        await wait_all_tasks_blocked()
        proxy.normal()

    async def main() -> None:
        async with proxied(own_redis) as (proxy, wire), trio.open_nursery() as nursery:
            proxy.hold(replies=True, requests=False)
            nursery.start_soon(interrupt, proxy)
            await _interrupted(wire, replies)
            assert await wire.run(INCR, ()) == 2

    trio.run(main)
    assert replies == [1]
