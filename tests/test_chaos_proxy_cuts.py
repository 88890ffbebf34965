"""The proxy cuts a connection after a request, which a real server has carried out by then."""

from __future__ import annotations

from hashlib import sha1

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.proxy_world import before, connect, is_reset, receive, request
from tests.redis_server import Redis
from trioqueue.testing.chaos._requests import Requests, request_length

INCR = request(b"INCR", b"n")


@pytest.fixture
def counter(redis_server: Redis, redis_queue: str) -> bytes:
    return f"tq:{{{redis_queue}}}:n".encode()


async def test_cut_after_the_request(redis_server: Redis, counter: bytes) -> None:
    """It was carried out, and its reply does not come; as often as was asked for."""
    incr = request(b"INCR", counter)
    async with before(redis_server) as proxy:
        proxy.cut(times=2)
        for _ in range(2):
            stream = await connect(proxy)
            await stream.send_all(incr)
            assert await is_reset(stream)
        assert redis_server.call("GET", counter) == b"2"
        stream = await connect(proxy)
        await stream.send_all(incr)
        assert await receive(stream, 4) == b":3\r\n"
        assert (proxy.cuts, proxy.requests) == (2, 3)


async def test_cut_before_the_request(redis_server: Redis, counter: bytes) -> None:
    """It was not carried out."""
    async with before(redis_server) as proxy:
        proxy.cut(forward=False)
        stream = await connect(proxy)
        await stream.send_all(request(b"INCR", counter))
        assert await is_reset(stream)
        assert redis_server.call("GET", counter) is None


async def test_cut_after_the_one_that_is_meant(redis_server: Redis, counter: bytes) -> None:
    """By the digest of its script, among others in one piece; what comes after it is not run."""
    script = b"return redis.call('INCR', KEYS[1])"
    redis_server.call("SCRIPT", "LOAD", script)
    digest = sha1(script).hexdigest().encode()
    incr = request(b"INCR", counter)
    async with before(redis_server) as proxy:
        proxy.cut(digest)
        stream = await connect(proxy)
        await stream.send_all(incr)
        assert await receive(stream, 4) == b":1\r\n"
        await stream.send_all(incr + request(b"EVALSHA", digest, b"1", counter) + incr * 5)
        assert await is_reset(stream)
        assert redis_server.call("GET", counter) == b"3"


async def test_cut_after_a_request_in_many_pieces(redis_server: Redis, counter: bytes) -> None:
    """The whole of it is carried out: one that is larger than any buffer, and one in drops."""
    async with before(redis_server) as proxy:
        for body, length in (bytes(3_000_000), 3_000_000), (b"drops", 1):
            proxy.cut(b"SET")
            stream = await connect(proxy)
            whole = request(b"SET", counter, body)
            for start in range(0, len(whole), length):
                await stream.send_all(whole[start : start + length])
            assert await is_reset(stream)
            assert redis_server.call("GET", counter) == body


async def test_cut_at_a_server_that_is_slow(redis_server: Redis, counter: bytes) -> None:
    """The request is carried out however long it takes, also behind a delay; then comes the cut."""
    slow = b"local n = redis.call('INCR', KEYS[1]); for i = 1, 2e6 do n = n + 1 end; return n"
    async with before(redis_server) as proxy:
        proxy.delay(0.02)
        proxy.cut(b"EVAL")
        stream = await connect(proxy)
        await stream.send_all(request(b"EVAL", slow, b"1", counter))
        assert await is_reset(stream)
        assert redis_server.call("GET", counter) == b"1"


commands = st.lists(st.lists(st.binary(max_size=30), max_size=4), max_size=6)


@given(commands, st.lists(st.integers(0, 400)))
def test_requests_are_found_wherever_the_pieces_end(
    commands: list[list[bytes]], ends: list[int]
) -> None:
    """Each of them, whole, and with the place where it ends."""
    whole = b"".join(request(*words) for words in commands)
    requests, found, start = Requests(), [], 0
    for end in [*sorted(ends), len(whole)]:
        if end > start:
            found += [(start + place, one) for place, one in requests.feed(whole[start:end])]
            start = end
    assert [one for _, one in found] == [request(*words) for words in commands]
    assert [place for place, _ in found] == [
        len(b"".join(request(*words) for words in commands[: n + 1])) for n in range(len(commands))
    ]


def test_what_is_no_list_of_strings_is_one_request() -> None:
    """A handshake of TLS, for one; an unfinished list has no length yet."""
    assert request_length(b"\x16\x03\x01...") == 6
    assert request_length(INCR[:-1]) is None
    assert request_length(INCR + b"*") == len(INCR)
