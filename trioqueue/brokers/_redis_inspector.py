"""Looking into a Redis broker and operating it: the `Inspector` half of its verbs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import count
from typing import Any, Final, Generic, TypeVar, final

import trio

from .._broker import Counts, HistoryEntry, LaneCounts, WorkerRecord
from .._errors import key_taken, no_dead_letter, queue_paused, unknown_task
from .._events import Emitter, logger
from .._ki import protected
from .._letters import DeadLetter, dead_letter
from .._model import Lease, Move, State, Task
from .._patience import patiently
from . import _redis_calls as calls
from ._redis_line import Arg, Line, Script
from ._redis_rows import history, names_in, seconds, snapshot
from ._redis_waits import Bell
from ._stored import STATES, decode_worker

T = TypeVar("T")
#: Dead letters read in one call.
_PAGE: Final = 200


def listed(values: Collection[str] | None) -> tuple[Arg, ...]:
    """A list as the scripts take it; ``None`` is all."""
    return (-1,) if values is None else (len(values), *values)


def flagged(value: str | None) -> tuple[Arg, ...]:
    """A text that may not be given."""
    return (0, "") if value is None else (1, value)


@final
@protected
class Made(Generic[T]):
    """What ``done`` makes of a reply as it arrives, for whoever has asked."""

    def __init__(self, done: Callable[[Any], T]) -> None:
        self._done = done
        self._made: list[T] = []
        self._error: Exception | None = None

    def arrived(self, reply: Any) -> None:
        """Make it."""
        try:
            self._made.append(self._done(reply))
        except Exception as error:  # whoever waits for the connection is not to blame
            self._error = error

    def result(self) -> T:
        """What was made; raises what that has raised."""
        if self._error is not None:
            raise self._error
        return self._made[-1]


@protected
class RedisInspector:
    """See `Inspector`."""

    def __init__(self, line: Line, setting: calls.Setting) -> None:
        self.events: Final = Emitter()
        self.identity: Final = setting.identity
        self.lease: Final = setting.lease
        self._line = line
        self._setting = setting
        self._numbers = count(1)  # of calls whose answer is kept for a repeat
        self._held: dict[str, Lease] = {}  # {id: the lease that is held here}
        self._on_cancel: Callable[[Lease], object] | None = None
        self._on_dead: Callable[[Task], object] | None = None
        self._drained = Bell()
        self._room = Bell()

    def lease_time(self) -> float:
        """See `RemoteBroker`."""
        return self._setting.lease_clock()

    def watch(
        self,
        on_cancel: Callable[[Lease], object] | None,
        on_dead: Callable[[Task], object] | None,
    ) -> None:
        """See `RemoteBroker`."""
        self._on_cancel, self._on_dead = on_cancel, on_dead

    # --- calls ------------------------------------------------------------------------------------

    async def _do(self, script: Script, args: Sequence[Arg], done: Callable[[Any], T]) -> T:
        """What ``done(reply)`` makes of a script's reply, when that arrives.

        In the order of arrival, and also if the caller was cancelled meanwhile: what has happened
        is told.
        """
        observed = bool(self.events.observers)
        head = self._setting.head(observed=observed, cluster=self._line.cluster)

        made = Made(done)
        await self._line.run(script, (*head, *args), arrived=made.arrived)
        return made.result()

    async def _ask(self, script: Script, *args: Arg) -> Any:
        """Run a script that changes nothing."""
        head = self._setting.head(observed=False, cluster=self._line.cluster)
        return await self._line.run(script, (*head, *args))

    def _keep_since(self, now: float) -> float:
        return now - self._setting.retention

    # --- leases held here -------------------------------------------------------------------------

    def _let_go(self, lease: Lease) -> None:
        """A lease is over."""
        task = lease.task
        if self._held.get(task.id) is lease:
            del self._held[task.id]
        if task.lease is lease:
            task.lease = None

    def _asked(self, task_id: str, token: int) -> None:
        """The cancellation of a task was requested: tell its holder, once."""
        lease = self._held.get(task_id)
        if lease is not None and lease.token == token and not lease.cancel_requested:
            lease.cancel_requested = True
            if self._on_cancel is not None:
                self._on_cancel(lease)

    def _lost(self, task_id: str, token: int) -> None:
        """A lease that was held here was taken away."""
        lease = self._held.get(task_id)
        if lease is not None and lease.token == token:
            self._let_go(lease)
            lease.lost = True
            if self._on_cancel is not None:
                self._on_cancel(lease)

    def _tell(self, happened: Sequence[Any]) -> None:
        """Tell of moves that no worker made, and of what follows from them."""
        for name, at, row in happened:
            move = Move(name.decode())
            if move is Move.EVICTED:  # an id is all that there is
                logger.error(_VANISHED, row.decode())
                continue
            task = snapshot(row)
            if self.events.observers:
                self.events.task(move, seconds(at), task, outcome=task.outcome)
            if move in {Move.LOST, Move.DIED}:
                self._lost(task.id, task.deliveries)
                if move is Move.DIED and self._on_dead is not None:
                    self._on_dead(task)

    # --- operating --------------------------------------------------------------------------------

    async def cancel(self, task_id: str) -> bool:
        """See `Inspector`."""
        return await self._do(calls.CANCEL, (next(self._numbers), task_id), self._cancelled)

    def _cancelled(self, reply: Any) -> bool:
        happened, code, now, record = reply
        self._tell(happened)
        if code == 2:
            task = snapshot(record)
            if self.events.observers:
                self.events.task("cancel_requested", seconds(now), task)
            self._asked(task.id, task.deliveries)
        return bool(code)

    async def run_now(self, task_id: str) -> bool:
        """See `Inspector`. `BrokerUnavailable`: done or not, and not again by itself."""
        return await self._do(calls.RUN_NOW, (task_id,), self._did)

    async def revoke(self, task_id: str) -> bool:
        """See `Inspector`. `BrokerUnavailable`: done or not, and not again by itself."""
        return await self._do(calls.REVOKE, (task_id,), self._did)

    def _did(self, reply: Any) -> bool:
        self._tell(reply[0])
        return bool(reply[1])

    async def pause(self, queue: str | None = None) -> None:
        """See `Inspector`."""
        await self._do(calls.PAUSE, (1, *flagged(queue)), self._did)

    async def resume(self, queue: str | None = None) -> None:
        """See `Inspector`."""
        await self._do(calls.PAUSE, (0, *flagged(queue)), self._did)

    async def replay(self, task_id: str) -> Task:
        """See `Inspector`. `BrokerUnavailable`: done or not, and not again by itself."""
        capacity = self._setting.capacity
        args = (task_id, -1 if capacity is None else capacity)
        while True:
            room = self._room.listen()
            code, task = await self._do(calls.REPLAY, args, self._replayed)
            if code == 0:
                raise no_dead_letter(task_id)
            assert task is not None or code == 3
            if code == 2 and task is not None and task.options.key is not None:
                raise key_taken(task_id, task.options.key)
            if task is not None:
                return task
            with trio.move_on_after(self._setting.poll):
                await room()

    def _replayed(self, reply: Any) -> tuple[int, Task | None]:
        happened, code, _, record = reply
        self._tell(happened)
        return code, snapshot(record) if record else None

    async def purge(self, task_id: str) -> None:
        """See `Inspector`. `BrokerUnavailable`: done or not, and not again by itself."""
        if not await self._do(calls.PURGE, (task_id,), self._did):
            raise no_dead_letter(task_id)

    # --- looking ----------------------------------------------------------------------------------

    async def get(self, task_id: str) -> Task | None:
        """See `Inspector`."""
        now, record = await self._ask(calls.LOOK, task_id)
        if not record:
            return None
        return snapshot(record, self._keep_since(seconds(now)))

    async def tasks(
        self,
        state: State | None = None,
        *,
        type: str | None = None,
        queue: str | None = None,
        limit: int = 100,
        newest: bool = False,
    ) -> Sequence[Task]:
        """See `Inspector`. Of the ended ones: those that are kept still.

        Looks at the first ones (or last ones) of each state and lane, 5,000 in all.
        """
        code = -1 if state is None else STATES.index(state)
        args = (code, *flagged(type), *flagged(queue), limit, int(newest))
        now, rows = await self._ask(calls.TASKS, *args)
        since = self._keep_since(seconds(now))
        return [snapshot(row, since) for row in rows]

    async def dead_letters(
        self,
        type: str | None = None,
        *,
        error: str | None = None,
        older_than: float = 0.0,
        limit: int | None = None,
        newest: bool = False,
    ) -> Sequence[DeadLetter]:
        """See `Inspector`. Read in pages: a letter that dies meanwhile may be in it, or not."""
        letters: dict[str, DeadLetter] = {}
        first = 0
        while True:
            args = (first, _PAGE, *flagged(type), int(newest))
            now, rows, looked_at = await self._ask(calls.DEAD, *args)
            for row in rows:
                letter = dead_letter(snapshot(row))
                if older_than and letter.died_at > seconds(now) - older_than:
                    continue
                if error is None or error in str(letter.error):
                    letters[letter.id] = letter
                if limit is not None and len(letters) >= limit:
                    return list(letters.values())[:limit]
            if looked_at < _PAGE:
                return list(letters.values())
            first += looked_at

    async def counts(self) -> Counts:
        """See `Inspector`. ``waiting_submitters``: openings in which somebody waits for room.

        ``evicted``: tasks that were found to be gone from the server.
        """
        _, meta, scheduled, running, waiting = await self._ask(calls.NUMBERS)
        found = dict(zip(meta[::2], meta[1::2], strict=True))
        moves = {move: int(found.get(f"n:{move.value}".encode(), 0)) for move in Move}
        submitted = moves[Move.SUBMITTED] + moves[Move.DELAYED]
        purged, evicted = moves[Move.PURGED], moves[Move.EVICTED]
        dead = moves[Move.DIED] - moves[Move.REPLAYED] - purged  # of these none is evicted
        ended = (Move.SUCCEEDED, Move.CANCELLED, Move.EXPIRED, Move.HANDED_BACK)
        gone = dead + purged + evicted + sum(moves[move] for move in ended)
        return Counts(
            submitted,
            scheduled,
            submitted - gone - scheduled - running,
            running,
            moves[Move.SUCCEEDED],
            dead,
            moves[Move.CANCELLED],
            moves[Move.EXPIRED],
            moves[Move.HANDED_BACK],
            purged,
            evicted,
            moves,
            self._setting.capacity,
            waiting,
        )

    async def lanes(self) -> Sequence[LaneCounts]:
        """See `Inspector`. ``oldest``: of the 20 that stand first in each priority."""
        now, everything, paused, rows = await self._ask(calls.LANES)
        lanes = [
            LaneCounts(
                *names_in(lane.decode()),
                *(scheduled, ready, running),
                bool(everything) or names_in(lane.decode())[0].encode() in paused,
                max(0.0, seconds(now) - seconds(oldest)) if oldest else None,
            )
            for lane, scheduled, ready, running, oldest in rows
        ]
        return sorted(lanes, key=lambda lane: (lane.queue, lane.type))

    async def paused(self) -> tuple[bool, Sequence[str]]:
        """See `Inspector`."""
        _, everything, paused, _ = await self._ask(calls.LANES)
        return bool(everything), sorted(queue.decode() for queue in paused)

    async def workers(self) -> Sequence[WorkerRecord]:
        """See `Inspector`."""
        now, records = await self._ask(calls.WORKERS)
        found: list[WorkerRecord] = []
        for value in records[1::2]:
            seen, lease, live, told = value.split(b" ", 3)
            silent = max(0.0, seconds(now) - seconds(seen))
            alive = live == b"1" and silent <= seconds(lease)
            found.append(decode_worker(told, silent, live=alive))
        return sorted(found, key=lambda worker: (worker.started_at, worker.id))

    async def history(self, task_id: str) -> Sequence[HistoryEntry]:
        """See `Inspector`."""
        _, record = await self._ask(calls.LOOK, task_id)
        if not record:
            raise unknown_task(task_id)
        return history(record)

    # --- the end of all ---------------------------------------------------------------------------

    async def is_drained(self, types: Collection[str], queues: Collection[str] | None) -> bool:
        """See `Inspector`."""
        return await self._look_drained(types, queues, told=False)

    async def wait_drained(self, types: Collection[str], queues: Collection[str] | None) -> None:
        """See `RemoteBroker`. Waits on while the broker is away."""
        while True:
            changed = self._drained.listen()
            if await patiently(lambda: self._look_drained(types, queues, told=True)):
                return
            with trio.move_on_after(self._setting.poll):
                await changed()

    async def _look_drained(
        self, types: Collection[str], queues: Collection[str] | None, *, told: bool
    ) -> bool:
        open_, *paused = await self._ask(calls.DRAINED, int(told), *listed(types), *listed(queues))
        if paused:
            lane, task_id = paused
            queue, type_ = names_in(lane.decode())
            raise queue_paused(queue, task_id.decode(), type_)
        return not open_


_VANISHED: Final = (
    "task %s is lost: the server has nothing of it any more but its place in the queue. Was it "
    "evicted (see maxmemory-policy), or deleted by hand?"
)
