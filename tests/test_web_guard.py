"""The guard of the page: who gets in, and what an operation has to show. Hostile requests first."""

from __future__ import annotations

import base64
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount, Route
from trio.testing import MockClock

from tests.web_client import ORIGIN, Page, Stream, answer, connect, httpx, open_page, scope
from trioqueue import InvalidTask, Queue, TaskSet, open_queue, web
from trioqueue.web._guard import BODY_TIMEOUT

tasks = TaskSet()


@tasks.task
async def ping(text: str = "") -> None:
    pass


@asynccontextmanager
async def page_of(**options: Any) -> AsyncIterator[tuple[Queue, Page]]:
    async with open_queue(tasks) as queue:
        async with open_page(queue, **options) as page:
            yield queue, page
        await queue.shutdown(0)


def routes_of(app: web.WebApp) -> list[tuple[str, str]]:
    """(method, path) of every route that there is, so that a new one cannot be forgotten."""
    found = []
    for route in app._routes:
        assert isinstance(route, Route)
        found += [(method, route.path) for method in route.methods or ("GET",)]
    return found


def operations_of(app: web.WebApp) -> list[str]:
    return [path for method, path in routes_of(app) if method not in {"GET", "HEAD"}]


def basic(user: str, password: str) -> dict[str, str]:
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"authorization": f"Basic {token}"}


# --- who -----------------------------------------------------------------------------------------


async def test_nothing_but_health_is_shown_to_who_is_not_authenticated(
    autojump_clock: MockClock,
):
    """Neither the page, nor a file, nor any answer of the API, known or not."""
    async with page_of(auth=web.basic_auth("ann", "secret")) as (_, page):
        paths = [path for method, path in routes_of(page.app) if method == "GET"]
        assert len(paths) > 12
        for path in [*paths, "/nowhere", "/api/", "/static/../_app.py"]:
            response = await page.http.get(path.replace("{name:path}", "app.js"))
            if path.startswith("/health"):
                assert response.status_code == 200
            else:
                assert answer(response, 401) == {"error": "who are you?"}
                assert response.headers["www-authenticate"].startswith("Basic ")


async def test_nothing_is_done_for_who_is_not_authenticated(autojump_clock: MockClock):
    """In any route that changes something, whatever else the request has."""
    async with page_of(auth=web.basic_auth("ann", "secret")) as (queue, page):
        right = await page.http.get("/api/session", headers=basic("ann", "secret"))
        headers = {"x-csrf-token": right.json()["csrf_token"]}
        operations = operations_of(page.app)
        assert len(operations) == 9
        for path in operations:
            answer(await page.http.post(path, json={}, headers=headers), 401)
        body = {"type": "ping"}
        answer(await page.http.post("/api/submit", json=body, headers=headers), 401)
        assert queue.statistics().submitted == 0
        headers |= basic("ann", "secret")
        answer(await page.http.post("/api/submit", json=body, headers=headers), 200)
        assert queue.statistics().submitted == 1


@pytest.mark.parametrize(
    "header",
    [
        basic("ann", "Secret"),
        basic("ann", ""),
        basic("", "secret"),
        basic("Ann", "secret"),
        basic("ann", "secret\0"),
        basic("ann:secret", "secret"),
        {"authorization": "Basic"},
        {"authorization": "Basic !!!"},
        {"authorization": "Basic YW5uOnNlY3JldA"},  # without its padding
        {"authorization": "Bearer YW5uOnNlY3JldA=="},
        {"authorization": "Basic " + base64.b64encode(b"\xff\xfe:secret").decode()},
        {"authorization": "Basic " + "A" * 10_000},
    ],
)
async def test_a_wrong_user_or_password_is_nobody(
    header: dict[str, str], autojump_clock: MockClock
):
    async with page_of(auth=web.basic_auth("ann", "secret")) as (_, page):
        answer(await page.http.get("/api/overview", headers=header), 401)


async def test_names_and_passwords_may_have_anything_in_them(autojump_clock: MockClock):
    async with page_of(auth=web.basic_auth("änn", "se:cr:ét")) as (_, page):
        response = await page.http.get("/api/session", headers=basic("änn", "se:cr:ét"))
        assert answer(response, 200)["user"] == "änn"


async def test_a_password_from_an_environment_may_be_no_utf_8(autojump_clock: MockClock):
    """Python has its bytes as lone surrogates, and the browser sends bytes."""
    async with page_of(auth=web.basic_auth("ann", os.fsdecode(b"p\xff"))) as (_, page):
        header = {"Authorization": f"Basic {base64.b64encode(b'ann:p' + bytes([255])).decode()}"}
        answer(await page.http.get("/api/overview", headers=header), 200)
        answer(await page.http.get("/api/overview", headers=basic("ann", "p?")), 401)


async def test_guessing_passwords_takes_its_time(autojump_clock: MockClock):
    """However many connections guess; who knows the password does not wait behind them."""
    async with page_of(auth=web.basic_auth("ann", "secret")) as (_, page):
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for number in range(40):
                guess = basic("ann", str(number))
                nursery.start_soon(_get, page.http, guess)
            await trio.testing.wait_all_tasks_blocked()
            good = trio.current_time()
            response = await page.http.get("/api/session", headers=basic("ann", "secret"))
            assert response.status_code == 200
            assert trio.current_time() - good < 0.25
        assert trio.current_time() - began >= 2.5


async def _get(http: httpx.AsyncClient, headers: dict[str, str]) -> None:
    answer(await http.get("/api/session", headers=headers), 401)


@pytest.mark.parametrize(
    ("user", "password"), [("", "x"), ("a:b", "x"), ("a\nb", "x"), ("ann", "")]
)
def test_credentials_that_protect_nothing_are_refused(user: str, password: str):
    with pytest.raises(InvalidTask):
        web.basic_auth(user, password)


def test_a_password_is_in_no_repr():
    assert "secret" not in repr(web.basic_auth("ann", "secret"))


async def test_a_hook_of_ones_own_says_who_it_is(autojump_clock: MockClock):
    """``None``, nothing, or anything that is no name, is nobody; an error is no way in either."""
    known: dict[str, Any] = {"a": "ann", "b": None, "c": "", "d": True, "e": b"ann"}

    async def hook(request: Request) -> Any:
        await trio.lowlevel.checkpoint()
        return known[request.headers["x-user"]]

    async with page_of(auth=hook) as (_, page):
        for key, status in {"a": 200, "b": 401, "c": 401, "d": 401, "e": 401, "?": 500}.items():
            answer(await page.http.get("/api/session", headers={"x-user": key}), status)
        response = await page.http.get("/api/session", headers={"x-user": "b"})
        assert "www-authenticate" not in response.headers


async def test_a_hook_that_takes_for_ever_is_given_up(autojump_clock: MockClock):
    async def hook(request: Request) -> str | None:
        await trio.sleep_forever()

    async with page_of(auth=hook) as (_, page):
        answer(await page.http.get("/api/session"), 503)


@pytest.mark.parametrize("options", [{"read_only": True}, {"auth": None}])
async def test_a_page_for_looking_does_nothing(options: dict[str, Any], autojump_clock: MockClock):
    """Neither if it is read-only, nor if nobody is authenticated: then everybody may look."""
    async with page_of(**options) as (queue, page):
        session = await page.get("session")
        assert session["read_only"]
        assert not session["can_submit"]
        assert 'name="read-only" content="true"' in (await page.http.get("/")).text
        for path in operations_of(page.app):
            error = await page.post(path.removeprefix("/api/"), {"type": "ping"}, 403)
            assert error["error"].startswith("nothing can be changed here")
        assert queue.statistics().submitted == 0


# --- from where ----------------------------------------------------------------------------------


def good(page: Page) -> dict[str, str]:
    """The headers with which a browser sends an operation of our own page."""
    return {
        "x-csrf-token": page.token,
        "origin": ORIGIN,
        "sec-fetch-site": "same-origin",
        "content-type": "application/json",
    }


async def test_an_operation_of_our_own_page_is_done(autojump_clock: MockClock):
    async with page_of() as (queue, page):
        await page.post("submit", {"type": "ping"})
        response = await page.http.post(
            "/api/submit", content=b'{"type": "ping"}', headers=good(page)
        )
        answer(response, 200)
        assert queue.statistics().submitted == 2


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"x-csrf-token": ""}, 403),
        ({"x-csrf-token": "0" * 64}, 403),
        ({"x-csrf-token": "ä" * 32}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://localhost:8081"}, 403),
        ({"origin": "http://localhost:8080.evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"origin": "http://[::1"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "none"}, 403),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"content-type": "multipart/form-data; application/json"}, 415),
        ({"content-type": ""}, 415),
    ],
)
async def test_an_operation_from_elsewhere_is_refused(
    change: dict[str, str],
    status: int,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
):
    """By any of the four guards alone, in every route; and the audit has it."""
    async with page_of() as (queue, page):
        await page.post("queues/resume", {"queue": None})
        caplog.set_level(logging.WARNING, "trioqueue.web.audit")
        headers = [
            (name.encode(), value.encode("utf-8")) for name, value in (good(page) | change).items()
        ]
        for path in operations_of(page.app):
            response = await page.http.post(path, content=b'{"type": "ping"}', headers=headers)
            answer(response, status)
            assert f"was refused {path}" in caplog.messages[-1]
        assert queue.statistics().submitted == 0


async def test_a_token_is_its_users_own(autojump_clock: MockClock):
    """Whoever may look, and has seen his own, cannot make one for another."""

    async def hook(request: Request) -> str | None:
        await trio.lowlevel.checkpoint()
        return request.headers.get("x-user")

    async with page_of(auth=hook) as (_, page):
        response = await page.http.get("/api/session", headers={"x-user": "eve"})
        token = response.json()["csrf_token"]
        for user, status in (("eve", 200), ("ann", 403)):
            headers = {"x-user": user, "x-csrf-token": token}
            body = {"type": "ping"}
            answer(await page.http.post("/api/submit", json=body, headers=headers), status)


async def test_the_page_has_the_token_in_it(autojump_clock: MockClock):
    async with page_of(title='<b>"&{{csrf_token}}') as (_, page):
        await page.post("submit", {"type": "ping"})
        text = (await page.http.get("/")).text
        assert f'name="csrf-token" content="{page.token}"' in text
        assert text.count(page.token) == 1
        assert "&lt;b&gt;&quot;&amp;{{csrf_token}}" in text
        assert "<b>" not in text


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("page.localhost:8080", 200),
        ("127.0.0.1:8080", 200),
        ("192.168.3.4", 200),
        ("[::1]:8080", 200),
        ("jobs.example:80", 200),  # allowed by name
        ("evil.example", 421),  # a name that was made to point here
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost:8080@evil.example", 400),
        ("localhost/..", 400),
        ("", 400),
        ("[::1", 400),
        ("a b", 400),
    ],
)
async def test_only_names_of_this_page_are_answered(
    host: str, status: int, autojump_clock: MockClock
):
    async with page_of(hosts=["Jobs.Example"]) as (_, page):
        response = await page.http.get("/api/session", headers={"host": host})
        answer(response, status)


async def test_with_an_auth_of_ones_own_any_name_will_do(autojump_clock: MockClock):
    """A page from elsewhere has no password; with ``hosts``, only those."""
    auth = web.basic_auth("ann", "secret")
    for hosts, status in ((), 200), (("jobs.example",), 421):
        async with page_of(auth=auth, hosts=hosts) as (_, page):
            headers = {"host": "other.example", **basic("ann", "secret")}
            answer(await page.http.get("/api/session", headers=headers), status)


# --- what ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"1",
        b'"x"',
        b"\xff\xfe",
        b'{"type": "\\ud800"}',
        b'{"type": NaN}',
        b"[" * 100_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"surprise": 1}',
    ],
)
async def test_a_body_that_is_no_operation_is_refused(body: bytes, autojump_clock: MockClock):
    async with page_of() as (queue, page):
        await page.post("queues/resume", {"queue": None})
        for path in operations_of(page.app):
            answer(await page.http.post(path, content=body, headers=good(page)), 400)
        assert queue.statistics().submitted == 0


async def test_a_body_that_is_too_large_is_not_read(autojump_clock: MockClock):
    """By what it says, and by what comes if it says nothing, or less."""
    read = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(1_000):
            read += 1_000
            yield b" " * 1_000

    async with page_of(max_body=10_000) as (_, page):
        await page.post("queues/resume", {"queue": None})
        for body, more in (
            (b" " * 10_001, {}),
            (b"{}", {"content-length": "9" * 50}),
            (b"{}", {"content-length": "-1"}),
            (b"{}", {"content-length": "1_0"}),
            (chunks(), {}),
            (chunks(), {"content-length": "10"}),
        ):
            response = await page.http.post("/api/submit", content=body, headers=good(page) | more)
            answer(response, 413)
        assert read <= 2 * 11_000


async def test_a_body_that_does_not_come_is_waited_for_only_so_long(autojump_clock: MockClock):
    async def drops() -> AsyncIterator[bytes]:
        for _ in range(1_000):
            await trio.sleep(1)
            yield b" "

    async with page_of() as (_, page):
        await page.post("queues/resume", {"queue": None})
        began = trio.current_time()
        answer(await page.http.post("/api/submit", content=drops(), headers=good(page)), 408)
        assert trio.current_time() - began == pytest.approx(BODY_TIMEOUT)


@pytest.mark.parametrize(
    "method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "GE\tT"]
)
async def test_there_are_no_other_methods(method: str, autojump_clock: MockClock):
    """Not even to ask whether another page may: no answer allows it anything."""
    async with page_of() as (_, page):
        stream = Stream()
        await page.app(scope("/api/session", method), stream.receive, stream.send)
        assert stream.status == 405
        assert not any(name.startswith("access-control") for name in stream.headers)


@pytest.mark.parametrize(
    "path",
    [
        "/static/",
        "/static/../_app.py",
        "/static/../../__init__.py",
        "/static/..%2f_app.py",
        "/static/%2e%2e/_app.py",
        "/static/....//_app.py",
        "/static//etc/passwd",
        "/static/app.js/",
        "/static/app.js\0.css",
        "/static/\\..\\_app.py",
        "/static/index.html",  # with its words not replaced
        "/api",
        "/api/tasks/",
        "//api/session",
        "/../api/session",
        "/index.html",
    ],
)
async def test_no_path_leads_out_of_the_page(path: str, autojump_clock: MockClock):
    async with page_of() as (_, page):
        stream = Stream()
        await page.app(scope(path), stream.receive, stream.send)
        assert stream.status == 404


async def test_headers_cannot_be_made_up_from_outside(autojump_clock: MockClock):
    """Whatever a path, a query or a name has in it: no answer has it in its head."""
    async with page_of(title="a\r\nset-cookie: evil=1") as (_, page):
        for path in (
            "/api/tasks?text=%0d%0aset-cookie:%20evil=1",
            "/api/task?id=a%0d%0aset-cookie:%20evil=1",
            "/static/a%0d%0aset-cookie:%20evil=1",
            "/%0d%0aset-cookie:%20evil=1",
            "/",
        ):
            response = await page.http.get(path)
            head = "".join(f"{name}{value}" for name, value in response.headers.items())
            assert "evil" not in head
            assert "\n" not in head
            assert "\r" not in head


async def test_every_answer_has_the_headers_that_browsers_heed(autojump_clock: MockClock):
    """Errors, files and streams as well."""
    async with page_of() as (_, page):
        for path in ("/", "/static/app.js", "/api/session", "/nowhere", "/api/task"):
            headers = (await page.http.get(path)).headers
            policy = headers["content-security-policy"]
            assert "default-src 'self'" in policy
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"
            assert headers["referrer-policy"] == "same-origin"
            stored = "no-cache" if path.startswith("/static") else "no-store"
            assert headers["cache-control"] == stored
            assert "server" not in headers


async def test_a_file_that_the_browser_has_is_not_sent_again(autojump_clock: MockClock):
    async with page_of() as (_, page):
        first = await page.http.get("/static/app.js")
        assert first.headers["content-type"].startswith("text/javascript")
        tag = {"if-none-match": first.headers["etag"]}
        again = await page.http.get("/static/app.js", headers=tag)
        assert (again.status_code, again.content) == (304, b"")


# --- where ---------------------------------------------------------------------------------------


async def test_it_works_below_a_prefix_in_an_app_of_the_users_own(autojump_clock: MockClock):
    """What is refused is refused there as well, and the health of below the prefix is open."""
    async with open_queue(tasks) as queue:
        async with web.open_app(queue, auth=web.everybody) as app:
            mine = Starlette(routes=[Mount("/admin/queue", app=app)])
            async with connect(mine) as http:
                redirected = await http.get("/admin/queue")
                assert redirected.status_code == 307
                assert redirected.headers["location"].endswith("/admin/queue/")
                assert "csrf-token" in (await http.get("/admin/queue/")).text
                assert (await http.get("/admin/queue/static/app.js")).status_code == 200
                page = Page(app, http)
                page.token = (await http.get("/admin/queue/api/session")).json()["csrf_token"]
                answer(
                    await http.post(
                        "/admin/queue/api/submit", json={"type": "ping"}, headers=good(page)
                    ),
                    200,
                )
                answer(await http.post("/admin/queue/api/submit", json={"type": "ping"}), 403)
                assert (await http.get("/admin/queue/health/live")).status_code == 200
        assert queue.statistics().submitted == 1


async def test_the_prefix_without_its_slash_leads_to_the_page(autojump_clock: MockClock):
    """Also where it is the server that knows the prefix."""
    async with page_of() as (_, page):
        stream = Stream()
        asked = scope("/queue") | {"root_path": "/queue"}
        await page.app(asked, stream.receive, stream.send)
        assert (stream.status, stream.headers["location"]) == (307, "/queue/")


async def test_websockets_are_refused_and_the_lifespan_is_answered(autojump_clock: MockClock):
    async with page_of() as (_, page):
        sent: list[Any] = []

        async def send(message: Any) -> None:
            await trio.lowlevel.checkpoint()
            sent.append(message["type"])

        asked = iter(["lifespan.startup", "lifespan.shutdown"])

        async def receive() -> Any:
            await trio.lowlevel.checkpoint()
            return {"type": next(asked)}

        await page.app({"type": "websocket", "path": "/api/events"}, receive, send)
        await page.app({"type": "lifespan"}, receive, send)
        assert sent == [
            *("websocket.close", "lifespan.startup.complete", "lifespan.shutdown.complete"),
        ]


async def test_what_cannot_be_is_told_when_the_app_is_opened(autojump_clock: MockClock):
    async with open_queue(tasks) as queue:
        for source, options in (
            ("redis://localhost", {}),
            (queue, {"auth": "ann:secret"}),
            (queue, {"hosts": "jobs.example"}),
            (queue, {"max_body": 0}),
            (queue, {"tasks": TaskSet()}),
            (queue.inspector, {"tasks": tasks}),
        ):
            with pytest.raises(InvalidTask, match="open_app"):
                async with open_page(source, **options):
                    pass
