"""From a broker elsewhere to workers that never wait for it: claim ahead, settle behind, renew.

A fetcher claims what idle workers can start, and some ahead of quick handlers; a committer settles
whatever has finished in one go; a keeper renews every lease and gives up what it cannot prove. In
between lie the leases in hand: claimed, and not started yet.

The order of a stop: the fetcher is joined, what has not started is released, the handlers end and
are settled, and only then renewal ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, final

import trio
from trio.lowlevel import enable_ki_protection

from ._broker import Admits, Codec, Consumer, RemoteBroker, WorkerRecord
from ._committer import Committer
from ._deadlock import NOTHING_WAITING, Waiting
from ._errors import InvalidTask
from ._events import logger
from ._keeper import Keeper
from ._ki import protected
from ._model import ErrorRecord, Lease, Move, Outcome, OutcomeKind, Settlement, Task
from ._nursery import open_bare_nursery
from ._pace import GIVE_BACK, Pace
from ._patience import patiently
from ._until import Until

#: Seconds that the last settlements may take when everything else has ended. What they do not
#: reach is not lost: the leases expire.
SETTLE_LIMIT: Final = 5.0
#: Seconds between two looks for waiting tasks that nobody here knows how to run.
LOOK: Final = 60.0


@final
@protected
class RemoteFeed:
    """See `Feed`. ``record``: how this worker process registers itself.

    ``limits``: of which types only so many may run in the whole fleet.
    """

    def __init__(
        self,
        broker: RemoteBroker,
        codec: Codec,
        queues: Collection[str] | None,
        limits: Mapping[str, int],
        record: WorkerRecord,
    ) -> None:
        self.events = broker.events
        self.given_back: Final[list[Task]] = []  # by a stop, in the middle of an attempt
        self._broker = broker
        self._codec = codec
        self._queues = queues
        self._limits = limits
        self._consumer: Consumer | None = None
        self._committer = Committer(broker, self._on_dead)
        self._keeper = Keeper(broker, record, self._committer.leases, self._on_lost)
        self._pace = Pace()
        self._low = -1  # so few in hand that it is time to claim again: while these are run
        self._hand: deque[Lease] = deque()  # claimed and not started
        self._wanted = trio.Event()  # a worker has looked in vain
        self._fetching = trio.CancelScope()
        self._fetched = trio.Event()  # the fetcher has ended
        self._pause = trio.CancelScope()  # of the fetcher, until something is ready
        self._left_out = False  # there was no room for some type in the last claim
        self._missed = False  # a worker has looked in vain while it was under way
        self._held_back = False
        self.over: Final = Until("the workers of this queue have ended")  # and told everything
        self._known: Collection[str] = ()
        self._looked = -LOOK

    # --- for workers ------------------------------------------------------------------------------

    def check_free(self) -> None:
        """See `Feed`."""
        if self._consumer is not None:
            msg = "this broker serves a queue already: open one broker for each queue"
            raise InvalidTask(msg)

    def has_ready(self, admits: Admits) -> bool:
        """See `Feed`. Whoever asks in vain is about to wait, and is claimed for."""
        found = any(admits(lease.task.type) for lease in self._hand)
        if not found:
            self._want()
        return found

    def claim_nowait(self, admits: Admits, now: float) -> Lease | None:
        """See `Feed`. Never hands out a lease that cannot be proven."""
        hand = self._hand
        for _ in range(len(hand)):
            lease = hand.popleft()
            if not self._keeper.is_proven(lease):
                self._keeper.lose(lease, "it waited for a worker for longer than its lease")
            elif admits(lease.task.type):
                lease.started_at = now
                self._pace.begin()
                if len(hand) == self._low:
                    self._wanted.set()
                return lease
            else:
                hand.append(lease)
        self._want()
        return None

    def _want(self) -> None:
        """A worker has nothing to do: the fetcher is to look."""
        self._wanted.set()
        if self._left_out:
            self._pause.cancel(reason="there may be room for other types now")

    def complete_nowait(self, lease: Lease, outcome: Outcome, now: float) -> bool:
        """See `Feed`. A result that cannot be stored is a success all the same."""
        if lease.lost:
            return self._refuse(lease, outcome, now)
        settlement = Settlement(lease, Move.SUCCEEDED, outcome)
        try:
            settlement.result = self._codec.encode_result(lease.task.type, outcome.value)
        except Exception as error:
            outcome.stored = False
            name = type(error).__qualname__
            outcome.error = ErrorRecord(lease.task.attempt, "result", name, str(error), "")
        self._end(settlement)
        return True

    def settle_nowait(self, settlement: Settlement, now: float) -> bool:
        """See `Feed`."""
        lease = settlement.lease
        if lease.lost:
            return self._refuse(lease, settlement.outcome, now)
        if settlement.move is Move.RELEASED:
            self.given_back.append(lease.task)
        self._end(settlement)
        return True

    def hold_back(self) -> None:
        """See `Feed`. What is in hand goes back at once."""
        self._held_back = True
        self._fetching.cancel(reason="the queue stops")
        self._give_back()

    def waiting(self) -> Waiting:
        """See `Feed`. Another process may always bring about what is waited for."""
        return NOTHING_WAITING

    def running(self) -> Sequence[Task]:
        """The tasks that are held here, in hand or running."""
        return [lease.task for lease in self._keeper.held()]

    async def flush(self) -> None:
        """Wait until the broker has answered for every attempt that has ended."""
        await self._committer.flush()

    # --- life -------------------------------------------------------------------------------------

    @asynccontextmanager
    @enable_ki_protection
    async def serve(self, consumer: Consumer) -> AsyncGenerator[None]:
        """See `Feed`. Leaving takes no longer than `SETTLE_LIMIT`, however the block ends."""
        self.check_free()
        self._consumer = consumer
        self._known = consumer.room().keys()
        self._broker.watch(self._on_cancel, consumer.on_dead)
        self._broker.limit_fleet(self._limits)
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
                    await self._committer.flush()
                self._report_unsettled()
                self.over.end()
                keeping.cancel(reason="everything is settled")
                self._broker.watch(None, None)

    async def _keep(self, keeping: trio.CancelScope) -> None:
        """Settle, renew and watch until told to end: not cut short by what ends the handlers."""
        with keeping:
            async with open_bare_nursery() as nursery:
                nursery.start_soon(self._committer.run, name="trioqueue committer")
                nursery.start_soon(self._keeper.renew, name="trioqueue renewer")
                nursery.start_soon(self._keeper.watch, name="trioqueue watchdog")
        with trio.move_on_after(SETTLE_LIMIT, shield=True):
            await self._keeper.say_goodbye()

    def _report_unsettled(self) -> None:
        for settlement in self._committer.unsettled():
            logger.error(
                "%r ended with %r, which the broker could not be told: it will run again once its "
                "lease has expired",
                settlement.lease.task,
                settlement.outcome,
            )

    # --- fetching ---------------------------------------------------------------------------------

    async def _fetch(self) -> None:
        try:
            with self._fetching:
                while True:
                    self._wanted = trio.Event()
                    types = await patiently(self._claim)
                    if types:
                        await self._wait_for_more(types)
                    else:
                        await self._wait_for_a_worker()
        finally:
            self.hold_back()
            self._fetched.set()

    async def _claim(self) -> Collection[str]:
        """Claim what could be started now. Returns the types of which more could be."""
        assert self._consumer is not None
        room = dict(self._consumer.room())
        for lease in self._hand:
            room[lease.task.type] -= 1
        idle = self._consumer.free() - len(self._hand)
        ahead = self._pace.ahead(trio.current_time())
        if idle <= 0 and (idle + ahead <= 0 or len(self._hand) > self._low):
            return ()
        # A slot of the whole fleet must not lie in hand here while somebody else could use it: what
        # is claimed ahead is claimed apart, and only if no task that takes one was up.
        apart = ahead if self._limits else 0
        most = idle + ahead - apart
        leases = await self._take(room, room, most)
        self._pace.deal(trio.current_time())
        taken = len(leases)
        if apart and taken == most and not any(one.task.type in self._limits for one in leases):
            free = {name: count for name, count in room.items() if name not in self._limits}
            taken += len(await self._take(room, free, apart))
            most += apart
        full = taken >= most
        # Only where there is more to be had, and no slot of the fleet among it; and handlers have
        # been seen to be quick, not only to begin.
        self._low = ahead // 2 if full and ahead and not self._limits else -1
        if full or (self._left_out and self._missed):
            return ()
        return [name for name, count in room.items() if count > 0]

    async def _take(
        self, room: dict[str, int], among: Mapping[str, int], most: int
    ) -> Sequence[Lease]:
        """Claim up to ``most`` of the types in ``among``, and deal them; less ``room`` is left."""
        leases = await self._broker.claim(among, most, self._queues)
        self._missed = self._wanted.is_set()
        for lease in leases:
            room[lease.task.type] -= 1
        self._left_out = any(count <= 0 for count in room.values())
        self._pause = trio.CancelScope()
        self._deal(leases)
        return leases

    def _deal(self, leases: Iterable[Lease]) -> None:
        """Take leases in hand; what cannot be decoded is dead, and the others go on."""
        assert self._consumer is not None
        for lease in leases:
            task = lease.task
            task.lease = lease
            self._keeper.hold(lease)
            try:
                payload = task.payload or b""
                task.args, task.kwargs = self._codec.decode_arguments(task.type, payload)
            except Exception as error:
                outcome = Outcome(OutcomeKind.INVALID, exception=error)
                self._end(Settlement(lease, Move.DIED, outcome))
                continue
            self._hand.append(lease)
        if self._held_back:
            self.hold_back()
        if self._hand:
            self._consumer.on_ready()

    async def _wait_for_a_worker(self) -> None:
        """Wait until one looks in vain. What was claimed ahead in vain goes to somebody else."""
        if self._hand:
            with trio.move_on_after(GIVE_BACK):
                await self._wanted.wait()
                return
            self._give_back()
        await self._wanted.wait()

    async def _wait_for_more(self, types: Collection[str]) -> None:
        """Wait until a claim may bring something, or there is room for other types."""
        with self._pause:
            if trio.current_time() >= self._looked + LOOK:
                self._looked = trio.current_time()
                await patiently(self._look_for_strangers)
            await patiently(lambda: self._broker.wait_ready(types, self._queues))

    async def _look_for_strangers(self) -> None:
        """Tasks that nobody here can run stay, for a deploy that is under way perhaps: say so."""
        for lane in await self._broker.lanes():
            served = self._queues is None or lane.queue in self._queues
            if lane.ready and served and lane.type not in self._known:
                logger.warning(
                    "%d tasks of the type %r wait in queue %r, which this worker does not know: "
                    "they stay there for one that does",
                    lane.ready,
                    lane.type,
                    lane.queue,
                )

    # --- the ends of attempts ---------------------------------------------------------------------

    def _end(self, settlement: Settlement) -> None:
        """An attempt is over."""
        lease = settlement.lease
        lease.task.lease = None
        self._keeper.let_go(lease)
        self._committer.add(settlement)

    def _give_back(self) -> None:
        """Release what is in hand. It was not started: no interruption of anything."""
        while self._hand:
            lease = self._hand.popleft()
            self._end(Settlement(lease, Move.RELEASED, Outcome(OutcomeKind.HANDED_BACK)))

    def _refuse(self, lease: Lease, outcome: Outcome, now: float) -> bool:
        """The lease was lost, and whoever has the next one decides."""
        if self.events.observers:
            self.events.task("refused", now, lease.task, outcome=outcome)
        return False

    def _on_dead(self, task: Task) -> None:
        assert self._consumer is not None
        self._consumer.on_dead(task)

    def _on_lost(self, lease: Lease) -> None:
        lease.task.lease = None
        if lease in self._hand:
            self._hand.remove(lease)
        elif self._consumer is not None:
            self._consumer.on_cancel(lease)

    def _on_cancel(self, lease: Lease) -> None:
        """The cancellation of a task that is held here was requested."""
        if lease in self._hand:
            self._hand.remove(lease)
            self._end(Settlement(lease, Move.CANCELLED, Outcome(OutcomeKind.CANCELLED)))
        elif self._consumer is not None:
            self._consumer.on_cancel(lease)
