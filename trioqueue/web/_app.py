"""The operator's page as an ASGI app: to mount in a program of one's own, or to serve alone."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, cast, final
from urllib.parse import quote

import trio
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route, Router
from starlette.types import Receive, Scope, Send

from .. import Inspector, Queue, RemoteBroker, TaskSet, __version__
from .._checks import check_count
from .._errors import InvalidTask
from .._nursery import open_bare_nursery
from ._api import Endpoint, answering, number_in
from ._auth import Auth
from ._cache import Cache
from ._guard import Guard, Tokens, route_path, user_of
from ._hub import Hub
from ._look import Looks
from ._operate import Operations
from ._recorder import Recorder
from ._sampler import Sampler
from ._series import RINGS
from ._source import open_source
from ._static import Files
from ._submit import Submits
from ._text import refusal

if TYPE_CHECKING:
    from ..observe._metrics import Metrics

_LONGEST: Final = RINGS[-1][0] * RINGS[-1][1]


@final
class WebApp:
    """The page, an ASGI app. Made by `open_app`."""

    def __init__(self, guard: Guard, hub: Hub, routes: Sequence[BaseRoute]) -> None:
        self._guard = guard
        self._hub = hub
        self._routes = tuple(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the lifespan."""
        await self._guard(scope, receive, send)

    def end_streams(self) -> None:
        """End the streams of events that are open, and refuse new ones: a server may stop then.

        Not a checkpoint. Leaving the block of `open_app` does it as well.
        """
        self._hub.end()


@final
class _Pages:
    """The page itself, and what is answered by what is known already."""

    def __init__(self, facts: dict[str, Any], tokens: Tokens, sampler: Sampler) -> None:
        self.files: Final = Files()
        self._facts = facts
        self._tokens = tokens
        self._sampler = sampler

    async def index(self, request: Request) -> Response:
        """The page itself."""
        await trio.lowlevel.checkpoint()
        return self.files.page(
            title=self._facts["title"],
            csrf_token=self._tokens.of(user_of(request.scope)),
            read_only="true" if self._facts["read_only"] else "false",
        )

    async def session(self, request: Request) -> object:
        """Who asks, and what may be done."""
        await trio.lowlevel.checkpoint()
        user = user_of(request.scope)
        token = self._tokens.of(user)
        return {**self._facts, "user": user, "csrf_token": token, "version": __version__}

    async def overview(self, request: Request) -> object:
        """How it stands."""
        return await self._sampler.overview()

    async def series(self, request: Request) -> object:
        """The curves."""
        await trio.lowlevel.checkpoint()
        return self._sampler.window(number_in(request, "window", 3600, 1, _LONGEST))


async def _elsewhere(scope: Scope, receive: Receive, send: Send) -> None:
    answer: Response = refusal(404, "there is nothing here")
    if not route_path(scope):
        # Without the slash, what the page refers to would be looked for one level up.
        answer = RedirectResponse(quote(scope["path"]) + "/", 307)
    await answer(scope, receive, send)


def _get(path: str, endpoint: Endpoint) -> Route:
    return Route(path, answering(endpoint), methods=["GET"])


def _post(path: str, endpoint: Endpoint) -> Route:
    return Route(path, answering(endpoint), methods=["POST"])


def _routes(
    pages: _Pages, looks: Looks, does: Operations, submits: Submits, hub: Hub
) -> list[BaseRoute]:
    return [
        Route("/", pages.index, methods=["GET"]),
        Route("/static/{name:path}", pages.files.get, methods=["GET"]),
        _get("/api/session", pages.session),
        _get("/api/overview", pages.overview),
        Route("/api/events", hub, methods=["GET"]),
        _get("/api/series", pages.series),
        _get("/api/lanes", looks.lanes),
        _get("/api/tasks", looks.tasks),
        _get("/api/task", looks.task),
        _get("/api/failures", looks.failures),
        _get("/api/dead", looks.dead),
        _get("/api/workers", looks.workers),
        _get("/api/types", submits.types),
        _post("/api/submit", submits.submit),
        _post("/api/task/cancel", does.cancel),
        _post("/api/task/run", does.run),
        _post("/api/task/replay", does.replay),
        _post("/api/task/purge", does.purge),
        _post("/api/dead/replay", does.replay_many),
        _post("/api/dead/purge", does.purge_many),
        _post("/api/queues/pause", does.pause),
        _post("/api/queues/resume", does.resume),
    ]


def _for_machines(source: Queue | Inspector, metrics: Metrics | None) -> list[Route]:
    """Metrics and health, if there is what they need."""
    try:
        from ._operations import operations_routes
    except ModuleNotFoundError as error:
        if metrics is not None or (error.name or "").partition(".")[0] != "prometheus_client":
            raise
        return []
    return operations_routes(source, metrics=metrics)


@asynccontextmanager
async def open_app(
    source: Queue | RemoteBroker | Inspector,
    *,
    title: str = "trioqueue",
    auth: Auth | None = None,
    read_only: bool = False,
    tasks: TaskSet | None = None,
    hosts: Collection[str] = (),
    metrics: Metrics | None = None,
    max_body: int = 1_000_000,
    wall_clock: Callable[[], float] = time.time,
) -> AsyncGenerator[WebApp]:
    """Open the operator's page on ``source``, as an ASGI app, for as long as the block lasts.

    Mount it in an app of your own, under any prefix, or give it to `serve`. ``source``: an open
    queue, in memory or not, or a broker; with a broker, ``tasks`` is what can be submitted by form.

    ``auth``: who may see and operate, an async function from the request to the name of a user, or
    ``None`` if it is nobody's: `basic_auth`, or your own. Without it everybody who reaches the page
    may look and nobody may change anything; `everybody` is the hook for where that is no danger.
    ``read_only``: only look, whoever it is. ``hosts``: the names under which the page may be asked
    for, besides addresses and localhost; with an ``auth`` of your own, any unless given.
    ``metrics``: what observes the queue, if ``/metrics`` is to tell more than the broker itself
    knows. (That and ``/health/live`` and ``/health/ready``, which need no authentication, are there
    with the extra ``metrics``.) ``max_body``: bytes of the largest body that is read.

    Raises `InvalidTask` for a value that cannot be. Entering waits for a first look at the broker,
    which may fail: the page says so and goes on when it is back. Leaving ends the streams of events
    and waits for nothing.
    """
    if not (auth is None or callable(cast("object", auth))):
        msg = f"open_app(auth) must be an async function of a request, not {auth!r}"
        raise InvalidTask(msg)
    if isinstance(hosts, str):
        msg = f"open_app(hosts) must be a collection of names, not {hosts!r}"
        raise InvalidTask(msg)
    check_count("open_app(max_body)", max_body, 1)
    read_only = read_only or auth is None
    async with open_source(source, tasks, wall_clock) as opened:
        can_submit = not read_only and opened.queue is not None
        facts = {"title": title, "read_only": read_only, "can_submit": can_submit}
        hub, cache, tokens = Hub(), Cache(), Tokens()
        with Recorder(opened.events) as recorder:
            sampler = Sampler(opened, recorder, cache, hub, facts)
            routes = _routes(
                _Pages(facts, tokens, sampler),
                Looks(opened, recorder, cache),
                Operations(opened, sampler.hurry),
                Submits(opened, sampler.hurry),
                hub,
            )
            machines = _for_machines(source, metrics)
            routes += machines
            guard = Guard(
                Router(routes, redirect_slashes=False, default=_elsewhere),
                auth=auth,
                tokens=tokens,
                read_only=read_only,
                hosts=hosts,
                max_body=max_body,
                open_paths={route.path for route in machines if route.path != "/metrics"},
            )
            async with open_bare_nursery() as nursery:
                try:
                    await nursery.start(sampler.run, name="trioqueue page")
                    yield WebApp(guard, hub, routes)
                finally:
                    hub.end()
                    nursery.cancel_scope.cancel(reason="the page's block was left")
