"""``--listen``: metrics and health of a worker process over HTTP, beside the work.

It begins before the queue is opened and ends after it, so that a stop can be watched; whatever goes
wrong in it is told, and touches no task.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

import trio

from .. import Queue, TaskSet, TrioqueueError
from ._errors import Wrong, only

if TYPE_CHECKING:
    from ..observe import Metrics
    from ..observe._metrics_cells import Cells
    from ..web._operations import Operated

logger = logging.getLogger("trioqueue.run")

#: Seconds between two signs of life of a process to its supervisor.
BEAT: Final = 1.0


class CannotListen(TrioqueueError):
    """The address is taken, or is none of this machine's."""


class Address(NamedTuple):
    """Where to listen."""

    host: str
    port: int


def parse_address(text: str) -> Address:
    """``HOST:PORT``, ``:PORT`` or ``[::1]:PORT``. Raises `Wrong`; for a missing extra as well."""
    host, colon, digits = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    bare = ":" in host and not text.startswith("[")
    if not colon or bare or not (digits.isascii() and digits.isdigit()) or int(digits) > 65_535:
        msg = f"--listen {text}: give HOST:PORT or :PORT, with a port from 0 to 65535"
        raise Wrong(msg)
    try:
        from ..observe import Metrics as Metrics
        from ..web import serve as serve
    except ImportError as error:
        msg = f"--listen needs the extras 'web' and 'metrics' ({error})"
        raise Wrong(msg) from None
    return Address(host or "127.0.0.1", int(digits))


@asynccontextmanager
async def listening(address: Address, operated: Operated, metrics: Metrics) -> AsyncGenerator[None]:
    """Serve for as long as the block lasts. Entering it waits for the port, leaving for nothing."""
    from ..web import operations_app

    app = operations_app(operated, metrics=metrics)
    async with trio.open_nursery() as nursery:
        try:
            urls = await nursery.start(_serve, app, address)
        except* OSError as errors:
            error = only(errors)
            raise CannotListen(getattr(error, "strerror", None) or str(error)) from None
        logger.info("listening at %s: /metrics, /health/live, /health/ready", ", ".join(urls))
        yield
        nursery.cancel_scope.cancel(reason="the work has ended")


async def _serve(app: Any, address: Address, task_status: trio.TaskStatus[Sequence[str]]) -> None:
    """Serve; a fault of the server's is the end of the server, and not of the work."""
    from ..web import serve

    bound = False

    def started(urls: Sequence[str]) -> None:
        nonlocal bound
        bound = True
        task_status.started(urls)

    status: Any = SimpleNamespace(started=started)
    try:
        await serve(app, address.host, address.port, task_status=status)
    except* Exception:
        if not bound:
            raise
        logger.exception("metrics and health are served no more; the work goes on")


@final
class OperatedWork:
    """See `Operated`: a worker process from before its queue is open until after it is closed."""

    def __init__(self) -> None:
        self._queue: Queue | None = None
        self.stopping = False

    def take(self, queue: Queue | None) -> None:
        """The queue is open; or, ``None``, it is no more."""
        self._queue = queue

    @property
    def ready(self) -> bool:
        """Whether it works on tasks, as far as is known without asking the broker."""
        return self._queue is not None and not self.stopping

    async def not_live(self) -> Sequence[str]:
        """See `Operated`."""
        return () if self._queue is None else await _operated(self._queue).not_live()

    async def not_ready(self, patience: float) -> Sequence[str]:
        """See `Operated`."""
        if self.stopping:
            return ["stopping"]
        if self._queue is None:
            return ["starting"]
        return await _operated(self._queue).not_ready(patience)

    async def look(self, metrics: Metrics, patience: float) -> None:
        """See `Operated`."""
        if self._queue is None:
            metrics.forget()
        else:
            await _operated(self._queue).look(metrics, patience)


def _operated(queue: Queue) -> Operated:
    from ..web._operations import OperatedQueue

    return OperatedQueue(queue)


@final
class Counting:
    """What a worker process counts, and where. ``memory``: shared with the supervisor, by number.

    ``address``: where it tells that itself, if it does.
    """

    def __init__(
        self, tasks: TaskSet, *, address: Address | None = None, memory: int | None = None
    ) -> None:
        from ..observe import Metrics

        self.address = address
        self._cells: Cells | None = None
        self.work = OperatedWork()
        if memory is None:
            from prometheus_client import REGISTRY

            # What handlers count by the client library, and of the process, is there as well.
            self.metrics = Metrics(registry=REGISTRY)
        else:
            from ._counted import shared_cells

            self.metrics = Metrics()
            self._cells = shared_cells(memory)
            self.metrics._count_in(self._cells)
        for task_type in tasks:
            self.metrics.declare(task_type.name, task_type.options.queue)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """For as long as the process works: listen, or show the supervisor signs of life."""
        if self.address is not None:
            async with listening(self.address, self.work, self.metrics):
                yield
        else:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._beat)
                yield
                nursery.cancel_scope.cancel(reason="the work has ended")

    async def _beat(self) -> None:
        cells = self._cells
        while cells is not None:
            if self.work.ready:
                cells.beat(os.getpid(), time.monotonic())
            else:
                cells.leave_off()
            await trio.sleep(BEAT)
