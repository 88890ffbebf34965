"""Serving: it tells where it listens, ends when told, and no client can hold it up or break it."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

from trioqueue import InvalidTask
from trioqueue.web import serve
from trioqueue.web._serve import MOST

#: Only so that a hang fails.
PATIENCE = 30.0
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """An app of one page; without a lifespan of its own."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/fail":
        raise ValueError("of the app")
    if scope["path"] == "/endless":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
    body = b"x" * 5_000_000 if scope["path"] == "/large" else b"hello"
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def serving(stop: trio.Event | None = None, **options: Any) -> AsyncIterator[int]:
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            (url,) = await nursery.start(partial(serve, hello, port=0, stop=stop, **options))
            yield int(url.rpartition(":")[2])
            if stop is None:
                nursery.cancel_scope.cancel()


async def ask(port: int, request: bytes = GET) -> bytes:
    """What is answered, until the server says no more."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(request)
        answer = b""
        while b"hello" not in answer:
            more = await stream.receive_some()
            if not more:
                break
            answer += more
        return answer


async def until_answered(port: int) -> None:
    """Ask until there is a place: who finds none may be reset."""
    while True:
        with suppress(trio.BrokenResourceError):
            if b"hello" in await ask(port):
                return


async def until_closed(stream: trio.SocketStream) -> None:
    """Read it to its end, whichever that is."""
    try:
        while await stream.receive_some():
            pass
    except trio.BrokenResourceError:
        pass


async def test_it_answers_at_the_address_that_it_tells():
    """Port 0 is a free one; the software is nobody's business."""
    async with serving() as port:
        answer = await ask(port)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"hello")
    assert b"server:" not in answer.lower()


async def test_a_taken_port_is_one_error_that_names_it():
    """And says why."""
    async with serving() as port:
        with pytest.raises(OSError, match=f"cannot listen at 127.0.0.1:{port}: address already"):
            await serve(hello, port=port)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a" * 70 + ".b"])
async def test_a_host_that_is_none_is_one_error_that_names_it(host: str):
    with pytest.raises(OSError, match=f"cannot listen at {host}:0"):
        await serve(hello, host, 0)


@pytest.mark.parametrize(
    "wrong", [{"port": 70_000}, {"port": "80"}, {"host": ""}, {"graceful_timeout": -1}]
)
async def test_what_cannot_be_is_told(wrong: Any):
    with pytest.raises(InvalidTask):
        await serve(hello, **wrong)


async def test_stopped_it_ends_with_its_idle_connections():
    """A client that keeps its connection open does not keep the server."""
    stop = trio.Event()
    async with serving(stop, graceful_timeout=PATIENCE) as port:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        await stream.send_all(GET)
        assert await stream.receive_some()
        stop.set()
    await until_closed(stream)
    await stream.aclose()


@pytest.fixture
def small_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system keeps little of what is sent, and no more as time goes by."""
    original = trio.open_tcp_listeners

    async def open_them(*args: Any, **kwargs: Any) -> Any:
        listeners = await original(*args, **kwargs)
        for listener in listeners:
            listener.socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_SNDBUF, 4096)
        return listeners

    monkeypatch.setattr(trio, "open_tcp_listeners", open_them)


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_client_that_does_not_read_holds_up_no_end(cancelled: bool, small_buffers: None):
    """Neither a stop nor a cancellation, although what sends to it is shielded."""
    stop = None if cancelled else trio.Event()
    rescued = False
    with trio.socket.socket() as client:

        async def rescue() -> None:
            """Let a failing test end."""
            nonlocal rescued
            await trio.sleep(PATIENCE / 3)
            rescued = True
            client.close()

        client.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 4096)
        async with trio.open_nursery() as rescuing:
            rescuing.start_soon(rescue)
            async with serving(stop, graceful_timeout=0.02) as port:
                await client.connect(("127.0.0.1", port))
                await client.send(GET.replace(b"/ ", b"/endless "))
                assert await client.recv(1)
                await trio.testing.wait_all_tasks_blocked(0.02)  # until no more can be sent
                if stop is not None:
                    stop.set()
            rescuing.cancel_scope.cancel()
    assert not rescued


async def test_a_stop_ends_the_streams_of_an_app_that_says_how(monkeypatch: pytest.MonkeyPatch):
    """Before the graceful wait, which would be for nothing."""
    ended = trio.Event()
    monkeypatch.setattr(hello, "end_streams", ended.set, raising=False)
    stop = trio.Event()
    async with serving(stop) as _:
        stop.set()
    assert ended.is_set()


async def test_what_an_app_raises_is_logged_and_answered(caplog: pytest.LogCaptureFixture):
    """By 500, and the next request is served."""
    async with serving() as port:
        assert (await ask(port, GET.replace(b"/ ", b"/fail "))).startswith(b"HTTP/1.1 500")
        assert b"hello" in await ask(port)
    assert "of the app" in caplog.text


async def test_a_fault_in_one_connection_is_the_end_of_that_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """It does not reach the server, nor whoever serves."""
    from hypercorn.trio.tcp_server import TCPServer

    original = TCPServer.run
    broken = iter([True])

    async def run(self: Any) -> None:
        if next(broken, False):
            raise KeyError("of the server")
        await original(self)

    monkeypatch.setattr(TCPServer, "run", run)
    async with serving() as port:
        with caplog.at_level(logging.ERROR, "trioqueue.web"):
            assert await ask(port, b"") == b""
        assert b"hello" in await ask(port)
    assert "of the server" in caplog.text


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x00\x01\x02\x03 nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",  # no host
    ],
    ids=["headers", "target", "nonsense", "no-host"],
)
async def test_a_head_that_is_too_long_or_wrong_is_refused(request_: bytes):
    """By a 4xx."""
    async with serving() as port:
        answer = await ask(port, request_)
        assert answer.startswith(b"HTTP/1.1 4")
        assert b"hello" in await ask(port)


async def test_connections_are_bounded(monkeypatch: pytest.MonkeyPatch):
    """One too many is closed; the others go on, and the place is free again afterwards."""
    monkeypatch.setattr("trioqueue.web._serve.MOST", 2)
    assert MOST > 100
    async with serving() as port:
        kept = []
        for _ in range(2):
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            await stream.send_all(GET)
            assert await stream.receive_some()
            kept.append(stream)
        extra = await trio.open_tcp_stream("127.0.0.1", port)
        await until_closed(extra)
        await extra.aclose()
        await kept[0].send_all(GET)
        assert await kept[0].receive_some()
        for stream in kept:
            await stream.aclose()
        await until_answered(port)


@pytest.mark.parametrize("leaves", [False, True])
async def test_who_does_not_take_the_answers_keeps_no_place(
    leaves: bool, small_buffers: None, monkeypatch: pytest.MonkeyPatch
):
    """Whether it goes, with requests still to be answered, or only stays and does not read."""
    monkeypatch.setattr("trioqueue.web._serve.MOST", 1)
    monkeypatch.setattr("trioqueue.web._serve.STALLED", PATIENCE * 2 if leaves else 0.05)
    async with serving() as port:
        with trio.socket.socket() as client:
            client.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 4096)
            await client.connect(("127.0.0.1", port))
            await client.send(GET.replace(b"/ ", b"/large ") * 50)
            assert await client.recv(1)
            await trio.testing.wait_all_tasks_blocked(0.02)  # until no more can be sent
            if leaves:
                client.close()
            await until_answered(port)
