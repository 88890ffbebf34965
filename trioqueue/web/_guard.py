"""What every request passes before anything is done: host, user, origin, token, size, time.

Around the whole app and not in its routes, so that no route can be forgotten: whatever is no GET
or HEAD is an operation.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import logging
import re
import secrets
from collections.abc import Collection
from typing import Any, Final, final
from urllib.parse import urlsplit

import trio
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ._auth import Auth, BasicAuth, everybody
from ._text import one_line, refusal

logger = logging.getLogger("trioqueue.web")
audit = logging.getLogger("trioqueue.web.audit")

#: Seconds for a body to arrive, and for the hook that says who somebody is.
BODY_TIMEOUT: Final = 10.0
AUTH_TIMEOUT: Final = 10.0

#: Where the guard leaves what it has found out, for those behind it.
USER: Final = "trioqueue.user"
BODY: Final = "trioqueue.body"

_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; object-src 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}

_HOST: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")


class _Refused(Exception):
    def __init__(self, status: int, error: str, **more: object) -> None:
        super().__init__(error)
        self.answer = refusal(status, error, **more)


@final
class Tokens:
    """What operations have to show, so that no page from elsewhere can send them."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)

    def of(self, user: str) -> str:
        """The token of a user: the same as long as this app is open, and nobody else's."""
        return hmac.new(self._secret, user.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


@final
class Guard:
    """``app``, for those who may."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        auth: Auth | None,
        tokens: Tokens,
        read_only: bool,
        hosts: Collection[str],
        max_body: int,
        open_paths: Collection[str],
    ) -> None:
        self._app = app
        self._auth = auth
        self._tokens = tokens
        self._read_only = read_only or auth is None
        self._hosts = {host.lower() for host in hosts}
        # Another name for this machine, in a page from elsewhere, brings no password along.
        self._any_host = "*" in hosts or not (hosts or auth in (None, everybody))
        self._max_body = max_body
        self._open_paths = frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        try:
            await self._check(scope, receive)
        except _Refused as refused:
            await refused.answer(scope, receive, send_guarded)
            return
        await self._app(scope, receive, send_guarded)

    async def _check(self, scope: Scope, receive: Receive) -> None:
        """Raise `_Refused`, or leave user and body in the scope."""
        method, headers = scope["method"], Headers(scope=scope)
        if method not in {"GET", "HEAD", "POST"}:
            raise _Refused(405, f"there is no {one_line(method, 20)} here")
        if method != "POST" and route_path(scope) in self._open_paths:
            scope[USER] = ""
            return
        self._check_host(headers)
        user = scope[USER] = await self._authenticate(scope)
        if method != "POST":
            return
        try:
            self._check_operation(headers, user)
            scope[BODY] = await self._read(headers, receive)
        except _Refused as refused:
            path = one_line(route_path(scope), 100)
            audit.warning("%s was refused %s: %s", one_line(user), path, refused)
            raise

    def _check_host(self, headers: Headers) -> None:
        """A name that somebody has made point here must not open the page of this machine."""
        host = headers.get("host", "")
        found = _HOST.fullmatch(host)
        if found is None:
            raise _Refused(400, "the Host header is missing, or is none")
        name = found[1].lower()
        if not (self._any_host or name in self._hosts or _is_here(name)):
            msg = f"the host {name!r} is not served here: allow it by name (hosts=, --allow-host)"
            raise _Refused(421, msg)

    async def _authenticate(self, scope: Scope) -> str:
        if self._auth is None:
            await trio.lowlevel.checkpoint()
            return "anonymous"
        try:
            with trio.fail_after(AUTH_TIMEOUT):
                user = await self._auth(Request(scope))
        except trio.TooSlowError:
            raise _Refused(503, "who you are could not be found out in time") from None
        except Exception:  # the user's own: never a way in
            logger.exception("the hook `auth` failed")
            raise _Refused(500, "who you are could not be found out") from None
        if isinstance(user, str) and user:
            return user
        if Headers(scope=scope).get("authorization"):
            audit.warning("somebody gave a wrong user or password")
        refused = _Refused(401, "who are you?")
        if isinstance(self._auth, BasicAuth):
            refused.answer.headers["www-authenticate"] = 'Basic realm="trioqueue", charset="UTF-8"'
        raise refused

    def _check_operation(self, headers: Headers, user: str) -> None:
        """It must come from our own page, or from a program that has read the token there."""
        if self._read_only:
            why = "nobody is authenticated" if self._auth is None else "the page is read-only"
            raise _Refused(403, f"nothing can be changed here: {why}")
        site = headers.get("sec-fetch-site", "same-origin")
        if site != "same-origin":
            raise _Refused(403, f"this came from a {one_line(site, 20)} page")
        self._check_origin(headers)
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise _Refused(415, "operations are JSON: Content-Type: application/json")
        token = headers.get("x-csrf-token", "").encode("latin-1", "replace")
        if not hmac.compare_digest(token, self._tokens.of(user).encode()):
            raise _Refused(
                403, "the X-CSRF-Token is missing or old: load the page again", csrf=True
            )

    def _check_origin(self, headers: Headers) -> None:
        origin = headers.get("origin")
        if origin is None:  # no browser
            return
        try:
            parts = urlsplit(origin)
            same = parts.netloc.lower() == headers.get("host", "").lower()
            listed = (parts.hostname or "") in self._hosts
        except ValueError:
            same = listed = False
        if not (same or listed):
            raise _Refused(403, f"this came from a page of {one_line(origin, 100)}")

    async def _read(self, headers: Headers, receive: Receive) -> bytes:
        """The body, if it is small enough and comes in time."""
        too_large = _Refused(413, f"a body has at most {self._max_body:,} bytes")
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()) or int(length[:20]) > self._max_body:
            raise too_large
        body = bytearray()
        with trio.move_on_after(BODY_TIMEOUT) as waiting:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _Refused(400, "the client has gone")
                body += message.get("body", b"")
                if len(body) > self._max_body:
                    raise too_large
                if not message.get("more_body", False):
                    break
        if waiting.cancelled_caught:
            raise _Refused(408, f"the body took longer than {BODY_TIMEOUT:.0f} s")
        return bytes(body)


def _is_here(name: str) -> bool:
    """Whether it is this machine's own name, or no name at all."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def route_path(scope: Scope) -> str:
    """The path below where we are mounted."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if root and path.startswith(root) and path[len(root) : len(root) + 1] in {"", "/"}:
        return path[len(root) :]
    return path


async def _live(receive: Receive, send: Send) -> None:
    """The lifespan of ASGI, for servers that have one: ours is the block of `open_app`."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def user_of(scope: Any) -> str:
    """Who the guard has found it to be."""
    return str(scope.get(USER, ""))
