"""The memory broker: Trio memory channels with fixed buffers, and a table that is the truth.

A task keeps its place in the bound from acceptance until it ends, retries included, so that no
internal step ever has to wait for room: every verb here is one synchronous step. Tasks that the
user delayed or snoozed are bounded apart, so that they never close the queue for the others.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, final

import trio
from trio.lowlevel import enable_ki_protection

from .._broker import Admits, Counts
from .._deadlock import RoomWait, Waiting
from .._decide import record_error
from .._errors import InvalidTask, KeyTaken, QueueClosed, QueuePaused, UnknownTask
from .._events import Emitter, logger
from .._ki import protected
from .._letters import DeadLetter, Unfinished, dead_letter, unfinished
from .._model import (
    ERRORS_KEPT,
    MAX_LOSSES,
    TABLE,
    TERMINAL,
    ErrorRecord,
    Lease,
    Move,
    Outcome,
    OutcomeKind,
    Settlement,
    State,
    Task,
    Trail,
)
from .._nursery import open_bare_nursery
from ._lanes import Lanes
from ._room import CLOSED, Room
from ._timer import Timer

# As constants: an attribute of an Enum class costs four times as much to look up. On the way that
# nearly all tasks go a row of the table is asked without the call of ``Task.move``.
_SUBMIT: Final = TABLE[Move.SUBMITTED]
_START: Final = TABLE[Move.STARTED]
_SUCCEED: Final = TABLE[Move.SUCCEEDED]
_STARTED: Final = Move.STARTED
_SUBMITTED: Final = Move.SUBMITTED
_SUCCEEDED: Final = Move.SUCCEEDED
_NO_KWARGS: Final[dict[str, object]] = {}


@final
@protected
class MemoryBroker:
    """See ``_broker``. Opened by `open_memory_broker`; serves one queue of one Trio run."""

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
        self._running = 0
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
        self._submitted = 0
        self._succeeded = 0
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
        self._wall_clock = wall_clock

    # --- accepting -----------------------------------------------------------------------------

    async def publish(self, tasks: Sequence[Task]) -> Sequence[Task]:
        """See `Broker`. The checkpoint comes first: after the effect nothing can raise."""
        await trio.lowlevel.checkpoint()
        room, places = self._request(tasks)
        try:
            room.take_nowait(places)
        except trio.WouldBlock:
            if places:
                await room.take(places)
        return self._accept(tasks, room, places)

    def publish_nowait(self, tasks: Sequence[Task]) -> Sequence[Task]:
        """See `LocalBroker`."""
        room, places = self._request(tasks)
        if places:
            room.take_nowait(places)
        return self._accept(tasks, room, places)

    def _request(self, tasks: Sequence[Task]) -> tuple[Room, int]:
        """The room that the tasks need, and how many places; an error if that can never be."""
        if self._closed:
            raise QueueClosed(CLOSED)
        room = self._room_for(tasks)
        places = len(tasks)
        if not room.fits(places):
            places = self._count_new(tasks, room)  # what is known already needs no place
        return room, places

    def accept_nowait(self, task: Task) -> Task:
        """See `LocalBroker`. Most tasks are plain, new, and find room at once."""
        room = self._room
        if (
            not task.options.plain
            or self._closed
            or room.wake_at  # somebody is in line
            or room.used >= room.capacity
            or self._knows(task)
        ):
            return self.publish_nowait((task,))[0]
        room.used += 1
        self._enter(task, self._now())
        self._notify()
        return task

    def _room_for(self, tasks: Sequence[Task]) -> Room:
        """The room that the tasks need. `InvalidTask` if they are not all of one kind."""
        if not tasks:
            return self._room
        first = tasks[0].options
        delayed = first.delay > 0
        for task in tasks:
            if task.options is not first and (task.options.delay > 0) is not delayed:
                msg = "publish takes tasks that are all delayed, or none of them"
                raise InvalidTask(msg)
        return self._delayed if delayed else self._room

    def _count_new(self, tasks: Sequence[Task], room: Room) -> int:
        """How many of the tasks are new; an error if ``room`` can never hold as many."""
        known = self._knows
        count = len(tasks) - sum(map(known, tasks))
        if count > room.capacity:
            what = "delayed_capacity" if room is self._delayed else "capacity"
            msg = f"{count} tasks can never fit at once, as {what} is {room.capacity}: submit fewer"
            raise InvalidTask(msg)
        return count

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

    def _accept(self, tasks: Sequence[Task], room: Room, places: int) -> list[Task]:
        """Accept ``tasks``, for which ``places`` are taken. One step; gives back what is left."""
        now = self._now()
        accepted: list[Task] = []
        for task in tasks:
            if self._knows(task):
                accepted.append(self._known(task))
            else:
                places -= 1
                self._enter(task, now)
                accepted.append(task)
        if places:  # somebody else took a key while we waited, or a batch repeats one
            room.give(places)
        self._notify()
        return accepted

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
        if self.events.observers:
            self.events.task(name, now, task, delay=task.options.delay or None)
        if self._drained is not None:
            self._check_drain(task)

    def _enter_special(self, task: Task, now: float) -> Move:
        """A task with a key, a delay or an expiry."""
        options = task.options
        name = Move.DELAYED if options.delay > 0 else _SUBMITTED
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

    # --- time ----------------------------------------------------------------------------------

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

    # --- claiming and settling -----------------------------------------------------------------

    def attach(
        self, on_ready: Callable[[], object], on_cancel: Callable[[Lease], object]
    ) -> Callable[[], None]:
        """See `LocalBroker`."""
        if self._on_ready is not None:
            msg = "this memory broker serves a queue already: open one broker for each queue"
            raise RuntimeError(msg)
        self._on_ready, self._on_cancel = on_ready, on_cancel
        return self._detach

    def _detach(self) -> None:
        self._on_ready = self._on_cancel = None

    def _notify(self) -> None:
        if self._on_ready is not None:
            self._on_ready()
        if self._ready_event is not None:
            self._ready_event.set()
            self._ready_event = None

    def has_ready(self, admits: Admits) -> bool:
        """See `LocalBroker`."""
        return not self._all_paused and self._lanes.any(admits, self._paused)

    async def wait_ready(self) -> None:
        """See `Broker`."""
        await trio.lowlevel.checkpoint()
        while not self.has_ready(lambda _: True):
            if self._ready_event is None:
                self._ready_event = trio.Event()
            await self._ready_event.wait()

    def claim_nowait(self, admits: Admits, now: float) -> Lease | None:
        """See `LocalBroker`."""
        if self._all_paused:
            return None
        while (task := self._lanes.take(admits, self._paused)) is not None:
            if task.options.expires is not None:
                self._timer.cancel(task.id)
                if now >= self._expires_at(task):
                    self._end_waiting(task, Move.EXPIRED, OutcomeKind.EXPIRED)
                    continue
            task.state = _START[task.state]
            task.deliveries = token = task.deliveries + 1
            task.lease = lease = Lease(task, token, now)
            self._running += 1
            if self.events.observers:
                self.events.task(_STARTED, now, task, waited=now - task.accepted_at)
            return lease
        return None

    async def claim(self, admits: Admits, most: int) -> Sequence[Lease]:
        """See `Broker`."""
        await trio.lowlevel.checkpoint()
        now = trio.current_time()
        leases: list[Lease] = []
        while len(leases) < most and (lease := self.claim_nowait(admits, now)) is not None:
            leases.append(lease)
        return leases

    async def renew(self, leases: Collection[Lease]) -> Collection[Lease]:
        """See `Broker`. Leases do not expire here: the nursery is the supervisor."""
        await trio.lowlevel.checkpoint()
        return [lease for lease in leases if lease.task.lease is not lease]

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[bool]:
        """See `Broker`."""
        await trio.lowlevel.checkpoint()
        now = trio.current_time()
        return [self.settle_nowait(settlement, now) for settlement in settlements]

    def settle_nowait(self, settlement: Settlement, now: float) -> bool:
        """See `LocalBroker`."""
        if settlement.move is _SUCCEEDED:
            return self.complete_nowait(settlement.lease, settlement.outcome, now)
        lease = settlement.lease
        task = lease.task
        if task.lease is not lease:
            return self._refuse(lease, settlement.outcome, now)
        attempt = task.attempt
        record = self._record(settlement, attempt)  # user code may run in it: before any change
        task.move(settlement.move)
        task.lease = None
        self._running -= 1
        self._moves[settlement.move] += 1
        lease.settled = settlement.outcome
        if record is not None:
            trail = task.trace()
            trail.errors = (*trail.errors, record)[-ERRORS_KEPT:]
        task.failures += settlement.failed
        self._place(task, settlement)
        if self.events.observers:
            delay = settlement.delay if settlement.move in {Move.RETRIED, Move.SNOOZED} else None
            self.events.task(
                settlement.move, now, task, outcome=settlement.outcome, delay=delay, attempt=attempt
            )
        if settlement.move is Move.SNOOZED and settlement.delay > 0:
            self._set_apart(task)
        self._follow(task)
        return True

    def complete_nowait(self, lease: Lease, outcome: Outcome, now: float) -> bool:
        """See `LocalBroker`. The way of nearly all tasks, so `_leave` is written out in it."""
        task = lease.task
        if task.lease is not lease:
            return self._refuse(lease, outcome, now)
        task.state = _SUCCEED[task.state]
        task.lease = None
        self._running -= 1
        lease.settled = outcome
        self._succeeded += 1
        task.args, task.kwargs = (), _NO_KWARGS  # nobody can need them any more
        task.outcome = outcome
        task_id = task.id
        del self._table[task_id]
        if task.options.key is not None:
            del self._keys[task.options.queue, task.options.key]
        self._ended[task_id] = task
        if len(self._ended) >= self._results:
            self._grow_old()
        if self._settled:
            self._tell(task)
        if self.events.observers:
            self.events.task(_SUCCEEDED, now, task, outcome=outcome)
        # The place comes last: it may let another task in, which is a later event.
        room = self._room
        room.used -= 1
        if room.used <= room.wake_at:
            room.give(0)
        return True

    def _refuse(self, lease: Lease, outcome: Outcome, now: float) -> bool:
        """The lease is over: settled with this very outcome (fine, a repeat), or otherwise."""
        if lease.settled is outcome:
            return True
        if self.events.observers:
            self.events.task("refused", now, lease.task, outcome=outcome)
        return False

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
                task.trace().interruptions += 1
                self._lanes.put(task, front=True)
            case Move.RETRIED:
                self._schedule(task, settlement.delay)
            case Move.SNOOZED:
                task.trace().snoozes += 1
                self._schedule(task, settlement.delay)
            case move:
                raise AssertionError(move)

    def _follow(self, task: Task) -> None:
        """What follows, now that everybody knows: moves and events of their own."""
        if task.id not in self._table:
            self._give_place(task)
            self._evict()
        else:
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

    # --- ending --------------------------------------------------------------------------------

    def _emit(self, name: str, task: Task, outcome: Outcome | None = None) -> None:
        if self.events.observers:
            self.events.task(name, self._now(), task, outcome=outcome)

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
        task.trace().died_at = self._wall_clock()
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

    async def wait_settled(self, task: Task) -> None:
        """See `Broker`."""
        await trio.lowlevel.checkpoint()
        while task.state not in TERMINAL:
            event = self._settled.get(task.id)
            if event is None:
                event = self._settled[task.id] = trio.Event()
            await event.wait()

    # --- stopping ------------------------------------------------------------------------------

    def close(self) -> None:
        """See `LocalBroker`."""
        self._closed = True
        self._room.close()
        self._delayed.close()

    def stop(self) -> None:
        """See `LocalBroker`."""
        self.close()
        self._stopped = True
        for task in list(self._table.values()):
            if task.state is not State.RUNNING:
                self._end_waiting(task, Move.HANDED_BACK, OutcomeKind.HANDED_BACK)

    async def drain(self) -> None:
        """See `LocalBroker`."""
        await trio.lowlevel.checkpoint()
        # Places taken, not tasks in the table: a submitter that was let in is about to submit.
        while self._room.used or self._delayed.used:
            stuck = self._stuck()
            if stuck is not None:
                msg = (
                    f"queue {stuck.options.queue!r} is paused and holds tasks (task {stuck.id}, "
                    f"{stuck.type}): resume it before draining, or use shutdown()"
                )
                raise QueuePaused(msg)
            if self._drained is None or self._drained.is_set():
                self._drained = trio.Event()
            await self._drained.wait()

    def _check_empty(self) -> None:
        if self._drained is not None:
            self._drained.set()

    def _stuck(self) -> Task | None:
        """A waiting task of a paused queue, if there is one."""
        for task in self._table.values():
            if task.state is not State.RUNNING and self._is_paused(task.options.queue):
                return task
        return None

    def _is_paused(self, queue: str) -> bool:
        return self._all_paused or queue in self._paused

    def _check_drain(self, task: Task) -> None:
        """Let a drain look again if ``task`` has begun to wait in a paused queue."""
        if self._drained is not None and self._is_paused(task.options.queue):
            self._drained.set()

    # --- inspecting ----------------------------------------------------------------------------

    def get(self, task_id: str) -> Task | None:
        """See `Inspector`."""
        for place in (self._table, self._dead, self._ended, self._ended_before):
            if task_id in place:
                return place[task_id]
        return None

    def tasks(self, state: State | None = None) -> Sequence[Task]:
        """See `Inspector`."""
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
                if self.events.observers:
                    self.events.task("cancel_requested", trio.current_time(), lease.task)
                if self._on_cancel is not None:
                    self._on_cancel(lease)
            return True
        self._end_waiting(task, Move.CANCELLED, OutcomeKind.CANCELLED)
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
        if trail.losses > MAX_LOSSES:
            self._die_of_losses(task, trail)
        else:
            task.move(Move.LOST)
            self._moves[Move.LOST] += 1
            self._lanes.put(task, front=True)
            self._emit(Move.LOST, task)
        if self._on_cancel is not None:
            self._on_cancel(lease)
        self._follow(task)
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

    def dead_letters(self, type: str | None = None) -> Sequence[DeadLetter]:
        """See `Inspector`."""
        return [
            dead_letter(task) for task in self._dead.values() if type is None or task.type == type
        ]

    async def replay(self, task_id: str) -> Task:
        """See `Inspector`."""
        await trio.lowlevel.checkpoint()
        self._replayable(task_id)
        try:
            self._room.take_nowait(1)
        except trio.WouldBlock:
            await self._room.take(1)
        try:
            task = self._replayable(task_id)
        except BaseException:
            self._room.give()
            raise
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
            raise QueueClosed(CLOSED)
        task = self._letter(task_id)
        key = task.options.key
        if key is not None and (task.options.queue, key) in self._keys:
            msg = f"dead letter {task_id} was not replayed: a live task holds its key {key!r}"
            raise KeyTaken(msg)
        return task

    def _letter(self, task_id: str) -> Task:
        if task_id not in self._dead:
            msg = f"no dead letter has the id {task_id!r}"
            raise UnknownTask(msg, task_id)
        return self._dead[task_id]

    def purge(self, task_id: str) -> None:
        """See `Inspector`."""
        task = self._letter(task_id)
        del self._dead[task_id]
        self._forget_letter(task, Move.PURGED)

    def _forget_letter(self, task: Task, move: Move) -> None:
        """A dead letter is one no more; a tombstone stays, so that its id is not run again."""
        task.move(move)
        self._moves[move] += 1
        self._remember(task)
        self._emit(move, task, task.outcome)

    def waiting(self) -> Waiting:
        """See `LocalBroker`."""
        places: Counter[str] = Counter()
        leaving = 0
        for task in self._table.values():
            if task.lease is None and task.id not in self._apart:
                if self._expires_at(task) != float("inf"):
                    leaving += 1
                else:
                    places[task.type] += 1
        return Waiting(self._room.capacity, places, leaving)

    def wait_for_room(self, tasks: Sequence[Task]) -> RoomWait:
        """See `LocalBroker`."""
        room = self._room_for(tasks)
        if room is self._delayed:
            # A delayed task leaves in time, if there is one place for it in the common room.
            return RoomWait(1, "room for one more delayed task")
        count = max(self._count_new(tasks, room), room.largest_wait())  # strictly in line
        return RoomWait(count, f"room for {count} in the queue")

    def unfinished(self) -> Sequence[Unfinished]:
        """See `Inspector`. Those whose handlers are still on their way come first."""
        return [unfinished(task) for task in (*self._table.values(), *self._handed_back)]

    def counts(self) -> Counts:
        """How many tasks are where. Cheap: nothing is walked."""
        moves = self._moves
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
            dict(moves),
            self.capacity,
            self.waiting_submitters,
        )

    @property
    def waiting_submitters(self) -> int:
        """How many submitters wait for room."""
        return self._room.waiting + self._delayed.waiting

    @property
    def capacity(self) -> int:
        """How many tasks may be ready, running or backing off."""
        return self._room.capacity


@asynccontextmanager
@enable_ki_protection
async def open_memory_broker(
    capacity: int = 100,
    *,
    delayed_capacity: int = 10_000,
    dead_capacity: int = 10_000,
    results: int = 1_000,
    wall_clock: Callable[[], float] = time.time,
) -> AsyncIterator[MemoryBroker]:
    """A broker in memory, for as long as the block lasts. Neither half of the block waits.

    ``capacity`` bounds the tasks that are ready, running or backing off; ``delayed_capacity``
    those that the user delayed or snoozed; ``dead_capacity`` the dead letters (the oldest is
    evicted, with a warning); ``results`` the ended tasks that ``get`` still knows.
    """
    broker = MemoryBroker(capacity, delayed_capacity, dead_capacity, results, wall_clock)
    async with open_bare_nursery() as nursery:
        nursery.start_soon(broker.run_timer, name="trioqueue timer")
        try:
            yield broker
        finally:
            broker.stop()
            nursery.cancel_scope.cancel()
