"""What the tests of the page share: a client that needs no socket, and streams of events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx  # noqa: ASYNC127 - its successor does not know Trio
import trio

from trioqueue import web

ORIGIN = "http://localhost:8080"


class Page:
    """The page, as a browser with the right token would use it. ``app``: the ASGI app."""

    def __init__(self, app: web.WebApp, http: httpx.AsyncClient) -> None:
        self.app = app
        self.http = http
        self.token = ""

    async def get(self, path: str, status: int = 200, **parameters: object) -> Any:
        """An answer as JSON."""
        given = {name: str(value) for name, value in parameters.items()}
        return answer(await self.http.get(f"/api/{path}", params=given), status)

    async def post(self, path: str, body: object, status: int = 200) -> Any:
        """An operation's answer as JSON."""
        if not self.token:
            self.token = (await self.get("session"))["csrf_token"]
        headers = {"x-csrf-token": self.token}
        return answer(await self.http.post(f"/api/{path}", json=body, headers=headers), status)


def answer(response: httpx.Response, status: int) -> Any:
    """The JSON of a response that has this status; errors are one line."""
    assert response.status_code == status, (response.status_code, response.text[:500])
    body = response.json()
    if status >= 400:
        assert isinstance(body["error"], str)
        assert len(body["error"].splitlines()) == 1
    return body


@asynccontextmanager
async def open_page(source: Any, **options: Any) -> AsyncIterator[Page]:
    """A page on ``source`` that everybody may operate, unless told otherwise."""
    given = {"auth": web.everybody, **options}
    async with web.open_app(source, **given) as app, connect(app) as http:
        yield Page(app, http)


def connect(app: Any, base: str = ORIGIN, **options: Any) -> httpx.AsyncClient:
    """A client of an ASGI app."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=True)
    return httpx.AsyncClient(transport=transport, base_url=base, **options)


class Stream:
    """One stream of events, without a client in between. ``slow``: from now on nobody reads."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.events: list[tuple[str, Any]] = []
        self.comments = 0
        self.ended = trio.Event()
        self.slow: trio.Event | None = None
        self._gone = trio.Event()
        self._heard = trio.Event()

    def leave(self) -> None:
        self._gone.set()

    async def receive(self) -> Mapping[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Mapping[str, Any]) -> None:
        if self.slow is not None:
            await self.slow.wait()
        await trio.lowlevel.checkpoint()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            return
        for block in message.get("body", b"").decode().split("\n\n"):
            self._note(block)
        self._heard.set()
        self._heard = trio.Event()

    def _note(self, block: str) -> None:
        if block.startswith(":"):
            self.comments += 1
        elif block.startswith("event: "):
            name, data = block.split("\n")
            self.events.append(
                (name.removeprefix("event: "), json.loads(data.removeprefix("data: ")))
            )

    async def hear(self, count: int) -> None:
        """Wait until so many events have come."""
        while len(self.events) < count:
            await self._heard.wait()

    async def run(self, app: Any, path: str = "/api/events") -> None:
        """The request, to its end."""
        await app(scope(path), self.receive, self.send)
        self.ended.set()


def scope(path: str, method: str = "GET", **headers: str) -> dict[str, Any]:
    """What a server tells an app of a request."""
    given = {"host": "localhost:8080"} | headers
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [
            (name.replace("_", "-").encode(), value.encode("latin-1"))
            for name, value in given.items()
        ],
        "client": ("127.0.0.1", 5),
        "server": ("127.0.0.1", 8080),
    }
