"""The table of answers: what each verb says when cancelled, repeated, late, or all is gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from ._case import Case, CaseFunction, Has, add

#: Nothing of the kind: the verb is about no task, or it cannot come late.
NOTHING: Final = "-"


class Answer(NamedTuple):
    """A row: what one verb answers. Each cell but ``-`` is a case, named ``verb_when``.

    ``cancelled``: what holds when it raised Cancelled. ``repeated``: the very same call again.
    ``late``: the task has moved on, or has ended. ``gone``: it is not known (any more).
    """

    verb: str
    cancelled: str = NOTHING
    repeated: str = NOTHING
    late: str = NOTHING
    gone: str = NOTHING


_rows: dict[str, Answer] = {}


def cell(verb: str, when: str, says: str, *needs: Has) -> Callable[[CaseFunction], CaseFunction]:
    """Register a case that shows one cell of the table."""

    def register(function: CaseFunction) -> CaseFunction:
        row = _rows.get(verb) or Answer(verb)
        _rows[verb] = row._replace(**{when: says})
        add(Case(f"{verb}_{when}", "answers", frozenset(needs), function))
        return function

    return register


def answers() -> tuple[Answer, ...]:
    """The table, a row for each verb in the order of the protocols."""
    return tuple(_rows.values())
