"""What happened to one task, in lines for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import Event, Handle
from .._events import REMARKS
from ._open import ledger_of


def timeline(handle: Handle[Any]) -> list[str]:
    """The events of one task, a line each, with the seconds since its first::

        +0      submitted: ready
        +0      started: attempt 1, delivery 1
        +0      retried: OSError: down; again in 0.05 s
        +0.05   due: ready
        +0.05   started: attempt 2, delivery 2
        +0.05   succeeded

    The queue must have been opened by `open_test_queue`; `LookupError` otherwise.
    """
    events = ledger_of(handle._queue).history.of_task(handle.id)
    return lines_of(events)


def lines_of(events: Sequence[Event]) -> list[str]:
    """One line for each of ``events``."""
    if not events:
        return []
    start = events[0].time
    return [f"+{event.time - start:<7.6g}{_describe(event)}" for event in events]


def _describe(event: Event) -> str:
    said = [what for what in (_moved(event), _failed(event), _later(event)) if what]
    name = event.name.replace("_", " ")
    return f"{name}: {'; '.join(said)}" if said else name


def _moved(event: Event) -> str:
    if event.name == "started":
        return f"attempt {event.attempt}, delivery {event.delivery}"
    if event.name == "progressed" and event.progress is not None:
        done, total = event.progress
        return f"{done:g}" if total is None else f"{done:g} of {total:g}"
    if event.name in REMARKS or event.state is None or event.state.value == event.name:
        return ""
    return event.state.value if event.state.value in {"ready", "running", "scheduled"} else ""


def _failed(event: Event) -> str:
    outcome = event.outcome
    if outcome is None or outcome.kind.value in {event.name, "returned"}:
        return ""
    if outcome.error is not None and outcome.kind.value == "error":
        return str(outcome.error)
    return outcome.kind.value


def _later(event: Event) -> str:
    return "" if event.delay is None else f"again in {event.delay:.6g} s"
