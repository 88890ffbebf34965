"""Dead letters as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from .. import DeadLetter, ErrorRecord, HistoryEntry, Task
from ._text import duration, one_line, table


class Found(NamedTuple):
    """A dead letter, and what happened to it."""

    letter: DeadLetter
    history: Sequence[HistoryEntry]


def describe_list(letters: Sequence[DeadLetter], now: float) -> Iterator[str]:
    """A table of dead letters. ``now``: Unix time."""
    if not letters:
        yield "No dead letters."
        return
    head = ("id", "type", "queue", "died", "failures", "last error")
    rows = [
        (
            letter.id,
            letter.type,
            letter.queue,
            f"{duration(max(0.0, now - letter.died_at))} ago",
            letter.failures,
            one_line(str(letter.error or "unknown"), 100),
        )
        for letter in letters
    ]
    yield from table(head, rows, right="failures")


def describe(letter: DeadLetter, history: Sequence[HistoryEntry]) -> Iterator[str]:
    """Everything about one."""
    facts = {
        "type": letter.type,
        "queue": letter.queue,
        "key": letter.key,
        "headers": describe_headers(letter.headers),
        "arguments": describe_arguments(letter),
        "died": moment(letter.died_at),
        "failures": letter.failures,
        "deliveries": letter.deliveries,
    }
    yield f"Dead letter {letter.id}"
    for name, value in facts.items():
        if value is not None:
            yield f"  {name:11} {value}"
    yield from describe_errors(letter.errors)
    yield from describe_history(history)
    yield ""


def describe_errors(errors: Sequence[ErrorRecord]) -> Iterator[str]:
    """Each with its traceback."""
    for error in errors:
        yield ""
        yield f"  Attempt {error.attempt} ({error.kind}): {one_line(str(error))}"
        for line in error.traceback.splitlines():
            yield f"    {line}"


def describe_history(history: Sequence[HistoryEntry]) -> Iterator[str]:
    """What happened when."""
    if not history:
        return
    yield ""
    yield "  History"
    for entry in history:
        worker = f", worker {entry.worker}" if entry.worker else ""
        yield f"    {moment(entry.at)}  {entry.name}, delivery {entry.delivery}{worker}"


def describe_arguments(letter: DeadLetter | Task) -> str:
    """As a call has them: from what was decoded, or the bytes if they could not be."""
    if not letter.args and not letter.kwargs and letter.payload not in {None, b"[[],{}]"}:
        return f"{letter.payload!r} (not decoded)"
    words = [repr(value) for value in letter.args]
    words += [f"{name}={value!r}" for name, value in letter.kwargs.items()]
    return f"({', '.join(words)})"


def as_json(letter: DeadLetter, history: Sequence[HistoryEntry] | None = None) -> dict[str, Any]:
    """For programs: the names are the records'; ``payload`` is the raw arguments as text."""
    fields = {
        "id": letter.id,
        "type": letter.type,
        "queue": letter.queue,
        "args": list(letter.args),
        "kwargs": dict(letter.kwargs),
        "payload": None if letter.payload is None else letter.payload.decode(errors="replace"),
        "key": letter.key,
        "failures": letter.failures,
        "deliveries": letter.deliveries,
        "died_at": letter.died_at,
        "headers": dict(letter.headers),
        "errors": [asdict(error) for error in letter.errors],
    }
    if history is not None:
        fields["history"] = [entry._asdict() for entry in history]
    # Arguments are JSON values mostly; of what is not, the text is worth more than an error.
    builtins: dict[str, Any] = msgspec.to_builtins(fields, enc_hook=str)
    return builtins


def moment(seconds: float) -> str:
    """Unix time, for people; what no calendar has, and somebody has written, as it is."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(sep=" ", timespec="milliseconds")
    except (OverflowError, ValueError, OSError):
        return f"{seconds:g}"


def describe_headers(headers: Mapping[str, str] | None) -> str | None:
    """On one line; ``None`` without any."""
    if not headers:
        return None
    return one_line(", ".join(f"{name}: {value}" for name, value in headers.items()), 1_000)
