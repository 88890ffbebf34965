"""Scripted handlers: what each attempt of a task does, said in advance."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, final
from weakref import WeakKeyDictionary

import trio

from .. import Queue, Snooze, current_task

#: One step of a script: called with the task's own arguments, it is the handler of one attempt.
Step = Callable[..., Awaitable[Any]]


def script(*steps: Step) -> Callable[..., Awaitable[Any]]:
    """A handler whose first attempt does the first step, and so on; the last one is repeated.

    ::

        flaky = tasks.task(name="flaky")(script(raises(OSError("down")), times_out(), returns(42)))

    Interrupted attempts are not counted, as they are not by the queue: their step is done again.
    A snooze is a step of its own. Takes any arguments.
    """
    if not steps:
        msg = "script() needs a step: returns(...), raises(...), times_out(), blocks() ..."
        raise ValueError(msg)
    snoozes: dict[str, int] = {}

    async def scripted(*args: Any, **kwargs: Any) -> Any:
        task = current_task()
        number = task.attempt - 1 + snoozes.get(task.id, 0)
        try:
            return await steps[min(number, len(steps) - 1)](*args, **kwargs)
        except Snooze:
            snoozes[task.id] = snoozes.get(task.id, 0) + 1
            raise

    return scripted


def returns(value: Any = None, *, after: float = 0.0) -> Step:
    """Return ``value``, ``after`` so many seconds (0: without a checkpoint)."""

    async def step(*_args: Any, **_kwargs: Any) -> Any:
        if after:
            await trio.sleep(after)
        return value

    return step


def _fresh(error: BaseException | type[BaseException]) -> BaseException:
    """An error to raise, which no traceback or context of an earlier raise clings to."""
    if isinstance(error, type):
        return error()
    # Not copy.copy, which would call the class with what may not be its arguments.
    fresh = type(error).__new__(type(error), *error.args)
    vars(fresh).update(vars(error))
    return fresh


def raises(error: BaseException | type[BaseException], *, after: float = 0.0) -> Step:
    """Raise ``error`` (a copy of it each time), ``after`` so many seconds."""

    async def step(*_args: Any, **_kwargs: Any) -> Any:
        if after:
            await trio.sleep(after)
        raise _fresh(error)

    return step


def times_out() -> Step:
    """Go on for ever: until the task's timeout, or until something else cancels it."""

    async def step(*_args: Any, **_kwargs: Any) -> Any:
        await trio.sleep_forever()

    return step


def swallows_cancellation(value: Any = None) -> Step:
    """Go on until cancelled, and then return ``value`` as if nothing had been."""

    async def step(*_args: Any, **_kwargs: Any) -> Any:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:  # noqa: ASYNC103 - what this handler is for
            return value  # noqa: ASYNC104

    return step


def raises_when_cancelled(error: BaseException | type[BaseException]) -> Step:
    """Go on until cancelled, and then raise ``error`` in the place of Cancelled."""

    async def step(*_args: Any, **_kwargs: Any) -> Any:
        try:
            await trio.sleep_forever()
        finally:
            raise _fresh(error)

    return step


def shields(seconds: float, value: Any = None) -> Step:
    """Go on for ``seconds`` whatever happens, and return ``value``: no cancellation is felt."""

    async def step(*_args: Any, **_kwargs: Any) -> Any:
        with trio.CancelScope(shield=True):
            await trio.sleep(seconds)
        return value

    return step


@final
class Gate:
    """The step made by `blocks`: attempts wait here until ``open`` is called.

    ``waiting``: how many do.
    """

    def __init__(self, value: Any) -> None:
        self._value = value
        self._opened = trio.Event()
        self._entered = trio.Event()
        self.waiting = 0

    async def __call__(self, *_args: Any, **_kwargs: Any) -> Any:
        blocked = _blocked.setdefault(current_task().queue, set())
        self.waiting += 1
        blocked.add(self)
        self._entered.set()
        try:
            await self._opened.wait()
        finally:
            self.waiting -= 1
            if not self.waiting:
                blocked.discard(self)
                self._entered = trio.Event()
        return self._value

    def open(self) -> None:
        """Let everybody through, from now on."""
        self._opened.set()

    async def entered(self) -> None:
        """Wait until an attempt waits here. A checkpoint."""
        await trio.lowlevel.checkpoint()
        await self._entered.wait()


_blocked: Final[WeakKeyDictionary[Queue, set[Gate]]] = WeakKeyDictionary()


def blocks(value: Any = None) -> Gate:
    """Wait until told, then return ``value``.

    Made anew for each run::

        gate = blocks()
        slow = tasks.task(name="slow")(script(gate))
        ...
        handle = await queue.submit(slow)
        await gate.entered()  # its handler runs now
        gate.open()
    """
    return Gate(value)


def blocked_in(queue: Queue) -> int:
    """How many handlers of ``queue`` wait at a gate."""
    return sum(gate.waiting for gate in _blocked.get(queue, ()))
