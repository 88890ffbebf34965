"""What time brings about: due tasks, expired ones, lost leases, and what is no longer kept.

Anybody who has the file open does it, by an alarm or on the way to a claim; whoever comes first.
All of it goes in batches, so that nobody else waits long for the lock.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from .._model import ERRORS_KEPT, ErrorRecord, Move, Outcome, OutcomeKind, Task
from ._sqlite_db import Database, Execute, Row
from ._sqlite_rows import front, place, shorten, snapshot
from ._sqlite_schema import DEAD, EXPIRED, READY, RUNNING, SCHEDULED, STATES, SUCCEEDED
from ._sqlite_tx import Setting, Tx
from ._stored import UNSTORED, encode_error, encode_errors

#: Tasks moved in one transaction by one kind of alarm.
BATCH: Final = 500


class Happened(NamedTuple):
    """A move that no worker made, for the Trio thread to tell. ``task``: as it was after it."""

    move: Move
    at: float
    task: Task


class Alarms(NamedTuple):
    """When something is to be done next: Unix time, and time on the lease clock."""

    wall: float
    lease: float

    def passed(self, setting: Setting, slack: float = 0.0) -> bool:
        """Whether it is time. ``slack``: for leases this is later."""
        clocks = setting.clocks
        return clocks.wall() >= self.wall or clocks.lease() >= self.lease + slack

    def wait(self, setting: Setting, slack: float = 0.0) -> float:
        """How many seconds remain."""
        clocks = setting.clocks
        return min(self.wall - clocks.wall(), self.lease + slack - clocks.lease())

    def sooner(self, wall: float, lease: float) -> Alarms:
        """These, or sooner."""
        return Alarms(min(self.wall, wall), min(self.lease, lease))


_FIRST_ENDED: Final = f"SELECT ended_at FROM tasks WHERE state > {DEAD} ORDER BY finish LIMIT 1"
_NEXT: Final = f"""
SELECT (SELECT min(due) FROM tasks WHERE state = {SCHEDULED}),
       (SELECT min(expires_at) FROM tasks WHERE expires_at IS NOT NULL),
       (SELECT min(lease_until) FROM tasks WHERE state = {RUNNING}),
       ({_FIRST_ENDED})"""
# Apart, as it is only asked where results are dropped before their tombstones.
_NEXT_RESULT: Final = f"""
SELECT ended_at FROM tasks WHERE state > {DEAD} AND finish > (SELECT dropped FROM meta)
ORDER BY finish LIMIT 1"""
_FAR: Final = float("inf")


def next_alarms(execute: Execute, setting: Setting) -> Alarms:
    """When something is to be done next. Four looks at the heads of indexes."""
    due, expires_at, lease_until, ended_at = execute(_NEXT).fetchall()[0]
    wall = min(_FAR if due is None else due, _FAR if expires_at is None else expires_at)
    if ended_at is not None:
        wall = min(wall, ended_at + setting.tombstones)
        if setting.retention < setting.tombstones:
            for (ended_at,) in execute(_NEXT_RESULT).fetchall():
                wall = min(wall, ended_at + setting.retention)
    return Alarms(wall, _FAR if lease_until is None else lease_until)


def tend(tx: Tx) -> list[Happened]:
    """Do what it is time for, a batch of each kind."""
    happened = expire(tx)
    happened += _become_due(tx)
    happened += _sweep(tx)
    _drop_results(tx)
    _forget(tx)
    return happened


# --- waiting tasks -------------------------------------------------------------------------------

_DUE: Final = f"t.state = {SCHEDULED} AND t.due <= ? ORDER BY t.due, t.seq LIMIT {BATCH}"
_MAKE_READY: Final = (
    f"UPDATE tasks SET state = {READY}, place = ?, due = NULL, history = history || ? WHERE seq = ?"
)


def _become_due(tx: Tx) -> list[Happened]:
    return [become_due(tx, snapshot(row)) for row in tx.select(_DUE, tx.now)]


def become_due(tx: Tx, task: Task) -> Happened:
    """Make a scheduled task ready."""
    where = place(task.options.priority, tx.next_order())
    history = tx.entry(Move.DUE, task.deliveries, by_worker=False)
    tx.execute(_MAKE_READY, (where, history, task.order))
    tx.made_ready = True
    return moved(tx, Move.DUE, task, SCHEDULED, READY)


_EXPIRING: Final = f"t.expires_at <= ? ORDER BY t.expires_at, t.seq LIMIT {BATCH}"


def expire(tx: Tx) -> list[Happened]:
    """End the tasks that did not start in time."""
    return [
        end_waiting(tx, snapshot(row), Move.EXPIRED, EXPIRED, OutcomeKind.EXPIRED)
        for row in tx.select(_EXPIRING, tx.now)
    ]


_END_WAITING: Final = """
UPDATE tasks SET state = ?, finish = ?, ended_at = ?, kind = ?, due = NULL, expires_at = NULL,
    payload = NULL, history = history || ? WHERE seq = ?"""


def end_waiting(tx: Tx, task: Task, move: Move, state: int, kind: OutcomeKind) -> Happened:
    """End a task that nobody runs."""
    before = SCHEDULED if task.state is STATES[SCHEDULED] else READY
    history = tx.entry(move, task.deliveries, by_worker=False)
    tx.execute(_END_WAITING, (state, tx.next_order(), tx.now, kind, history, task.order))
    task.outcome = Outcome(kind)
    task.payload = None
    tx.ended.append(task.id)
    return moved(tx, move, task, before, state)


def moved(tx: Tx, move: Move, task: Task, before: int, after: int) -> Happened:
    """Count a move, and note it for those who are told."""
    tx.count(move, tx.lane(task.options.queue, task.type), before, after)
    task.state = STATES[after]
    return Happened(move, tx.now, task)


# --- leases --------------------------------------------------------------------------------------

_LEASED: Final = f"t.state = {RUNNING} AND t.lease_until <= ? ORDER BY t.lease_until LIMIT {BATCH}"


def _sweep(tx: Tx) -> list[Happened]:
    """Revoke the leases that have expired."""
    return [lose(tx, snapshot(row)) for row in tx.select(_LEASED, tx.lease_now)]


_LOSE: Final = """
UPDATE tasks SET state = ?, place = ?, losses = ?, lease_until = NULL, history = ? WHERE seq = ?"""
_DIE: Final = f"""
UPDATE tasks SET state = {DEAD}, losses = ?, lease_until = NULL, cancel_requested = 0, finish = ?,
    ended_at = ?, kind = ?, flags = 0, duration = 0, error = ?, errors = ?, history = ?
WHERE seq = ?"""


def lose(tx: Tx, task: Task) -> Happened:
    """Take a running task's lease away; one time too many, and the task is a dead letter.

    A requested cancellation stands: the next holder is told of it with the lease.
    """
    trail = task.trace()
    trail.losses += 1
    move = Move.DIED if trail.losses > tx.setting.max_losses else Move.LOST
    (history,) = tx.execute("SELECT history FROM tasks WHERE seq = ?", (task.order,)).fetchall()[0]
    history = shorten(history + tx.entry(move, task.deliveries, by_worker=False))
    if move is Move.LOST:
        where = front(task.options.priority, task.order)
        tx.execute(_LOSE, (READY, where, trail.losses, history, task.order))
        tx.made_ready = True
        return moved(tx, move, task, RUNNING, READY)
    outcome = task.outcome = Outcome(OutcomeKind.LOST)
    text = f"lost {trail.losses} times: whoever ran it did not live to settle it"
    outcome.error = ErrorRecord(task.attempt, OutcomeKind.LOST, "LeaseLost", text, "")
    trail.errors = (*trail.errors, outcome.error)[-ERRORS_KEPT:]
    trail.died_at = tx.now
    tx.execute(
        _DIE,
        (
            *(trail.losses, tx.next_order(), tx.now, outcome.kind, encode_error(outcome.error)),
            *(encode_errors(trail.errors), history, task.order),
        ),
    )
    tx.ended.append(task.id)
    return moved(tx, move, task, RUNNING, DEAD)


def end_other_boots(db: Database, boot: str) -> None:
    """Let every lease of another boot be over. Inside of a write transaction, when opening."""
    if db.execute("SELECT boot FROM meta").fetchall() != [(boot,)]:
        db.execute("UPDATE meta SET boot = ?", (boot,))
        db.execute(f"UPDATE tasks SET lease_until = -1e18 WHERE state = {RUNNING}")
        db.execute("DELETE FROM workers")


# --- what is no longer kept ----------------------------------------------------------------------

_OLD_RESULTS: Final = f"""
SELECT seq, finish, ended_at FROM tasks
WHERE state > {DEAD} AND finish > (SELECT dropped FROM meta) ORDER BY finish LIMIT {BATCH}"""


# Marked, since the wall clock by which it is too old may be set back.
_DROP_RESULT: Final = f"""
UPDATE tasks SET result = NULL,
    flags = CASE state WHEN {SUCCEEDED} THEN flags | {UNSTORED} ELSE flags END
WHERE seq = ?"""


def _drop_results(tx: Tx) -> None:
    if tx.setting.retention >= tx.setting.tombstones:
        return  # they go together
    rows = _up_to(tx, _NEXT_RESULT, _OLD_RESULTS, tx.keep_since)
    if rows:
        seqs = [(seq,) for seq, _, _ in rows]
        tx.db.executemany(_DROP_RESULT, seqs)
        tx.execute("UPDATE meta SET dropped = ?", (rows[-1][1],))


_OLD: Final = f"""
SELECT seq, lane, state, ended_at FROM tasks WHERE state > {DEAD} ORDER BY finish LIMIT {BATCH}"""


def _forget(tx: Tx) -> None:
    """Delete old tombstones, and lanes that nothing is left of."""
    rows = _up_to(tx, _FIRST_ENDED, _OLD, tx.now - tx.setting.tombstones)
    if rows:
        tx.db.executemany("DELETE FROM tasks WHERE seq = ?", [(seq,) for seq, *_ in rows])
        for _, lane, state, _ in rows:
            tx.shift(lane, state, None)
        tx.forgot = True


def _up_to(tx: Tx, first: str, batch: str, time: float) -> list[Row]:
    """The rows of ``batch`` that ended by ``time``, looked for only if ``first`` did.

    In the order in which they ended: should the clock have been set back, some stay longer.
    """
    heads = tx.execute(first).fetchall()
    if not heads or heads[0][0] > time:
        return []
    return [row for row in tx.execute(batch).fetchall() if row[-1] <= time]
