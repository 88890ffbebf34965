"""From a broker elsewhere to workers that never wait for it: claim ahead, settle behind, renew.

A fetcher claims as much as the workers could start, a committer settles whatever has finished in
one go, a renewer prolongs every lease that is held, and a watchdog ends the attempts whose lease
cannot be proven any more. In between lie the leases in hand: claimed, and not started yet.

The order of a stop: the fetcher is joined, what has not started is released, the handlers end and
are settled, and only then renewal ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final, TypeVar, final

import trio
from trio.lowlevel import enable_ki_protection

from ._broker import Admits, Codec, Consumer, RemoteBroker, WorkerRecord
from ._deadlock import NOTHING_WAITING, Waiting
from ._errors import BrokerUnavailable, InvalidTask
from ._events import logger
from ._ki import protected
from ._model import ErrorRecord, Lease, Move, Outcome, OutcomeKind, Settlement, Task
from ._nursery import open_bare_nursery

T = TypeVar("T")

#: Seconds that the last settlements may take when everything else has ended. What they do not
#: reach is not lost: the leases expire.
SETTLE_LIMIT: Final = 5.0
#: Settlements in one call.
_BATCH: Final = 1_000
#: Seconds between two tries of a broker that is away: from, up to.
_PATIENCE: Final = (0.05, 2.0)
#: Seconds between two looks for waiting tasks that nobody here knows how to run.
_LOOK: Final = 60.0


@final
@protected
class RemoteFeed:
    """See `Feed`. ``record``: how this worker process registers itself."""

    def __init__(
        self,
        broker: RemoteBroker,
        codec: Codec,
        queues: Collection[str] | None,
        record: WorkerRecord,
    ) -> None:
        self.events: Final = broker.events
        self.given_back: Final[list[Task]] = []  # by a stop, in the middle of an attempt
        self._broker = broker
        self._codec = codec
        self._queues = queues
        self._record = record
        self._consumer: Consumer | None = None
        self._hand: deque[Lease] = deque()  # claimed and not started
        self._held: dict[Lease, None] = {}  # in hand or running
        self._ended: list[Settlement] = []  # to be settled
        self._settling: list[Settlement] = []  # being settled
        self._wanted = trio.Event()  # a worker has looked in vain
        self._finished = trio.Event()  # something has to be settled
        self._answered = trio.Event()  # the broker has answered, or will not any more
        self._keeping = True
        self._fetching = trio.CancelScope()
        self._fetched = trio.Event()  # the fetcher has ended
        self._pause = trio.CancelScope()  # of the fetcher, for what there is room for
        self._left_out = False  # a type for which there was no room
        self._holding = trio.Event()  # a lease is held
        self._held_back = False
        self._alerted: set[str] = set()
        self._looked = -_LOOK

    # --- for workers ------------------------------------------------------------------------------

    def check_free(self) -> None:
        """See `Feed`."""
        if self._consumer is not None:
            msg = "this broker serves a queue already: open one broker for each queue"
            raise InvalidTask(msg)

    def has_ready(self, admits: Admits) -> bool:
        """See `Feed`."""
        return any(admits(lease.task.type) for lease in self._hand)

    def claim_nowait(self, admits: Admits, now: float) -> Lease | None:
        """See `Feed`. Never hands out a lease that cannot be proven."""
        hand = self._hand
        for _ in range(len(hand)):
            lease = hand.popleft()
            if self._broker.lease_time() >= lease.expires:
                self._lose(lease, "it waited for a worker for longer than its lease")
            elif admits(lease.task.type):
                lease.started_at = now
                return lease
            else:
                hand.append(lease)
        if not self._wanted.is_set():
            self._wanted.set()
        if self._left_out:
            self._pause.cancel(reason="there may be room for other types now")
        return None

    def complete_nowait(self, lease: Lease, outcome: Outcome, now: float) -> bool:
        """See `Feed`."""
        if lease.lost:
            return self._refuse(lease, outcome, now)
        settlement = Settlement(lease, Move.SUCCEEDED, outcome)
        try:
            settlement.result = self._codec.encode_result(lease.task.type, outcome.value)
        except Exception as error:
            outcome.stored = False
            outcome.error = ErrorRecord(
                lease.task.attempt, "result", type(error).__qualname__, str(error), ""
            )
        self._end(settlement)
        return True

    def settle_nowait(self, settlement: Settlement, now: float) -> bool:
        """See `Feed`."""
        lease = settlement.lease
        if lease.lost:
            return self._refuse(lease, settlement.outcome, now)
        if settlement.move is Move.SUCCEEDED:
            return self.complete_nowait(lease, settlement.outcome, now)
        if settlement.move is Move.RELEASED:
            self.given_back.append(lease.task)
        self._end(settlement)
        return True

    def hold_back(self) -> None:
        """See `Feed`. What is in hand goes back at once."""
        self._held_back = True
        self._fetching.cancel(reason="the queue stops")
        while self._hand:
            self._release(self._hand.popleft())

    def waiting(self) -> Waiting:
        """See `Feed`. Others may always bring about what is waited for."""
        return NOTHING_WAITING

    def running(self) -> Sequence[Task]:
        """The tasks that are held here, or are not settled yet."""
        ending = [settlement.lease for settlement in (*self._settling, *self._ended)]
        return [lease.task for lease in (*self._held, *ending) if lease.task not in self.given_back]

    # --- life -------------------------------------------------------------------------------------

    @asynccontextmanager
    @enable_ki_protection
    async def serve(self, consumer: Consumer) -> AsyncGenerator[None]:
        """See `Feed`. Leaving takes no longer than `SETTLE_LIMIT`, however the block ends."""
        self.check_free()
        self._consumer = consumer
        self._broker.watch(self._asked, consumer.on_dead)
        keeping = trio.CancelScope(shield=True)
        async with open_bare_nursery() as nursery:
            nursery.start_soon(self._keep, keeping, name="trioqueue keeper")
            nursery.start_soon(self._fetch, name="trioqueue fetcher")
            try:
                yield
            finally:
                self.hold_back()
                # Bounded, and needed: what has ended must be told, or it would be run again.
                with trio.move_on_after(SETTLE_LIMIT, shield=True):
                    await self._fetched.wait()
                    while self._keeping and (self._ended or self._settling):
                        await self._answered.wait()
                    await self._patiently(lambda: self._register(live=False))
                keeping.cancel(reason="everything is settled")
                self._broker.watch(None, None)
                for settlement in (*self._settling, *self._ended):
                    logger.error(
                        "%r ended with %r, which the broker could not be told within %g s: it "
                        "will run again once its lease has expired",
                        settlement.lease.task,
                        settlement.outcome,
                        SETTLE_LIMIT,
                    )

    async def _keep(self, keeping: trio.CancelScope) -> None:
        """Settle, renew and watch until told to end: not cut short by what ends the handlers."""
        try:
            with keeping:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._commit)
                    nursery.start_soon(self._renew)
                    nursery.start_soon(self._watch)
        finally:
            self._keeping = False
            self._answered.set()

    # --- fetching ---------------------------------------------------------------------------------

    async def _fetch(self) -> None:
        try:
            with self._fetching:
                while True:
                    left = await self._patiently(self._claim)
                    if left:
                        await self._wait_for_more(left)
                    else:
                        await self._wanted.wait()
        finally:
            self._fetched.set()
            self.hold_back()

    async def _claim(self) -> Collection[str]:
        """Claim what could be started now. Returns the types of which more could be."""
        assert self._consumer is not None
        self._wanted = trio.Event()
        room = dict(self._consumer.room())
        for lease in self._hand:
            room[lease.task.type] -= 1
        most = self._consumer.free() - len(self._hand)
        if most <= 0 or self._held_back:
            return ()
        leases = await self._broker.claim(room, most, self._queues)
        self._deal(leases)
        if len(leases) >= most:
            return ()
        for lease in leases:
            room[lease.task.type] -= 1
        self._left_out = any(count <= 0 for count in room.values())
        return [name for name, count in room.items() if count > 0]

    def _deal(self, leases: Iterable[Lease]) -> None:
        """Take leases in hand; what cannot be decoded is dead, and the others go on."""
        assert self._consumer is not None
        for lease in leases:
            task = lease.task
            self._held[lease] = None
            try:
                task.args, task.kwargs = self._codec.decode_arguments(
                    task.type, task.payload or b""
                )
            except Exception as error:
                outcome = Outcome(OutcomeKind.INVALID, exception=error)
                self._end(Settlement(lease, Move.DIED, outcome))
                continue
            if self._held_back:
                self._release(lease)
            else:
                self._hand.append(lease)
        if self._held:
            self._holding.set()
        if self._hand:
            self._consumer.on_ready()

    async def _wait_for_more(self, types: Collection[str]) -> None:
        """Wait until a claim may bring something, or there is room for other types."""
        if trio.current_time() >= self._looked + _LOOK:
            self._looked = trio.current_time()
            await self._patiently(self._look_for_strangers)
        with trio.CancelScope() as self._pause:
            await self._patiently(lambda: self._broker.wait_ready(types, self._queues))
        self._left_out = False

    async def _look_for_strangers(self) -> None:
        """Tasks that nobody here can run wait, for a deploy that is under way perhaps: say so."""
        assert self._consumer is not None
        known = self._consumer.room()
        for lane in await self._broker.lanes():
            served = self._queues is None or lane.queue in self._queues
            if lane.ready and served and lane.type not in known.keys() | self._alerted:
                self._alerted.add(lane.type)
                logger.warning(
                    "%d tasks of the type %r wait in queue %r, which this worker does not know: "
                    "they stay there for one that does",
                    lane.ready,
                    lane.type,
                    lane.queue,
                )

    # --- settling ---------------------------------------------------------------------------------

    def _end(self, settlement: Settlement) -> None:
        """An attempt is over; the broker is told as soon as may be."""
        self._held.pop(settlement.lease, None)
        self._ended.append(settlement)
        self._finished.set()

    def _release(self, lease: Lease) -> None:
        self._end(Settlement(lease, Move.RELEASED, Outcome(OutcomeKind.HANDED_BACK)))

    def _refuse(self, lease: Lease, outcome: Outcome, now: float) -> bool:
        """The lease was lost, and whoever has the next one decides."""
        if self.events.observers:
            self.events.task("refused", now, lease.task, outcome=outcome)
        return False

    async def _commit(self) -> None:
        while True:
            await self._finished.wait()
            self._settling, self._ended = self._ended[:_BATCH], self._ended[_BATCH:]
            answers = await self._patiently(lambda: self._broker.settle(self._settling))
            batch, self._settling = self._settling, []
            self._conclude(batch, answers)
            if not self._ended:
                self._finished = trio.Event()
            self._answered.set()
            self._answered = trio.Event()

    def _conclude(self, batch: Sequence[Settlement], answers: Sequence[bool]) -> None:
        """The broker has answered."""
        assert self._consumer is not None
        for settlement, kept in zip(batch, answers, strict=True):
            task = settlement.lease.task
            if not kept:
                logger.warning(
                    "%r ended with %r after its lease was lost: nothing was written",
                    task,
                    settlement.outcome,
                    extra={"task_id": task.id, "task_type": task.type},
                )
            elif settlement.move is Move.DIED:
                self._consumer.on_dead(task)

    # --- leases -----------------------------------------------------------------------------------

    async def _renew(self) -> None:
        """Prolong what is held, and show that this process is alive, three times in each lease."""
        await self._patiently(self._register)
        while True:
            await trio.sleep(self._broker.lease / 3)
            await self._patiently(self._renew_once)
            await self._patiently(self._register)

    async def _renew_once(self) -> None:
        ending = [settlement.lease for settlement in (*self._settling, *self._ended)]
        held = [*self._held, *ending]
        if not held:
            return
        for lease in await self._broker.renew(held):
            if lease in self._held:  # else it was settled meanwhile, and that answer counts
                self._lose(lease, "the broker has given it to somebody else")

    async def _register(self, *, live: bool = True) -> None:
        held = len(self._held) - len(self._hand)
        await self._broker.register(replace(self._record, running=held, live=live))

    async def _watch(self) -> None:
        """End the attempts whose lease cannot be proven, whether the broker is there or not."""
        while True:
            await self._holding.wait()
            now = self._broker.lease_time()
            for lease in [lease for lease in self._held if now >= lease.expires]:
                self._lose(lease, "it could not be renewed in time")
            if not self._held:
                self._holding = trio.Event()
                continue
            soonest = min(lease.expires for lease in self._held)
            # At least four looks in each lease: the two clocks may part while a machine sleeps.
            await trio.sleep(min(soonest - now, self._broker.lease / 4))

    def _lose(self, lease: Lease, why: str) -> None:
        """The attempt is void: its handler is cancelled, and nothing is written."""
        lease.lost = True
        self._held.pop(lease, None)
        logger.warning(
            "%r lost its lease: %s",
            lease.task,
            why,
            extra={"task_id": lease.task.id, "task_type": lease.task.type},
        )
        if lease in self._hand:
            self._hand.remove(lease)
        elif self._consumer is not None:
            self._consumer.on_cancel(lease)

    def _asked(self, lease: Lease) -> None:
        """The cancellation of a task that is held here was requested."""
        if lease in self._hand:
            self._hand.remove(lease)
            self._end(Settlement(lease, Move.CANCELLED, Outcome(OutcomeKind.CANCELLED)))
        elif self._consumer is not None:
            self._consumer.on_cancel(lease)

    # --- patience ---------------------------------------------------------------------------------

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call until the broker is there: it may be away for seconds or hours."""
        delay, most = _PATIENCE
        while True:
            try:
                return await call()
            except BrokerUnavailable as error:
                if delay == _PATIENCE[0]:
                    logger.warning("the broker is away, trying again: %s", error)
                await trio.sleep(delay)
                delay = min(2 * delay, most)
