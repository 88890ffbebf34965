"""A queue with options put in, and the checks of what is submitted by many."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast, final

from ._checks import check_type
from ._errors import InvalidTask
from ._handle import Handle
from ._ki import protected
from ._model import Task
from ._registry import Call, TaskType

if TYPE_CHECKING:
    from ._queue import Queue

P = ParamSpec("P")
R = TypeVar("R")


def checked_calls(calls: Iterable[Call[R]]) -> list[Call[R]]:
    """``calls`` as a list; `InvalidTask` if one is not a call."""
    if isinstance(cast("object", calls), Call):
        msg = "submit_many takes a list of calls: submit_many([task.bind(...)])"
        raise InvalidTask(msg)
    checked = list(calls)
    for call in checked:
        check_type("submit_many(calls)", call, Call, "made by task.bind(...)")
    return checked


def seconds_until(at: object) -> float:
    """Seconds from now to an aware datetime, 0 if it is past; `InvalidTask` for anything else."""
    if not isinstance(at, datetime) or at.tzinfo is None:
        msg = f"options(at) must be a datetime with a time zone, not {at!r}"
        raise InvalidTask(msg)
    return max(0.0, at.timestamp() - time.time())


def at_as_delay(overrides: Mapping[str, Any]) -> Mapping[str, Any]:
    """``at`` is a delay only from the moment of a submit on: options may be kept for hours."""
    if "at" not in overrides:
        return overrides
    others = {name: value for name, value in overrides.items() if name != "at"}
    return others | {"delay": seconds_until(overrides["at"])}


@final
@protected
class Submission:
    """A queue with options put in: ``queue.options(delay=60).submit(...)``. Can be used again."""

    __slots__ = ("_id", "_overrides", "_queue")

    def __init__(self, queue: Queue, overrides: Mapping[str, Any], id: str | None) -> None:
        self._queue = queue
        self._overrides = overrides
        self._id = id

    async def submit(self, task: TaskType[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """See `Queue.submit`."""
        (handle,) = await self._queue._publish([self._make(task, args, kwargs)])
        return handle

    def submit_nowait(
        self, task: TaskType[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> Handle[R]:
        """See `Queue.submit_nowait`."""
        (handle,) = self._queue._publish_nowait([self._make(task, args, kwargs)])
        return handle

    async def submit_many(self, calls: Iterable[Call[R]]) -> list[Handle[R]]:
        """See `Queue.submit_many`."""
        tasks = [self._make(call.type, call.args, call.kwargs) for call in checked_calls(calls)]
        if self._id is not None and len(tasks) > 1:
            msg = f"options(id={self._id!r}) is for one task, not for {len(tasks)}"
            raise InvalidTask(msg)
        return await self._queue._publish(tasks, batch=True)

    def _make(
        self, task: TaskType[..., Any], args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> Task:
        return self._queue._make(task, args, kwargs, self._overrides, self._id)
