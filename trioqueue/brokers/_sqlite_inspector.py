"""Looking into a SQLite broker and operating it: the `Inspector` half of its verbs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, Final, Protocol

from .._broker import Counts, HistoryEntry, LaneCounts, WorkerRecord
from .._events import Emitter
from .._ki import protected
from .._letters import DeadLetter
from .._model import Lease, Move, State, Task
from . import _sqlite_look as look
from . import _sqlite_operate as operate
from ._sqlite_jobs import DRAINED, Job, Wait
from ._sqlite_tend import Happened
from ._sqlite_tx import Setting
from ._stored import Raised


class Desk(Protocol):
    """Where jobs are handed in: a thread of its own, or, on a virtual clock, none."""

    async def open(self, *, create: bool) -> None: ...
    async def close(self) -> None: ...
    async def do(self, job: Job) -> Any: ...
    async def wait(self, wait: Wait) -> Any: ...


@protected
class SqliteInspector:
    """See `Inspector`. ``start``: makes the desk of this broker, which the caller then opens."""

    def __init__(self, setting: Setting, start: Callable[[Any], Desk]) -> None:
        self.events: Final = Emitter()
        self.identity: Final = setting.identity
        self.lease: Final = setting.lease
        self._clocks = setting.clocks
        self._held: dict[int, Lease] = {}  # {seq: the lease that is held here}
        self._raised = Raised()
        self._on_cancel: Callable[[Lease], object] | None = None
        self._on_dead: Callable[[Task], object] | None = None
        self._limits: Mapping[str, int] = {}  # replaced whole: the thread looks into it
        self._desk = start(self)

    def lease_time(self) -> float:
        """See `RemoteBroker`."""
        return self._clocks.lease()

    def watch(
        self,
        on_cancel: Callable[[Lease], object] | None,
        on_dead: Callable[[Task], object] | None,
    ) -> None:
        """See `RemoteBroker`."""
        self._on_cancel, self._on_dead = on_cancel, on_dead

    def limit_fleet(self, limits: Mapping[str, int]) -> None:
        """See `RemoteBroker`."""
        self._limits = dict(limits)

    # --- leases held here -------------------------------------------------------------------------

    def _let_go(self, lease: Lease) -> None:
        """A lease is over."""
        task = lease.task
        if self._held.get(task.order) is lease:
            del self._held[task.order]
        if task.lease is lease:
            task.lease = None

    def _ask(self, lease: Lease) -> None:
        """The cancellation of a lease held here was requested: tell its holder, once."""
        if not lease.cancel_requested:
            lease.cancel_requested = True
            if self._on_cancel is not None:
                self._on_cancel(lease)

    def _asked(self, running: Sequence[tuple[int, int]]) -> None:
        """Of all running tasks, these are to be cancelled: others have asked."""
        for seq, token in running:
            lease = self._held.get(seq)
            if lease is not None and lease.token == token:
                self._ask(lease)

    def _tell(self, happened: Sequence[Happened]) -> None:
        """Tell of moves that no worker made, and of what follows from them."""
        for move, at, task in happened:
            lease = self._held.get(task.order)
            if self.events.observers:
                self.events.task(move, at, task, outcome=task.outcome)
            if move in {Move.LOST, Move.DIED}:
                if lease is not None and lease.token == task.deliveries:
                    self._let_go(lease)
                    lease.lost = True
                    if self._on_cancel is not None:
                        self._on_cancel(lease)
                if move is Move.DIED and self._on_dead is not None:
                    self._on_dead(task)

    # --- inspector --------------------------------------------------------------------------------

    async def get(self, task_id: str) -> Task | None:
        """See `Inspector`."""
        task: Task | None = await self._look(partial(look.get, task_id=task_id))
        return task

    async def cancel(self, task_id: str) -> bool:
        """See `Inspector`."""
        run = partial(operate.cancel, task_id=task_id)
        done: bool = await self._desk.do(Job("cancel", run, self._cancelled))
        return done

    def _cancelled(self, did: Happened | operate.Asked | bool) -> bool:
        if isinstance(did, Happened):
            self._tell((did,))
        elif isinstance(did, operate.Asked):
            if self.events.observers:
                self.events.task("cancel_requested", did.at, did.task)
            self._asked([(did.task.order, did.task.deliveries)])
        return did is not False

    async def run_now(self, task_id: str) -> bool:
        """See `Inspector`."""
        run = partial(operate.run_now, task_id=task_id)
        done: bool = await self._desk.do(Job("run_now", run, self._did))
        return done

    async def revoke(self, task_id: str) -> bool:
        """See `Inspector`."""
        run = partial(operate.revoke, task_id=task_id)
        done: bool = await self._desk.do(Job("revoke", run, self._did))
        return done

    def _did(self, did: Happened | bool) -> bool:
        if isinstance(did, Happened):
            self._tell((did,))
        return did is not False

    async def pause(self, queue: str | None = None) -> None:
        """See `Inspector`."""
        await self._desk.do(Job("pause", partial(operate.pause, queue=queue)))

    async def resume(self, queue: str | None = None) -> None:
        """See `Inspector`."""
        await self._desk.do(Job("resume", partial(operate.resume, queue=queue)))

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
        run = partial(look.tasks, state=state, type_=type, queue=queue, limit=limit, newest=newest)
        found: Sequence[Task] = await self._look(run)
        return found

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
        run = partial(
            look.dead_letters,
            type_=type,
            error=error,
            older_than=older_than,
            limit=limit,
            newest=newest,
        )
        found: Sequence[DeadLetter] = await self._look(run)
        return found

    async def replay(self, task_id: str) -> Task:
        """See `Inspector`."""
        job = Job("replay", partial(operate.replay, task_id=task_id), self._replayed)
        task: Task = await self._desk.do(job)
        return task

    def _replayed(self, did: Happened) -> Task:
        self._tell((did,))
        return did.task

    async def purge(self, task_id: str) -> None:
        """See `Inspector`."""
        run = partial(operate.purge, task_id=task_id)
        await self._desk.do(Job("purge", run, self._did))

    async def counts(self) -> Counts:
        """See `Inspector`."""
        counts: Counts = await self._look(look.counts)
        return counts

    async def lanes(self) -> Sequence[LaneCounts]:
        """See `Inspector`."""
        lanes: Sequence[LaneCounts] = await self._look(look.lanes)
        return lanes

    async def paused(self) -> tuple[bool, Sequence[str]]:
        """See `Inspector`."""
        paused: tuple[bool, Sequence[str]] = await self._look(look.paused)
        return paused

    async def workers(self) -> Sequence[WorkerRecord]:
        """See `Inspector`."""
        workers: Sequence[WorkerRecord] = await self._look(look.workers)
        return workers

    async def history(self, task_id: str) -> Sequence[HistoryEntry]:
        """See `Inspector`."""
        entries: Sequence[HistoryEntry] = await self._look(partial(look.history, task_id=task_id))
        return entries

    async def is_drained(self, types: Collection[str], queues: Collection[str] | None) -> bool:
        """See `Inspector`."""
        drained: bool = await self._look(partial(look.is_drained, types=types, queues=queues))
        return drained

    async def wait_drained(self, types: Collection[str], queues: Collection[str] | None) -> None:
        """See `RemoteBroker`."""

        def run(at: look.Look) -> bool | None:
            return look.is_drained(at, types, queues) or None

        await self._desk.wait(Wait(DRAINED, run))

    async def _look(self, run: Callable[[look.Look], Any]) -> Any:
        return await self._desk.do(Job("look", run, writes=False))
