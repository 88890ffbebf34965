"""The Redis broker: tasks on a Redis or Valkey server that the processes of many machines share.

Every verb is one script, which the server runs as one atomic step, by its own clock. What cannot
wait for the next step of somebody else is told by message: that something is ready, has ended, is
to be cancelled.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, final

import trio
from trio.lowlevel import enable_ki_protection

from .._broker import WorkerRecord
from .._errors import BrokerUnavailable, InvalidTask, QueueFull, queue_closed
from .._events import logger
from .._ki import protected
from .._model import (
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
from .._patience import patiently
from . import _redis_calls as calls
from ._redis_inspector import Made, RedisInspector, listed
from ._redis_line import Arg, Line
from ._redis_rows import Numbers, claimed, pack_settlements, pack_tasks, seconds, snapshot
from ._redis_waits import Ends, Stands
from ._stored import Raised, encode_worker, note_error

#: Tasks in one publish: the server does nothing else meanwhile, for some 10 us each.
MOST_PUBLISHED: Final = 10_000
#: Seconds that giving back what was claimed for nobody may take when the block is left.
_LAST_WORDS: Final = 5.0
#: Seconds between two looks at whether a queue was closed that somebody waits to submit to.
_CLOSED_LOOK: Final = 0.1


@final
@protected
class RedisBroker(RedisInspector):
    """See `RemoteBroker`. Opened by `open_redis_broker`, by any number of processes at once."""

    #: What was cancelled, or sent before a close, may be carried out: the request was on its way.
    perhaps: Final = True

    def __init__(self, line: Line, setting: calls.Setting, nursery: trio.Nursery) -> None:
        super().__init__(line, setting)
        self._nursery = nursery
        self._claim = 1  # the number of the next one, the same until there was a reply
        self._claiming = trio.Lock()
        self._admission = trio.Lock()  # held by the first who waits for room
        self._limits: dict[str, int] = {}
        self._stands = Stands()
        self._ends = Ends(self._ask_ended, self._keep_since, setting.poll)
        self._alarm = float("-inf")  # on Trio's clock: when to look what time has brought about
        self._alarm_set = trio.Event()
        self._loose = 0  # claims under way, or taken for nobody and not given back yet
        self._tied = trio.Event()
        self._raised = Raised()

    # --- producers --------------------------------------------------------------------------------

    async def publish(
        self, tasks: Sequence[Task], closed: Callable[[], bool] | None = None
    ) -> Sequence[Task]:
        """See `Broker`. Raises `QueueFull` if the broker was opened with ``full="refuse"``.

        ``closed()`` is asked before anything is sent.
        """
        args = self._publish_args(tasks)
        if closed is not None and closed():
            raise queue_closed()
        if not tasks:
            await trio.lowlevel.checkpoint()
            return []
        accepting = partial(self._do, calls.PUBLISH, args, partial(self._accepted, tasks))
        if not self._admission.locked():
            accepted = await accepting()
            if accepted is not None:
                return accepted
            if not self._setting.waits_for_room:
                capacity = self._setting.capacity
                msg = f"the broker holds its {capacity} open tasks: it accepts no more"
                raise QueueFull(msg)
        # One asks for all who wait here, in their order: if each did, every end of a task would
        # bring as many calls as there are waiters.
        async with self._admission:
            return await self._wait_for_room(accepting, closed)

    async def _wait_for_room(
        self,
        accepting: Callable[[], Awaitable[list[Task] | None]],
        closed: Callable[[], bool] | None,
    ) -> Sequence[Task]:
        while True:
            if closed is not None and closed():
                raise queue_closed()
            room = self._room.listen()
            accepted = await accepting()
            if accepted is not None:
                return accepted
            with trio.move_on_after(self._setting.poll) as waiting:
                while not waiting.cancel_called and not (closed is not None and closed()):
                    with trio.move_on_after(_CLOSED_LOOK):
                        await room()
                        break

    def _publish_args(self, tasks: Sequence[Task]) -> list[Arg]:
        capacity = self._setting.capacity
        most = MOST_PUBLISHED if capacity is None else min(capacity, MOST_PUBLISHED)
        if len(tasks) > most:
            msg = (
                f"{len(tasks)} tasks are more than this broker takes at once: submit {most} at most"
            )
            raise InvalidTask(msg)
        waits = int(self._setting.waits_for_room)
        head = (next(self._numbers), -1 if capacity is None else capacity, waits)
        return [*head, *pack_tasks(tasks)]

    def _accepted(self, tasks: Sequence[Task], reply: Any) -> list[Task] | None:
        """The tasks that are there now; ``None``: there was no room."""
        happened, answers, now = reply
        self._tell(happened)
        if answers == b"full":
            return None
        at = seconds(now)
        accepted: dict[str, Task] = {}
        there: list[Task] = []
        for task, seq in zip(tasks, answers, strict=True):
            if not isinstance(seq, int):  # what is there already
                same = accepted.get(seq[0].decode())
                there.append(same or snapshot(seq, self._keep_since(at)))
                continue
            accepted[task.id] = task
            there.append(task)
            delayed = task.options.delay > 0
            if task.order == seq:
                continue  # told before: the reply came, and then the wait for replicas was in vain
            task.order, task.accepted_at = seq, at
            task.state = State.SCHEDULED if delayed else State.READY
            if self.events.observers:
                move = Move.DELAYED if delayed else Move.SUBMITTED
                self.events.task(move, at, task, None, task.options.delay or None)
        return there

    async def wait_settled(self, task: Task) -> None:
        """See `Broker`. Waits on while the broker is away. ``outcome.value``: as it is kept."""
        if task.state in TERMINAL and task.state is not State.DEAD:  # which may be replayed
            await trio.lowlevel.checkpoint()
            return
        self._raised.refresh(task, await self._ends.wait(task.id))

    async def _ask_ended(self, ids: Sequence[str]) -> tuple[float, Sequence[Any]]:
        answers, now = await self._ask(calls.ENDED, *listed(ids))
        return seconds(now), answers

    # --- workers ----------------------------------------------------------------------------------

    def limit_fleet(self, limits: Mapping[str, int]) -> None:
        """See `RemoteBroker`."""
        self._limits = dict(limits)

    async def wait_ready(
        self, types: Collection[str] | None = None, queues: Collection[str] | None = None
    ) -> None:
        """See `Broker`."""
        number = self._stands.enter()
        limits = [part for pair in self._limits.items() for part in pair]
        args = (number, *listed(types), *listed(queues), len(self._limits), *limits)
        try:
            while True:
                called = self._stands.begin(number)
                if await self._do(calls.WAIT, args, self._tended):
                    return
                with trio.move_on_after(self._setting.poll):
                    if await called():
                        return
        finally:
            self._stands.leave(number)

    async def claim(
        self, room: Mapping[str, int], most: int, queues: Collection[str] | None = None
    ) -> Sequence[Lease]:
        """See `Broker`. A task that its last holder did not live to cancel comes asked to be.

        Cancelled: nothing was taken, or it is given back at once, unstarted.
        """
        types: list[Arg] = []
        for name, free in room.items():
            types += (name, free, self._limits.get(name, -1))
        async with self._claiming:  # one at a time: the reply to the last is kept for a repeat
            number = self._claim
            args = (number, most, len(room), *types, *listed(queues))
            expires = self.lease_time() + self.lease - self._setting.margin
            head = self._setting.head(
                observed=bool(self.events.observers), cluster=self._line.cluster
            )
            made = Made(partial(self._claimed, expires))
            nobody = partial(self._claimed_for_nobody, made)
            self._loose += 1
            try:
                await self._line.run(calls.CLAIM, (*head, *args), nobody, made.arrived)
            except (trio.Cancelled, KeyboardInterrupt):
                self._claim = number + 1  # the reply may be on its way
                raise
            except BaseException:
                self._tie()
                raise
            self._tie()
            self._claim = number + 1
            return made.result()

    def _claimed(self, expires: float, reply: Any) -> list[Lease]:
        self._tended(reply)
        _, rows, now, _ = reply
        leases = [claimed(row, expires) for row in rows]
        started_at, at = trio.current_time(), seconds(now)
        for lease in leases:
            task = lease.task
            lease.started_at = started_at
            self._held[task.id] = lease
            if self.events.observers:
                waited = max(0.0, at - task.accepted_at)
                self.events.task(Move.STARTED, at, task, None, None, waited)
        return leases

    def _claimed_for_nobody(self, made: Made[list[Lease]], reply: Any) -> None:
        """The claim was cancelled before its reply came: others are to have the tasks at once."""
        leases = [] if reply is None else made.result()
        if leases:
            self._nursery.start_soon(self._give_back, leases)
        else:
            self._tie()

    async def _give_back(self, leases: Sequence[Lease]) -> None:
        released = [
            Settlement(lease, Move.RELEASED, Outcome(OutcomeKind.HANDED_BACK)) for lease in leases
        ]
        try:
            with trio.move_on_after(_LAST_WORDS, shield=True):
                await patiently(lambda: self.settle(released))
        finally:
            self._tie()

    def _tie(self) -> None:
        self._loose -= 1
        if not self._loose:
            self._tied.set()
            self._tied = trio.Event()

    async def tie_up(self) -> None:
        """Wait until nothing is claimed that nobody has asked for."""
        while self._loose:
            await self._tied.wait()

    async def renew(self, leases: Collection[Lease]) -> Collection[Lease]:
        """See `Broker`."""
        listed_ = list(leases)
        args: list[Arg] = [len(listed_)]
        for lease in listed_:
            args += (lease.task.id, lease.task.order, lease.token)
        expires = self.lease_time() + self.lease - self._setting.margin
        return await self._do(calls.RENEW, args, partial(self._renewed, listed_, expires))

    def _renewed(self, leases: Sequence[Lease], expires: float, reply: Any) -> list[Lease]:
        gone: Sequence[int]
        asked: Sequence[int]
        gone, asked, _ = reply
        lost = [leases[index] for index in gone]
        missing = set(gone)
        for index, lease in enumerate(leases):
            if index in missing:
                self._let_go(lease)
            else:
                lease.expires = expires
        for index in asked:
            lease = leases[index]
            if not lease.cancel_requested:
                lease.cancel_requested = True
                if self._on_cancel is not None:
                    self._on_cancel(lease)
        return lost

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[bool]:
        """See `Broker`."""
        for settlement in settlements:
            note_error(settlement)
        after = [
            None if settlement.move is Move.SUCCEEDED else Numbers(settlement)
            for settlement in settlements
        ]
        args = pack_settlements(settlements, after)
        return await self._do(calls.SETTLE, args, partial(self._settled, settlements, after))

    def _settled(
        self, settlements: Sequence[Settlement], after: Sequence[Numbers | None], reply: Any
    ) -> list[bool]:
        codes, now = reply
        at = seconds(now)
        return [
            self._settled_one(settlement, numbers, code, at)
            for settlement, numbers, code in zip(settlements, after, codes, strict=True)
        ]

    def _settled_one(
        self, settlement: Settlement, numbers: Numbers | None, code: int, at: float
    ) -> bool:
        """Tell of one. A code above 1: the token was settled before."""
        lease, outcome = settlement.lease, settlement.outcome
        task = lease.task
        if lease.settled is not None and code != 1:
            kept = lease.settled is outcome
        elif code == 2:
            kept = True
            lease.settled = outcome
        else:
            kept = bool(code)
            if kept:
                self._apply(settlement, numbers, at)
                return True
        if not kept and self.events.observers:
            self.events.task("refused", at, task, outcome=outcome)
        return kept

    def _apply(self, settlement: Settlement, numbers: Numbers | None, at: float) -> None:
        """Make the holder's own copy of a task what the stored one is now, and tell of it."""
        lease, outcome, move = settlement.lease, settlement.outcome, settlement.move
        task, attempt = lease.task, lease.task.attempt
        self._let_go(lease)
        lease.settled = outcome
        if numbers is not None:
            task.failures = numbers.failures
            if numbers.errors or numbers.interruptions or numbers.snoozes:
                trail = task.trace()
                trail.errors = numbers.errors
                trail.interruptions, trail.snoozes = numbers.interruptions, numbers.snoozes
        task.state = _AFTER[move]
        if task.state in TERMINAL:
            task.outcome = outcome
            if move is Move.DIED:
                task.trace().died_at = at
            else:
                task.payload = None
            self._raised.note(task, outcome)
        waits = move in {Move.RETRIED, Move.SNOOZED}
        delay = settlement.delay if waits else None
        if self.events.observers:
            self.events.task(move, at, task, outcome=outcome, delay=delay, attempt=attempt)
        if waits and settlement.delay <= 0:  # two moves in one
            task.state = State.READY
            if self.events.observers:
                self.events.task(Move.DUE, at, task)

    async def register(self, worker: WorkerRecord) -> None:
        """See `RemoteBroker`."""
        args = (worker.id, encode_worker(worker), int(worker.live))
        await self._do(calls.REGISTER, args, self._did)

    # --- messages and time ------------------------------------------------------------------------

    def _tended(self, reply: Any) -> bool:
        """Tell of what time has brought about, and note when to look again."""
        happened, found, _, alarm = reply
        self._tell(happened)
        delay = int(alarm) / 1e6
        # Longer than who waits for ready tasks does between two looks, which are as good.
        longest = 1.5 * self._setting.poll
        self._set_alarm(longest if delay < 0 else min(delay, longest))
        return bool(found)

    def _set_alarm(self, delay: float) -> None:
        self._alarm = trio.current_time() + delay
        self._alarm_set.set()

    async def run_alarms(self) -> None:
        """Do what time brings about, until cancelled; one opening does it for all."""
        while True:
            self._alarm_set = trio.Event()
            with trio.move_on_at(self._alarm):
                await self._alarm_set.wait()
                continue
            self._alarm = float("inf")
            await patiently(lambda: self._do(calls.TEND, (), self._tended))

    def on_message(self, message: bytes) -> None:
        """Somebody's script has something for this opening."""
        kind, _, rest = message.decode().partition(" ")
        match kind:
            case "r":
                if not self._stands.call(int(rest)):
                    self._nursery.start_soon(self._pass_on)
                self._stands.call_all()  # what one may have, any may
            case "a":
                self._set_alarm(0.0)
            case "e":
                self._ends.look_at(rest)
            case "c":
                token, _, task_id = rest.partition(" ")
                self._asked(task_id, int(token))
            case "l":
                token, _, task_id = rest.partition(" ")
                self._lost(task_id, int(token))
            case "d":
                self._drained.ring()
            case "f":
                self._room.ring()
            case _:
                logger.warning("a message that this version does not know: %r", message)

    def on_gap(self) -> None:
        """Messages may have been missed: everybody looks by himself."""
        self._stands.call_all()
        self._ends.look_at_all()
        self._drained.ring()
        self._room.ring()
        self._set_alarm(0.0)

    async def _pass_on(self) -> None:
        """Nobody waits here any more: somebody else may."""
        try:
            await self._do(calls.NUDGE, (), self._did)
        except BrokerUnavailable:
            logger.debug("a call could not be passed on: it is made up for by the next look")

    async def live(self) -> None:
        """All that goes on in the background, until cancelled."""
        async with open_bare_nursery() as nursery:
            nursery.start_soon(self._line.listen, self.on_message, self.on_gap)
            nursery.start_soon(self._ends.run)
            nursery.start_soon(self.run_alarms)


_AFTER: Final = {
    Move.SUCCEEDED: State.SUCCEEDED,
    Move.DIED: State.DEAD,
    Move.CANCELLED: State.CANCELLED,
    Move.RELEASED: State.READY,
    Move.RETRIED: State.SCHEDULED,
    Move.SNOOZED: State.SCHEDULED,
}


# --- life ----------------------------------------------------------------------------------------


@asynccontextmanager
@enable_ki_protection
async def serve_line(line: Line, setting: calls.Setting) -> AsyncGenerator[RedisBroker]:
    """The broker behind a line, for as long as the block lasts."""
    async with open_bare_nursery() as nursery:
        broker = RedisBroker(line, setting, nursery)
        nursery.start_soon(broker.live)
        try:
            yield broker
        finally:
            # Bounded, and needed: what was claimed for nobody would wait for its lease to expire.
            with trio.move_on_after(_LAST_WORDS, shield=True):
                await broker.tie_up()
            nursery.cancel_scope.cancel(reason="the broker's block was left")
