"""The `Inspector` of a memory broker: its own verbs, asynchronous as every broker has them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Final, final

import trio

from .._broker import Counts, HistoryEntry, LaneCounts, WorkerRecord
from .._errors import unknown_task
from .._ki import protected
from .._letters import DeadLetter
from .._model import State, Task

if TYPE_CHECKING:
    from ._memory import MemoryBroker

_OPEN: Final = (State.SCHEDULED, State.READY, State.RUNNING)


@final
@protected
class MemoryInspector:
    """See `Inspector`. Each verb is a checkpoint first, and then done at once."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    async def get(self, task_id: str) -> Task | None:
        """See `Inspector`."""
        await trio.lowlevel.checkpoint()
        return self._broker.get(task_id)

    async def cancel(self, task_id: str) -> bool:
        """See `Inspector`."""
        await trio.lowlevel.checkpoint()
        return self._broker.cancel(task_id)

    async def run_now(self, task_id: str) -> bool:
        """See `Inspector`."""
        await trio.lowlevel.checkpoint()
        return self._broker.run_now(task_id)

    async def revoke(self, task_id: str) -> bool:
        """See `Inspector`."""
        await trio.lowlevel.checkpoint()
        return self._broker.revoke(task_id)

    async def pause(self, queue: str | None = None) -> None:
        """See `Inspector`."""
        await trio.lowlevel.checkpoint()
        self._broker.pause(queue)

    async def resume(self, queue: str | None = None) -> None:
        """See `Inspector`."""
        await trio.lowlevel.checkpoint()
        self._broker.resume(queue)

    async def tasks(
        self,
        state: State | None = None,
        *,
        type: str | None = None,
        queue: str | None = None,
        limit: int = 100,
        newest: bool = False,
    ) -> Sequence[Task]:
        """See `Inspector`. Of the ended ones: those that are kept still."""
        await trio.lowlevel.checkpoint()
        found = [
            task
            for task in self._broker.known_tasks()
            if (task.state in _OPEN if state is None else task.state is state)
            and type in (None, task.type)
            and queue in (None, task.options.queue)
        ]
        return sorted(found, key=lambda task: task.seq, reverse=newest)[:limit]

    async def dead_letters(
        self,
        type: str | None = None,
        *,
        error: str | None = None,
        older_than: float = 0.0,
        limit: int | None = None,
        newest: bool = False,
    ) -> Sequence[DeadLetter]:
        """See `Inspector`."""
        await trio.lowlevel.checkpoint()
        before = self._broker.wall_clock() - older_than
        letters = [
            letter
            for letter in self._broker.dead_letters(type)
            if (error is None or error in str(letter.error))
            and (not older_than or letter.died_at <= before)
        ]
        return letters[::-1][:limit] if newest else letters[:limit]

    async def replay(self, task_id: str) -> Task:
        """See `Inspector`."""
        return await self._broker.replay(task_id)

    async def purge(self, task_id: str) -> None:
        """See `Inspector`."""
        await trio.lowlevel.checkpoint()
        self._broker.purge(task_id)

    async def counts(self) -> Counts:
        """See `Inspector`."""
        await trio.lowlevel.checkpoint()
        return self._broker.counts()

    async def lanes(self) -> Sequence[LaneCounts]:
        """See `Inspector`."""
        await trio.lowlevel.checkpoint()
        places: dict[tuple[str, str], Counter[State]] = {}
        oldest: dict[tuple[str, str], float] = {}
        now = trio.current_time()
        for task in self._broker.tasks():
            lane = (task.options.queue, task.type)
            state = task.state or State.READY
            places.setdefault(lane, Counter())[state] += 1
            if state is State.READY:
                oldest[lane] = max(oldest.get(lane, 0.0), now - task.accepted_at)
        everything, single = self._broker.paused_queues()
        return [
            LaneCounts(
                *lane,
                count[State.SCHEDULED],
                count[State.READY],
                count[State.RUNNING],
                everything or lane[0] in single,
                oldest.get(lane),
            )
            for lane, count in sorted(places.items())
        ]

    async def paused(self) -> tuple[bool, Sequence[str]]:
        """See `Inspector`."""
        await trio.lowlevel.checkpoint()
        return self._broker.paused_queues()

    async def workers(self) -> Sequence[WorkerRecord]:
        """See `Inspector`. Nobody else can work here than the queue's own pool."""
        await trio.lowlevel.checkpoint()
        return self._broker.workers()

    async def history(self, task_id: str) -> Sequence[HistoryEntry]:
        """See `Inspector`."""
        await trio.lowlevel.checkpoint()
        if self._broker.get(task_id) is None:
            raise unknown_task(task_id)
        return ()

    async def is_drained(self, types: Collection[str], queues: Collection[str] | None) -> bool:
        """See `Inspector`."""
        await trio.lowlevel.checkpoint()
        return self._broker.is_drained(types, queues)
