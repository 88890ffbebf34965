"""Tasks and dead letters as the page shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from .. import DeadLetter, HistoryEntry, State
from .._model import TERMINAL, ErrorRecord, Move, Task
from ._recorder import Fact, Recorder, Timeline, detail
from ._source import HERE, Source
from ._text import LONG, SHORT, cut, finite, one_line, shown

#: Characters of one traceback.
_TRACEBACK: Final = 50_000


_LET_GO: Final = TERMINAL - {State.DEAD}


class Start(NamedTuple):
    """When the attempt that runs has started, and where."""

    at: float  # Unix time
    worker: str
    cancel_requested: bool


def last_start(history: Sequence[HistoryEntry]) -> Start | None:
    """The start of the attempt that runs, from what a broker has noted."""
    asked = False
    for entry in reversed(history):
        if entry.name == Move.STARTED:
            return Start(entry.at, entry.worker, asked)
        asked = asked or entry.name == "cancel_requested"
    return None


def arguments(
    args: Sequence[object], kwargs: Mapping[str, object], most: int = SHORT
) -> dict[str, Any]:
    """The arguments, each as text."""
    return {
        "args": [shown(value, most) for value in args[:50]],
        "kwargs": {
            cut(str(name), SHORT): shown(value, most) for name, value in list(kwargs.items())[:50]
        },
    }


def row(task: Task, source: Source, recorder: Recorder, start: Start | None) -> dict[str, Any]:
    """A task in a list."""
    options, trail = task.options, task.trail
    running = task.state is State.RUNNING
    running_for = source.running_for(task) if running else None
    if running and running_for is None and start is not None:
        running_for = max(0.0, source.wall_clock() - start.at)
    asked = task.lease.cancel_requested if task.lease else bool(start and start.cancel_requested)
    error = last_error(task)
    progress = trail.progress if trail else None
    return {
        "id": task.id,
        "type": task.type,
        "queue": options.queue,
        "state": task.state,
        "priority": options.priority,
        # Of a dead letter the one that it died of, and not one that it will never have.
        "attempt": max(1, task.failures) if task.state is State.DEAD else task.attempt,
        "failures": task.failures,
        "deliveries": task.deliveries,
        "accepted_at": source.unix(task.accepted_at),
        "due_at": _due_at(task, source, recorder),
        "running_for": running_for,
        "worker": _worker(source, start) if running else None,
        "worker_name": None,
        "progress": progress and {"done": finite(progress[0]), "total": finite(progress[1])},
        "error": None if error is None else one_line(str_of(error)),
        "cancel_requested": running and asked,
        # Of a task that has ended well, brokers let them go.
        "arguments_kept": bool(task.args or task.kwargs) or task.state not in _LET_GO,
        **arguments(task.args, task.kwargs),
    }


def _worker(source: Source, start: Start | None) -> str | None:
    if start is not None:
        return start.worker
    return HERE if source.in_memory and source.queue is not None else None


def _due_at(task: Task, source: Source, recorder: Recorder) -> float | None:
    """Unix time; ``None`` if it is not scheduled, or only the broker knows."""
    if task.state is not State.SCHEDULED:
        return None
    due_at = recorder.due_at(task.id)
    if due_at is None and not task.deliveries:
        due_at = task.accepted_at + task.options.delay
    return None if due_at is None else source.unix(due_at)


def last_error(task: Task) -> ErrorRecord | None:
    """The last error that a task had, if it has had one."""
    if task.trail is not None and task.trail.errors:
        return task.trail.errors[-1]
    return None if task.outcome is None else task.outcome.error


def str_of(error: ErrorRecord) -> str:
    """``str(error)``, of which a message of megabytes is no part."""
    return f"{error.type}: {error.message[:2_000]}" if error.message else error.type


def error_json(error: ErrorRecord) -> dict[str, Any]:
    """An error, whole."""
    return {
        "attempt": error.attempt,
        "kind": error.kind,
        "type": error.type,
        "message": cut(error.message, LONG),
        "traceback": cut(error.traceback, _TRACEBACK),
    }


def whole(task: Task) -> dict[str, Any]:
    """What the page of one task shows besides its `row`."""
    options, trail, outcome = task.options, task.trail, task.outcome
    state = task.state
    result = None
    if outcome is not None and outcome.exception is None and state is State.SUCCEEDED:
        result = shown(_result(outcome.value), LONG) if outcome.stored else None
    return {
        **arguments(task.args, task.kwargs, LONG),
        "headers": dict(options.headers or {}),
        "key": options.key,
        "timeout": options.timeout,
        "expires": options.expires,
        "delay": options.delay,
        "losses": trail.losses if trail else 0,
        "interruptions": trail.interruptions if trail else 0,
        "snoozes": trail.snoozes if trail else 0,
        "died_at": trail.died_at if trail and state is State.DEAD else None,
        "errors": [error_json(error) for error in (trail.errors if trail else ())],
        "outcome": None
        if outcome is None
        else {
            "kind": outcome.kind,
            "duration": outcome.duration,
            "late": outcome.late,
            "cancel_ignored": outcome.cancel_ignored,
            "stored": outcome.stored,
            "error": None if outcome.error is None else one_line(str_of(outcome.error)),
        },
        "result": result,
        "can": {
            "cancel": state in (State.SCHEDULED, State.READY, State.RUNNING),
            "run": state is State.SCHEDULED,
            "replay": state is State.DEAD,
            "purge": state is State.DEAD,
        },
    }


def _result(value: object) -> object:
    """What a durable broker keeps is JSON: as text, and not as bytes."""
    return _Text(value.decode("utf-8", "replace")) if isinstance(value, bytes) else value


class _Text(str):
    """Text that is shown as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def letter_json(letter: DeadLetter) -> dict[str, Any]:
    """A dead letter in a list."""
    return {
        "id": letter.id,
        "type": letter.type,
        "queue": letter.queue,
        "key": letter.key,
        "failures": letter.failures,
        "deliveries": letter.deliveries,
        "died_at": letter.died_at,
        "error": None if letter.error is None else one_line(str_of(letter.error)),
        **arguments(letter.args, letter.kwargs),
    }


# --- timelines -----------------------------------------------------------------------------------


def timeline_json(
    history: Sequence[HistoryEntry], heard: Timeline | None, source: Source
) -> dict[str, Any]:
    """What has happened to a task: as the broker has noted it, or as it was heard here.

    What was heard adds its details to what was noted, and the late settles that were refused.
    """
    facts = [] if heard is None else heard.facts
    if not history:
        all_heard = [_heard(fact, source) for fact in facts]
        return {"timeline": all_heard, "timeline_complete": bool(heard and heard.whole)}
    entries: list[dict[str, Any]] = []
    said = {(fact.name, fact.delivery): fact for fact in facts}
    for name, at, delivery, worker in history:
        fact = said.get((name, delivery))
        words = "" if fact is None else detail(fact)
        entries.append(_entry(name, at, delivery, worker, fact and fact.attempt, words))
    entries += [_heard(fact, source) for fact in facts if fact.name in ("refused", "progressed")]
    entries.sort(key=lambda entry: float(entry["at"]))
    first = history[0].name in (Move.SUBMITTED, Move.DELAYED)
    return {"timeline": entries, "timeline_complete": first}


def _heard(fact: Fact, source: Source) -> dict[str, Any]:
    at = source.unix(fact.time)
    return _entry(fact.name, at, fact.delivery, "", fact.attempt, detail(fact))


def _entry(
    name: str, at: float, delivery: int, worker: str, attempt: int | None, detail: str
) -> dict[str, Any]:
    return {
        "name": name,
        "at": at,
        "delivery": delivery,
        "worker": worker or None,
        "worker_name": None,
        "attempt": attempt,
        "detail": detail,
    }
