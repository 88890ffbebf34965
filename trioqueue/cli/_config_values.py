"""Values of settings: what an option expects, as words, and what was given, checked against it."""

from __future__ import annotations

import types
from collections.abc import Sequence
from enum import Enum
from typing import Annotated, Any, Final, Literal, Union, cast, get_args, get_origin

from ._errors import Wrong

_WORDS: Final[dict[object, str]] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
}

#: What an environment says for a flag.
_FLAGS: Final = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}


def expected(hint: Any) -> str:
    """What a value of this type is, as words."""
    item = _item(hint)
    if item is not None:
        return f"a list, each {expected(item)}"
    plain = _plain(hint)
    if get_origin(plain) is Literal:
        return f"one of {', '.join(map(str, get_args(plain)))}"
    if isinstance(plain, type) and issubclass(plain, Enum):
        return f"one of {', '.join(str(member.value) for member in plain)}"
    return next((words for kind, words in _WORDS.items() if kind is plain), "a string")


def from_text(place: str, text: str, hint: Any) -> list[str | bool]:
    """The values that a variable's text stands for: several in a list, between commas.

    Numbers are left to the option's own check. Raises `Wrong`.
    """
    if _item(hint) is not None:
        return [part.strip() for part in text.split(",") if part.strip()]
    if _plain(hint) is not bool:
        return [text]
    value = _FLAGS.get(text.strip().lower())
    if value is None:
        raise Wrong(f"{place} must be 1 or 0 (or true, false, yes, no, on, off), not {text!r}")
    return [value]


def from_toml(place: str, value: object, hint: Any) -> list[str | bool]:
    """The values that stand in a file; a list of one may be the one itself. Raises `Wrong`."""
    item = _item(hint)
    if item is None:
        return [_scalar(place, value, hint, hint)]
    values = cast("list[object]", value) if isinstance(value, list) else [value]
    return [_scalar(place, each, item, hint) for each in values]


def _scalar(place: str, value: object, hint: Any, whole: Any) -> str | bool:
    plain = _plain(hint)
    if isinstance(value, bool) and plain is bool:
        return value
    fits = {bool: (), int: (int,), float: (int, float)}.get(plain, (str,))
    if isinstance(value, fits) and not isinstance(value, bool):
        return value if isinstance(value, str) else repr(value)
    raise Wrong(f"{place} must be {expected(whole)}, not {_kind(value)}")


def _kind(value: object) -> str:
    """What a value is, without saying it: it may be a secret in the wrong place."""
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)
        case str():
            return "a string"
        case list():
            return "a list"
        case dict():
            return "a table"
        case _:
            return "a date or a time"


def _plain(hint: Any) -> Any:
    """The type itself, without ``| None`` and annotations."""
    origin = get_origin(hint)
    if origin is Annotated:
        return _plain(get_args(hint)[0])
    if origin in {Union, types.UnionType}:
        return _plain(next(each for each in get_args(hint) if each is not type(None)))
    return hint


def _item(hint: Any) -> Any:
    """The type of a list's items; ``None`` for what is no list."""
    plain = _plain(hint)
    origin = get_origin(plain)
    if isinstance(origin, type) and issubclass(origin, Sequence) and not issubclass(origin, str):
        return get_args(plain)[0]
    return None
