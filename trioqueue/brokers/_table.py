"""The table of a broker in memory: where every task is, and what follows when one moves.

A task keeps its place in the bound from acceptance until it ends, retries included, so that no
internal step ever has to wait for room. Tasks that the user delayed or snoozed are bounded apart,
so that they never close the queue for the others. The order within a step is always the same: the
change, then its event, then what follows from it for others.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Final

import trio

from .._decide import record_error
from .._events import Emitter, logger
from .._ki import protected
from .._model import (
    TABLE,
    ErrorRecord,
    Lease,
    Move,
    Outcome,
    OutcomeKind,
    Settlement,
    State,
    Task,
)
from ._lanes import Lanes
from ._room import Room
from ._served import Served
from ._timer import Timer

# As constants: an attribute of an Enum class costs four times as much to look up. On the way that
# nearly all tasks go a row of the table is asked without the call of ``Task.move``.
_SUBMIT: Final = TABLE[Move.SUBMITTED]
_SUBMITTED: Final = Move.SUBMITTED


@protected
class Table:
    """The state of a memory broker, and the steps that its verbs are made of."""

    def __init__(
        self,
        capacity: int,
        delayed_capacity: int,
        dead_capacity: int,
        results: int,
        wall_clock: Callable[[], float],
    ) -> None:
        self.events = Emitter()
        self._table: dict[str, Task] = {}  # every open task: the truth
        self._keys: dict[tuple[str, str], Task] = {}  # (queue, key) of the open tasks that have one
        self._running: int = 0
        self._due: dict[str, float] = {}  # when each scheduled one is due
        self._apart: set[str] = set()  # scheduled ones that count in _delayed, not in _room
        self._dead: OrderedDict[str, Task] = OrderedDict()  # oldest first
        self._dead_capacity = dead_capacity
        # Tombstones of the last tasks that ended, with their outcomes, in two generations: when the
        # young one is full, the old one goes. So between one and two times ``results`` are kept,
        # for a third of what exact counting costs.
        self._ended: dict[str, Task] = {}
        self._ended_before: dict[str, Task] = {}
        self._results = results
        self._handed_back: list[Task] = []
        self._submitted: int = 0
        self._started: int = 0
        self._succeeded: int = 0
        self._moves: dict[Move, int] = dict.fromkeys(Move, 0)  # all but the three of a plain run
        self._room = Room(capacity, self._check_empty)
        self._delayed = Room(delayed_capacity, self._check_empty)
        self._lanes = Lanes(capacity)
        self._timer = Timer(self._ring)
        self._paused: set[str] = set()
        self._all_paused = False
        self._closed = False
        self._stopped = False
        self._now = trio.lowlevel.current_clock().current_time  # half the cost of trio.current_time
        self._settled: dict[str, trio.Event] = {}  # of the tasks that somebody waits for
        self._drained: trio.Event | None = None
        self._ready_event: trio.Event | None = None
        self._on_ready: Callable[[], object] | None = None
        self._on_cancel: Callable[[Lease], object] | None = None
        self._on_dead: Callable[[Task], object] | None = None
        self._served: Served | None = None
        self.wall_clock = wall_clock

    # --- what is known ----------------------------------------------------------------------------

    def get(self, task_id: str) -> Task | None:
        """See `Inspector`."""
        for place in (self._table, self._dead, self._ended, self._ended_before):
            if task_id in place:
                return place[task_id]
        return None

    def _knows(self, task: Task) -> bool:
        """Whether there is a task of the same id, or a live one that holds the same key."""
        task_id, key = task.id, task.options.key
        return (
            task_id in self._table
            or task_id in self._ended
            or task_id in self._ended_before
            or task_id in self._dead
            or (key is not None and (task.options.queue, key) in self._keys)
        )

    def _known(self, task: Task) -> Task:
        """What `_knows` has found."""
        known = self.get(task.id)
        if known is None and task.options.key is not None:
            known = self._keys[task.options.queue, task.options.key]
        assert known is not None
        return known

    # --- entering ---------------------------------------------------------------------------------

    def _enter(self, task: Task, now: float) -> None:
        """Accept one task, whose place is taken."""
        task.accepted_at = now
        self._table[task.id] = task
        self._submitted += 1
        if task.options.plain:
            name = _SUBMITTED
            task.state = _SUBMIT[task.state]
            self._lanes.put(task)
        else:
            name = self._enter_special(task, now)
        task.seq = task.order or self._lanes.count()  # the same int, as millions may wait
        if self.events.observers:
            self.events.task(name, now, task, None, task.options.delay or None)
        if self._drained is not None:
            self._check_drain(task)

    def _enter_special(self, task: Task, now: float) -> Move:
        """A task with a key, a delay or an expiry."""
        options = task.options
        name = _SUBMITTED
        if options.delay > 0:
            name = Move.DELAYED
            self._moves[name] += 1
        task.move(name)
        if options.key is not None:
            self._keys[options.queue, options.key] = task
        if options.delay > 0:
            self._due[task.id] = now + options.delay
            self._apart.add(task.id)
        else:
            self._lanes.put(task)
        if options.delay > 0 or options.expires is not None:
            self._set_alarm(task)
        return name

    # --- time -------------------------------------------------------------------------------------

    def _expires_at(self, task: Task) -> float:
        """When a task that has never started expires; infinity for all others."""
        expires = task.options.expires
        if expires is None or task.deliveries:
            return float("inf")
        return task.accepted_at + expires

    def _set_alarm(self, task: Task) -> None:
        when = min(self._due.get(task.id, float("inf")), self._expires_at(task))
        if when != float("inf"):
            self._timer.set(task.id, when)

    def _ring(self, task_id: str) -> None:
        """The alarm of a waiting task: it is due, or has expired."""
        task = self._table[task_id]
        now = trio.current_time()
        if now >= self._expires_at(task):
            self._end_waiting(task, Move.EXPIRED, OutcomeKind.EXPIRED)
        elif task_id not in self._apart:
            self._become_due(task)
        elif self._room.fits(1):
            self._admit(task)
        else:
            # Due, but the queue is full: ahead of waiting submitters, as soon as there is room.
            self._room.add_urgent(task_id, partial(self._admit, task))
            self._due[task_id] = float("inf")
            self._set_alarm(task)

    def _admit(self, task: Task) -> None:
        """Move a task that was delayed apart into the common room, which has a place for it."""
        if task.state is State.SCHEDULED and task.id in self._apart:
            self._room.used += 1
            self._apart.remove(task.id)
            self._delayed.give()
            self._become_due(task)

    def _become_due(self, task: Task) -> None:
        del self._due[task.id]
        task.move(Move.DUE)
        self._moves[Move.DUE] += 1
        self._set_alarm(task)
        self._lanes.put(task)
        self._emit(Move.DUE, task)
        self._notify()

    def _schedule(self, task: Task, delay: float) -> None:
        """A task that has just become scheduled is due in ``delay`` seconds."""
        self._due[task.id] = self._now() + delay
        if delay > 0:
            self._set_alarm(task)

    async def run_timer(self) -> None:
        """Make tasks due and expire them, until cancelled."""
        await self._timer.run()

    # --- after a lease ----------------------------------------------------------------------------

    @staticmethod
    def _record(settlement: Settlement, attempt: int) -> ErrorRecord | None:
        """The error of the attempt as text, if there is one to keep."""
        outcome = settlement.outcome
        kind = outcome.kind
        if settlement.failed or (outcome.exception is not None and kind is not OutcomeKind.SNOOZE):
            outcome.error = record_error(outcome, attempt)
        return outcome.error

    def _place(self, task: Task, settlement: Settlement) -> None:
        """Put a task, whose lease has just ended without success, where its new state belongs."""
        match settlement.move:
            case Move.DIED:
                self._bury(task, settlement.outcome)
            case Move.CANCELLED:
                self._leave(task, settlement.outcome)
            case Move.RELEASED:
                if settlement.outcome.kind is not OutcomeKind.HANDED_BACK:  # it had not started
                    task.trace().interruptions += 1
                self._lanes.put(task, front=True)
            case Move.RETRIED:
                self._schedule(task, settlement.delay)
            case Move.SNOOZED:
                task.trace().snoozes += 1
                self._schedule(task, settlement.delay)
            case move:
                raise AssertionError(move)

    def _follow(self, task: Task, *, left: bool) -> None:
        """What follows, now that everybody knows: moves and events of their own.

        ``left``: the task has ended. Told, not looked up: an observer may have acted meanwhile.
        """
        if left:
            self._give_place(task)
            self._evict()
        elif task.id in self._table:
            if task.state is State.SCHEDULED and task.id not in self._timer:
                self._become_due(task)  # in no time: a retry or a snooze without a delay
            self._waits_again(task)

    def _set_apart(self, task: Task) -> None:
        """Count a snoozed task among the delayed ones, if there is room; else where it is."""
        try:
            self._delayed.take_nowait(1)
        except trio.WouldBlock:
            return
        self._apart.add(task.id)
        self._room.give()

    def _waits_again(self, task: Task) -> None:
        """A task came back from a worker: others may take it, unless everything is handed back."""
        if self._stopped:
            self._end_waiting(task, Move.HANDED_BACK, OutcomeKind.HANDED_BACK)
            return
        self._check_drain(task)
        self._notify()

    # --- ending -----------------------------------------------------------------------------------

    def _end_waiting(self, task: Task, move: Move, kind: OutcomeKind) -> None:
        """End a scheduled or ready task. (Its entry in a lane is dropped when it comes up.)"""
        outcome = Outcome(kind)
        task.move(move)
        self._moves[move] += 1
        if move is Move.HANDED_BACK:
            self._handed_back.append(task)
        self._timer.cancel(task.id)
        self._due.pop(task.id, None)
        self._leave(task, outcome)
        self._emit(move, task, outcome)
        self._give_place(task)

    def _leave(self, task: Task, outcome: Outcome) -> None:
        """An open task has ended: out of the table, its key free again."""
        task_id = task.id
        del self._table[task_id]
        task.outcome = outcome
        if task.options.key is not None:
            del self._keys[task.options.queue, task.options.key]
        if task_id not in self._dead:
            self._remember(task)
        if self._settled:
            self._tell(task)

    def _give_place(self, task: Task) -> None:
        """The place of a task that has left is free. After its event, since others follow."""
        if task.id in self._apart:
            self._apart.remove(task.id)
            self._room.drop_urgent(task.id)
            self._delayed.give()
        else:
            self._room.give()

    def _remember(self, task: Task) -> None:
        """Keep a tombstone."""
        self._ended[task.id] = task
        if len(self._ended) >= self._results:
            self._grow_old()

    def _grow_old(self) -> None:
        """The young generation of tombstones is full: the old one goes."""
        self._ended_before = self._ended if self._results else {}
        self._ended = {}

    def _tell(self, task: Task) -> None:
        event = self._settled.pop(task.id, None)
        if event is not None:
            event.set()

    def _bury(self, task: Task, outcome: Outcome) -> None:
        """Store the dead letter first, then let the task leave."""
        task.trace().died_at = self.wall_clock()
        self._dead[task.id] = task
        self._leave(task, outcome)

    def _evict(self) -> None:
        """Make room for the last dead letter, if there are too many now."""
        while len(self._dead) > self._dead_capacity:
            evicted = self._dead.popitem(last=False)[1]
            self._forget_letter(evicted, Move.EVICTED)
            logger.warning(
                "dead letter %s (%s) was evicted: dead_capacity is %d",
                evicted.id,
                evicted.type,
                self._dead_capacity,
                extra={"task_id": evicted.id, "task_type": evicted.type},
            )

    def _forget_letter(self, task: Task, move: Move) -> None:
        """A dead letter is one no more; a tombstone stays, so that its id is not run again."""
        task.move(move)
        self._moves[move] += 1
        self._remember(task)
        self._emit(move, task, task.outcome)

    # --- telling ----------------------------------------------------------------------------------

    def _emit(self, name: str, task: Task, outcome: Outcome | None = None) -> None:
        if self.events.observers:
            self.events.task(name, self._now(), task, outcome=outcome)

    def _notify(self) -> None:
        if self._on_ready is not None:
            self._on_ready()
        if self._ready_event is not None:
            self._ready_event.set()
            self._ready_event = None

    def _check_empty(self) -> None:
        if self._drained is not None:
            self._drained.set()

    def _check_drain(self, task: Task) -> None:
        """Let a drain look again if ``task`` has begun to wait in a paused queue."""
        if self._drained is not None and self._is_paused(task.options.queue):
            self._drained.set()

    def _stuck(self) -> Task | None:
        """A waiting task of a paused queue, if there is one."""
        for task in self._table.values():
            if task.state is not State.RUNNING and self._is_paused(task.options.queue):
                return task
        return None

    def _is_paused(self, queue: str) -> bool:
        return self._all_paused or queue in self._paused
