"""Between what the scripts know of a task, see _records.lua, and the nouns of the model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import ceil
from typing import Any, Final, final

import msgspec

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
    STATES,
    UNSTORED,
    decode_for_people,
    encode_errors,
    make_outcome,
    options,
    outcome_flags,
    trail,
)

_pack: Final = msgspec.msgpack.Encoder().encode

#: Between the parts of a lane's name.
SEPARATOR: Final = "\x1f"
#: Three centuries are for ever: more microseconds a double does not count.
_FOR_EVER: Final = 9e9


def micros(seconds: float) -> int:
    """Seconds as the scripts count them."""
    return round(min(seconds, _FOR_EVER) * 1e6)


def at_least(seconds: float) -> int:
    """The same, of what must not be over early."""
    return ceil(min(seconds, _FOR_EVER) * 1e6)


def seconds(counted: bytes | int) -> float:
    """Back again."""
    return int(counted) / 1e6


def lane_of(queue: str, type_: str) -> str:
    """A lane's name."""
    return f"{queue}{SEPARATOR}{type_}"


def names_in(lane: str) -> tuple[str, str]:
    """The queue and the type."""
    queue, _, type_ = lane.partition(SEPARATOR)
    return queue, type_


# --- tasks on their way in -----------------------------------------------------------------------

#: {(timeout, expires, delay): as text}, as most tasks share theirs with many others.
_written: dict[tuple[float | None, float | None, float], str] = {}


def _write_options(given: Options) -> str:
    """[timeout, expires, delay], and the headers if there are any."""
    values = (given.timeout, given.expires, given.delay)
    if given.headers:
        return json.dumps((*values, dict(given.headers)))
    text = _written.get(values)
    if text is None:
        if len(_written) >= 1_000:
            _written.clear()
        text = _written[values] = json.dumps(values)
    return text


def pack_tasks(tasks: Sequence[Task]) -> list[Arg]:
    """What publish.lua takes of tasks: one packed argument, and the payloads."""
    rows = [
        (
            task.id,
            lane_of(task.options.queue, task.type),
            task.options.priority,
            at_least(task.options.delay),
            -1 if task.options.expires is None else at_least(task.options.expires),
            _write_options(task.options),
            False if task.options.key is None else task.options.key,
        )
        for task in tasks
    ]
    return [_pack(rows), *[task.payload or b"" for task in tasks]]


# --- tasks on their way out ----------------------------------------------------------------------


class _Record(msgspec.Struct, array_like=True, gc=False):
    """A record as it is stored: see _records.lua. False is nothing."""

    state: int
    fence: int
    history: str
    lane: str
    seq: int
    priority: int
    accepted: int
    options: str
    payload: msgspec.Raw  # any bytes
    key: str | bool
    numbers: str | bool
    asked: int | bool
    holder: str | bool
    waiters: str | bool
    ended_at: int | bool
    outcome: str | bool
    result: msgspec.Raw  # any bytes
    unstored: int | bool


_unpack: Final = msgspec.msgpack.Decoder(_Record).decode
#: How many bytes are before the text, by the first of them.
_HEADS: Final = {0xD9: 2, 0xDA: 3, 0xDB: 5}


def _bytes(raw: msgspec.Raw) -> bytes | None:
    """What a packed text says: Lua knows no bytes that are not text, and msgspec no such text."""
    packed = bytes(raw)
    first = packed[0]
    if 0xA0 <= first <= 0xBF:
        return packed[1:]
    head = _HEADS.get(first)
    return None if head is None else packed[head:]


_read: dict[tuple[str, int, str], tuple[str, Options]] = {}


def _read_options(record: _Record) -> tuple[str, Options]:
    """The type, and the options."""
    lane, priority, text, key = record.lane, record.priority, record.options, record.key
    found = _read.get((lane, priority, text)) if key is False else None
    if found is None:
        queue, type_ = names_in(lane)
        timeout, expires, delay, *headers = json.loads(text)
        held = key if isinstance(key, str) else None
        found = type_, options(queue, priority, timeout, expires, delay, held, *headers)
        if held is None and not headers:
            if len(_read) >= 1_000:
                _read.clear()
            _read[lane, priority, text] = found
    return found


def _task(task_id: bytes, record: _Record, payload: bytes | None) -> Task:
    type_, given = _read_options(record)
    task = Task(task_id.decode(), type_, (), {}, given)
    task.order, task.accepted_at = record.seq, record.accepted / 1e6
    task.state = STATES[record.state]
    task.deliveries = record.fence
    task.payload = _bytes(record.payload) if payload is None else payload
    if isinstance(record.numbers, str):
        failures, losses, interruptions, snoozes, errors = record.numbers.split(" ", 4)
        task.failures = int(failures)
        task.trail = trail(int(losses), int(interruptions), int(snoozes), errors or None)
    return task


#: What the scripts answer of a task: its id, its record, its payload if that is long.
Row = Sequence[Any]


def claimed(row: Row, expires: float) -> Lease:
    """The lease of one task that claim.lua has taken."""
    task_id, packed, payload = row
    record = _unpack(packed)
    task = _task(task_id, record, payload)
    task.lease = lease = Lease(task, record.fence, 0.0)
    lease.expires = expires
    lease.cancel_requested = bool(record.asked)  # of a holder who did not live to obey
    return lease


def snapshot(row: Row, keep_since: float = float("-inf")) -> Task:
    """The task as it is stored. A result that ended before ``keep_since`` is no longer kept."""
    task_id, packed, payload = row
    record = _unpack(packed)
    task = _task(task_id, record, payload)
    task.args, task.kwargs = decode_for_people(task.payload)
    if isinstance(record.outcome, str):
        ended_at = record.ended_at / 1e6
        if task.state is State.DEAD:
            task.trace().died_at = ended_at
        kept = task.state is not State.SUCCEEDED or (ended_at > keep_since and not record.unstored)
        kind, flags, duration, error = json.loads(record.outcome)
        told = None if error is None else ErrorRecord(*error)
        result = _bytes(record.result) if kept else None
        task.outcome = make_outcome(kind, flags, duration, told, result)
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


def history(row: Row) -> list[HistoryEntry]:
    """The entries of a task's history, oldest first."""
    text = _unpack(row[1]).history
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
    """What a task's numbers are after a settlement, but for a success, which changes none.

    The holder's copy is right while it holds the lease. ``text``: as they are stored.
    """

    __slots__ = ("errors", "failures", "interruptions", "snoozes", "text")

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
        if outcome.error is not None:
            self.errors = (*self.errors, outcome.error)[-ERRORS_KEPT:]
        losses = before.losses if before else 0
        errors = encode_errors(self.errors) or ""
        self.text = f"{self.failures} {losses} {self.interruptions} {self.snoozes} {errors}"


def pack_settlements(
    settlements: Sequence[Settlement], after: Sequence[Numbers | None]
) -> list[Arg]:
    """What settle.lua takes: one packed argument, and the results. ``after``: see `Numbers`."""
    rows = [
        (
            *(one.lease.task.id, one.lease.task.order, one.lease.token, one.move.value),
            numbers is not None and numbers.text,
            _write_outcome(one.outcome),
            one.result is not None,
            at_least(one.delay),
        )
        for one, numbers in zip(settlements, after, strict=True)
    ]
    return [_pack(rows), *[one.result for one in settlements if one.result is not None]]


def _write_outcome(outcome: Outcome) -> str:
    flags, error = outcome_flags(outcome), outcome.error
    if error is None:
        return f'["{outcome.kind.value}",{flags},{outcome.duration!r},null]'
    plain = [error.attempt, error.kind, error.type, error.message, error.traceback]
    return json.dumps([outcome.kind.value, flags, outcome.duration, plain])
