"""The memory broker: Trio memory channels with fixed buffers, and a table that is the truth.

Every verb with an effect is one synchronous step; the asynchronous ones wait first.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, final

import trio
from trio.lowlevel import enable_ki_protection

from .._broker import Admits, Consumer, Feed
from .._deadlock import RoomWait, Waiting
from .._errors import InvalidTask, UnknownTask, queue_closed, queue_paused
from .._ki import protected
from .._model import (
    ERRORS_KEPT,
    NO_KWARGS,
    TABLE,
    TERMINAL,
    Lease,
    Move,
    Outcome,
    OutcomeKind,
    Settlement,
    State,
    Task,
)
from .._nursery import open_bare_nursery
from ._inspector import TableInspector
from ._room import Room
from ._served import Served
from ._view import MemoryInspector

# As constants: an attribute of an Enum class costs four times as much to look up. On the way that
# nearly all tasks go a row of the table is asked without the call of ``Task.move``.
_START: Final = TABLE[Move.STARTED]
_SUCCEED: Final = TABLE[Move.SUCCEEDED]
_STARTED: Final = Move.STARTED
_SUCCEEDED: Final = Move.SUCCEEDED


@final
@protected
class MemoryBroker(TableInspector):
    """See ``_broker``. Opened by `open_memory_broker`; serves one queue of one Trio run."""

    @property
    def feed(self) -> Feed:
        """See `Backend`."""
        return self

    @property
    def inspector(self) -> MemoryInspector:
        """See `Backend`."""
        return MemoryInspector(self)

    # --- accepting --------------------------------------------------------------------------------

    async def publish(
        self, tasks: Sequence[Task], closed: Callable[[], bool] | None = None
    ) -> Sequence[Task]:
        """See `Broker`. The checkpoint comes first: after the effect nothing can raise."""
        await trio.lowlevel.checkpoint()
        if closed is not None and closed():
            raise queue_closed()
        room, places = self._request(tasks)
        if places and (room.queued or not room.fits(places)):
            await room.take(places)
            while (needed := self._count_new(tasks, room)) > places:
                # A key or an id was freed while we waited: all at once, so back into the line.
                room.give(places)
                places = needed
                await room.take(places)
        else:
            room.used += places
        return self._accept(tasks, room, places)

    def publish_nowait(self, tasks: Sequence[Task]) -> Sequence[Task]:
        """See `LocalBackend`."""
        room, places = self._request(tasks)
        if places:
            room.take_nowait(places)
        return self._accept(tasks, room, places)

    def _request(self, tasks: Sequence[Task]) -> tuple[Room, int]:
        """The room that the tasks need, and how many places; an error if that can never be."""
        if self._closed:
            raise queue_closed()
        room = self._room_for(tasks)
        places = len(tasks)
        if room.queued or not room.fits(places):
            places = self._count_new(tasks, room)  # what is known already needs no place
        return room, places

    def accept_nowait(self, task: Task) -> Task:
        """See `LocalBackend`. Most tasks are plain, new, and find room at once."""
        room = self._room
        if (
            not task.options.plain
            or self._closed
            or room.queued
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

    # --- room, for handlers that wait -------------------------------------------------------------

    def waiting(self) -> Waiting:
        """See `LocalBackend`."""
        places = Counter(
            task.type
            for task in self._table.values()
            if task.lease is None
            and task.id not in self._apart
            and self._expires_at(task) == float("inf")
        )
        return Waiting(self._room.capacity, places)

    def wait_for_room(self, tasks: Sequence[Task]) -> RoomWait:
        """See `LocalBackend`."""
        room = self._room_for(tasks)
        if room is self._delayed:
            # A delayed task leaves in time, if there is one place for it in the common room.
            return RoomWait(1, "room for one more delayed task")
        count = self._count_new(tasks, room) if tasks else 1
        count = max(count, room.largest_wait())  # strictly in line
        return RoomWait(count, f"room for {count} in the queue")

    # --- claiming ---------------------------------------------------------------------------------

    @asynccontextmanager
    @enable_ki_protection
    async def serve(self, consumer: Consumer) -> AsyncGenerator[None]:
        """See `Feed`. Neither half of the block waits."""
        detach = self.attach(consumer.on_ready, consumer.on_cancel, consumer.on_dead)
        self._served = Served(consumer, self.wall_clock())
        try:
            yield
        finally:
            self._served = None
            detach()

    def attach(
        self,
        on_ready: Callable[[], object],
        on_cancel: Callable[[Lease], object],
        on_dead: Callable[[Task], object] = lambda _: None,
    ) -> Callable[[], None]:
        """Become the one consumer, see `Consumer`. Call what is returned to leave."""
        self.check_free()
        self._on_ready, self._on_cancel, self._on_dead = on_ready, on_cancel, on_dead
        return self._detach

    def hold_back(self) -> None:
        """See `Feed`. Nothing is handed out unless it is asked for."""

    def check_free(self) -> None:
        """See `LocalBackend`."""
        if self._on_ready is not None:
            msg = "this memory broker serves a queue already: open one broker for each queue"
            raise InvalidTask(msg)

    def _detach(self) -> None:
        self._on_ready = self._on_cancel = self._on_dead = None

    def has_ready(self, admits: Admits) -> bool:
        """See `LocalBackend`."""
        return not self._all_paused and self._lanes.any(admits, self._paused)

    async def wait_ready(
        self, types: Collection[str] | None = None, queues: Collection[str] | None = None
    ) -> None:
        """See `Broker`."""
        await trio.lowlevel.checkpoint()
        while self._all_paused or not self._lanes.any(
            lambda name: types is None or name in types, self._not_served(queues)
        ):
            if self._ready_event is None:
                self._ready_event = trio.Event()
            await self._ready_event.wait()

    def claim_nowait(
        self, admits: Admits, now: float, queues: Collection[str] | None = None
    ) -> Lease | None:
        """See `Feed`. ``queues``: only from these."""
        if self._all_paused:
            return None
        passed = self._paused if queues is None else self._not_served(queues)
        while (task := self._lanes.take(admits, passed)) is not None:
            if task.options.expires is not None:
                self._timer.cancel(task.id)
                if now >= self._expires_at(task):
                    self._end_waiting(task, Move.EXPIRED, OutcomeKind.EXPIRED)
                    continue
            task.state = _START[task.state]
            task.deliveries = token = task.deliveries + 1
            task.lease = lease = Lease(task, token, now)
            self._running += 1
            self._started += 1
            if self.events.observers:
                self.events.task(_STARTED, now, task, None, None, now - task.accepted_at)
            return lease
        return None

    async def claim(
        self, room: Mapping[str, int], most: int, queues: Collection[str] | None = None
    ) -> Sequence[Lease]:
        """See `Broker`."""
        await trio.lowlevel.checkpoint()
        left = dict(room)
        leases: list[Lease] = []
        while len(leases) < most and (
            lease := self.claim_nowait(
                lambda name: left.get(name, 0) > 0, trio.current_time(), queues
            )
        ):
            left[lease.task.type] -= 1
            leases.append(lease)
        return leases

    def _not_served(self, queues: Collection[str] | None) -> Collection[str]:
        """The queues that must not be looked into: paused, or not asked for."""
        if queues is None:
            return self._paused
        return self._paused | (self._lanes.queues() - set(queues))

    # --- settling ---------------------------------------------------------------------------------

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
        """See `LocalBackend`."""
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
        left = task.id not in self._table
        if self.events.observers:
            delay = settlement.delay if settlement.move in {Move.RETRIED, Move.SNOOZED} else None
            self.events.task(
                settlement.move, now, task, outcome=settlement.outcome, delay=delay, attempt=attempt
            )
        if task.state is State.SCHEDULED and settlement.move is Move.SNOOZED and settlement.delay:
            self._set_apart(task)
        self._follow(task, left=left)
        if settlement.move is Move.DIED and self._on_dead is not None:
            self._on_dead(task)
        return True

    def complete_nowait(self, lease: Lease, outcome: Outcome, now: float) -> bool:
        """See `LocalBackend`. The way of nearly all tasks, so `_leave` is written out in it."""
        task = lease.task
        if task.lease is not lease:
            return self._refuse(lease, outcome, now)
        task.state = _SUCCEED[task.state]
        task.lease = None
        self._running -= 1
        lease.settled = outcome
        self._succeeded += 1
        task.args, task.kwargs = (), NO_KWARGS  # nobody can need them any more
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
            self.events.task(_SUCCEEDED, now, task, outcome)
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

    async def wait_settled(self, task: Task) -> None:
        """See `Broker`."""
        await trio.lowlevel.checkpoint()
        if task.state is None:
            msg = f"task {task.id!r} was never accepted"
            raise UnknownTask(msg, task.id)
        while task.state not in TERMINAL:
            event = self._settled.get(task.id)
            if event is None:
                event = self._settled[task.id] = trio.Event()
            await event.wait()

    # --- stopping ---------------------------------------------------------------------------------

    def close(self) -> None:
        """See `LocalBackend`."""
        self._closed = True
        self._room.close()
        self._delayed.close()

    def stop(self) -> None:
        """See `LocalBackend`."""
        self.close()
        self._stopped = True
        for task in list(self._table.values()):
            if task.state is not State.RUNNING:
                self._end_waiting(task, Move.HANDED_BACK, OutcomeKind.HANDED_BACK)

    async def cancel_task(self, task_id: str) -> bool:
        """See `Backend`."""
        await trio.lowlevel.checkpoint()
        return self.cancel(task_id)

    async def finish(self) -> None:
        """See `Backend`. No checkpoint since the last task ended: nothing slips in."""
        await self.drain()
        self.close()

    async def flush(self) -> None:
        """See `Backend`. Known at once."""

    async def drain(self) -> None:
        """See `Backend`."""
        await trio.lowlevel.checkpoint()
        # Places taken, not tasks in the table: a submitter that was let in is about to submit.
        while self._room.used or self._delayed.used:
            stuck = self._stuck()
            if stuck is not None:
                raise queue_paused(stuck.options.queue, stuck.id, stuck.type)
            if self._drained is None or self._drained.is_set():
                self._drained = trio.Event()
            await self._drained.wait()


@asynccontextmanager
@enable_ki_protection
async def open_memory_broker(
    capacity: int = 100,
    *,
    delayed_capacity: int = 10_000,
    dead_capacity: int = 10_000,
    results: int = 1_000,
    wall_clock: Callable[[], float] = time.time,
) -> AsyncGenerator[MemoryBroker]:
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
