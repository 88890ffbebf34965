"""Checks of what users give: an error names what was wrong and what was expected. Pure."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from enum import Enum
from typing import Final, TypeVar, cast

from ._errors import InvalidTask

T = TypeVar("T")


class Unset(Enum):
    """The type of "not given", where ``None`` means "without"."""

    UNSET = "unset"

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET


def check_seconds(name: str, value: object, *, zero: bool = True) -> float:
    """``value`` as finite seconds, or an `InvalidTask` that says what was expected."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        msg = f"{name} must be a number of seconds, not {value!r}"
        raise InvalidTask(msg)
    try:
        seconds = float(value)
    except OverflowError:  # an int of hundreds of digits
        seconds = math.inf
    if not math.isfinite(seconds) or seconds < 0 or (seconds == 0 and not zero):
        least = "0 or more" if zero else "more than 0"
        msg = f"{name} must be a finite number of seconds, {least}, not {_short(value)}"
        raise InvalidTask(msg)
    return seconds


def _short(value: object) -> str:
    """``repr``, but never a page of it."""
    try:
        text = repr(value)
    except ValueError:  # Python refuses to write out an int of thousands of digits
        return "a number of thousands of digits"
    return text if len(text) <= 100 else f"{text[:100]}..."


def check_count(name: str, value: object, least: int, most: int | None = None) -> int:
    """``value`` as a whole number within the bounds, or an `InvalidTask`."""
    if isinstance(value, bool) or not isinstance(value, int):
        msg = f"{name} must be a whole number, not {value!r}"
        raise InvalidTask(msg)
    if value < least or (most is not None and value > most):
        bounds = f"{least} or more" if most is None else f"{least} to {most}"
        msg = f"{name} must be {bounds}, not {value!r}"
        raise InvalidTask(msg)
    return value


def check_name(name: str, value: object) -> str:
    """``value`` as a non-empty printable string, or an `InvalidTask`."""
    if not isinstance(value, str) or not value or not value.isprintable():
        msg = f"{name} must be a non-empty printable string, not {value!r}"
        raise InvalidTask(msg)
    return value


#: Enough for a trace's context (some 9 KiB at the most) and for a program's own; every claim
#: carries them.
HEADERS_MOST: Final = 32
HEADERS_BYTES: Final = 16 * 1024


def check_headers(name: str, value: object) -> Mapping[str, str]:
    """``value`` as headers: text to text, few and short enough, or an `InvalidTask`."""
    if not isinstance(value, Mapping):
        msg = f"{name} must be a mapping of strings to strings, not {_short(value)}"
        raise InvalidTask(msg)
    headers = dict(cast("Mapping[object, object]", value))
    size = 0
    for key, text in headers.items():
        check_name(f"a name in {name}", key)
        if not isinstance(text, str):
            msg = f"{name}[{key!r}] must be a string, not {_short(text)}"
            raise InvalidTask(msg)
        try:
            size += len(f"{key}{text}".encode())
        except UnicodeEncodeError:  # a lone surrogate: no broker could store it
            msg = f"{name}[{key!r}] must be text that UTF-8 can encode, not {_short(text)}"
            raise InvalidTask(msg) from None
    if len(headers) > HEADERS_MOST or size > HEADERS_BYTES:
        bounds = f"{HEADERS_MOST} at most, of {HEADERS_BYTES} bytes in all"
        msg = f"{name} must be {bounds}, not {len(headers)} of {size} bytes"
        raise InvalidTask(msg)
    return cast("Mapping[str, str]", headers)


def check_type(name: str, value: object, kind: type[T], how: str = "") -> T:
    """``value``, if it is a ``kind``, or an `InvalidTask`. ``how``: how to come by one."""
    if not isinstance(value, kind):
        wanted = f"{kind.__module__.partition('.')[0]}.{kind.__name__} {how}".rstrip()
        msg = f"{name} must be a {wanted}, not {value!r}"
        raise InvalidTask(msg)
    return value


def is_async(handler: object) -> bool:
    """Whether calling ``handler`` returns a coroutine."""
    call = getattr(handler, "__call__", None)  # noqa: B004 - the bound method itself is wanted
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(call)


def _is_generator(function: object) -> bool:
    return inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function)


def check_manager(name: str, factory: object) -> None:
    """`InvalidTask` unless ``factory`` can return an async context manager, or is ``None``."""
    if factory is None:
        return
    manager = hasattr(type(factory), "__aenter__")  # the call of a factory, not the factory
    if not callable(factory) or is_async(factory) or _is_generator(factory) or manager:
        msg = (
            f"{name} must be a function that returns an async context manager "
            f"(decorate it with contextlib.asynccontextmanager), not {factory!r}"
        )
        raise InvalidTask(msg)


def check_hook(name: str, hook: object) -> None:
    """`InvalidTask` unless ``hook`` can be called, and called without waiting."""
    if not callable(hook) or is_async(hook) or _is_generator(hook):
        msg = f"{name} must be a plain (not async) function, not {hook!r}: it must never block"
        raise InvalidTask(msg)
