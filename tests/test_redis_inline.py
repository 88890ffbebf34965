"""The line for tests on a virtual clock keeps what a line promises, and does as a test tells it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import trio
import trio.testing

from tests.redis_inline import InlineLine, open_inline_line
from tests.redis_server import Redis, RunningServer, Server
from trioqueue import BrokerFailed, BrokerUnavailable
from trioqueue.brokers._redis_line import Line, Script

ECHO = Script("echo", b"return {KEYS[1], unpack(ARGV)}")
COUNT = Script("count", b"return redis.call('INCR', KEYS[1] .. ':n')")
#: Publishes each further argument to the opening of the first one.
TELL = Script(
    "tell",
    b"local heard = 0\n"
    b"for i = 2, #ARGV do\n"
    b"  heard = heard + redis.call('PUBLISH', KEYS[1] .. ':@' .. ARGV[1], ARGV[i])\n"
    b"end\n"
    b"return heard",
)


@pytest.fixture
def lines(redis_server: Redis, redis_queue: str) -> Iterator[list[InlineLine]]:
    """Two openings of one queue."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(open_inline_line(redis_server, redis_queue, identity))
            for identity in ("one", "two")
        ]


class Hearer:
    """Whatever a line tells its opening, in order; a gap as ``None``."""

    def __init__(self, line: Line) -> None:
        self.heard: list[bytes | None] = []
        self._line = line

    async def listen(self) -> None:
        await self._line.listen(self.heard.append, lambda: self.heard.append(None))


async def hear(nursery: trio.Nursery, line: InlineLine) -> list[bytes | None]:
    hearer = Hearer(line)
    nursery.start_soon(hearer.listen)
    await trio.testing.wait_all_tasks_blocked()
    assert hearer.heard == [None]
    hearer.heard.clear()
    return hearer.heard


async def test_a_script_gets_its_prefix_and_its_arguments(lines: list[InlineLine]) -> None:
    """Text as UTF-8, numbers as digits, bytes as they are; also when the server forgot it."""
    one, _ = lines
    expected = [one.prefix.encode(), "ö".encode(), b"-12", b"\x00\xff"]
    for _ in range(2):
        assert await one.run(ECHO, ["ö", -12, b"\x00\xff"]) == expected
        one._server.call("SCRIPT", "FLUSH")
    assert one.runs == {"echo": 2}


async def test_no_time_passes_and_others_had_a_turn(
    lines: list[InlineLine], autojump_clock: trio.testing.MockClock
) -> None:
    """A run is a checkpoint, and takes no time of the clock."""
    turns = []

    async def other() -> None:
        turns.append(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        await lines[0].run(ECHO, [])
        await lines[0].run(ECHO, [])
        assert turns
    assert trio.current_time() == 0


async def test_cancelled_means_not_run(lines: list[InlineLine]) -> None:
    """And what was run is answered, though it is cancelled in that moment."""
    one, _ = lines
    with trio.CancelScope() as scope:
        scope.cancel()
        await one.run(COUNT, [])
    assert scope.cancelled_caught
    with trio.CancelScope() as scope:
        assert await one.run(COUNT, []) == 1
        scope.cancel()
    assert await one.run(COUNT, []) == 2


async def test_messages_arrive_with_the_run_that_sent_them(lines: list[InlineLine]) -> None:
    """At all openings, in their order; the script learns who hears it."""
    one, two = lines
    assert await one.run(TELL, ["two", "early"]) == 0
    async with trio.open_nursery() as nursery:
        at_one, at_two = await hear(nursery, one), await hear(nursery, two)
        assert await one.run(TELL, ["two", "a", b"\r\n\xff", ""]) == 3
        assert (at_one, at_two) == ([], [b"a", b"\r\n\xff", b""])
        assert await one.run(TELL, ["one", "b"]) == 1
        assert at_one == [b"b"]
        two.deaf = True
        assert await one.run(TELL, ["two", "c"]) == 1
        assert len(at_two) == 3
        nursery.cancel_scope.cancel()
    assert await one.run(TELL, ["two", "late"]) == 0


async def test_who_leaves_hears_nothing_more(lines: list[InlineLine]) -> None:
    """And the others still do; whoever comes again is heard again."""
    one, two = lines
    async with trio.open_nursery() as nursery:
        at_one = await hear(nursery, one)
        for _ in range(2):
            async with trio.open_nursery() as inner:
                at_two = await hear(inner, two)
                assert await one.run(TELL, ["two", "a"]) == 1
                inner.cancel_scope.cancel()
            assert at_two == [b"a"]
            assert await one.run(TELL, ["two", "b"]) == 0
            assert await one.run(TELL, ["one", "c"]) == 1
        assert at_one == [b"c", b"c"]
        nursery.cancel_scope.cancel()


async def test_two_queues_do_not_hear_each_other(redis_server: Redis, redis_queue: str) -> None:
    """The same identity in another queue has a channel of its own."""
    with (
        open_inline_line(redis_server, redis_queue, "one") as here,
        open_inline_line(redis_server, f"{redis_queue}other", "one") as there,
    ):
        async with trio.open_nursery() as nursery:
            at_here, at_there = await hear(nursery, here), await hear(nursery, there)
            assert await there.run(TELL, ["one", "a"]) == 1
            assert (at_here, at_there) == ([], [b"a"])
            nursery.cancel_scope.cancel()


async def test_faults_before_and_after(lines: list[InlineLine]) -> None:
    """The next runs fail as the test says: not run at all, or run and their reply lost."""
    one, two = lines
    one.fail_next(2)
    one.fail_next(after=True)
    for expected in "not run", "not run", "was lost":
        with pytest.raises(BrokerUnavailable, match=expected):
            await one.run(COUNT, [])
    assert await two.run(COUNT, []) == 2
    assert await one.run(COUNT, []) == 3


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (b"local a = 1\nlocal b = nothing + 1", "line 2 of all its source: local b = nothing"),
        (b"\n\nredis.call('NONSENSE')", "line 3 of all its source: redis.call('NONSENSE')"),
        (b"local a = 1\nlocal = 3", "line 2 of all its source: local = 3"),
        (b"return redis.error_reply('MINE is mine')", "MINE is mine"),
    ],
)
async def test_a_bug_in_a_script_is_loud(source: bytes, line: str, lines: list[InlineLine]) -> None:
    """With the script's name and the line, whether it runs or cannot even be compiled."""
    with pytest.raises(BrokerFailed) as caught:
        await lines[0].run(Script("broken", source), [])
    assert str(caught.value).startswith("broken: ")
    assert line in str(caught.value)
    assert await lines[0].run(ECHO, []) == [lines[0].prefix.encode()]


async def test_a_server_that_is_away(own_redis: Server) -> None:
    """Unavailable, and usable as soon as it is back; those who listen learn of the gap."""
    with open_inline_line(own_redis, "queue", "one") as line:
        async with trio.open_nursery() as nursery:
            heard = await hear(nursery, line)
            own_redis.kill()
            for _ in range(2):
                with pytest.raises(BrokerUnavailable):
                    await line.run(TELL, ["one", "a"])
            assert not heard
            own_redis.start()
            assert await line.run(TELL, ["one", "b"]) == 0, "nobody has subscribed yet"
            assert heard == [None]
            assert await line.run(TELL, ["one", "c"]) == 1
            assert heard == [None, b"c"]
            nursery.cancel_scope.cancel()


async def test_a_server_that_cannot_at_the_moment(own_redis: Server) -> None:
    """Out of memory, or still reading its data: not a failure for somebody to look at."""
    own_redis.call("CONFIG", "SET", "maxmemory", 1)
    with open_inline_line(own_redis, "queue", "one") as line:
        with pytest.raises(BrokerUnavailable, match="OOM"):
            await line.run(COUNT, [])
        own_redis.call("CONFIG", "SET", "maxmemory", 0)
        assert await line.run(COUNT, []) == 1


async def test_it_works_over_tcp(redis_server: Redis, redis_queue: str) -> None:
    """A server that somebody else started has no socket in our folder."""
    server = RunningServer(redis_server.url())
    with open_inline_line(server, redis_queue, "one") as line:
        assert await line.run(COUNT, []) == 1
