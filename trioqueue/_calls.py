"""Calling a handler: the frame between us and user code, threads, and ``around``."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, final

import trio
from trio.lowlevel import disable_ki_protection

from ._current import CurrentTask
from ._instrument import Instruments
from ._ki import protected
from ._model import Lease
from ._registry import Around, TaskType


@disable_ki_protection
async def call_handler(
    handler: Callable[..., Awaitable[object]],
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
) -> object:
    """The frame between us and user code: Ctrl-C may interrupt what runs inside."""
    if kwargs:
        return await handler(*args, **kwargs)
    return await handler(*args)


@disable_ki_protection
def _call_inline(
    handler: Callable[..., object], args: tuple[object, ...], kwargs: Mapping[str, object]
) -> object:
    return handler(*args, **kwargs)


@disable_ki_protection
async def _call_around(
    around: Callable[[CurrentTask], Any],
    current: CurrentTask,
    invoke: Callable[[], Awaitable[object]],
) -> object:
    async with around(current):
        return await invoke()


def _clock_is_virtual() -> bool:
    """Whether this run is on a `trio.testing.MockClock`, whose time does not wait for threads."""
    testing = sys.modules.get("trio.testing")
    return testing is not None and isinstance(trio.lowlevel.current_clock(), testing.MockClock)


@final
@protected
class Calls:
    """The calls that are not a bare ``await handler()``.

    ``bare``: whether an async handler has nothing round it, so that it need not be called by this.
    ``threads``: how many handlers may be in threads at once. As many as there are workers, so that
    nobody ever waits for one: Trio's own default limiter of 40, shared with the rest of the
    program, would let tasks time out that only wait for a thread.
    """

    __slots__ = ("_around", "_inline", "_instruments", "_threads", "bare")

    def __init__(
        self, around: Around | None, instruments: Instruments | None, threads: int
    ) -> None:
        self._around = around
        self._instruments = instruments
        self.bare = around is None and instruments is None
        self._threads = trio.CapacityLimiter(max(threads, 1))  # none: a queue that only submits
        self._inline = _clock_is_virtual()

    async def call(self, task_type: TaskType[..., Any], lease: Lease) -> object:
        """Call the handler: in a thread unless it is async, inside ``around`` and instruments."""
        if self._instruments is None:
            return await self._call(task_type, lease)
        with self._instruments.running(lease):
            return await self._call(task_type, lease)

    async def _call(self, task_type: TaskType[..., Any], lease: Lease) -> object:
        task = lease.task
        invoke = partial(self._invoke, task_type, task.args, task.kwargs)
        if self._around is None:
            return await invoke()
        return await _call_around(self._around, CurrentTask(lease), invoke)

    async def _invoke(
        self, task_type: TaskType[..., Any], args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> object:
        if task_type.is_async:
            return await call_handler(task_type.handler, args, kwargs)
        if self._inline:
            value = _call_inline(task_type.handler, args, kwargs)
        else:
            value = await trio.to_thread.run_sync(
                partial(task_type.handler, *args, **kwargs), limiter=self._threads
            )
        if inspect.iscoroutine(value):
            value.close()
            msg = f"{task_type.name} is a plain function that returned a coroutine: make it async"
            raise TypeError(msg)
        return value
