"""Structured logs on the standard library's logging: an observer, and a JSON formatter.

::

    configure_logging("json")

    async with trioqueue.open_queue(tasks, observers=[log_events()]) as queue: ...
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, final

from .._events import Event, Observer
from .._model import Move, OutcomeKind
from ._context import add_task_fields

# Failures that are tried again are warnings, the one that is final an error. What only tells that
# the queue goes on is DEBUG: a busy queue says it thousands of times a second.
_TASK = "%(task_type)s %(task_id)s"
_LINES: Final[Mapping[str, tuple[int, str]]] = {
    "submitted": (logging.DEBUG, f"{_TASK} accepted"),
    "delayed": (logging.DEBUG, f"{_TASK} accepted, due in %(delay)s s"),
    "due": (logging.DEBUG, f"{_TASK} is due"),
    "started": (logging.DEBUG, f"{_TASK} started, attempt %(attempt)d"),
    "progressed": (logging.DEBUG, f"{_TASK} progressed: %(done)s of %(total)s"),
    "succeeded": (logging.INFO, f"{_TASK} succeeded in %(duration)s s, attempt %(attempt)d"),
    "retried": (
        logging.WARNING,
        f"{_TASK} failed attempt %(attempt)d, next in %(delay)s s: %(reason)s",
    ),
    "snoozed": (logging.INFO, f"{_TASK} snoozed for %(delay)s s"),
    "released": (logging.WARNING, f"{_TASK} was interrupted after %(duration)s s and released"),
    "lost": (logging.WARNING, f"{_TASK} is ready again: its lease was lost"),
    "died": (logging.ERROR, f"{_TASK} died on attempt %(attempt)d: %(reason)s"),
    "cancel_requested": (logging.INFO, f"{_TASK} is asked to cancel"),
    "cancelled": (logging.INFO, f"{_TASK} was cancelled"),
    "expired": (logging.WARNING, f"{_TASK} expired before its first start"),
    "replayed": (logging.INFO, f"{_TASK} was replayed"),
    "purged": (logging.INFO, f"{_TASK} was purged"),
    "evicted": (logging.WARNING, f"{_TASK} was evicted from the dead letters, to make room"),
    "handed_back": (logging.WARNING, f"{_TASK} was handed back, unfinished"),
    "refused": (logging.WARNING, f"{_TASK} was settled too late: refused"),
}
#: A release of what was claimed from a broker elsewhere, and never started.
_GIVEN_BACK: Final = (logging.DEBUG, f"{_TASK} was given back, not started")
_OTHER: Final = (logging.DEBUG, f"{_TASK} %(event)s")

#: Characters of an error in a message; the field ``error`` has all of it.
_REASON_KEPT: Final = 300


def log_events(
    logger: logging.Logger | None = None, *, levels: Mapping[str, int] | None = None
) -> Observer:
    """An observer that logs each event: one line, and the facts as fields of the record.

    ``logger``: ``trioqueue.events`` unless given. ``levels``: event name -> level, for those that
    are to have another than their own, such as ``{"succeeded": logging.DEBUG}``; `ValueError` for a
    name that no event has.

    The fields, as the record's attributes: ``event``, ``task_id``, ``task_type``, ``queue``,
    ``attempt``, ``delivery``, ``state``, ``outcome``, ``duration``, ``delay``, ``waited``,
    ``error`` and, of a task that died, ``traceback``. Those that do not apply are ``None``.
    Durations are seconds.
    """
    target = logging.getLogger("trioqueue.events") if logger is None else logger
    lines: dict[str, tuple[int, str]] = dict(_LINES)
    for name, level in (levels or {}).items():
        if name not in lines:
            msg = f"levels: no event is named {name!r} (there are: {', '.join(lines)})"
            raise ValueError(msg)
        lines[name] = (level, lines[name][1])

    def observe(event: Event) -> None:
        level, line = _GIVEN_BACK if _is_given_back(event) else lines.get(event.name, _OTHER)
        if target.isEnabledFor(level):  # nothing is built for a level that is off
            fields = _fields(event)
            target.log(level, line, fields | _words(event, fields), extra=fields)

    return observe


def _is_given_back(event: Event) -> bool:
    if event.name != Move.RELEASED or event.outcome is None:
        return False
    return event.outcome.kind is OutcomeKind.HANDED_BACK


def _fields(event: Event) -> dict[str, object]:
    outcome = event.outcome
    error = None if outcome is None else outcome.error
    return {
        "event": str(event.name),
        "task_id": event.task_id,
        "task_type": event.task_type,
        "queue": event.queue,
        "attempt": event.attempt,
        "delivery": event.delivery,
        "state": None if event.state is None else event.state.value,
        "outcome": None if outcome is None else outcome.kind.value,
        "duration": None if outcome is None else _rounded(outcome.duration),
        "delay": _rounded(event.delay),
        "waited": _rounded(event.waited),
        "error": None if error is None else str(error),
        "traceback": error.traceback if error is not None and event.name == "died" else None,
    }


def _words(event: Event, fields: Mapping[str, object]) -> dict[str, object]:
    """What a message says otherwise than a field."""
    done, total = event.progress or (None, None)
    return {
        "delay": fields["delay"] or 0,
        "reason": _one_line(fields["error"] or fields["outcome"] or "unknown"),
        "done": done,
        "total": "?" if total is None else total,
    }


def _rounded(seconds: float | None) -> float | None:
    """To the microsecond: more digits than that are noise."""
    return None if seconds is None else round(seconds, 6)


def _one_line(value: object) -> str:
    """An error's text may hold line breaks and escape codes: neither belongs into a log line."""
    text = str(value)
    if len(text) > _REASON_KEPT:
        text = text[:_REASON_KEPT] + "..."
    return text if text.isprintable() else repr(text)


#: What every record has; all else is a field that somebody passed as ``extra``.
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


@final
class JsonFormatter(logging.Formatter):
    """Formats each record as one JSON object on one line, in ASCII, whatever it holds.

    ``time`` (RFC 3339, UTC), ``level``, ``logger``, ``message``, then ``exception`` and ``stack``
    if there are any, then the record's ``extra`` fields and, of a line that a task's handler has
    logged, those of `TaskContextFilter` (fields that are ``None`` are left out). An extra field
    that has the name of one of ours gets a ``_`` at its end. What JSON has no word for is written
    as its ``str``. ``process``: with the process's number, for programs of many.
    """

    def __init__(self, *, process: bool = False) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line of JSON."""
        add_task_fields(record)
        line: dict[str, str] = {
            "time": _encode(_rfc3339(record.created)),
            "level": _encode(record.levelname),
            "logger": _encode(record.name),
            "message": _encode(message_of(record)),
        }
        if self._process:
            line["process"] = _encode(record.process)
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)  # kept, as logging does
        if record.exc_text:
            line["exception"] = _encode(record.exc_text)
        if record.stack_info:
            line["stack"] = _encode(self.formatStack(record.stack_info))
        for name, value in vars(record).items():
            if name not in _STANDARD and value is not None:
                key = str(name)
                while key in line:
                    key += "_"
                line[key] = _encode(value)
        return "{" + ", ".join(f"{_encode(key)}: {value}" for key, value in line.items()) + "}"


def _rfc3339(created: float) -> str:
    time = datetime.fromtimestamp(created, UTC).isoformat(timespec="microseconds")
    return time.replace("+00:00", "Z")


def message_of(record: logging.LogRecord) -> str:
    """The record's message, also if its arguments do not fit."""
    try:
        return record.getMessage()
    except Exception:  # arguments that do not fit: the rest of the record is still worth a line
        return f"{_text(record.msg)} {_text(record.args)}"


def _encode(value: object) -> str:
    """``value`` as JSON. If any of it has no JSON, however deep: the whole of it as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return f'"{value}"'
    try:
        return json.dumps(value, default=_text, allow_nan=False)
    except Exception:  # a cycle, a key that is no string, NaN inside, an int of 5,000 digits...
        return json.dumps(_text(value))


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception as error:  # a user's __str__ may fail: logging must not
        return f"<a {type(value).__name__} without text: {type(error).__name__}>"
