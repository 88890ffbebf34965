"""From a URL to an open broker: ``sqlite:///jobs.db``, ``sqlite:////var/lib/jobs.db?lease=30``.

Everything that can be wrong with a URL is an `InvalidTask` that says what to write instead, before
anything is opened or imported.
"""

from __future__ import annotations

import importlib
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, final
from urllib.parse import parse_qsl, unquote

from .._broker import RemoteBroker
from .._checks import check_count, check_seconds
from .._errors import InvalidTask

_EXAMPLE: Final = "sqlite:///jobs.db (beside the program) or sqlite:////var/lib/jobs.db"
_MEMORY: Final = (
    "a memory queue lives inside its program, and no other can look into it: "
    f"name a broker that keeps tasks outside of it, such as {_EXAMPLE}"
)

Option = str | int | float


@final
@dataclass(frozen=True, slots=True)
class SqliteUrl:
    """What a ``sqlite:`` URL says: the file, and the options of ``open_sqlite_broker``."""

    path: str
    options: Mapping[str, Any]  # checked, by `_OPTIONS`


def parse_broker_url(url: object) -> SqliteUrl:
    """The parts of a broker's URL. Raises `InvalidTask`, which says what to write instead."""
    if not isinstance(url, str) or not url.isprintable():
        msg = f"a broker's URL must be a printable string, such as {_EXAMPLE}, not {url!r}"
        raise InvalidTask(msg)
    scheme, colon, rest = url.partition(":")
    match scheme.lower():
        case "sqlite" if colon:
            return _parse_sqlite(url, rest)
        case "memory":
            raise InvalidTask(_MEMORY)
        case "redis" | "rediss" if colon:
            msg = f"{url}: Redis is not in this release; use {_EXAMPLE}"
        case _ if not colon or "/" in scheme:
            msg = f"{url!r} is not a broker's URL: write {_EXAMPLE}"
        case _:
            msg = f"{url}: there is no broker {scheme!r} (there is: sqlite); write {_EXAMPLE}"
    raise InvalidTask(msg)


def _parse_sqlite(url: str, rest: str) -> SqliteUrl:
    location, _, query = rest.partition("?")
    if not location.startswith("///"):
        msg = f"{url}: three slashes stand before the file's name, four before /: {_EXAMPLE}"
        raise InvalidTask(msg)
    path = unquote(location.removeprefix("///"))
    if path == ":memory:":
        raise InvalidTask(_MEMORY)
    if not path or path.endswith("/") or not path.isprintable():
        msg = f"{url} names no file: write {_EXAMPLE}"
        raise InvalidTask(msg)
    return SqliteUrl(path, _parse_options(query))


def _parse_options(query: str) -> Mapping[str, Option]:
    options: dict[str, Option] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name not in _OPTIONS:
            known = ", ".join(_OPTIONS)
            msg = f"the broker's URL has no option {name!r} (there are: {known})"
            raise InvalidTask(msg)
        if name in options:
            msg = f"the broker's URL has the option {name!r} twice"
            raise InvalidTask(msg)
        options[name] = _OPTIONS[name](name, text)
    return options


def _synchronous(name: str, text: str) -> str:
    if text.lower() not in {"full", "normal"}:
        msg = f"{name} must be full or normal, not {text!r}"
        raise InvalidTask(msg)
    return text.lower()


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


def _count(name: str, text: str) -> int:
    try:
        value: object = int(text)
    except ValueError:
        value = text
    return check_count(name, value, 1)


#: The options in a URL, and what makes values of them. What they mean: ``open_sqlite_broker``.
_OPTIONS: Final[Mapping[str, Callable[[str, str], Option]]] = {
    "synchronous": _synchronous,
    "lease": _some_seconds,
    "retention": _seconds,
    "max_losses": _count,
    "busy_timeout": _seconds,
}


def check_broker_url(url: object) -> None:
    """Everything about ``url`` that can be known without opening it. Raises `InvalidTask`."""
    parse_broker_url(url)
    _need_extra()


def _need_extra() -> None:
    """`InvalidTask` unless what the broker is built on is installed."""
    for module in ("apsw", "msgspec"):
        try:
            importlib.import_module(module)
        except ModuleNotFoundError:
            msg = "a sqlite: broker needs the extra 'sqlite': pip install 'trioqueue[sqlite]'"
            raise InvalidTask(msg) from None


@asynccontextmanager
async def open_broker_url(url: str, *, create: bool = True) -> AsyncGenerator[RemoteBroker]:
    """The broker that ``url`` names, open for as long as the block lasts.

    ``create``: whether a file that does not exist is made; otherwise that is a `BrokerFailed`.
    Raises `InvalidTask` for a URL that cannot be or an extra that is missing, `BrokerFailed` and
    `BrokerUnavailable`. Entering and leaving may wait; cancelled: it is closed.
    """
    parsed = parse_broker_url(url)
    _need_extra()
    from ._sqlite import open_sqlite_broker  # only here: needs the extra

    async with open_sqlite_broker(parsed.path, create=create, **parsed.options) as broker:
        yield broker
