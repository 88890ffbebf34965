"""Failures as people look at them: the same error of the same type is one thing, however often.

Pure. Two messages are the same if they differ only in what is different each time: numbers,
identifiers, addresses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple, final

from ._letters import DeadLetter
from ._model import ErrorRecord, State, Task

#: Enough to tell errors apart; a message may be a page.
_LONGEST: Final = 200

#: What is different each time: UUIDs, hexadecimal addresses, and every word that has a digit in it
#: and looks like an identifier or a number. No word is looked at from its middle: thousands of
#: messages, which somebody else may have chosen, are folded in one go.
_VARIABLE: Final = re.compile(
    r"""
    \b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b
    | \b0x[0-9a-fA-F]+\b
    | (?<![a-zA-Z0-9_-])(?=[a-zA-Z0-9_-]{12})(?=[a-zA-Z_-]*+\d)[a-zA-Z0-9_-]+
    | \d+(?:[.,:_]\d+)*
    """,
    re.VERBOSE,
)


class Failure(NamedTuple):
    """One task that has failed: ``state`` is ``dead``, or ``scheduled`` while it is tried again.

    ``at``: Unix time of its last error; ``None`` if that is not known.
    """

    id: str
    type: str
    error: ErrorRecord | None
    at: float | None
    state: State


@final
@dataclass(frozen=True, slots=True)
class FailureGroup:
    """The tasks of one type that have failed with the same error.

    ``error``: ``Type: message`` with ``#`` for what is different each time. ``example_id`` is the
    task that failed last, and ``state`` and ``last_at`` are its own.
    """

    type: str
    error: str
    count: int
    dead: int
    retrying: int
    last_at: float | None
    example_id: str
    state: State


def failure_of_letter(letter: DeadLetter) -> Failure:
    """The failure that a dead letter is."""
    return Failure(letter.id, letter.type, letter.error, letter.died_at, State.DEAD)


def failure_of_task(task: Task, at: float | None = None) -> Failure | None:
    """The failure of an open task that is tried again; ``None`` if it has not failed yet."""
    if task.trail is None or not task.trail.errors or task.state is None:
        return None
    return Failure(task.id, task.type, task.trail.errors[-1], at, task.state)


def fold_message(text: str) -> str:
    """The text with ``#`` for numbers and identifiers, on one line, shortened if it is long."""
    # Cut first as well: a message may be megabytes, and this is asked for thousands of them.
    line = " ".join(text[: 4 * _LONGEST].split())
    folded = _VARIABLE.sub("#", line)
    return folded if len(folded) <= _LONGEST else f"{folded[:_LONGEST]}..."


def fold_error(error: ErrorRecord | None) -> str:
    """By what failures are grouped: ``Type: message``, folded; "unknown" without an error."""
    return "unknown" if error is None else fold_message(str(error))


@final
class Groups:
    """Failures by type and error. One by one: who has thousands may do other things in between."""

    def __init__(self) -> None:
        self._members: dict[tuple[str, str], list[Failure]] = {}

    def add(self, failure: Failure) -> None:
        """Put it with those that are the same."""
        self._members.setdefault((failure.type, fold_error(failure.error)), []).append(failure)

    def listed(self) -> list[FailureGroup]:
        """The groups, the one with the newest failure first."""
        made = [_group(type_, error, members) for (type_, error), members in self._members.items()]
        return sorted(made, key=lambda group: (-(group.last_at or 0.0), group.type, group.error))


def group_failures(failures: Iterable[Failure]) -> list[FailureGroup]:
    """The failures by type and error, the group with the newest one first."""
    groups = Groups()
    for failure in failures:
        groups.add(failure)
    return groups.listed()


def _group(type_: str, error: str, members: list[Failure]) -> FailureGroup:
    last = max(members, key=lambda failure: failure.at or 0.0)
    dead = sum(failure.state is State.DEAD for failure in members)
    return FailureGroup(
        type_, error, len(members), dead, len(members) - dead, last.at, last.id, last.state
    )
