"""Tasks of any state as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import msgspec

from .. import ErrorRecord, HistoryEntry, Outcome, State, Task
from .._model import TERMINAL
from ._dead_text import (
    describe_arguments,
    describe_errors,
    describe_headers,
    describe_history,
    moment,
)
from ._text import duration, one_line, table


def describe_tasks(tasks: Sequence[Task], now: float) -> Iterator[str]:
    """A table of tasks. ``now``: Unix time."""
    if not tasks:
        yield "No such task."
        return
    head = ("id", "type", "queue", "state", "accepted", "attempt", "arguments, last error")
    rows = [
        (
            task.id,
            task.type,
            task.options.queue,
            task.state,
            f"{duration(max(0.0, now - task.accepted_at))} ago",
            attempt(task),
            _words(task),
        )
        for task in tasks
    ]
    yield from table(head, rows, right="attempt")


def _words(task: Task) -> str:
    error = last_error(task)
    words = "" if _let_go(task) else one_line(describe_arguments(task), 60)
    return words if error is None else f"{words} {one_line(str(error), 60)}".strip()


def _let_go(task: Task) -> bool:
    """Of a task that has ended well, brokers do not keep the arguments."""
    return task.state in TERMINAL - {State.DEAD} and not task.args and not task.kwargs


def attempt(task: Task) -> int:
    """Of a dead letter the one that it died of, and not one that it will never have."""
    return max(1, task.failures) if task.state is State.DEAD else task.attempt


def last_error(task: Task) -> ErrorRecord | None:
    """The last error that a task had, if it has had one."""
    if task.trail is not None and task.trail.errors:
        return task.trail.errors[-1]
    return None if task.outcome is None else task.outcome.error


def matches(task: Task, text: str) -> bool:
    """Whether the text, in whatever case, is in its arguments, its id, its key or its headers."""
    headers = (task.options.headers or {}).items()
    payload = "" if task.payload is None else task.payload.decode(errors="replace")
    places = (describe_arguments(task), payload, task.id, task.options.key or "")
    whole = "\n".join([*places, *(f"{name}: {value}" for name, value in headers)])
    return text.casefold() in whole.casefold()


def describe_task(task: Task, history: Sequence[HistoryEntry]) -> Iterator[str]:
    """Everything about one."""
    options, trail, outcome = task.options, task.trail, task.outcome
    facts = {
        "type": task.type,
        "queue": options.queue,
        "state": task.state,
        "priority": options.priority,
        "key": options.key,
        "headers": describe_headers(options.headers),
        "arguments": None if _let_go(task) else describe_arguments(task),
        "accepted": moment(task.accepted_at),
        "delay": f"{options.delay:g} s" if options.delay else None,
        "expires": None if options.expires is None else f"{options.expires:g} s",
        "timeout": None if options.timeout is None else f"{options.timeout:g} s",
        "attempt": attempt(task),
        "failures": task.failures,
        "deliveries": task.deliveries,
        "progress": None if trail is None or trail.progress is None else _progress(trail.progress),
        "outcome": None if outcome is None else _outcome(outcome),
    }
    for name in ("losses", "interruptions", "snoozes"):
        facts[name] = (getattr(trail, name) or None) if trail is not None else None
    yield f"Task {task.id}"
    for name, value in facts.items():
        if value is not None:
            yield f"  {name:13} {value}"
    yield from describe_errors(() if trail is None else trail.errors)
    yield from describe_history(history)
    yield ""


def _progress(progress: tuple[float, float | None]) -> str:
    done, total = progress
    return f"{done:g}" if total is None else f"{done:g} of {total:g}"


def _outcome(outcome: Outcome) -> str:
    words = f"{outcome.kind} after {outcome.duration:.3g} s"
    flags = [name for name in ("late", "cancel_ignored") if getattr(outcome, name)]
    return ", ".join([words, *flags])


def task_json(task: Task, history: Sequence[HistoryEntry] | None = None) -> dict[str, Any]:
    """For programs: a row of a list, and with ``history`` everything."""
    error = last_error(task)
    fields: dict[str, Any] = {
        "id": task.id,
        "type": task.type,
        "queue": task.options.queue,
        "state": task.state,
        "priority": task.options.priority,
        "key": task.options.key,
        "headers": dict(task.options.headers or {}),
        "args": list(task.args),
        "kwargs": dict(task.kwargs),
        "payload": None if task.payload is None else task.payload.decode(errors="replace"),
        "accepted_at": task.accepted_at,
        "attempt": attempt(task),
        "failures": task.failures,
        "deliveries": task.deliveries,
        "error": None if error is None else asdict(error),
    }
    if history is not None:
        trail, outcome = task.trace(), task.outcome
        fields |= {
            "options": {name: getattr(task.options, name) for name in _OPTIONS},
            "losses": trail.losses,
            "interruptions": trail.interruptions,
            "snoozes": trail.snoozes,
            "progress": trail.progress,
            "outcome": None if outcome is None else _outcome_json(outcome),
            "errors": [asdict(each) for each in trail.errors],
            "history": [entry._asdict() for entry in history],
        }
    # Arguments are JSON values mostly; of what is not, the text is worth more than an error.
    builtins: dict[str, Any] = msgspec.to_builtins(fields, enc_hook=str)
    return builtins


_OPTIONS = ("delay", "timeout", "expires")


def _outcome_json(outcome: Outcome) -> dict[str, Any]:
    value = outcome.value
    return {
        "kind": outcome.kind,
        "duration": outcome.duration,
        "late": outcome.late,
        "cancel_ignored": outcome.cancel_ignored,
        "stored": outcome.stored,
        "value": value.decode(errors="replace") if isinstance(value, bytes) else value,
    }
