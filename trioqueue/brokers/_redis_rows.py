"""Between what the scripts know of a task, see _records.lua, and the nouns of the model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, final

from .._broker import HistoryEntry
from .._model import (
    ERRORS_KEPT,
    ErrorRecord,
    Lease,
    Move,
    Options,
    Outcome,
    OutcomeKind,
    Settlement,
    State,
    Task,
)
from ._redis_line import Arg
from ._stored import (
    UNSTORED,
    decode_for_people,
    encode_errors,
    make_outcome,
    options,
    outcome_flags,
    trail,
)

#: Between the parts of a lane's name.
SEPARATOR: Final = "\x1f"
#: How a state is written: its index in here.
STATES: Final = (
    State.SCHEDULED,
    State.READY,
    State.RUNNING,
    State.DEAD,
    State.SUCCEEDED,
    State.CANCELLED,
    State.EXPIRED,
    State.HANDED_BACK,
    State.PURGED,
    State.EVICTED,
)


def micros(seconds: float) -> int:
    """Seconds as the scripts count them."""
    return round(seconds * 1e6)


def seconds(counted: bytes | int) -> float:
    """Back again."""
    return int(counted) / 1e6


def lane_of(queue: str, type_: str) -> str:
    """A lane's name."""
    return f"{queue}{SEPARATOR}{type_}"


def names_in(lane: bytes) -> tuple[str, str]:
    """The queue and the type."""
    queue, _, type_ = lane.decode().partition(SEPARATOR)
    return queue, type_


# --- tasks on their way in -----------------------------------------------------------------------

#: {(timeout, expires, delay): as text}, as most tasks share theirs with many others.
_written: dict[tuple[float | None, float | None, float], str] = {}


def _write_options(given: Options) -> str:
    values = (given.timeout, given.expires, given.delay)
    text = _written.get(values)
    if text is None:
        if len(_written) >= 1_000:
            _written.clear()
        text = _written[values] = json.dumps(values)
    return text


def task_args(task: Task) -> tuple[Arg, ...]:
    """What publish.lua takes of one task."""
    given = task.options
    return (
        task.id,
        lane_of(given.queue, task.type),
        given.priority,
        micros(given.delay),
        "" if given.expires is None else micros(given.expires),
        _write_options(given),
        0 if given.key is None else 1,
        given.key or "",
        task.payload or b"",
    )


# --- tasks on their way out ----------------------------------------------------------------------

_read: dict[tuple[bytes, int, bytes], tuple[str, Options]] = {}


def _read_options(
    lane: bytes, priority: int, text: bytes, key: bytes | None
) -> tuple[str, Options]:
    """The type, and the options."""
    found = _read.get((lane, priority, text)) if key is None else None
    if found is None:
        queue, type_ = names_in(lane)
        timeout, expires, delay = json.loads(text)
        held = None if key is None else key.decode()
        found = type_, options(queue, priority, timeout, expires, delay, held)
        if key is None:
            if len(_read) >= 1_000:
                _read.clear()
            _read[lane, priority, text] = found
    return found


def _add_numbers(task: Task, text: bytes | None) -> None:
    """Failures, and the trail of those that have one."""
    if text is not None:
        failures, losses, interruptions, snoozes, errors = text.split(b" ", 4)
        task.failures = int(failures)
        listed = errors.decode() or None
        task.trail = trail(int(losses), int(interruptions), int(snoozes), listed)


def claimed(row: Sequence[Any], expires: float) -> Lease:
    """The lease of one task that claim.lua has taken."""
    task_id, lane, seq, priority, accepted, text, fence, payload, key, numbers, asked = row
    type_, given = _read_options(lane, priority, text, key)
    task = Task(task_id.decode(), type_, (), {}, given)
    task.order, task.payload, task.accepted_at = seq, payload, accepted / 1e6
    task.state = State.RUNNING
    task.deliveries = fence
    _add_numbers(task, numbers)
    task.lease = lease = Lease(task, fence, 0.0)
    lease.expires = expires
    lease.cancel_requested = asked is not None  # of the holder before, who did not live to obey
    return lease


def snapshot(task_id: bytes, record: Sequence[Any], keep_since: float = float("-inf")) -> Task:
    """The task as it is stored. A result that ended before ``keep_since`` is no longer kept."""
    state, fence, _, lane, seq, priority, accepted, text, payload, key, numbers = record[:11]
    type_, given = _read_options(lane, priority, text, key)
    args, kwargs = decode_for_people(payload)
    task = Task(task_id.decode(), type_, args, kwargs, given)
    task.order, task.payload, task.accepted_at = seq, payload, seconds(accepted)
    task.state = STATES[state]
    task.deliveries = fence
    _add_numbers(task, numbers)
    ended_at, outcome, result, unstored = record[15:19]
    if outcome is not None:
        if task.state is State.DEAD:
            task.trace().died_at = seconds(ended_at)
        kept = task.state is not State.SUCCEEDED or (
            seconds(ended_at) > keep_since and unstored is None
        )
        kind, flags, duration, error = json.loads(outcome)
        told = None if error is None else ErrorRecord(*error)
        task.outcome = make_outcome(kind, flags, duration, told, result if kept else None)
        task.outcome.stored = kept and not flags & UNSTORED
    return task


# --- histories -----------------------------------------------------------------------------------

#: What a letter of a history stands for; those that are written large are what the holder of a
#: lease did. See `add_entry` in _records.lua.
_ENTRIES: Final = {
    "s": "submitted",
    "e": "delayed",
    "d": "due",
    "T": "started",
    "K": "succeeded",
    "R": "retried",
    "Z": "snoozed",
    "G": "released",
    "F": "died",
    "C": "cancelled",
    "l": "lost",
    "f": "died",
    "c": "cancelled",
    "x": "expired",
    "y": "replayed",
    "p": "purged",
    "q": "cancel_requested",
}


def history(record: Sequence[Any]) -> list[HistoryEntry]:
    """The entries of a task's history, oldest first."""
    text = record[2].decode()
    entries: list[HistoryEntry] = []
    first = 0
    holders: dict[int, str] = {}
    for part in text.split(","):
        at, _, rest = part[1:].partition(".")
        fence, _, holder = rest.partition(".")
        delivery = int(fence or 0)
        name = _ENTRIES[part[0]]
        if holder:
            holders[delivery] = holder
        elapsed = int(at)
        first, moment = (first, first + elapsed) if entries else (elapsed, elapsed)
        by = holders.get(delivery, "") if part[0].isupper() else ""
        entries.append(HistoryEntry(name, moment / 1000, delivery, by))
    return entries


# --- settlements ---------------------------------------------------------------------------------


@final
class Numbers:
    """What a task's numbers are after a settlement. The holder's copy is right while it holds."""

    __slots__ = ("errors", "failures", "interruptions", "snoozes")

    def __init__(self, settlement: Settlement) -> None:
        task, outcome, move = settlement.lease.task, settlement.outcome, settlement.move
        before = task.trail
        self.failures = task.failures + settlement.failed
        self.interruptions = before.interruptions if before else 0
        self.snoozes = before.snoozes if before else 0
        self.errors = before.errors if before else ()
        if move is Move.RELEASED:
            # What was never started was not interrupted.
            self.interruptions += outcome.kind is not OutcomeKind.HANDED_BACK
        elif move is Move.SNOOZED:
            self.snoozes += 1
        if outcome.error is not None and move is not Move.SUCCEEDED:
            self.errors = (*self.errors, outcome.error)[-ERRORS_KEPT:]


def settlement_args(settlement: Settlement, numbers: Numbers | None) -> tuple[Arg, ...]:
    """What settle.lua takes of one settlement. ``numbers``: ``None`` for a success."""
    lease, result = settlement.lease, settlement.result
    task = lease.task
    extras = ""
    if numbers is not None:
        losses = task.trail.losses if task.trail else 0
        errors = encode_errors(numbers.errors) or ""
        extras = f"{numbers.failures} {losses} {numbers.interruptions} {numbers.snoozes} {errors}"
    return (
        *(task.id, task.order, lease.token, settlement.move.value, extras),
        _write_outcome(settlement.outcome),
        *(0 if result is None else 1, result or b"", micros(settlement.delay)),
    )


def _write_outcome(outcome: Outcome) -> str:
    flags, error = outcome_flags(outcome), outcome.error
    if error is None:
        return f'["{outcome.kind.value}",{flags},{outcome.duration!r},null]'
    plain = [error.attempt, error.kind, error.type, error.message, error.traceback]
    return json.dumps([outcome.kind.value, flags, outcome.duration, plain])
