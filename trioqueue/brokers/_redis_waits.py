"""Waiting for what a script will tell of, by message: tasks that are ready, ended, room.

A message may be lost with its connection. So whoever waits also looks by itself now and then, and
whenever messages may have been missed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, final

import trio

from .._errors import BrokerFailed, unknown_task
from .._ki import protected
from .._model import Task
from .._patience import patiently
from ._redis_rows import snapshot

#: Ids that are asked about in one call.
_ASKED: Final = 256


@final
@protected
class Bell:
    """Rings for everybody who waits at the moment."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def ring(self) -> None:
        """Wake them."""
        self._event.set()
        self._event = trio.Event()

    def listen(self) -> Callable[[], Awaitable[object]]:
        """A function that waits for the first ring from now on."""
        return self._event.wait


@final
@protected
class Stands:
    """Who waits for ready tasks here: the scripts call them by number."""

    def __init__(self) -> None:
        self._events: dict[int, trio.Event] = {}
        self._called: set[int] = set()

    def enter(self) -> int:
        """Take the lowest number that is free."""
        number = 0
        while number in self._events:
            number += 1
        self._events[number] = trio.Event()
        return number

    def leave(self, number: int) -> None:
        """Wait no more."""
        del self._events[number]

    def begin(self, number: int) -> Callable[[], Awaitable[bool]]:
        """A function that waits for its next call; whether that was for it, or for all."""
        event = self._events[number] = trio.Event()
        self._called.discard(number)

        async def wait() -> bool:
            await event.wait()
            return number in self._called

        return wait

    def call(self, number: int) -> bool:
        """Whether there is one who waits."""
        event = self._events.get(number)
        if event is None:
            return False
        self._called.add(number)
        event.set()
        return True

    def call_all(self) -> None:
        """Messages may have been missed."""
        for event in self._events.values():
            event.set()


@final
class _Waiter:
    __slots__ = ("error", "event", "task")

    def __init__(self) -> None:
        self.event = trio.Event()
        self.task: Task | None = None
        self.error: Exception | None = None


@final
@protected
class Ends:
    """Waits for the ends of tasks: asks about many at once.

    ``ask(ids)`` runs the script; ``keep_since()``: results that ended before are kept no more.
    """

    def __init__(
        self,
        ask: Callable[[Sequence[str]], Awaitable[Sequence[Any]]],
        keep_since: Callable[[float], float],
        poll: float,
    ) -> None:
        self._ask = ask
        self._keep_since = keep_since
        self._poll = poll
        self._waiters: dict[str, list[_Waiter]] = {}
        self._due: dict[str, None] = {}
        self._wanted = trio.Event()
        self._closed = False

    async def wait(self, task_id: str) -> Task:
        """The task, once it has ended. Raises `UnknownTask`, and what asking raises."""
        if self._closed:
            raise BrokerFailed(_CLOSED)
        waiter = _Waiter()
        waiters = self._waiters.setdefault(task_id, [])
        waiters.append(waiter)
        self.look_at(task_id)
        try:
            await waiter.event.wait()
        finally:
            waiters.remove(waiter)
            if not waiters and self._waiters.get(task_id) is waiters:
                del self._waiters[task_id]
        if waiter.error is not None:
            raise waiter.error
        assert waiter.task is not None
        return waiter.task

    def look_at(self, task_id: str) -> None:
        """It may have ended."""
        if task_id in self._waiters:
            self._due[task_id] = None
            self._wanted.set()

    def look_at_all(self) -> None:
        """Messages may have been missed."""
        for task_id in self._waiters:
            self.look_at(task_id)

    async def run(self) -> None:
        """Ask, until cancelled."""
        try:
            while True:
                with trio.move_on_after(self._poll) as waiting:
                    await self._wanted.wait()
                if waiting.cancelled_caught:
                    self.look_at_all()
                    if not self._due:
                        await self._wanted.wait()
                await self._ask_once()
        finally:
            self._closed = True
            for task_id in list(self._waiters):
                self._deliver(task_id, None, BrokerFailed(_CLOSED))

    async def _ask_once(self) -> None:
        ids = list(self._due)[:_ASKED]
        for task_id in ids:
            del self._due[task_id]
        if not self._due:
            self._wanted = trio.Event()
        try:
            now, answers = await patiently(lambda: self._ask(ids))
        except BrokerFailed as error:
            for task_id in ids:
                self._deliver(task_id, None, error)
            return
        for task_id, answer in zip(ids, answers, strict=True):
            if answer == 1:
                self._deliver(task_id, None, unknown_task(task_id))
            elif answer != 0:
                self._deliver(task_id, answer, None, self._keep_since(now))

    def _deliver(self, task_id: str, row: Any, error: Exception | None, since: float = 0.0) -> None:
        for waiter in self._waiters.pop(task_id, ()):
            waiter.error = error
            if row is not None:
                waiter.task = snapshot(row, since)
            waiter.event.set()
        self._due.pop(task_id, None)


_CLOSED: Final = "the broker was closed"
