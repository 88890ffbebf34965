"""A small program on the broker under test: handlers that can be watched, and a queue for them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

import trio

from ... import AsyncTaskType, Queue, Retry, TaskSet, current_task, open_queue
from ..._broker import Broker
from ._bench import Bench

#: Units of time that a slow handler takes.
SLOW: Final = 4.0


class Shop:
    """``began`` and ``ended`` tell which handlers did, by the number that they were given."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.began: list[int] = []
        self.ended: list[int] = []
        self.wrong: list[BaseException] = []
        self._stirred = trio.Event()
        pause = bench.seconds(2)
        self.tasks = TaskSet(retry=Retry(attempts=3, initial=pause, maximum=pause, jitter=0))
        self.quick: AsyncTaskType[[int], int] = self.tasks.task(name="quick")(self._quick)
        self.slow: AsyncTaskType[[int], int] = self.tasks.task(name="slow")(self._slow)
        self.flaky: AsyncTaskType[[int], int] = self.tasks.task(name="flaky")(self._flaky)
        self.parent: AsyncTaskType[[int], int] = self.tasks.task(name="parent")(self._parent)

    def _begin(self, number: int) -> None:
        self.began.append(number)
        self._stirred.set()
        self._stirred = trio.Event()

    async def _quick(self, number: int) -> int:
        self._begin(number)
        await trio.lowlevel.checkpoint()
        self.ended.append(number)
        return 2 * number

    async def _slow(self, number: int) -> int:
        self._begin(number)
        await self.bench.sleep(SLOW)
        self.ended.append(number)
        return 2 * number

    async def _flaky(self, number: int) -> int:
        """Fails at first."""
        self._begin(number)
        await trio.lowlevel.checkpoint()
        if current_task().attempt == 1:
            raise ValueError("at first")
        self.ended.append(number)
        return 2 * number

    async def _parent(self, number: int) -> int:
        """Submits another task when it has worked for a while."""
        self._begin(number)
        await self.bench.sleep(SLOW)
        try:
            await current_task().queue.submit(self.quick, number + 1)
        except Exception as error:
            self.wrong.append(error)
        self.ended.append(number)
        return 2 * number

    @asynccontextmanager
    async def open(
        self, workers: int = 2, *, broker: Broker | None = None
    ) -> AsyncGenerator[Queue]:
        """A queue on the broker of the bench, or on another opening of it."""
        opening: Any = self.bench.broker if broker is None else broker
        async with open_queue(self.tasks, workers=workers, broker=opening) as queue:
            yield queue

    async def until_begun(self, number: int) -> None:
        """Wait until so many handlers have begun, which must be soon."""

        async def begun() -> None:
            while len(self.began) < number:
                await self._stirred.wait()

        await self.bench.promptly(begun, units=2)
