"""Between a row of ``tasks`` and the nouns of the model: places, snapshots, lines of a history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from .._broker import HistoryEntry
from .._model import Task
from ._sqlite_schema import DEAD, STATES, SUCCEEDED
from ._stored import (
    UNSTORED,
    decode_error,
    decode_for_people,
    decode_headers,
    make_outcome,
    options,
    trail,
)

#: Characters of a history that are kept when it has grown longer than twice this.
HISTORY_KEPT: Final = 2_000

# --- places --------------------------------------------------------------------------------------

# Where a task stands in its lane, as one integer, so that one narrow index gives the order of the
# contract: higher priority first, then what was given back, by acceptance, then the others as they
# became ready. 8 bits of priority and 55 of order fill the 63 that a positive integer has.
_ORDER_BITS: Final = 55
_NOT_IN_FRONT: Final = 1 << (_ORDER_BITS - 1)


def place(priority: int, order: int) -> int:
    """The place of a task that became ready as the ``order``-th."""
    return (255 - priority) << _ORDER_BITS | _NOT_IN_FRONT | order


def front(priority: int, seq: int) -> int:
    """The place of a task that a worker gave back, or lost."""
    return (255 - priority) << _ORDER_BITS | seq


def priority_at(where: int) -> int:
    """The priority of a task at a place."""
    return 255 - (where >> _ORDER_BITS)


# --- snapshots -----------------------------------------------------------------------------------

#: What `snapshot` takes, in its order. Of ``tasks`` t joined with its lane l.
COLUMNS: Final = (
    "t.seq, t.id, l.queue, l.type, t.state, t.place, t.deliveries, t.failures, t.losses, "
    "t.interruptions, t.snoozes, t.accepted_at, t.ended_at, t.timeout, t.expires, t.delay, t.key, "
    "t.kind, t.flags, t.duration, t.error, t.errors, t.result, t.payload, "
    "t.headers"
)


def snapshot(row: Sequence[Any], keep_since: float = float("-inf")) -> Task:
    """The task as it is stored. A result that ended before ``keep_since`` is no longer kept."""
    seq, task_id, queue, type_, state, where, deliveries, failures, losses = row[:9]
    interruptions, snoozes, accepted_at, ended_at, timeout, expires, delay, key = row[9:17]
    kind, flags, duration, error, errors, result, payload, headers = row[17:]
    args, kwargs = decode_for_people(payload)
    task = Task(
        task_id,
        type_,
        args,
        kwargs,
        options(queue, priority_at(where), timeout, expires, delay, key, decode_headers(headers)),
    )
    task.order = seq
    task.state = STATES[state]
    task.deliveries, task.failures = deliveries, failures
    task.accepted_at = accepted_at
    task.payload = payload
    task.trail = trail(losses, interruptions, snoozes, errors)
    if state == DEAD:
        task.trace().died_at = ended_at
    if kind is not None and state >= DEAD:
        kept = state != SUCCEEDED or ended_at > keep_since
        task.outcome = make_outcome(
            kind, flags, duration, decode_error(error), result if kept else None
        )
        task.outcome.stored = kept and not flags & UNSTORED
    return task


# --- histories -----------------------------------------------------------------------------------


def entry(name: str, at: float, delivery: int = 0, worker: str = "") -> str:
    """One line of a history."""
    return f"{name} {at:.3f} {delivery} {worker}\n"


def shorten(history: str) -> str:
    """A history that has grown too long: its first line, and the last ones."""
    if len(history) <= 2 * HISTORY_KEPT:
        return history
    first, _, rest = history.partition("\n")
    _, _, last = rest[-HISTORY_KEPT:].partition("\n")
    return f"{first}\n{last}"


def read_history(text: str) -> list[HistoryEntry]:
    """The entries, oldest first."""
    entries: list[HistoryEntry] = []
    for line in text.splitlines():
        name, at, delivery, worker = line.split(" ", 3)
        entries.append(HistoryEntry(name, float(at), int(delivery), worker))
    return entries
