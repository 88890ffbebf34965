"""Between a row of ``tasks`` and the nouns of the model: places, snapshots, outcomes, histories."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final, cast

from .._broker import HistoryEntry
from .._model import (
    NO_KWARGS,
    ErrorRecord,
    Options,
    Outcome,
    OutcomeKind,
    Task,
    Trail,
)
from ._sqlite_schema import DEAD, STATES, SUCCEEDED

#: Bits of ``tasks.flags``.
LATE: Final = 1
CANCEL_IGNORED: Final = 2
UNSTORED: Final = 4

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
    "t.kind, t.flags, t.duration, t.error, t.errors, t.result, t.payload"
)


def snapshot(row: Sequence[Any], keep_since: float = float("-inf")) -> Task:
    """The task as it is stored. A result that ended before ``keep_since`` is no longer kept."""
    seq, task_id, queue, type_, state, where, deliveries, failures, losses = row[:9]
    interruptions, snoozes, accepted_at, ended_at, timeout, expires, delay, key = row[9:17]
    kind, flags, duration, error, errors, result, payload = row[17:]
    args, kwargs = decode_for_people(payload)
    task = Task(
        task_id,
        type_,
        args,
        kwargs,
        options(queue, priority_at(where), timeout, expires, delay, key),
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
        task.outcome = _outcome(kind, flags, duration, error, result if kept else None)
        task.outcome.stored = kept and not flags & UNSTORED
    return task


_shared: dict[tuple[str, int, float | None, float | None, float], Options] = {}


def options(
    queue: str,
    priority: int,
    timeout: float | None,
    expires: float | None,
    delay: float,
    key: str | None,
) -> Options:
    """The `Options` of these values: most tasks share theirs with many others."""
    if key is not None:
        return Options(queue, priority, timeout, expires, delay, key)
    values = (queue, priority, timeout, expires, delay)
    found = _shared.get(values)
    if found is None:
        if len(_shared) >= 1_000:
            _shared.clear()
        found = _shared[values] = Options(*values)
    return found


def trail(losses: int, interruptions: int, snoozes: int, errors: str | None) -> Trail | None:
    """The `Trail` of a task that has one."""
    if not (losses or interruptions or snoozes or errors):
        return None
    made = Trail()
    made.losses, made.interruptions, made.snoozes = losses, interruptions, snoozes
    made.errors = decode_errors(errors)
    return made


def _outcome(
    kind: str, flags: int, duration: float, error: str | None, result: bytes | None
) -> Outcome:
    made = Outcome(
        OutcomeKind(kind),
        result,
        duration,
        late=bool(flags & LATE),
        cancel_ignored=bool(flags & CANCEL_IGNORED),
    )
    made.error = decode_error(error)
    return made


def outcome_flags(outcome: Outcome) -> int:
    """The bits to store."""
    if outcome.stored and not outcome.late and not outcome.cancel_ignored:
        return 0
    return (
        LATE * outcome.late
        | CANCEL_IGNORED * outcome.cancel_ignored
        | UNSTORED * (not outcome.stored)
    )


def decode_for_people(payload: bytes | None) -> tuple[tuple[object, ...], dict[str, object]]:
    """The arguments, as far as plain JSON tells them. Never raises."""
    if payload is None:
        return (), cast("dict[str, object]", NO_KWARGS)
    try:
        args, kwargs = json.loads(payload)
        return tuple(args), dict(kwargs)
    except (ValueError, TypeError, RecursionError):
        return (), cast("dict[str, object]", NO_KWARGS)


# --- errors --------------------------------------------------------------------------------------


def _plain(error: ErrorRecord) -> list[object]:
    return [error.attempt, error.kind, error.type, error.message, error.traceback]


def encode_error(error: ErrorRecord | None) -> str | None:
    """One error, or none, as text."""
    return None if error is None else json.dumps(_plain(error))


def decode_error(text: str | None) -> ErrorRecord | None:
    """Back again."""
    return None if text is None else ErrorRecord(*json.loads(text))


def encode_errors(errors: Iterable[ErrorRecord]) -> str | None:
    """Errors as text."""
    listed = [_plain(error) for error in errors]
    return json.dumps(listed) if listed else None


def decode_errors(text: str | None) -> tuple[ErrorRecord, ...]:
    """Back again."""
    return () if text is None else tuple(ErrorRecord(*values) for values in json.loads(text))


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
