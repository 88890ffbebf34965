"""What a page looks at: an open queue, or a broker without one; the same questions to both."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from typing import Any, Final, cast, final

import trio

from .. import DeadLetter, Inspector, Queue, RemoteBroker, State, TaskSet, WorkerRecord, open_queue
from .._errors import InvalidTask
from .._events import Emitter
from .._model import Task

#: The worker's id of what runs in this process, in memory: no lease and no event there has one.
HERE: Final = "this process"


@final
class Source:
    """``queue``: to submit to, if that is possible. ``events``: as far as this process is told."""

    def __init__(
        self,
        inspector: Inspector,
        events: Emitter | None,
        queue: Queue | None,
        wall_clock: Callable[[], float],
    ) -> None:
        self.inspector: Final = inspector
        self.events: Final = events
        self.queue: Final = queue
        self.wall_clock: Final = wall_clock
        self.in_memory: Final = not isinstance(inspector, RemoteBroker)
        self.kind: Final = _kind(inspector)

    def unix(self, at: float) -> float:
        """A time on the broker's clock as Unix time: in memory that clock is Trio's."""
        return at + self.wall_clock() - trio.current_time() if self.in_memory else at

    def running_for(self, task: Task) -> float | None:
        """For how many seconds an attempt in this process has been running."""
        lease = task.lease
        return None if lease is None else max(0.0, trio.current_time() - lease.started_at)

    async def tasks(
        self, state: State | None, limit: int, *, type: str | None = None, queue: str | None = None
    ) -> Sequence[Task]:
        """Up to ``limit`` tasks of one state (``None``: the open ones), the newest first."""
        return await self.inspector.tasks(state, type=type, queue=queue, limit=limit, newest=True)

    async def dead_letters(
        self,
        type: str | None = None,
        *,
        error: str | None = None,
        older_than: float = 0.0,
        limit: int,
    ) -> Sequence[DeadLetter]:
        """Up to ``limit`` dead letters, the newest death first."""
        return await self.inspector.dead_letters(
            type, error=error, older_than=older_than, limit=limit, newest=True
        )

    async def workers(self) -> Sequence[WorkerRecord]:
        """The worker processes; the one in memory has the id that is said of what it runs."""
        found = await self.inspector.workers()
        return [replace(worker, id=HERE) for worker in found] if self.in_memory else found


def _kind(inspector: Inspector) -> str:
    """ "memory", "sqlite", "redis", or whatever a broker of somebody else calls itself."""
    return type(inspector).__name__.removesuffix("Inspector").removesuffix("Broker").lower()


def worker_json(worker: WorkerRecord) -> dict[str, Any]:
    """A worker process, as the page shows it."""
    return asdict(worker) | {"name": f"{worker.host}:{worker.pid}"}


@asynccontextmanager
async def open_source(
    source: object, tasks: TaskSet | None, wall_clock: Callable[[], float] = time.time
) -> AsyncGenerator[Source]:
    """From what `open_app` is given. Raises `InvalidTask`.

    With a broker and its ``tasks``: a queue without workers is opened on it, to submit to.
    """
    if isinstance(source, Queue):
        if tasks is not None and tasks is not source._tasks:
            msg = "open_app(tasks=...) is for a broker: a queue has its own TaskSet"
            raise InvalidTask(msg)
        yield Source(source.inspector, source._broker.events, source, wall_clock)
    elif isinstance(source, RemoteBroker):
        if tasks is None:
            yield Source(source, source.events, None, wall_clock)
        else:
            async with open_queue(tasks, broker=source, workers=0) as queue:
                yield Source(source, source.events, queue, wall_clock)
    elif hasattr(source, "counts") and hasattr(source, "history"):
        if tasks is not None:
            msg = "open_app(tasks=...) needs a broker to submit to, not only an inspector"
            raise InvalidTask(msg)
        yield Source(cast("Inspector", source), None, None, wall_clock)
    else:
        msg = f"open_app(source) must be an open queue, a broker or its inspector, not {source!r}"
        raise InvalidTask(msg)
