"""What stands on both sides of the proxy that plays a bad network: clients and servers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial

import trio

from tests.redis_server import Redis
from trioqueue.testing.chaos import TcpProxy, open_proxy

#: Seconds in which nothing comes: long for this machine, short for a test.
QUIET = 0.05
#: Seconds after which a test is taken to hang.
HANGS = 20.0

GONE = (trio.BrokenResourceError, trio.ClosedResourceError)


def request(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words)


class EchoServer:
    """Sends back what it gets. It has taken the end of a stream when ``ended`` counts it."""

    def __init__(self) -> None:
        self.ended = 0
        self.broken = 0
        self.streams: list[trio.SocketStream] = []

    async def serve(self, stream: trio.SocketStream) -> None:
        self.streams.append(stream)
        try:
            async for data in stream:
                await stream.send_all(data)
        except GONE:
            self.broken += 1
        else:
            self.ended += 1
            await stream.send_eof()


@asynccontextmanager
async def through_proxy() -> AsyncGenerator[tuple[TcpProxy, EchoServer]]:
    server = EchoServer()
    with trio.fail_after(HANGS):
        async with trio.open_nursery() as nursery:
            (listener,) = await nursery.start(
                partial(trio.serve_tcp, server.serve, 0, host="127.0.0.1")
            )
            port: int = listener.socket.getsockname()[1]
            async with closing(), open_proxy("127.0.0.1", port) as proxy:
                yield proxy, server
            nursery.cancel_scope.cancel()


#: What was connected in the `closing` block.
_streams: list[trio.SocketStream] = []


async def connect(proxy: TcpProxy) -> trio.SocketStream:
    client = trio.socket.socket()
    try:
        await client.connect((proxy.host, proxy.port))
    except BaseException:
        client.close()
        raise
    _streams.append(trio.SocketStream(client))
    return _streams[-1]


@asynccontextmanager
async def closing() -> AsyncGenerator[None]:
    try:
        yield
    finally:
        while _streams:
            await trio.aclose_forcefully(_streams.pop())


async def receive(stream: trio.SocketStream, length: int) -> bytes:
    data = b""
    while len(data) < length:
        more = await stream.receive_some(length - len(data))
        assert more, f"the stream ended after {data!r}"
        data += more
    return data


async def echo(stream: trio.SocketStream, data: bytes) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.send_all, data)
        assert await receive(stream, len(data)) == data


async def silent(stream: trio.SocketStream) -> bool:
    """Whether nothing comes, not even an end."""
    with trio.move_on_after(QUIET) as scope:
        await stream.receive_some()
    return scope.cancelled_caught


async def is_reset(stream: trio.SocketStream) -> bool:
    """Whether the stream is reset, and not ended in order."""
    try:
        while await stream.receive_some():
            pass
    except trio.BrokenResourceError as error:
        return isinstance(error.__cause__, ConnectionResetError)
    return False


async def until(condition: Callable[[], bool]) -> None:
    """The other side of a connection learns of its end in its own time."""
    while not condition():  # noqa: ASYNC110 - nobody could set an event
        await trio.sleep(0.001)


@asynccontextmanager
async def before(server: Redis) -> AsyncGenerator[TcpProxy]:
    with trio.fail_after(HANGS):
        async with closing(), open_proxy(server.host, server.port) as proxy:
            yield proxy
