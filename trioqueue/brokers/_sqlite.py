"""The SQLite broker: tasks in a file that the processes of one machine share, safe from crashes.

Every verb is one job for the database: it is handed in, done in a transaction together with what
else has queued up, and told of after the commit.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from secrets import token_hex
from typing import TYPE_CHECKING, Final, Literal, final

import trio
from trio.lowlevel import enable_ki_protection

from .._broker import WorkerRecord
from .._errors import BrokerFailed, InvalidTask
from .._ki import protected
from .._model import (
    MAX_LOSSES,
    TERMINAL,
    Lease,
    Move,
    Settlement,
    State,
    Task,
)
from .._nursery import open_bare_nursery
from . import _sqlite_look as look
from . import _sqlite_moves as moves
from . import _sqlite_operate as operate
from ._sqlite_clocks import choose_clocks
from ._sqlite_inspector import Desk, SqliteInspector
from ._sqlite_jobs import PROBES as PROBES
from ._sqlite_jobs import READY, SETTLED, Job, Probe, Wait
from ._sqlite_path import check_path
from ._sqlite_settle import Settled, settle
from ._sqlite_tx import Setting
from ._stored import note_error

if TYPE_CHECKING:
    from ._sqlite_engine import Engine

#: The part of a lease by which its holder believes it to be shorter: so that a handler is cancelled
#: before anybody else may have the task.
_MARGIN: Final = 0.05


@final
@protected
class SqliteBroker(SqliteInspector):
    """See `RemoteBroker`. Opened by `open_sqlite_broker`, by any number of processes at once."""

    # --- producers --------------------------------------------------------------------------------

    async def publish(
        self, tasks: Sequence[Task], closed: Callable[[], bool] | None = None
    ) -> Sequence[Task]:
        """See `Broker`."""
        accepted: Sequence[Task] = await self._desk.do(
            Job("publish", partial(moves.publish, tasks=tasks, closed=closed), self._accepted)
        )
        return accepted

    def _accepted(self, accepted: list[moves.Accepted]) -> list[Task]:
        for task, seq, at in accepted:
            if seq:
                delayed = task.options.delay > 0
                task.order, task.accepted_at = seq, at
                task.state = State.SCHEDULED if delayed else State.READY
                if self.events.observers:
                    move = Move.DELAYED if delayed else Move.SUBMITTED
                    self.events.task(move, at, task, None, task.options.delay or None)
        return [task for task, _, _ in accepted]

    async def wait_settled(self, task: Task) -> None:
        """See `Broker`. ``outcome.value``: the result as it is kept."""
        if task.state in TERMINAL and task.state is not State.DEAD:  # which may be replayed
            await trio.lowlevel.checkpoint()
            return
        run = partial(look.get_ended, task_id=task.id)
        await self._desk.wait(Wait(SETTLED, run, partial(self._raised.refresh, task), task.id))

    # --- workers ----------------------------------------------------------------------------------

    async def wait_ready(
        self, types: Collection[str] | None = None, queues: Collection[str] | None = None
    ) -> None:
        """See `Broker`."""
        limits = self._limits
        run = partial(look.is_anything_ready, types=types, queues=queues, limits=limits)
        slots = bool(limits) and (types is None or not limits.keys().isdisjoint(types))
        await self._desk.wait(Wait(READY, run, slots=slots))

    async def claim(
        self, room: Mapping[str, int], most: int, queues: Collection[str] | None = None
    ) -> Sequence[Lease]:
        """See `Broker`. A task that its last holder did not live to cancel comes asked to be."""
        limits = self._limits
        run = partial(moves.claim, room=dict(room), most=most, queues=queues, limits=limits)
        leases: Sequence[Lease] = await self._desk.do(Job("claim", run, self._claimed))
        return leases

    def _claimed(self, leases: list[Lease]) -> list[Lease]:
        started_at, now = trio.current_time(), self._clocks.wall()
        for lease in leases:
            task = lease.task
            lease.started_at = started_at
            self._held[task.order] = lease
            if self.events.observers:
                waited = max(0.0, now - task.accepted_at)
                self.events.task(Move.STARTED, now, task, None, None, waited)
        return leases

    async def renew(self, leases: Collection[Lease]) -> Collection[Lease]:
        """See `Broker`."""
        run = partial(moves.renew, leases=list(leases))
        lost: Collection[Lease] = await self._desk.do(
            Job("renew", run, partial(self._renewed, leases))
        )
        return lost

    def _renewed(self, leases: Collection[Lease], renewed: moves.Renewed) -> list[Lease]:
        lost = set(renewed.lost)
        for lease in leases:
            if lease in lost:
                self._let_go(lease)
            else:
                lease.expires = renewed.expires
        for lease in renewed.asked:
            self._ask(lease)
        return renewed.lost

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[bool]:
        """See `Broker`."""
        for settlement in settlements:
            note_error(settlement)
        run = partial(settle, settlements=settlements)
        kept: Sequence[bool] = await self._desk.do(
            Job("settle", run, partial(self._settled, settlements))
        )
        return kept

    def _settled(self, settlements: Sequence[Settlement], settled: Sequence[Settled]) -> list[bool]:
        for settlement, ended in zip(settlements, settled, strict=True):
            lease, outcome = settlement.lease, settlement.outcome
            task = lease.task
            if ended.state is None:
                if ended.repeated:
                    lease.settled = outcome
                elif self.events.observers:
                    self.events.task("refused", ended.at, task, outcome=outcome)
                continue
            self._let_go(lease)
            lease.settled = outcome
            attempt = task.attempt
            _apply(task, settlement, ended)
            if task.state in TERMINAL:
                self._raised.note(task, outcome)
            if self.events.observers:
                self._tell_settled(settlement, ended, attempt)
        return [ended.kept for ended in settled]

    def _tell_settled(self, settlement: Settlement, ended: Settled, attempt: int) -> None:
        task, move = settlement.lease.task, settlement.move
        delay = settlement.delay if move in {Move.RETRIED, Move.SNOOZED} else None
        if ended.due:  # two moves in one: each is told with the state after it
            task.state = State.SCHEDULED
        self.events.task(
            move, ended.at, task, outcome=settlement.outcome, delay=delay, attempt=attempt
        )
        if ended.due:
            task.state = State.READY
            self.events.task(Move.DUE, ended.at, task)

    async def register(self, worker: WorkerRecord) -> None:
        """See `RemoteBroker`."""
        await self._desk.do(Job("register", partial(operate.register, worker=worker)))


# --- what a settlement does to the objects here --------------------------------------------------


def _apply(task: Task, settlement: Settlement, ended: Settled) -> None:
    """Make the holder's own copy of a task what the stored one is now."""
    task.state = ended.state
    if settlement.move is Move.SUCCEEDED:
        task.outcome = settlement.outcome
        task.payload = None
        return
    task.failures = ended.failures
    if ended.errors or ended.interruptions or ended.snoozes:
        trail = task.trace()
        trail.errors = ended.errors
        trail.interruptions, trail.snoozes = ended.interruptions, ended.snoozes
    if ended.state in TERMINAL:
        task.outcome = settlement.outcome
        if ended.state is State.DEAD:
            task.trace().died_at = ended.at
        else:
            task.payload = None


# --- opening -------------------------------------------------------------------------------------


@asynccontextmanager
@enable_ki_protection
async def open_sqlite_broker(
    path: str | os.PathLike[str],
    *,
    synchronous: Literal["full", "normal"] = "full",
    lease: float = 10.0,
    retention: float = 86_400.0,
    max_losses: int = MAX_LOSSES,
    wall_clock: Callable[[], float] = time.time,
    lease_clock: Callable[[], float] | None = None,
    boot_id: str | None = None,
    busy_timeout: float = 30.0,
    probe: Probe | None = None,
    create: bool = True,
) -> AsyncGenerator[SqliteBroker]:
    """Open the broker that is the SQLite file at ``path``, creating it unless told otherwise.

    ``synchronous``: "full" waits for the disk, so that what was accepted survives a loss of power;
    "normal" survives the crash of a process only. ``lease``: seconds after which a task is given to
    somebody else if its worker does not renew it. ``retention``: seconds for which results are
    kept. ``max_losses``: a task whose lease was lost more often is a dead letter. ``busy_timeout``:
    seconds for which somebody else's lock on the file is waited for.

    ``wall_clock`` gives Unix time. ``lease_clock`` must be one that all processes share, by default
    the time since boot, and ``boot_id`` tells its zero from another. ``probe(name)`` is called at
    the named `PROBES`, for tests.

    Raises `InvalidTask` for a value that cannot be, `BrokerFailed`, `BrokerUnavailable`. Neither
    half of the block takes longer than the file's other users make it wait; leaving it lets what
    has begun finish.
    """
    name = check_path(path, create=create)
    _check_options(synchronous, lease, retention, max_losses, busy_timeout)
    try:
        from ._sqlite_engine import Engine
        from ._sqlite_inline import InlineDesk
        from ._sqlite_thread import ThreadDesk
    except ModuleNotFoundError as error:
        msg = "the SQLite broker needs the extra 'sqlite': pip install 'trioqueue[sqlite]'"
        raise BrokerFailed(msg) from error
    clocks = choose_clocks(wall_clock, lease_clock, boot_id)
    setting = Setting(token_hex(8), clocks, lease, _MARGIN * lease, retention, max_losses)

    def start(broker: SqliteBroker) -> Desk:
        engine: Engine = Engine(name, setting, synchronous, probe, broker._tell)
        holds, asked = (lambda: bool(broker._held)), broker._asked
        if setting.clocks.virtual:
            return InlineDesk(engine, holds, asked)
        return ThreadDesk(engine, busy_timeout, holds, asked)

    broker = SqliteBroker(setting, start)
    desk = broker._desk
    await desk.open(create=create)
    try:
        async with open_bare_nursery() as nursery:
            if isinstance(desk, InlineDesk):
                nursery.start_soon(desk.run_alarms)
            yield broker
            nursery.cancel_scope.cancel(reason="the broker's block was left")
    finally:
        await desk.close()  # noqa: ASYNC102 - bounded and shielded in itself


def _check_options(
    synchronous: str, lease: float, retention: float, max_losses: int, busy_timeout: float
) -> None:
    if synchronous not in {"full", "normal"}:
        msg = f"synchronous must be 'full' or 'normal', not {synchronous!r}"
        raise InvalidTask(msg)
    if not lease > 0:
        msg = f"lease must be more than 0 seconds, not {lease!r}"
        raise InvalidTask(msg)
    if not (retention >= 0 and busy_timeout >= 0 and max_losses >= 0):
        msg = "retention, busy_timeout and max_losses must not be negative"
        raise InvalidTask(msg)
