"""A queue's side of a broker elsewhere: values become bytes, and what was accepted stays there."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, final

import trio

from ._broker import Codec, Feed, Inspector, RemoteBroker, WorkerRecord
from ._errors import HandedBack, QueueClosed, queue_closed
from ._events import Emitter
from ._feed import RemoteFeed
from ._ki import protected
from ._letters import Unfinished, unfinished
from ._model import NO_KWARGS, TERMINAL, ErrorRecord, Options, Outcome, OutcomeKind, Task
from ._registry import TaskType
from ._until import Ended, Until


def _fleet_limits(types: Mapping[str, TaskType[..., Any]]) -> dict[str, int]:
    """How many of a type may run in all processes together, of those that say so."""
    return {
        name: task_type.limit
        for name, task_type in types.items()
        if task_type.scope == "fleet" and task_type.limit is not None
    }


@final
@protected
class Remote:
    """See `Backend`."""

    def __init__(
        self,
        broker: RemoteBroker,
        codec: Codec,
        types: Mapping[str, TaskType[..., Any]],
        queues: Collection[str] | None,
        workers: int,
    ) -> None:
        self._broker = broker
        self._codec = codec
        self._types = types
        self._queues = queues
        self._open = Until("the queue was closed")
        self._workers = workers
        self._feed = RemoteFeed(
            broker,
            codec,
            queues,
            _fleet_limits(types),
            WorkerRecord(
                broker.identity,
                platform.node(),
                os.getpid(),
                workers,
                tuple(sorted(types)),
                None if queues is None else tuple(queues),
                time.time(),
            ),
        )

    @property
    def events(self) -> Emitter:
        """See `Backend`."""
        return self._broker.events

    @property
    def feed(self) -> Feed:
        """See `Backend`."""
        return self._feed

    @property
    def inspector(self) -> Inspector:
        """See `Backend`."""
        return self._broker

    # --- tasks ------------------------------------------------------------------------------------

    async def publish(self, tasks: Sequence[Task]) -> Sequence[Task]:
        """See `Backend`. Raises `InvalidArguments` before anything is sent."""
        for task in tasks:
            task.payload = self._codec.encode_arguments(task.type, task.args, task.kwargs)
        if self._open.ended:
            raise queue_closed()
        accepted = await self._broker.publish(tasks, self._is_closed)
        for task in tasks:
            # A handle may be kept for long, and the broker has them.
            task.args, task.kwargs, task.payload = (), NO_KWARGS, None
        return accepted

    async def replay(self, task_id: str) -> Task:
        """See `Backend`."""
        try:
            return await self._open.run(lambda: self._broker.replay(task_id))
        except Ended:
            raise queue_closed() from None

    def _is_closed(self) -> bool:
        return self._open.ended

    async def wait_settled(self, task: Task) -> None:
        """See `Backend`. Raises `HandedBack` if this queue's workers have ended and it has not."""
        if not await self._comes(lambda: self._broker.wait_settled(task)):
            if task.state not in TERMINAL and not await self._has_ended(task):
                msg = f"the queue stopped before task {task.id} ended; it stays on the broker"
                raise HandedBack(msg, task.id)
            await self._broker.wait_settled(task)
        outcome = task.outcome
        if outcome is not None and outcome.kind is OutcomeKind.RETURNED and outcome.stored:
            self._decode(task, outcome)

    async def _comes(self, wait: Callable[[], Awaitable[object]]) -> bool:
        """Whether ``wait()`` has come to its end; not if the workers of this queue have first."""
        try:
            await self._feed.over.run(wait)
        except Ended:
            return False
        return True

    async def _has_ended(self, task: Task) -> bool:
        found = await self._broker.get(task.id)
        return found is None or found.state in TERMINAL

    def _decode(self, task: Task, outcome: Outcome) -> None:
        """From the bytes that are kept to the value, once."""
        result = outcome.value
        if not isinstance(result, bytes) or outcome.decoded:
            return
        try:
            outcome.value = self._codec.decode_result(task.type, result)
        except Exception as error:
            outcome.stored = False
            outcome.value = None
            outcome.error = ErrorRecord(
                task.attempt, "result", type(error).__qualname__, str(error), ""
            )
        outcome.decoded = True

    async def cancel_task(self, task_id: str) -> bool:
        """See `Backend`."""
        return await self._broker.cancel(task_id)

    def find(self, task_id: str) -> Task | None:
        """See `Backend`. Whether there is such a task is found out by whoever waits for it."""
        return Task(task_id, "", (), NO_KWARGS, Options())

    # --- stopping ---------------------------------------------------------------------------------

    def close(self) -> None:
        """See `Backend`. A submit that has reached the broker is accepted still."""
        self._open.end()

    def stop(self) -> None:
        """See `Backend`."""
        self.close()
        self._feed.hold_back()
        if not self._workers:
            self._feed.over.end()

    async def drain(self) -> None:
        """See `Backend`. What others have submitted counts as well, if its type is known here.

        Raises `QueueClosed` if a stop came first.
        """
        types, queues = self._types.keys(), self._queues
        came = await self._comes(lambda: self._broker.wait_drained(types, queues))
        if not came and not await self._broker.is_drained(types, queues):
            msg = "the queue stopped before it was drained: what waits stays on the broker"
            raise QueueClosed(msg)

    async def finish(self) -> None:
        """See `Backend`. What is not held here stays on the broker, for others or for later.

        What still runs may submit until it has ended: leaving is no close.
        """
        self._feed.hold_back()
        await trio.lowlevel.checkpoint()

    async def flush(self) -> None:
        """See `Backend`. Takes no longer than the workers' last settlements may."""
        await self._feed.flush()

    def unfinished(self) -> Sequence[Unfinished]:
        """See `Backend`. What was held here; what was given back is on the broker, ready again."""
        return [unfinished(task) for task in (*self._feed.running(), *self._feed.given_back)]
