"""One connection through a `TcpProxy`: two sockets, and what is on its way between them."""

from __future__ import annotations

import socket
import struct
from math import inf
from typing import TYPE_CHECKING, Final

import trio

from ._requests import Requests

if TYPE_CHECKING:
    from ._proxy import TcpProxy

#: The two directions: from the client to the server, and back.
REQUESTS: Final = "requests"
REPLIES: Final = "replies"
#: The bytes of a piece, and how many pieces may be on their way before the sender is held up.
_PIECE: Final = 65_536
_PIECES: Final = 256
#: The piece that says that no other one comes.
_END: Final = b""
#: SO_LINGER for a socket whose closing sends a reset, and drops what was not sent.
_AT_ONCE: Final = struct.pack("ii", 1, 0)

_Pieces = tuple[float, bytes]  # when it is due on Trio's clock, and what it is


class Link:
    """Carries pieces in both directions, until both have ended or the connection is reset."""

    def __init__(
        self, proxy: TcpProxy, client: trio.socket.SocketType, server: trio.socket.SocketType
    ) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._requests = Requests()
        self._silent = set[str]()  # the sides that have lost something
        self._cut = False
        self._scope = trio.CancelScope()

    def reset(self) -> None:
        """End the connection at once, on both sides."""
        reset(self._client)
        reset(self._server)
        self._scope.cancel()

    async def run(self) -> None:
        """Carry, then close both sockets. Cancelled: resets the connection."""
        try:
            await self._carry()
        finally:
            self.reset()

    async def _carry(self) -> None:
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    for side, source, target in (
                        (REQUESTS, self._client, self._server),
                        (REPLIES, self._server, self._client),
                    ):
                        source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                        pieces, arriving = trio.open_memory_channel[_Pieces](_PIECES)
                        nursery.start_soon(self._take, source, pieces)
                        nursery.start_soon(self._deliver, side, target, arriving)
                # In order, so that what was sent last still arrives.
                self._client.close()
                self._server.close()
        except* (OSError, trio.ClosedResourceError):
            pass  # one side was reset, and takes the other one with it

    async def _take(
        self, source: trio.socket.SocketType, pieces: trio.MemorySendChannel[_Pieces]
    ) -> None:
        last, data = -inf, None
        while data != _END:
            data = await source.recv(_PIECE)
            last = max(last, self._proxy.due())
            await pieces.send((last, data))

    async def _deliver(
        self, side: str, target: trio.socket.SocketType, pieces: trio.MemoryReceiveChannel[_Pieces]
    ) -> None:
        """Until the end of the stream has been delivered; for ever if something was lost."""
        async for due, data in pieces:
            await trio.sleep_until(due)
            await self._proxy.held(side)
            if self._proxy.swallows(side):
                self._silent.add(side)
            if side in self._silent:
                continue
            if side == REPLIES:
                if not self._cut:
                    await _send(target, data)
                elif data == _END:
                    raise ConnectionResetError("the server has carried out what it got")
            else:
                await _send(target, self._until_cut(data))
                if self._cut:
                    await _send(target, _END)
            if data == _END or (side == REQUESTS and self._cut):
                break

    def _until_cut(self, data: bytes) -> bytes:
        """What of this piece reaches the server, before the connection is cut."""
        for end, request in self._requests.feed(data):
            if self._proxy.cuts_after(request):
                if not self._proxy.forwards:
                    raise ConnectionResetError("cut before the request has reached the server")
                # The server carries out what it has got, and then sees an end.
                self._cut = True
                return data[:end]
        return data


async def _send(target: trio.socket.SocketType, data: bytes) -> None:
    """Send a piece; the end of the stream, if it is that."""
    if data == _END:
        target.shutdown(socket.SHUT_WR)
    while data:
        data = data[await target.send(data) :]


def reset(end: trio.socket.SocketType) -> None:
    """Close a socket in such a way that the other side sees a reset."""
    if end.fileno() != -1:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        end.close()
