"""The verbs of workers and producers, as plain functions inside of one transaction.

Each promises: an error of ours is raised before the first write. Whatever else is raised undoes the
whole transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from heapq import heapify, heappop, heapreplace
from typing import Final, NamedTuple

from .._errors import queue_closed
from .._model import Lease, Move, State, Task
from ._sqlite_db import Execute, Row
from ._sqlite_fleet import within
from ._sqlite_rows import place, priority_at
from ._sqlite_schema import (
    DEAD,
    READY,
    RUNNING,
    SCHEDULED,
)
from ._sqlite_tx import Tx
from ._stored import decode_headers, encode_headers, options, trail

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
                   delay, key, key_queue, history, payload, headers)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"""


def publish(
    tx: Tx, tasks: Iterable[Task], closed: Callable[[], bool] | None = None
) -> list[Accepted]:
    """Accept each task, unless its id is known or its key is held. Raises `QueueClosed`."""
    if closed is not None and closed():
        raise queue_closed()
    accepted: list[Accepted] = []
    execute, changes, now = tx.execute, tx.changes, tx.now
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
                encode_headers(opts.headers),
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
_NEXT: Final = f"""
SELECT place, seq, id, payload, key, timeout, expires, delay, accepted_at, deliveries + 1, failures,
    losses, interruptions, snoozes, errors, cancel_requested, headers, lane
FROM tasks WHERE state = {READY} AND lane = ? ORDER BY place LIMIT ?"""
# By their places, of which a lane has each only once: an update that looks for its rows itself, or
# returns them, costs twice as much as these two statements. (OR FAIL: the whole transaction is
# undone if anything fails, so SQLite need not be able to undo this statement alone.)
_START: Final = f"""
UPDATE OR FAIL tasks SET state = {RUNNING}, deliveries = deliveries + 1, lease_until = ?,
    expires_at = NULL, history = history || ? || (deliveries + 1) || ?
WHERE state = {READY} AND lane = ? AND place <= ?"""


class Lane(NamedTuple):
    """A lane that has ready tasks and is not paused."""

    id: int
    queue: str
    type: str
    ready: int


def open_lanes(
    execute: Execute, types: Collection[str] | None, queues: Collection[str] | None
) -> list[Lane]:
    """The lanes that have ready tasks, among these."""
    lanes = (Lane(*row) for row in execute(_LANES).fetchall())
    return [
        lane
        for lane in lanes
        if (types is None or lane.type in types) and (queues is None or lane.queue in queues)
    ]


def claim(
    tx: Tx,
    room: Mapping[str, int],
    most: int,
    queues: Collection[str] | None,
    limits: Mapping[str, int],
) -> list[Lease]:
    """Take up to ``most`` ready tasks, in order, looking only at those that may start."""
    tx.write_lanes()  # with what this transaction has made ready, or taken, itself
    if limits:
        room = within(tx.execute, room, limits)
    types = {name for name, number in room.items() if number > 0}
    lanes = {lane.id: lane for lane in open_lanes(tx.execute, types, queues)}
    until = tx.lease_now + tx.setting.lease
    texts = (f"{_STARTED} {tx.now:.3f} ", f" {tx.setting.identity}\n")
    rows: list[Row] = []
    for lane, number in _shares(tx, lanes.values(), room, most):
        taken = tx.execute(_NEXT, (lane, number)).fetchall()
        tx.execute(_START, (until, *texts, lane, taken[-1][0]))
        assert tx.changes() == len(taken), "a place was given twice"
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
    shares: dict[int, int] = {}
    # Cursors are lazy: of each lane no more is read than what is taken, and one more.
    cursors = {lane.id: tx.db.execute(_HEADS, (lane.id,)) for lane in lanes}
    types = {lane.id: lane.type for lane in lanes}
    heads = [next(cursor) for cursor in cursors.values()]
    heapify(heads)
    while heads and most > 0:
        _, lane = heads[0]
        if left[types[lane]] <= 0:
            heappop(heads)  # the type has no room left: neither has this lane
            continue
        shares[lane] = shares.get(lane, 0) + 1
        left[types[lane]] -= 1
        most -= 1
        following = next(cursors[lane], None)
        if following is None:
            heappop(heads)
        else:
            heapreplace(heads, following)
    for cursor in cursors.values():
        cursor.close(True)
    return list(shares.items())


def _lease(row: Row, lane: Lane, expires: float) -> Lease:
    where, seq, task_id, payload, key, timeout, task_expires, delay, accepted_at = row[:9]
    deliveries, failures, losses, interruptions, snoozes, errors, asked, headers = row[9:17]
    opts = options(
        *(lane.queue, priority_at(where), timeout, task_expires, delay, key),
        decode_headers(headers),
    )
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
