"""The verbs of workers and producers, as plain functions inside of one transaction.

Each promises: an error of ours is raised before the first write. Whatever else is raised undoes the
whole transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from heapq import merge
from typing import Any, Final, NamedTuple, final

from .._model import ERRORS_KEPT, ErrorRecord, Lease, Move, OutcomeKind, Settlement, State, Task
from ._sqlite_rows import (
    decode_errors,
    encode_error,
    encode_errors,
    front,
    options,
    outcome_flags,
    place,
    priority_at,
    shorten,
    trail,
)
from ._sqlite_schema import (
    CANCELLED,
    DEAD,
    READY,
    RUNNING,
    SCHEDULED,
    STATES,
    SUCCEEDED,
)
from ._sqlite_tx import Tx

# As constants: an attribute of an Enum class costs four times as much to look up.
_SUBMITTED: Final = Move.SUBMITTED
_SUCCEEDED: Final = Move.SUCCEEDED
_STARTED: Final = Move.STARTED

# --- publish -------------------------------------------------------------------------------------


class Accepted(NamedTuple):
    """What became of one task of a publish. ``seq`` 0: ``task`` was there already."""

    task: Task
    seq: int
    at: float


_INSERT: Final = """
INSERT INTO tasks (seq, id, lane, state, place, accepted_at, due, expires_at, timeout, expires,
                   delay, key, key_queue, history, payload)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"""


def publish(tx: Tx, tasks: Iterable[Task]) -> list[Accepted]:
    """Accept each task, unless its id is known or its key is held."""
    accepted: list[Accepted] = []
    execute, changes, now = tx.execute, tx.db.changes, tx.now
    plain = tx.entry(_SUBMITTED, 0, by_worker=False)
    for task in tasks:
        opts = task.options
        lane = tx.lane(opts.queue, task.type)
        seq = tx.counter + 1
        state, move, history, due = READY, _SUBMITTED, plain, None
        if opts.delay > 0:
            state, move, due = SCHEDULED, Move.DELAYED, now + opts.delay
            history = tx.entry(move, 0, by_worker=False)
        expires_at = None if opts.expires is None else now + opts.expires
        execute(
            _INSERT,
            (
                *(seq, task.id, lane, state, place(opts.priority, seq), now, due, expires_at),
                *(opts.timeout, opts.expires, opts.delay, opts.key),
                *(None if opts.key is None else opts.queue, history, task.payload),
            ),
        )
        if not changes():
            accepted.append(Accepted(_there_already(tx, task, accepted), 0, now))
            continue
        tx.counter = seq
        tx.count(move, lane, None, state)
        if due is None:
            tx.made_ready = True
        else:
            tx.next_due = min(tx.next_due, due)
        if expires_at is not None:
            tx.next_due = min(tx.next_due, expires_at)
        accepted.append(Accepted(task, seq, now))
    return accepted


def _there_already(tx: Tx, task: Task, accepted: Sequence[Accepted]) -> Task:
    """The task that has this one's id, or holds its key; of the same publish perhaps."""
    known = tx.find("t.id = ?", task.id)
    if known is None:
        key = (task.options.queue, task.options.key)
        known = tx.find(f"t.key_queue = ? AND t.key = ? AND t.state < {DEAD}", *key)
    assert known is not None
    for other in accepted:
        if other.seq == known.order:
            return other.task
    return known


# --- claim ---------------------------------------------------------------------------------------

_LANES: Final = (
    "SELECT id, queue, type, ready FROM lanes WHERE ready > 0 "
    "AND queue NOT IN (SELECT queue FROM paused) AND NOT (SELECT paused FROM meta)"
)
_HEADS: Final = f"SELECT place, lane FROM tasks WHERE state = {READY} AND lane = ? ORDER BY place"
_CLAIM: Final = f"""
UPDATE tasks SET state = {RUNNING}, deliveries = deliveries + 1, lease_until = ?, expires_at = NULL,
    history = history || ? || (deliveries + 1) || ?
WHERE seq IN (
    SELECT seq FROM tasks WHERE state = {READY} AND lane = ? ORDER BY place LIMIT ?)
RETURNING place, seq, id, payload, key, timeout, expires, delay, accepted_at, deliveries, failures,
    losses, interruptions, snoozes, errors, cancel_requested, lane"""


class Lane(NamedTuple):
    """A lane that has ready tasks and is not paused."""

    id: int
    queue: str
    type: str
    ready: int


def open_lanes(
    execute: Any, types: Collection[str] | None, queues: Collection[str] | None
) -> list[Lane]:
    """The lanes that have ready tasks, among these."""
    lanes = (Lane(*row) for row in execute(_LANES).fetchall())
    return [
        lane
        for lane in lanes
        if (types is None or lane.type in types) and (queues is None or lane.queue in queues)
    ]


def claim(
    tx: Tx, room: Mapping[str, int], most: int, queues: Collection[str] | None
) -> list[Lease]:
    """Take up to ``most`` ready tasks, in order, looking only at those that may start."""
    types = {name for name, number in room.items() if number > 0}
    lanes = {lane.id: lane for lane in open_lanes(tx.execute, types, queues)}
    until = tx.lease_now + tx.setting.lease
    texts = (f"{_STARTED} {tx.now:.3f} ", f" {tx.setting.identity}\n")
    rows: list[Any] = []
    for lane, number in _shares(tx, lanes.values(), room, most):
        taken = tx.execute(_CLAIM, (until, *texts, lane, number)).fetchall()
        tx.count(_STARTED, lane, READY, RUNNING, len(taken))
        rows += taken
    if not rows:
        return []
    tx.next_lease = min(tx.next_lease, until)
    rows.sort()
    expires = until - tx.setting.margin
    return [_lease(row, lanes[row[-1]], expires) for row in rows]


def _shares(
    tx: Tx, lanes: Collection[Lane], room: Mapping[str, int], most: int
) -> list[tuple[int, int]]:
    """How many to take from which lane: what stands first in all of them together."""
    if len(lanes) == 1:
        (lane,) = lanes
        number = min(most, room[lane.type])
        return [(lane.id, number)] if number > 0 else []
    left = dict(room)
    names = {lane.id: lane.type for lane in lanes}
    shares: dict[int, int] = {}
    # Cursors are lazy: of each lane no more is read than what the merge has looked at.
    heads = [tx.db.execute(_HEADS, (lane.id,)) for lane in lanes]
    full: set[str] = set()
    taken = 0
    for _, lane_id in merge(*heads):
        if taken >= most:
            break
        name = names[lane_id]
        if name in full:
            continue
        shares[lane_id] = shares.get(lane_id, 0) + 1
        taken += 1
        left[name] -= 1
        if left[name] <= 0:
            full.add(name)
            if len(full) == len({*names.values()}):
                break
    for cursor in heads:
        cursor.close(True)
    return list(shares.items())


def _lease(row: Any, lane: Lane, expires: float) -> Lease:
    where, seq, task_id, payload, key, timeout, task_expires, delay, accepted_at = row[:9]
    deliveries, failures, losses, interruptions, snoozes, errors, asked = row[9:16]
    opts = options(lane.queue, priority_at(where), timeout, task_expires, delay, key)
    task = Task(task_id, lane.type, (), {}, opts)
    task.order, task.payload, task.accepted_at = seq, payload, accepted_at
    task.state = State.RUNNING
    task.deliveries, task.failures = deliveries, failures
    task.trail = trail(losses, interruptions, snoozes, errors)
    task.lease = lease = Lease(task, deliveries, 0.0)
    lease.expires = expires
    lease.cancel_requested = bool(asked)  # of the holder before, who did not live to obey
    return lease


# --- renew ---------------------------------------------------------------------------------------

_RENEW: Final = (
    f"UPDATE tasks SET lease_until = ? WHERE seq = ? AND deliveries = ? AND state = {RUNNING} "
    "RETURNING cancel_requested"
)


class Renewed(NamedTuple):
    """``asked``: whose cancellation was requested. ``expires``: of all that are not lost."""

    lost: list[Lease]
    asked: list[Lease]
    expires: float


def renew(tx: Tx, leases: Iterable[Lease]) -> Renewed:
    """Prolong leases, those that have expired but were not revoked as well."""
    until = tx.lease_now + tx.setting.lease
    renewed = Renewed([], [], until - tx.setting.margin)
    for lease in leases:
        rows = tx.execute(_RENEW, (until, lease.task.order, lease.token)).fetchall()
        if not rows:
            renewed.lost.append(lease)
        elif rows[0][0]:
            renewed.asked.append(lease)
    return renewed


# --- settle --------------------------------------------------------------------------------------

_SUCCEED: Final = f"""
UPDATE tasks SET state = {SUCCEEDED}, settled = deliveries, lease_until = NULL, finish = ?,
    ended_at = ?, kind = ?, flags = ?, duration = ?, error = ?, result = ?, payload = NULL,
    history = history || ?
WHERE seq = ? AND deliveries = ? AND state = {RUNNING}"""
_SETTLED: Final = "SELECT settled FROM tasks WHERE seq = ?"
_HELD: Final = f"""
SELECT lane, place, failures, losses, interruptions, snoozes, errors, history FROM tasks
WHERE seq = ? AND deliveries = ? AND state = {RUNNING}"""
_END: Final = f"""
UPDATE tasks SET state = ?, settled = deliveries, lease_until = NULL, finish = ?, ended_at = ?,
    kind = ?, flags = ?, duration = ?, error = ?, failures = ?, errors = ?, history = ?,
    payload = CASE WHEN ? = {DEAD} THEN payload END
WHERE seq = ?"""
_RETURN: Final = """
UPDATE tasks SET state = ?, settled = deliveries, lease_until = NULL, place = ?, due = ?,
    failures = ?, interruptions = ?, snoozes = ?, errors = ?, history = ?
WHERE seq = ?"""


@final
class Settled:
    """What became of one settlement, for the Trio thread to tell. ``state``: ``None``, if nothing.

    ``due``: the task became ready at once.
    """

    __slots__ = (
        *("at", "due", "errors", "failures", "interruptions", "kept", "repeated", "snoozes"),
        "state",
    )

    def __init__(self, at: float, *, kept: bool, repeated: bool = False) -> None:
        self.at = at
        self.kept = kept
        self.repeated = repeated
        self.state: State | None = None
        self.due = False
        self.failures = 0
        self.interruptions = 0
        self.snoozes = 0
        self.errors: tuple[ErrorRecord, ...] = ()


def settle(tx: Tx, settlements: Iterable[Settlement]) -> list[Settled]:
    """End each lease, if it is the current one."""
    return [
        _succeed(tx, one) if one.move is _SUCCEEDED else _settle(tx, one) for one in settlements
    ]


def _succeed(tx: Tx, settlement: Settlement) -> Settled:
    lease, outcome = settlement.lease, settlement.outcome
    task = lease.task
    finish = tx.counter + 1
    tx.execute(
        _SUCCEED,
        (
            *(finish, tx.now, outcome.kind, outcome_flags(outcome), outcome.duration),
            *(encode_error(outcome.error), settlement.result),
            tx.entry(_SUCCEEDED, lease.token, by_worker=True),
            *(task.order, lease.token),
        ),
    )
    if not tx.db.changes():
        return _too_late(tx, settlement)
    tx.counter = finish
    tx.settled[task.order, lease.token] = outcome
    tx.count(_SUCCEEDED, tx.lane(task.options.queue, task.type), RUNNING, SUCCEEDED)
    tx.ended.append(task.id)
    settled = Settled(tx.now, kept=True)
    settled.state = State.SUCCEEDED
    settled.failures = task.failures
    return settled


def _too_late(tx: Tx, settlement: Settlement) -> Settled:
    """The lease is over: ended by this very settlement (a repeat), or otherwise (a zombie)."""
    lease = settlement.lease
    row = tx.execute(_SETTLED, (lease.task.order,)).fetchone()
    repeated = row is not None and row[0] == lease.token
    before = tx.settled.get((lease.task.order, lease.token), lease.settled)
    if before is not None and before is not settlement.outcome:
        repeated = False
    tx.refused += not repeated
    return Settled(tx.now, kept=repeated, repeated=repeated)


def _settle(tx: Tx, settlement: Settlement) -> Settled:
    """Any end but success."""
    lease, outcome, move = settlement.lease, settlement.outcome, settlement.move
    task = lease.task
    rows = tx.execute(_HELD, (task.order, lease.token)).fetchall()
    if not rows:
        return _too_late(tx, settlement)
    lane, where, failures, _, interruptions, snoozes, errors, history = rows[0]
    tx.settled[task.order, lease.token] = outcome
    settled = Settled(tx.now, kept=True)
    settled.failures = failures + settlement.failed
    settled.interruptions, settled.snoozes = interruptions, snoozes
    settled.errors = decode_errors(errors)
    if outcome.error is not None:
        settled.errors = (*settled.errors, outcome.error)[-ERRORS_KEPT:]
    history = shorten(history + tx.entry(move, lease.token, by_worker=True))
    state = _STATE_AFTER[move]
    if state >= DEAD:
        _end(tx, settlement, settled, state, history)
    else:
        state = _give_back(tx, settlement, settled, where, history)
    settled.state = STATES[state]
    # Due at once, it moved twice: where it ends up is counted with the second move.
    tx.count(move, lane, RUNNING, SCHEDULED if settled.due else state)
    if settled.due:
        tx.count(Move.DUE, lane, SCHEDULED, state)
    return settled


_STATE_AFTER: Final = {
    Move.DIED: DEAD,
    Move.CANCELLED: CANCELLED,
    Move.RELEASED: READY,
    Move.RETRIED: SCHEDULED,
    Move.SNOOZED: SCHEDULED,
}


def _end(tx: Tx, settlement: Settlement, settled: Settled, state: int, history: str) -> None:
    outcome, task = settlement.outcome, settlement.lease.task
    tx.execute(
        _END,
        (
            *(state, tx.next_order(), tx.now, outcome.kind, outcome_flags(outcome)),
            *(outcome.duration, encode_error(outcome.error), settled.failures),
            *(encode_errors(settled.errors), history, state, task.order),
        ),
    )
    tx.ended.append(task.id)


def _give_back(tx: Tx, settlement: Settlement, settled: Settled, where: int, history: str) -> int:
    """The task waits again; returns its state."""
    task, move = settlement.lease.task, settlement.move
    priority = priority_at(where)
    state, due = READY, None
    if move is Move.RELEASED:
        # What was never started was not interrupted.
        settled.interruptions += settlement.outcome.kind is not OutcomeKind.HANDED_BACK
        where = front(priority, task.order)
    else:
        settled.snoozes += move is Move.SNOOZED
        if settlement.delay > 0:
            state, due = SCHEDULED, tx.now + settlement.delay
            tx.next_due = min(tx.next_due, due)
        else:
            settled.due = True
            where = place(priority, tx.next_order())
            history += tx.entry(Move.DUE, settlement.lease.token, by_worker=False)
    tx.made_ready |= state == READY
    tx.execute(
        _RETURN,
        (
            *(state, where, due, settled.failures, settled.interruptions, settled.snoozes),
            *(encode_errors(settled.errors), history, task.order),
        ),
    )
    return state
