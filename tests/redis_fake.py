"""A server that answers as a test wants: for what a real one says only on a bad day."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial

import trio

from trioqueue._nursery import open_bare_nursery

#: The bytes to send; ``None``: the connection is closed; "": no answer, ever.
Answer = bytes | None
SILENCE = b""
OK = b"+OK\r\n"
HELLO = b"%2\r\n$5\r\nproto\r\n:3\r\n$4\r\nrole\r\n$6\r\nmaster\r\n"


def bulk(text: str) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(text), text.encode())


def array(*parts: bytes) -> bytes:
    return b"*%d\r\n" % len(parts) + b"".join(parts)


def error(text: str) -> bytes:
    return b"-" + text.encode() + b"\r\n"


class FakeServer:
    """``answers``: by command, or a function of the command's words. ``asked`` counts commands."""

    host = "127.0.0.1"

    def __init__(self, **answers: Answer | Callable[..., Answer]) -> None:
        self.answers: dict[str, Answer | Callable[..., Answer]] = {
            "HELLO": HELLO,
            "PING": b"+PONG\r\n",
            "SELECT": OK,
            "EVALSHA": b":1\r\n",
            **answers,
        }
        self.asked: Counter[str] = Counter()
        self.words: list[list[bytes]] = []
        self.accepted = 0
        self.streams: list[trio.SocketStream] = []
        self.port = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        self.accepted += 1
        self.streams.append(stream)
        data = b""
        try:
            while piece := await stream.receive_some():
                data += piece
                while (found := _parse(data)) is not None:
                    words, data = found
                    answer = self._answer(words)
                    if answer is None:
                        return
                    await stream.send_all(answer)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self.streams.remove(stream)
            await trio.aclose_forcefully(stream)

    async def say(self, data: bytes) -> None:
        """Send this on the last connection."""
        await self.streams[-1].send_all(data)

    @property
    def open(self) -> int:
        """How many connections there are."""
        return len(self.streams)

    def _answer(self, words: list[bytes]) -> Answer:
        name = words[0].decode()
        self.asked[name] += 1
        self.words.append(words)
        answer = self.answers.get(name, error(f"ERR unknown command '{name}'"))
        return answer(*words[1:]) if callable(answer) else answer


def _parse(data: bytes) -> tuple[list[bytes], bytes] | None:
    """The first request, and what comes after it."""
    head, end, rest = data.partition(b"\r\n")
    words: list[bytes] = []
    for _ in range(int(head[1:]) if end else 0):
        size, end, rest = rest.partition(b"\r\n")
        if not end or len(rest) < (length := int(size[1:])) + 2:
            return None
        words.append(rest[:length])
        rest = rest[length + 2 :]
    return (words, rest) if words else None


@asynccontextmanager
async def faked(**answers: Answer | Callable[..., Answer]) -> AsyncGenerator[FakeServer]:
    """A server for as long as the block lasts."""
    server = FakeServer(**answers)
    async with open_bare_nursery() as nursery:
        serve = partial(trio.serve_tcp, server.serve, 0, host=server.host)
        (listener,) = await nursery.start(serve)
        server.port = listener.socket.getsockname()[1]
        yield server
        nursery.cancel_scope.cancel()


def in_turn(*answers: Answer) -> Callable[..., Answer]:
    """One after the other; the last one for ever."""
    left = list(answers)
    return lambda *_: left.pop(0) if len(left) > 1 else left[0]
