"""Ending leases, as plain functions inside of one transaction. See ``_sqlite_moves``.

Each write is fenced: it says which delivery of the task it means. Whether a settle that finds
nothing to end is a repeat or a zombie's, the task's own row tells.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, final

from .._model import ERRORS_KEPT, ErrorRecord, Move, OutcomeKind, Settlement, State
from ._sqlite_rows import front, place, priority_at, shorten
from ._sqlite_schema import CANCELLED, DEAD, READY, RUNNING, SCHEDULED, STATES, SUCCEEDED
from ._sqlite_tx import Tx
from ._stored import decode_errors, encode_error, encode_errors, outcome_flags

_SUCCEEDED: Final = Move.SUCCEEDED

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
    success = Settled(tx.now, kept=True)  # one for all: there is nothing to tell them apart
    success.state = State.SUCCEEDED
    done: list[Settled] = []
    for one in settlements:
        if one.move is not _SUCCEEDED:
            done.append(_settle(tx, one))
        elif _succeed(tx, one):
            done.append(success)
        else:
            done.append(_too_late(tx, one))
    return done


def _succeed(tx: Tx, settlement: Settlement) -> bool:
    """The way of nearly all tasks."""
    lease, outcome = settlement.lease, settlement.outcome
    task, token = lease.task, lease.token
    finish = tx.counter + 1
    history = tx.entry(_SUCCEEDED, token, by_worker=True)
    error = None if outcome.error is None else encode_error(outcome.error)
    end = (finish, tx.now, outcome.kind, outcome_flags(outcome), outcome.duration, error)
    tx.execute(_SUCCEED, (*end, settlement.result, history, task.order, token))
    if not tx.changes():
        return False
    tx.counter = finish
    tx.settled[task.order, token] = outcome
    tx.count(_SUCCEEDED, tx.lane(task.options.queue, task.type), RUNNING, SUCCEEDED)
    tx.ended.append(task.id)
    return True


def _too_late(tx: Tx, settlement: Settlement) -> Settled:
    """The lease is over: ended by this very settlement (a repeat), or otherwise (a zombie)."""
    lease = settlement.lease
    before = tx.settled.get((lease.task.order, lease.token), lease.settled)
    if before is not None:  # it was settled here: then that is known for sure, and for ever
        repeated = before is settlement.outcome
    else:
        row = tx.execute(_SETTLED, (lease.task.order,)).fetchone()
        repeated = row is not None and row[0] == lease.token > 0
        if repeated:  # another one in this very group is not the same
            tx.settled[lease.task.order, lease.token] = settlement.outcome
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
