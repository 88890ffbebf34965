"""The options in a broker's URL: which there are, and what makes values of their texts. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from .._checks import check_count, check_name, check_seconds
from .._errors import InvalidTask

Option = str | int | float
#: By name: from the name and the text to the value. Raises `InvalidTask`.
Options = Mapping[str, Callable[[str, str], Option]]


def parse_options(pairs: Iterable[tuple[str, str]], known: Options) -> dict[str, Option]:
    """The values, checked. What they mean stands at the functions that open a broker.

    Raises `InvalidTask` for one that is not known, stands there twice or cannot be. What is not
    known may be a secret, and is not repeated.
    """
    options: dict[str, Option] = {}
    for name, text in pairs:
        if name not in known:
            there = ", ".join(known)
            shown = name if name.isidentifier() else "..."  # it may be a part of a password
            msg = f"the broker's URL has no option {shown!r} (there are: {there})"
            raise InvalidTask(msg)
        if name in options:
            msg = f"the broker's URL has the option {name!r} twice"
            raise InvalidTask(msg)
        options[name] = known[name](name, text)
    return options


def _one_of(*words: str) -> Callable[[str, str], str]:
    def check(name: str, text: str) -> str:
        if text.lower() not in words:
            msg = f"{name} must be {' or '.join(words)}, not {text!r}"
            raise InvalidTask(msg)
        return text.lower()

    return check


def _queue(name: str, text: str) -> str:
    check_name(name, text)
    if "{" in text or "}" in text:  # they mark the part of a key that a cluster goes by
        msg = f"{name} must not have braces in it: {text!r}"
        raise InvalidTask(msg)
    return text


def _seconds(name: str, text: str) -> float:
    """Seconds, 0 included."""
    try:
        value: object = float(text)
    except ValueError:
        value = text  # the check has the words
    return check_seconds(name, value)


def _some_seconds(name: str, text: str) -> float:
    """Seconds, more than 0."""
    return check_seconds(name, _seconds(name, text) or 0, zero=False)


def _at_least(least: int) -> Callable[[str, str], int]:
    def check(name: str, text: str) -> int:
        try:
            value: object = int(text)
        except ValueError:
            value = text
        return check_count(name, value, least)

    return check


#: See ``open_sqlite_broker``.
SQLITE: Final[Options] = {
    "synchronous": _one_of("full", "normal"),
    "lease": _some_seconds,
    "retention": _seconds,
    "max_losses": _at_least(1),
    "busy_timeout": _seconds,
}

#: See ``open_redis_broker``.
REDIS: Final[Options] = {
    "queue": _queue,
    "lease": _some_seconds,
    "retention": _seconds,
    "remember": _seconds,
    "max_losses": _at_least(0),
    "capacity": _at_least(1),
    "full": _one_of("wait", "refuse"),
    "replicas": _at_least(0),
    "timeout": _some_seconds,
}
