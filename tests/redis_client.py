"""A tiny client of Redis and Valkey on a blocking socket: raw commands and their replies.

It has nothing in common with the client that the broker uses, so that a test can look at the server
with eyes of its own.
"""

from __future__ import annotations

import socket
import ssl
from typing import Any, TypeAlias

#: The path of a unix socket, or a host and a port.
Address: TypeAlias = str | tuple[str, int]
Argument: TypeAlias = bytes | str | int | float


class ReplyError(Exception):
    """The server answered with an error; this is its text."""


class Client:
    """One connection. Whatever takes longer than ``timeout`` seconds raises `TimeoutError`.

    Replies: bytes, int, ``None`` and lists of them (RESP2); status replies are bytes.
    """

    def __init__(
        self, address: Address, *, timeout: float = 10.0, tls: ssl.SSLContext | None = None
    ) -> None:
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family)
        try:
            self.socket.settimeout(timeout)
            self.socket.connect(address)
            if family == socket.AF_INET:
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls and family == socket.AF_INET:
                self.socket = tls.wrap_socket(self.socket, server_hostname=address[0])
            self._replies = self.socket.makefile("rb")
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._replies.close()
        self.socket.close()

    def call(self, *arguments: Argument) -> Any:
        """Send a command and read its reply. An error reply raises `ReplyError`."""
        self.send(*arguments)
        reply = self.read()
        if isinstance(reply, ReplyError):
            raise reply
        return reply

    def send(self, *arguments: Argument) -> None:
        parts = [b"*%d\r\n" % len(arguments)]
        for argument in arguments:
            word = argument if isinstance(argument, bytes) else str(argument).encode()
            parts.append(b"$%d\r\n%b\r\n" % (len(word), word))
        self.socket.sendall(b"".join(parts))

    def read(self) -> Any:
        """The next reply or message; an error reply is returned, since it may be part of a list."""
        line = self._replies.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionResetError("the server has closed the connection")
        kind, rest = line[:1], line[1:-2]
        match kind:
            case b"+":
                return rest
            case b"-":
                return ReplyError(rest.decode(errors="replace"))
            case b":":
                return int(rest)
            case b"$":
                return self._bulk(int(rest))
            case b"*":
                return [self.read() for _ in range(int(rest))] if rest != b"-1" else None
            case _:
                raise AssertionError(f"not RESP2: {line!r}")

    def _bulk(self, length: int) -> bytes | None:
        if length < 0:
            return None
        data = self._replies.read(length + 2)
        if len(data) < length + 2:
            raise ConnectionResetError("the server has closed the connection")
        return data[:-2]
