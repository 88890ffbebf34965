"""Operating a broker: cancel, revoke, pause, replay, purge, register. Inside of one transaction.

As in ``_sqlite_moves``: an error of ours is raised before the first write.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from .._broker import WorkerRecord
from .._errors import key_taken, no_dead_letter
from .._model import Move, OutcomeKind, State, Task
from ._sqlite_rows import entry, place, shorten
from ._sqlite_schema import CANCELLED, DEAD, PURGED, READY
from ._sqlite_tend import Happened, become_due, end_waiting, lose, moved
from ._sqlite_tx import Tx
from ._stored import encode_worker

#: Seconds after which a worker that nothing was heard of is forgotten.
_SILENT: Final = 86_400.0


class Asked(NamedTuple):
    """That a running task's cancellation was requested, the first time. ``task``: as it is."""

    at: float
    task: Task


def cancel(tx: Tx, task_id: str) -> Happened | Asked | bool:
    """Cancel a waiting task, or ask for a running one's cancellation. ``False``: too late."""
    task = tx.find("t.id = ?", task_id)
    if task is None:
        return False
    if task.state in {State.SCHEDULED, State.READY}:
        return end_waiting(tx, task, Move.CANCELLED, CANCELLED, OutcomeKind.CANCELLED)
    if task.state is not State.RUNNING:
        return False
    history = entry("cancel_requested", tx.now, task.deliveries)
    tx.execute(
        "UPDATE tasks SET cancel_requested = 1, history = history || ? "
        "WHERE seq = ? AND cancel_requested = 0",
        (history, task.order),
    )
    if not tx.changes():
        return True
    tx.operated = True
    return Asked(tx.now, task)


def run_now(tx: Tx, task_id: str) -> Happened | bool:
    """Make a scheduled task due now. ``False``: it is not scheduled."""
    task = tx.find("t.id = ?", task_id)
    if task is None or task.state is not State.SCHEDULED:
        return False
    return become_due(tx, task)


def revoke(tx: Tx, task_id: str) -> Happened | bool:
    """Take a running task's lease away. ``False``: it is not running."""
    task = tx.find("t.id = ?", task_id)
    if task is None or task.state is not State.RUNNING:
        return False
    return lose(tx, task)


def pause(tx: Tx, queue: str | None) -> None:
    """Stop claims from one queue, or from all."""
    tx.operated = True
    if queue is None:
        tx.execute("UPDATE meta SET paused = 1")
    else:
        tx.execute("INSERT INTO paused VALUES (?) ON CONFLICT DO NOTHING", (queue,))


def resume(tx: Tx, queue: str | None) -> None:
    """Undo `pause`; of all: of the single ones too."""
    tx.operated = tx.made_ready = True
    if queue is None:
        tx.execute("UPDATE meta SET paused = 0")
        tx.execute("DELETE FROM paused")
    else:
        tx.execute("DELETE FROM paused WHERE queue = ?", (queue,))


def replay(tx: Tx, task_id: str) -> Happened:
    """Make a dead letter ready again, its failures and losses forgotten."""
    task = _letter(tx, task_id)
    options = task.options
    if options.key is not None:
        held = f"t.key_queue = ? AND t.key = ? AND t.state < {DEAD}"
        if tx.find(held, options.queue, options.key):
            raise key_taken(task_id, options.key)
    task.failures = 0
    task.outcome = None
    trail = task.trace()
    trail.losses = 0  # or the next one would be its last again, at once
    tx.execute(
        f"UPDATE tasks SET state = {READY}, place = ?, failures = 0, losses = 0, finish = NULL, "
        "ended_at = NULL, kind = NULL, flags = 0, duration = 0, error = NULL, "
        "cancel_requested = 0, history = ? WHERE seq = ?",
        (
            place(options.priority, tx.next_order()),
            shorten(_history(tx, task) + entry(Move.REPLAYED, tx.now, task.deliveries)),
            task.order,
        ),
    )
    tx.made_ready = True
    return moved(tx, Move.REPLAYED, task, DEAD, READY)


def purge(tx: Tx, task_id: str) -> Happened:
    """Throw a dead letter away; a tombstone stays, so that its id is not run again."""
    task = _letter(tx, task_id)
    tx.execute(
        f"UPDATE tasks SET state = {PURGED}, finish = ?, ended_at = ?, payload = NULL, history = ? "
        "WHERE seq = ?",
        (
            *(tx.next_order(), tx.now),
            shorten(_history(tx, task) + entry(Move.PURGED, tx.now, task.deliveries)),
            task.order,
        ),
    )
    return moved(tx, Move.PURGED, task, DEAD, PURGED)


def _letter(tx: Tx, task_id: str) -> Task:
    task = tx.find("t.id = ?", task_id)
    if task is None or task.state is not State.DEAD:
        raise no_dead_letter(task_id)
    return task


def _history(tx: Tx, task: Task) -> str:
    history: str = tx.execute("SELECT history FROM tasks WHERE seq = ?", (task.order,)).fetchall()[
        0
    ][0]
    return history


# --- workers -------------------------------------------------------------------------------------


def register(tx: Tx, worker: WorkerRecord) -> None:
    """Note that a worker process is alive, or its goodbye; forget those silent for a day."""
    tx.execute(
        "INSERT INTO workers (id, record, seen, lease, live) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (id) DO UPDATE SET record = excluded.record, seen = excluded.seen, "
        "lease = excluded.lease, live = excluded.live",
        (worker.id, encode_worker(worker), tx.lease_now, tx.setting.lease, worker.live),
    )
    tx.execute("DELETE FROM workers WHERE seen < ?", (tx.lease_now - _SILENT,))
