"""Between what the scripts know of a task and the nouns of the model. See FIELDS in _shared.lua."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from .._model import (
    ERRORS_KEPT,
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
_CODES: Final = {str(code).encode(): state for code, state in enumerate(STATES)}


def micros(seconds: float) -> int:
    """Seconds as the scripts count them."""
    return round(seconds * 1e6)


def seconds(text: bytes) -> float:
    """Back again."""
    return int(float(text)) / 1e6


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

_read: dict[tuple[bytes, bytes, bytes], tuple[str, Options]] = {}


def _read_options(
    lane: bytes, text: bytes, priority: bytes, key: bytes | None
) -> tuple[str, Options]:
    """The type, and the options."""
    found = _read.get((lane, text, priority)) if key is None else None
    if found is None:
        queue, type_ = names_in(lane)
        timeout, expires, delay = json.loads(text)
        held = None if key is None else key.decode()
        found = type_, options(queue, int(priority), timeout, expires, delay, held)
        if key is None:
            if len(_read) >= 1_000:
                _read.clear()
            _read[lane, text, priority] = found
    return found


def claimed(task_id: bytes, fields: Sequence[Any], expires: float) -> Lease:
    """The lease of one task that claim.lua has taken."""
    lane, seq, priority, accepted, text, key, payload, fence, failures = fields[:9]
    losses, interruptions, snoozes, errors, asked = fields[9:14]
    type_, given = _read_options(lane, text, priority, key)
    task = Task(task_id.decode(), type_, (), {}, given)
    task.order, task.payload, task.accepted_at = int(seq), payload, seconds(accepted)
    task.state = State.RUNNING
    task.deliveries, task.failures = int(fence), int(failures or 0)
    if losses or interruptions or snoozes or errors:
        task.trail = trail(int(losses or 0), int(interruptions or 0), int(snoozes or 0), errors)
    task.lease = lease = Lease(task, task.deliveries, 0.0)
    lease.expires = expires
    lease.cancel_requested = asked is not None  # of the holder before, who did not live to obey
    return lease


def snapshot(task_id: bytes, flat: Sequence[bytes], keep_since: float = float("-inf")) -> Task:
    """The task as it is stored. A result that ended before ``keep_since`` is no longer kept."""
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    type_, given = _read_options(fields[b"n"], fields[b"o"], fields[b"y"], fields.get(b"k"))
    payload = fields.get(b"p")
    args, kwargs = decode_for_people(payload)
    task = Task(task_id.decode(), type_, args, kwargs, given)
    task.order, task.payload = int(fields[b"q"]), payload
    task.accepted_at = seconds(fields[b"a"])
    task.state = _CODES[fields[b"s"]]
    task.deliveries, task.failures = int(fields[b"f"]), int(fields.get(b"b", 0))
    losses, interruptions, snoozes = (int(fields.get(name, 0)) for name in (b"l", b"i", b"x"))
    errors = fields.get(b"g")
    task.trail = trail(losses, interruptions, snoozes, None if errors is None else errors.decode())
    ended_at = seconds(fields[b"t"]) if b"t" in fields else 0.0
    if task.state is State.DEAD:
        task.trace().died_at = ended_at
    if b"u" in fields:
        kept = task.state is not State.SUCCEEDED or (ended_at > keep_since and b"j" not in fields)
        kind, flags, duration, error = json.loads(fields[b"u"])
        result = fields.get(b"r") if kept else None
        text = None if error is None else json.dumps(error)
        task.outcome = make_outcome(kind, flags, duration, text, result)
        task.outcome.stored = kept and not flags & UNSTORED
    return task


# --- settlements ---------------------------------------------------------------------------------


class Numbers:
    """What a task's numbers are after a settlement. The holder's copy is right: it has the lease."""

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
    counted: tuple[Arg, ...] = (0, 0, 0, "")
    if numbers is not None:
        errors = encode_errors(numbers.errors) or ""
        counted = (numbers.failures, numbers.interruptions, numbers.snoozes, errors)
    return (
        *(task.id, task.order, lease.token, settlement.move.value, *counted),
        _write_outcome(settlement.outcome),
        *(0 if result is None else 1, result or b"", micros(settlement.delay)),
    )


def _write_outcome(outcome: Outcome) -> str:
    flags, error = outcome_flags(outcome), outcome.error
    if error is None:
        return f'["{outcome.kind.value}",{flags},{outcome.duration!r},null]'
    plain = [error.attempt, error.kind, error.type, error.message, error.traceback]
    return json.dumps([outcome.kind.value, flags, outcome.duration, plain])
