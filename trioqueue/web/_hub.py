"""One latest value for many streams of server-sent events: who is slow skips, nobody is waited for.

No generator is involved: a stream is a loop that sends, in the Trio task of its own request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

import trio
from starlette.types import Receive, Scope, Send

from ._text import refusal

#: Seconds without an event after which a comment shows proxies, and us, that somebody is there.
HEARTBEAT: Final = 15.0

#: Streams at once: a page has one, and each holds a connection.
MOST: Final = 200


@final
class Hub:
    """The latest value. ``streams``: how many listen.

    ``on_first`` is called when somebody listens after nobody did. What was published meanwhile is
    not sent: it may lack what only those who listen want to know, or be as old as the last of them.
    """

    def __init__(self) -> None:
        self.streams = 0
        self.on_first: Callable[[], object] = _nobody_asked
        self.ended = False
        self._value = b""
        self._number = 0
        self._changed = trio.Event()

    def publish(self, value: bytes) -> None:
        """Have all streams send ``value``, which is one line; those that are slow send it later,
        or what is the latest then."""
        self._value = value
        self._number += 1
        self._wake()

    def end(self) -> None:
        """Say goodbye to all streams, now and from now on."""
        self.ended = True
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One stream, until its client goes or all are ended."""
        if self.streams >= MOST:
            await refusal(503, f"{MOST} pages are open already")(scope, receive, send)
            return
        self.streams += 1
        seen = 0
        if self.streams == 1:
            seen = self._number
            self.on_first()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_until_gone, receive, nursery.cancel_scope)
                await send({"type": "http.response.start", "status": 200, "headers": _head(scope)})
                await self._send_all(send, seen)
                nursery.cancel_scope.cancel(reason="the stream was ended")
        finally:
            self.streams -= 1

    async def _send_all(self, send: Send, seen: int) -> None:
        while not self.ended:
            changed = self._changed
            if seen < self._number:
                seen = self._number
                await _body(send, b"event: overview\ndata: %b\n\n" % self._value)
                continue
            with trio.move_on_after(HEARTBEAT) as waiting:
                await changed.wait()
            if waiting.cancelled_caught:
                await _body(send, b": still here\n\n")
        await _body(send, b"event: bye\ndata: {}\n\n", more=False)


def _nobody_asked() -> None:
    """Without a sampler there is nothing to hurry."""


def _head(scope: Scope) -> list[tuple[bytes, bytes]]:
    head = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
    head.append((b"x-accel-buffering", b"no"))  # nginx would collect events
    if scope.get("http_version", "1.1").startswith("1"):  # it is an error in HTTP/2
        head.append((b"connection", b"close"))
    return head


async def _body(send: Send, body: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def _until_gone(receive: Receive, stream: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.cancel(reason="the client has gone")
