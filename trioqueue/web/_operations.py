"""For machines that look after this one: metrics, and whether the process is alive and ready.

Three routes, to be served on a port of their own or mounted in an app. None of them needs
authentication, and none shows what tasks were given: only names of types and queues, and numbers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol, TypeAlias, final

import trio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .. import Inspector, Queue
from .._checks import check_seconds
from ..observe._metrics import Metrics

#: Seconds that the broker has to answer. Kubernetes' probes wait for 1 s by default, which is too
#: short for a broker that is busy; what is slower than this is of no use to a worker either.
PATIENCE: Final = 2.0


class Operated(Protocol):
    """What is looked after. Each answer is the reasons against it: none means yes."""

    async def not_live(self) -> Sequence[str]:
        """Why the process should be restarted."""
        ...

    async def not_ready(self, patience: float) -> Sequence[str]:
        """Why it should not be counted on now."""
        ...

    async def look(self, metrics: Metrics, patience: float) -> None:
        """Bring the metrics of the broker up to date."""
        ...


Source: TypeAlias = Queue | Inspector | Operated


def operations_routes(
    source: Source, *, metrics: Metrics | None = None, patience: float = PATIENCE
) -> list[Route]:
    """``/metrics``, ``/health/live`` and ``/health/ready``, to be mounted in a Starlette app.

    ``source``: an open queue, or the inspector of a broker. ``metrics``: what observes the queue;
    without, only what the broker itself tells is shown. ``patience``: seconds that the broker has
    to answer, for metrics as for readiness.
    """
    check_seconds("patience", patience, zero=False)
    operated = _operated(source)
    counted = Metrics() if metrics is None else metrics

    async def tell_metrics(request: Request) -> Response:
        await operated.look(counted, patience)
        text, content_type = counted.render(request.headers.get("accept", ""))
        return Response(text, media_type=None, headers={"content-type": content_type, **_UNCACHED})

    async def tell_live(request: Request) -> Response:
        return _answer("live", await operated.not_live())

    async def tell_ready(request: Request) -> Response:
        return _answer("ready", await operated.not_ready(patience))

    return [
        _route("/metrics", tell_metrics),
        _route("/health/live", tell_live),
        _route("/health/ready", tell_ready),
    ]


def operations_app(
    source: Source, *, metrics: Metrics | None = None, patience: float = PATIENCE
) -> Starlette:
    """The same as an app of its own, to be served on a port of its own: see `operations_routes`."""
    return Starlette(routes=operations_routes(source, metrics=metrics, patience=patience))


_UNCACHED: Final = {"cache-control": "no-store"}


def _route(path: str, endpoint: Callable[[Request], Awaitable[Response]]) -> Route:
    return Route(path, endpoint, methods=["GET"])  # and HEAD: Starlette adds it


def _answer(name: str, reasons: Sequence[str]) -> Response:
    content = {name: not reasons, "reasons": list(reasons)}
    return JSONResponse(content, 503 if reasons else 200, headers=_UNCACHED)


def _operated(source: Any) -> Operated:
    if isinstance(source, Queue):
        return OperatedQueue(source)
    operated: Operated = source if hasattr(source, "not_ready") else OperatedBroker(source)
    return operated


@final
class OperatedBroker:
    """A broker that is only looked at."""

    def __init__(self, inspector: Inspector) -> None:
        self._inspector = inspector

    async def not_live(self) -> Sequence[str]:
        """Whoever answers is alive."""
        return ()

    async def not_ready(self, patience: float) -> Sequence[str]:
        """It must answer."""
        return await silence(self._inspector, patience)

    async def look(self, metrics: Metrics, patience: float) -> None:
        """See `Operated`."""
        await metrics.look(self._inspector, patience=patience)


@final
class OperatedQueue:
    """An open queue, with the workers in this process."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    async def not_live(self) -> Sequence[str]:
        """The event loop answers; a pool that ended by itself has left a process without work."""
        pool = self._queue.pool
        if pool.size and pool.ended.is_set() and not pool.stopping:
            return ["the workers have ended"]
        return ()

    async def not_ready(self, patience: float) -> Sequence[str]:
        """No stop has begun, and the broker answers."""
        pool = self._queue.pool
        if pool.stopping:
            return ["the queue is stopping"]
        if pool.size and pool.ended.is_set():
            return ["the workers have ended"]
        return await silence(self._queue.inspector, patience)

    async def look(self, metrics: Metrics, patience: float) -> None:
        """See `Operated`."""
        await metrics.look(self._queue.inspector, patience=patience)


async def silence(inspector: Inspector, patience: float) -> Sequence[str]:
    """Why the broker cannot be counted on, if it does not answer."""
    try:
        with trio.move_on_after(patience):
            await inspector.counts()
            return ()
    except Exception as error:
        return [f"the broker fails: {type(error).__name__}"]  # its words may name hosts and paths
    return [f"the broker has not answered for {patience:g} s"]
