"""Serving an ASGI app on Trio: Hypercorn speaks HTTP, and the connections are kept here.

Kept here, because a server beside the work must never hold it up: one connection's fault ends that
connection alone, their number is bounded, and a client that does not read is closed at the end
instead of being waited for.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, final

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState

from .._checks import check_count, check_name, check_seconds

logger = logging.getLogger("trioqueue.web")

#: An ASGI 3 application: Starlette's, a router, a function.
App = Callable[..., Awaitable[None]]

#: Connections at once; those above it are closed. Far more than people and scrapers open, and far
#: fewer than the descriptors that a process has.
MOST: Final = 500
#: Seconds without a request until a connection is closed; a head has to arrive within them as well.
IDLE: Final = 10.0
#: Seconds for a client to take one piece of an answer: then it is closed.
STALLED: Final = 60.0
#: Bytes of a request's line and headers.
HEAD: Final = 16 * 1024


async def serve(  # noqa: ASYNC128 - `started` is called in `_Server`
    app: App,
    host: str = "127.0.0.1",
    port: int = 8080,
    *,
    stop: trio.Event | None = None,
    graceful_timeout: float = 1.0,
    task_status: trio.TaskStatus[tuple[str, ...]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve ``app`` over HTTP until ``stop`` is set or this is cancelled.

    ``await nursery.start(serve, app)`` returns the URLs at which it listens. ``port=0``: any free
    port. After ``stop`` nothing more is accepted; requests under way get ``graceful_timeout``
    seconds, idle connections none. Cancelled: every connection is closed at once.

    Raises `OSError`, which names the address, if it cannot be listened at. ``app`` sees the
    lifespan of ASGI. It has to bound the bodies that it reads; a request's head is bounded here. An
    ``app.end_streams()``, if there is one, is called as the stop begins.
    """
    check_name("host", host)
    check_count("port", port, 0, 65_535)
    check_seconds("graceful_timeout", graceful_timeout)
    listeners = await _listen(host, port)
    stop = trio.Event() if stop is None else stop
    server = _Server(app, graceful_timeout)
    addresses = tuple(dict.fromkeys(map(_url, listeners)))
    await server.run(listeners, stop, partial(task_status.started, addresses))


async def _listen(host: str, port: int) -> Sequence[trio.SocketListener]:
    try:
        listeners = await trio.open_tcp_listeners(port, host=host)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        number = getattr(error, "errno", None) or 0
        msg = f"cannot listen at {host}:{port}: {why[:1].lower()}{why[1:]}"
        raise OSError(number, msg) from None
    if port == 0:  # a name with two addresses would get two ports
        for listener in listeners[1:]:
            listener.socket.close()
        return listeners[:1]
    return listeners


def _url(listener: trio.SocketListener) -> str:
    host, port = listener.socket.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _configure() -> Config:
    config = Config()
    config.errorlog = logger  # what a handler raises; requests are not logged
    config.accesslog = None
    config.include_server_header = False
    config.keep_alive_timeout = IDLE
    config.h11_max_incomplete_size = HEAD
    config.h2_max_header_list_size = HEAD
    return config


@final
class _Server:
    """The connections of one server."""

    def __init__(self, app: App, graceful_timeout: float) -> None:
        self._app = ASGIWrapper(app)
        self._end_streams: Callable[[], object] = getattr(app, "end_streams", _nothing)
        self._config = _configure()
        self._graceful = graceful_timeout
        self._context = WorkerContext(None)
        self._state: dict[str, Any] = {}  # what a lifespan leaves for the requests
        self._streams: set[trio.SocketStream] = set()
        self._quiet = trio.Event()  # once stopping: no connection is left

    async def run(
        self,
        listeners: Sequence[trio.SocketListener],
        stop: trio.Event,
        started: Callable[[], object],
    ) -> None:
        """Serve between the two halves of the app's lifespan."""
        lifespan = Lifespan(self._app, self._config, self._state)
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(lifespan.handle_lifespan)
                await lifespan.wait_for_startup()
                await self._serve(listeners, stop, started)
                await lifespan.wait_for_shutdown()
                nursery.cancel_scope.cancel()
        finally:
            for listener in listeners:
                listener.socket.close()

    async def _serve(
        self,
        listeners: Sequence[trio.SocketListener],
        stop: trio.Event,
        started: Callable[[], object],
    ) -> None:
        async with trio.open_nursery() as talking:
            try:
                async with trio.open_nursery() as accepting:
                    accepting.start_soon(
                        partial(
                            trio.serve_listeners,
                            self._talk,
                            list(listeners),
                            handler_nursery=talking,
                        )
                    )
                    started()
                    await stop.wait()
                    accepting.cancel_scope.cancel(reason="the server stops")
                await self._context.terminated.set()  # idle connections end
                self._end_streams()  # and what never ends by itself
                if self._streams:
                    with trio.move_on_after(self._graceful):
                        await self._quiet.wait()
            finally:
                self._hang_up()
                talking.cancel_scope.cancel(reason="the server stops")

    def _hang_up(self) -> None:
        """Close what is open: Hypercorn shields its sending, to clients that may never read."""
        for stream in self._streams:
            stream.socket.close()

    async def _talk(self, stream: trio.SocketStream) -> None:
        """One connection. Whatever goes wrong in it is the end of it, and of nothing else."""
        if len(self._streams) >= MOST:
            stream.socket.close()
            return
        self._streams.add(stream)
        state = ConnectionState(self._state.copy())
        try:
            with trio.CancelScope() as talk:
                talking: Any = _Sending(stream, talk)  # it is declared as one with TLS
                await TCPServer(self._app, self._config, self._context, state, talking)
        except* Exception:  # a cancellation beside it goes on
            logger.exception("a connection failed")
        finally:
            stream.socket.close()
            self._streams.discard(stream)
            if not self._streams:
                self._quiet.set()


@final
class _Sending:
    """A client's stream, with an end for whoever does not take what is sent.

    Hypercorn waits for ever for its turn to read on, if a client has gone that had sent several
    requests at once, and shields its sending without a deadline.
    """

    def __init__(self, stream: trio.SocketStream, talk: trio.CancelScope) -> None:
        self.socket: Final = stream.socket
        self.receive_some: Final = stream.receive_some
        self.send_eof: Final = stream.send_eof
        self.aclose: Final = stream.aclose
        self._stream = stream
        self._talk = talk

    async def send_all(self, data: bytes) -> None:
        """Send it; if that fails, the whole connection is over."""
        try:
            with trio.fail_after(STALLED):
                await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
            self._talk.cancel(reason="the client has gone, or does not read")
            raise trio.BrokenResourceError from None


def _nothing() -> None:
    """The app has no streams that would not end by themselves."""
