"""How durable brokers write the nouns of the model as text, and how they read them again."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Final, cast, final

from .._broker import WorkerRecord
from .._decide import record_error
from .._errors import IllegalMove
from .._model import (
    NO_KWARGS,
    ErrorRecord,
    Move,
    Options,
    Outcome,
    OutcomeKind,
    Settlement,
    State,
    Task,
    Trail,
)

#: How a state is written: its index in here. What is stored relies on it.
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

#: Bits of an outcome's flags.
LATE: Final = 1
CANCEL_IGNORED: Final = 2
UNSTORED: Final = 4

_shared: dict[tuple[str, int, float | None, float | None, float], Options] = {}


def options(
    queue: str,
    priority: int,
    timeout: float | None,
    expires: float | None,
    delay: float,
    key: str | None,
    headers: Mapping[str, str] | None = None,
) -> Options:
    """The `Options` of these values: most tasks share theirs with many others."""
    if key is not None or headers:
        return Options(queue, priority, timeout, expires, delay, key, headers)
    values = (queue, priority, timeout, expires, delay)
    found = _shared.get(values)
    if found is None:
        if len(_shared) >= 1_000:
            _shared.clear()
        found = _shared[values] = Options(*values)
    return found


def encode_headers(headers: Mapping[str, str] | None) -> str | None:
    """Headers, or none, as a JSON object."""
    return json.dumps(dict(headers)) if headers else None


def decode_headers(text: str | None) -> Mapping[str, str] | None:
    """Back again."""
    return None if text is None else json.loads(text)


def trail(losses: int, interruptions: int, snoozes: int, errors: str | None) -> Trail | None:
    """The `Trail` of a task that has one."""
    if not (losses or interruptions or snoozes or errors):
        return None
    made = Trail()
    made.losses, made.interruptions, made.snoozes = losses, interruptions, snoozes
    made.errors = decode_errors(errors)
    return made


def make_outcome(
    kind: str, flags: int, duration: float, error: ErrorRecord | None, result: bytes | None
) -> Outcome:
    """The outcome as it was stored."""
    made = Outcome(
        OutcomeKind(kind),
        result,
        duration,
        late=bool(flags & LATE),
        cancel_ignored=bool(flags & CANCEL_IGNORED),
    )
    made.error = error
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


# --- settlements ---------------------------------------------------------------------------------

#: How a lease can end.
_ENDS: Final = frozenset(
    {Move.SUCCEEDED, Move.RETRIED, Move.SNOOZED, Move.RELEASED, Move.DIED, Move.CANCELLED}
)


def note_error(settlement: Settlement) -> None:
    """The error as text, while Trio's thread is here: telling it may call user code.

    Raises `IllegalMove` if the move is none that ends a lease.
    """
    if settlement.move not in _ENDS:
        msg = f"{settlement.move} does not end a lease"
        raise IllegalMove(msg)
    outcome = settlement.outcome
    if outcome.error is None and (
        settlement.failed
        or (outcome.exception is not None and outcome.kind is not OutcomeKind.SNOOZE)
    ):
        outcome.error = record_error(outcome, settlement.lease.task.attempt)


def _refresh(task: Task, stored: Task) -> None:
    """Make ``task`` what the stored one is."""
    for name in ("type", "options", "state", "deliveries", "failures", "accepted_at", "order"):
        setattr(task, name, getattr(stored, name))
    task.trail, task.outcome, task.payload = stored.trail, stored.outcome, stored.payload


#: Exceptions kept of handlers that failed here, without tracebacks: for those who ask soon.
_RAISED_KEPT: Final = 256


@final
class Raised:
    """What handlers raised here, of the last ones: for the cause of a `TaskFailed`."""

    def __init__(self) -> None:
        self._by_id: OrderedDict[str, BaseException] = OrderedDict()

    def note(self, task: Task, outcome: Outcome) -> None:
        """The task has ended with this."""
        if outcome.exception is not None:
            self._by_id[task.id] = outcome.exception
            if len(self._by_id) > _RAISED_KEPT:
                self._by_id.popitem(last=False)

    def refresh(self, task: Task, stored: Task) -> None:
        """Make ``task`` what the stored one is, with what its handler raised if that was here."""
        _refresh(task, stored)
        if task.outcome is not None:
            task.outcome.exception = self._by_id.get(task.id)


# --- worker records ------------------------------------------------------------------------------


def encode_worker(worker: WorkerRecord) -> str:
    """A worker process as a JSON object, but for ``seen`` and ``live``."""
    record = {
        "id": worker.id,
        "host": worker.host,
        "pid": worker.pid,
        "workers": worker.workers,
        "types": worker.types,
        "queues": worker.queues,
        "started_at": worker.started_at,
        "running": worker.running,
    }
    return json.dumps(record)


def decode_worker(record: str | bytes, silent: float, *, live: bool) -> WorkerRecord:
    """Back again. ``silent``: seconds since it was heard of."""
    values = json.loads(record)
    values["types"] = tuple(values["types"])
    values["queues"] = None if values["queues"] is None else tuple(values["queues"])
    return WorkerRecord(**values, seen=silent, live=live)
