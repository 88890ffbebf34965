"""A bad network between a client and its server: a TCP proxy that does as it is told.

Bytes are bytes to it, but for one thing: it knows where the requests of Redis end, so that it can
cut a connection after one of them has reached the server, and before its reply reaches the client.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from random import Random
from typing import Final

import trio

from ..._nursery import open_bare_nursery
from ._link import REPLIES, REQUESTS, Link

_BACKLOG: Final = 1024


class TcpProxy:
    """What `open_proxy` yields: clients connect to ``host`` and ``port``.

    Each method holds from now on, for connections that are open as well as for new ones, and does
    not wait; the effects add up until `normal`. To be called in Trio's thread. ``requests`` and
    ``cuts`` count what went through, ``accepted`` the connections.
    """

    host: Final = "127.0.0.1"

    def __init__(self, target: tuple[str, int], random: Random, port: int) -> None:
        self.accepted = 0
        self.requests = 0
        self.cuts = 0
        self._target = target
        self._random = random
        # Bound and never listening: it keeps the port for us while connections are refused.
        self._holder = _bound(self.host, port)
        self.port: int = self._holder.getsockname()[1]
        self._listener: trio.socket.SocketType | None = None
        self._links = set[Link]()
        self._changed = trio.Event()
        self._seconds = self._jitter = 0.0
        self._swallowed: frozenset[str] = frozenset()
        self._held: frozenset[str] = frozenset()
        self._matching, self._times, self._forward = b"", 0, True
        self._listen()

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._links)

    # --- what it is told -----------------------------------------------------------------------

    def normal(self) -> None:
        """Whatever was told before holds no longer; what was held back goes on its way."""
        self._seconds = self._jitter = 0.0
        self._swallowed = self._held = frozenset()
        self._times = 0
        self._listen()
        self._tell()

    def delay(self, seconds: float, jitter: float = 0.0) -> None:
        """Each piece takes ``seconds``, and up to ``jitter`` more, each way; the order stays."""
        self._seconds, self._jitter = seconds, jitter

    def blackhole(self, *, requests: bool = True, replies: bool = True) -> None:
        """Swallow what is sent and keep the connections open.

        A connection that has lost something stays silent in that direction for ever, also after
        `normal`: half a reply must not be followed by the rest of another one.
        """
        self._swallowed = _sides(requests, replies)

    def hold(self, *, requests: bool = True, replies: bool = True) -> None:
        """Keep back what is sent, until `normal`: it arrives late, as after a cut cable."""
        self._held = _sides(requests, replies)
        self._tell()

    def reset(self) -> int:
        """Reset all connections that are open, in both directions; returns how many."""
        links = list(self._links)
        for link in links:
            link.reset()
        return len(links)

    def refuse(self) -> None:
        """Refuse new connections, as if nobody listened on the port; one just made is reset."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def cut(self, matching: bytes = b"", *, times: int = 1, forward: bool = True) -> None:
        """Cut a connection after the next request that contains ``matching``; so ``times`` times.

        The request reaches the server and is carried out, its reply and whatever else was on its
        way is dropped, and the client's connection is reset. Without ``forward`` the request does
        not reach the server. Requests are told apart by their whole text, such as the digest of a
        script; in a connection that does not speak plain RESP, each piece is a request.
        """
        self._matching, self._times, self._forward = matching, times, forward

    # --- what the links ask --------------------------------------------------------------------

    def due(self) -> float:
        """When a piece that came just now may arrive, on Trio's clock."""
        return trio.current_time() + self._seconds + self._random.random() * self._jitter

    def swallows(self, side: str) -> bool:
        """Whether a piece is lost."""
        return side in self._swallowed

    async def held(self, side: str) -> None:
        """Wait while that side is held back."""
        while side in self._held:
            await self._changed.wait()

    def cuts_after(self, request: bytes) -> bool:
        """Whether the connection is to be cut after this request. Counts."""
        self.requests += 1
        if not self._times or self._matching not in request:
            return False
        self._times -= 1
        self.cuts += 1
        return True

    @property
    def forwards(self) -> bool:
        """Whether a request that is cut off reaches the server."""
        return self._forward

    # --- connections ---------------------------------------------------------------------------

    def _listen(self) -> None:
        if self._listener is None:
            listener = _bound(self.host, self.port)
            listener.listen(_BACKLOG)
            self._listener = trio.socket.from_stdlib_socket(listener)
            self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def serve(self) -> None:
        """Take connections, for ever. Cancelled: resets all of them."""
        try:
            async with trio.open_nursery() as nursery:
                while True:
                    if self._listener is None:
                        await self._changed.wait()
                    elif (client := await _accept(self._listener)) is not None:
                        self.accepted += 1
                        nursery.start_soon(self._connect, client)
        finally:
            self.refuse()
            self._holder.close()

    async def _connect(self, client: trio.socket.SocketType) -> None:
        server = trio.socket.socket()
        link = Link(self, client, server)
        self._links.add(link)
        try:
            await server.connect(self._target)
            await link.run()
        except (OSError, trio.ClosedResourceError):
            pass  # there is no server, or it was told to reset while it connected
        finally:
            link.reset()
            self._links.remove(link)


@asynccontextmanager
async def open_proxy(
    host: str, port: int, *, listen: int = 0, random: Random | None = None
) -> AsyncGenerator[TcpProxy]:
    """A proxy to ``host`` and ``port``, on 127.0.0.1, on the port ``listen`` or a free one.

    ``random``: for the jitter. Leaving the block resets all connections. Raises `OSError` if the
    port is not free.
    """
    proxy = TcpProxy((host, port), random or Random(), listen)
    async with open_bare_nursery() as nursery:
        nursery.start_soon(proxy.serve)  # noqa: ASYNC113 - it listens already
        yield proxy
        nursery.cancel_scope.cancel()


def _sides(requests: bool, replies: bool) -> frozenset[str]:
    return frozenset(side for side, yes in ((REQUESTS, requests), (REPLIES, replies)) if yes)


def _bound(host: str, port: int) -> socket.socket:
    found = socket.socket()
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.setblocking(False)
        found.bind((host, port))
    except BaseException:
        found.close()
        raise
    return found


async def _accept(listener: trio.socket.SocketType) -> trio.socket.SocketType | None:
    """A connection; none if it went away at once, or nobody is to be accepted any more."""
    try:
        client, _ = await listener.accept()
    except trio.ClosedResourceError:
        return None
    except OSError as error:
        # EBADF: it was woken, and the listener closed before it could accept.
        if error.errno not in {errno.ECONNABORTED, errno.EBADF}:
            raise
        return None
    return client
