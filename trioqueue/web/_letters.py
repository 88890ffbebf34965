"""Dead letters by filter: as many as can be counted, and operated on, in one go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import trio

from .. import DeadLetter
from .._failures import fold_error
from ._api import Wrong
from ._source import Source

#: Dead letters that are counted; from there on it is "more".
COUNTED: Final = 10_000

#: Of an error that is folded away, so many are looked at before the rest has its turn.
_AT_ONCE: Final = 200


class Filter(NamedTuple):
    """Which dead letters. ``group``: the folded error. ``before``: died until this Unix time."""

    type: str | None = None
    error: str | None = None
    group: str | None = None
    older_than: float = 0.0
    before: float = 0.0


def filter_of(given: object) -> Filter:
    """A filter from a body. Raises `Wrong`."""
    if not isinstance(given, Mapping):
        raise Wrong("filter must be an object")
    values: dict[str, Any] = {}
    for name, value in given.items():  # pyright: ignore[reportUnknownVariableType]
        if name in ("older_than", "before"):
            good = isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0
        elif name in ("type", "error", "group"):
            good = value is None or isinstance(value, str)
        else:
            raise Wrong(f"unknown in filter: {name}; known: {', '.join(Filter._fields)}")
        if not good:
            raise Wrong(f"filter: {name} cannot be {value!r}")
        values[name] = value or Filter._field_defaults[name]
    return Filter(**values)


async def matching_letters(source: Source, wanted: Filter) -> Sequence[DeadLetter]:
    """The dead letters for which all of it holds, newest death first; at most one over `COUNTED`.

    Where an error's group is asked for, so many of all others are looked at.
    """
    letters = await source.dead_letters(
        wanted.type,
        error=wanted.error,
        older_than=wanted.older_than,
        limit=COUNTED + 1,
    )
    if not wanted.group and not wanted.before:
        return letters
    found: list[DeadLetter] = []
    for index, letter in enumerate(letters):
        if index % _AT_ONCE == 0:
            await trio.lowlevel.checkpoint()
        if _fits(letter, wanted):
            found.append(letter)
    return found


def _fits(letter: DeadLetter, wanted: Filter) -> bool:
    if wanted.before and letter.died_at > wanted.before:
        return False
    return not wanted.group or fold_error(letter.error) == wanted.group
