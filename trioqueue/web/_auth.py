"""Who may operate: basic authentication, nobody, everybody, or a hook of the user's own."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Awaitable, Callable
from typing import Final, final

import trio
from starlette.requests import Request

from .._errors import InvalidTask

#: Asked with each request: the name of the user whose it is, or ``None`` if nobody's.
Auth = Callable[[Request], Awaitable[str | None]]

#: Seconds that a wrong password costs, and how many are answered at once: guessing takes its time,
#: over however many connections.
_PENALTY: Final = 0.25
_GUESSERS: Final = 4


@final
class BasicAuth:
    """HTTP basic authentication. Made by `basic_auth`."""

    def __init__(self, user: str, password: str) -> None:
        self._user = user.encode()
        self._password = password.encode("utf-8", "surrogateescape")  # an environment has bytes
        self._guesses = trio.CapacityLimiter(_GUESSERS)

    async def __call__(self, request: Request) -> str | None:
        """The user's name, if the request has it and the password."""
        header = request.headers.get("authorization")
        if header is None:
            return None
        user, password = _credentials(header)
        # Both are compared whole, whatever the first has brought.
        good_user = hmac.compare_digest(user, self._user)
        good_password = hmac.compare_digest(password, self._password)
        if good_user and good_password:
            return self._user.decode()
        async with self._guesses:
            await trio.sleep(_PENALTY)
        return None

    def __repr__(self) -> str:
        return f"<basic_auth of {self._user.decode()!r}>"


def _credentials(header: str) -> tuple[bytes, bytes]:
    """User and password as sent; nothing if that is no basic authentication."""
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "basic":
        return b"", b""
    try:
        user, colon, password = base64.b64decode(token.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return b"", b""
    return (user, password) if colon else (b"", b"")


def basic_auth(user: str, password: str) -> Auth:
    """An ``auth`` for `open_app`: one user with a password, by HTTP basic authentication.

    The browser sends both with each request, readable on the way: use TLS where that is not your
    own machine. A wrong password is answered late. Raises `InvalidTask` if either is empty, or the
    user has a colon or a control character in it.
    """
    if not user or ":" in user or not user.isprintable():
        msg = f"basic_auth(user) must be a printable name without a colon, not {user!r}"
        raise InvalidTask(msg)
    if not password:
        msg = "basic_auth(password) is empty: anybody could guess it"
        raise InvalidTask(msg)
    return BasicAuth(user, password)


async def everybody(request: Request) -> str | None:
    """An ``auth`` for `open_app`: whoever reaches the page may operate it.

    For a page on your own machine, or behind something that lets only operators through.
    """
    await trio.lowlevel.checkpoint()
    return "everybody"
