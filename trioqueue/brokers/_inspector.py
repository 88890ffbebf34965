"""Looking into a memory broker and operating it: the `Inspector` half of its verbs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import chain

import trio

from .._broker import Counts, WorkerRecord
from .._errors import key_taken, no_dead_letter, queue_closed, queue_paused
from .._ki import protected
from .._letters import DeadLetter, Unfinished, dead_letter, unfinished
from .._model import (
    ERRORS_KEPT,
    MAX_LOSSES,
    ErrorRecord,
    Move,
    Outcome,
    OutcomeKind,
    State,
    Task,
    Trail,
)
from ._table import Table


@protected
class TableInspector(Table):
    """See `Inspector`."""

    def find(self, task_id: str) -> Task | None:
        """See `Backend`."""
        return self.get(task_id)

    def known_tasks(self) -> Iterator[Task]:
        """Every task that is known, the ended ones included, open ones first."""
        return chain(
            self._table.values(),
            self._dead.values(),
            self._ended_before.values(),
            self._ended.values(),
        )

    def paused_queues(self) -> tuple[bool, Sequence[str]]:
        """Whether everything is paused, and which queues are by themselves."""
        return self._all_paused, sorted(self._paused)

    def is_drained(self, types: Collection[str], queues: Collection[str] | None) -> bool:
        """See `Inspector`."""
        drained = True
        for task in self._table.values():
            queue = task.options.queue
            if task.type in types and (queues is None or queue in queues):
                if task.state is not State.RUNNING and self._is_paused(queue):
                    raise queue_paused(task.options.queue, task.id, task.type)
                drained = False
        return drained

    def tasks(self, state: State | None = None) -> Sequence[Task]:
        """The open tasks, or those of one state among them."""
        return [task for task in self._table.values() if state is None or task.state is state]

    def cancel(self, task_id: str) -> bool:
        """See `Inspector`."""
        task = self._table.get(task_id)
        if task is None:
            return False
        lease = task.lease
        if lease is not None:
            if not lease.cancel_requested:
                lease.cancel_requested = True
                self._emit("cancel_requested", task)
                if self._on_cancel is not None:
                    self._on_cancel(lease)
            return True
        self._end_waiting(task, Move.CANCELLED, OutcomeKind.CANCELLED)
        return True

    def run_now(self, task_id: str) -> bool:
        """See `Inspector`. By the way of its alarm, which would have done the same later."""
        task = self._table.get(task_id)
        if task is None or task.state is not State.SCHEDULED:
            return False
        if self._now() >= self._expires_at(task):
            return False  # its alarm is about to end it
        if self._due[task_id] != float("inf"):  # or it is due, and waits for room
            self._timer.cancel(task_id)
            self._ring(task_id)
        return True

    def revoke(self, task_id: str) -> bool:
        """See `Inspector`."""
        task = self._table.get(task_id)
        lease = None if task is None else task.lease
        if task is None or lease is None:
            return False
        lease.lost = True
        task.lease = None
        self._running -= 1
        trail = task.trace()
        trail.losses += 1
        left = trail.losses > MAX_LOSSES
        if left:
            self._die_of_losses(task, trail)
        else:
            task.move(Move.LOST)
            self._moves[Move.LOST] += 1
            self._lanes.put(task, front=True)
            self._emit(Move.LOST, task)
        if self._on_cancel is not None:
            self._on_cancel(lease)
        self._follow(task, left=left)
        if left and self._on_dead is not None:
            self._on_dead(task)
        return True

    def _die_of_losses(self, task: Task, trail: Trail) -> None:
        outcome = Outcome(OutcomeKind.LOST)
        text = f"lost {trail.losses} times: whoever ran it did not live to settle it"
        outcome.error = ErrorRecord(task.attempt, OutcomeKind.LOST, "LeaseLost", text, "")
        trail.errors = (*trail.errors, outcome.error)[-ERRORS_KEPT:]
        task.move(Move.DIED)
        self._moves[Move.DIED] += 1
        self._bury(task, outcome)
        self._emit(Move.DIED, task, outcome)

    def pause(self, queue: str | None = None) -> None:
        """See `Inspector`."""
        if queue is None:
            self._all_paused = True
        else:
            self._paused.add(queue)
        if self._drained is not None:
            self._drained.set()

    def resume(self, queue: str | None = None) -> None:
        """See `Inspector`."""
        if queue is None:
            self._all_paused = False
            self._paused.clear()
        else:
            self._paused.discard(queue)
        self._notify()

    # --- dead letters -----------------------------------------------------------------------------

    def dead_letters(self, type: str | None = None) -> Sequence[DeadLetter]:
        """See `Inspector`."""
        return [
            dead_letter(task) for task in self._dead.values() if type is None or task.type == type
        ]

    async def replay(self, task_id: str) -> Task:
        """See `Inspector`."""
        await trio.lowlevel.checkpoint()
        try:
            return self.replay_nowait(task_id)
        except trio.WouldBlock:
            await self._room.take(1)
        try:
            task = self._replayable(task_id)
        except BaseException:
            self._room.give()
            raise
        return self._revive(task)

    def replay_nowait(self, task_id: str) -> Task:
        """See `Inspector`."""
        task = self._replayable(task_id)
        self._room.take_nowait(1)
        return self._revive(task)

    def _revive(self, task: Task) -> Task:
        """Make a dead task ready, whose place is taken."""
        task_id = task.id
        del self._dead[task_id]
        task.failures = 0
        task.outcome = None
        self._table[task_id] = task
        if task.options.key is not None:
            self._keys[task.options.queue, task.options.key] = task
        task.move(Move.REPLAYED)
        self._moves[Move.REPLAYED] += 1
        self._lanes.put(task)
        self._emit(Move.REPLAYED, task)
        self._waits_again(task)
        return task

    def _replayable(self, task_id: str) -> Task:
        """The dead task of this id, if it may live again now."""
        if self._closed:
            raise queue_closed()
        task = self._letter(task_id)
        key = task.options.key
        if key is not None and (task.options.queue, key) in self._keys:
            raise key_taken(task_id, key)
        return task

    def _letter(self, task_id: str) -> Task:
        if task_id not in self._dead:
            raise no_dead_letter(task_id)
        return self._dead[task_id]

    def purge(self, task_id: str) -> None:
        """See `Inspector`."""
        task = self._letter(task_id)
        del self._dead[task_id]
        self._forget_letter(task, Move.PURGED)

    # --- numbers ----------------------------------------------------------------------------------

    def unfinished(self) -> Sequence[Unfinished]:
        """See `Inspector`. Those whose handlers are still on their way come first."""
        return [unfinished(task) for task in (*self._table.values(), *self._handed_back)]

    def counts(self) -> Counts:
        """How many tasks are where. Cheap: nothing is walked."""
        moves = self._moves | {
            Move.SUBMITTED: self._submitted - self._moves[Move.DELAYED],
            Move.STARTED: self._started,
            Move.SUCCEEDED: self._succeeded,
        }
        waiting = len(self._table) - self._running
        return Counts(
            self._submitted,
            len(self._due),
            waiting - len(self._due),
            self._running,
            self._succeeded,
            len(self._dead),
            moves[Move.CANCELLED],
            moves[Move.EXPIRED],
            moves[Move.HANDED_BACK],
            moves[Move.PURGED],
            moves[Move.EVICTED],
            moves,
            self.capacity,
            self.waiting_submitters,
        )

    def workers(self) -> Sequence[WorkerRecord]:
        """See `Inspector`."""
        return () if self._served is None else (self._served.record(),)

    @property
    def waiting_submitters(self) -> int:
        """How many submitters wait for room."""
        return self._room.waiting + self._delayed.waiting

    @property
    def capacity(self) -> int:
        """How many tasks may be ready, running or backing off."""
        return self._room.capacity
