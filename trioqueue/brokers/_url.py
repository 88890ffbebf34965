"""From a URL to an open broker: ``sqlite:///jobs.db``, ``redis://host/0?queue=mail&lease=60``.

Everything that can be wrong with a URL is an `InvalidTask` that says what to write instead, before
anything is opened or imported. No error and nothing that is shown has a password in it.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from .._broker import RemoteBroker
from .._errors import InvalidTask
from ._findings import Finding as Finding
from ._findings import Level as Level
from ._findings import worst as worst
from ._url_kinds import MEMORY, RedisUrl, SqliteUrl, parse_redis, parse_sqlite

_EXAMPLE: Final = "sqlite:///jobs.db, sqlite:////var/lib/jobs.db or redis://host:6379/0"

BrokerUrl = SqliteUrl | RedisUrl

#: What may be a URL with a user or a password in it, in a text. (Our own examples have brackets.)
_LOGIN: Final = re.compile(r"(?i)\b(?!sqlite:)([a-z][a-z0-9+.-]*://)(?!\[)\S*@")


def redact(text: str) -> str:
    """The text, without what stands before an @ in a URL, as users and passwords do."""
    return _LOGIN.sub(r"\1***@", text)


def _shown(url: str) -> str:
    """A URL that is wrong. Up to the last @, as a password may have one in it, or spaces."""
    scheme, slashes, rest = url.partition("://")
    if "@" not in url or scheme.lower() == "sqlite":
        return url
    return f"{scheme}{slashes}***@{rest.rpartition('@')[2]}" if slashes else "***"


def parse_broker_url(url: object) -> BrokerUrl:
    """The parts of a broker's URL. Raises `InvalidTask`, which says what to write instead."""
    if not isinstance(url, str) or not url.isprintable():
        shown = repr(_shown(url)) if isinstance(url, str) else redact(repr(url))
        msg = f"a broker's URL must be a printable string, such as {_EXAMPLE}, not {shown}"
        raise InvalidTask(msg)
    scheme, colon, rest = url.partition(":")
    shown = _shown(url)
    match scheme.lower():
        case "sqlite" if colon:
            return parse_sqlite(url, rest)
        case kind if colon and kind.partition("+")[0] in {"redis", "rediss"}:
            return parse_redis(url)
        case "memory":
            raise InvalidTask(MEMORY)
        case _ if not colon or "/" in scheme:
            msg = f"{shown!r} is not a broker's URL: write {_EXAMPLE}"
        case _:
            msg = f"{shown}: there is no broker {scheme!r} (there are: sqlite, redis)"
    raise InvalidTask(msg)


def check_broker_url(url: object) -> None:
    """Everything about ``url`` that can be known without opening it. Raises `InvalidTask`."""
    parse_broker_url(url).need_extra()


def anchor(url: str, directory: Path) -> str:
    """The URL, a file's relative name in it made one in ``directory``. Raises `InvalidTask`."""
    parsed = parse_broker_url(url)
    if not isinstance(parsed, SqliteUrl) or os.path.isabs(parsed.path):
        return url
    _, mark, query = url.partition("?")
    return f"sqlite:///{quote(str(directory / parsed.path))}{mark}{query}"


@asynccontextmanager
async def open_broker_url(url: str, *, create: bool = True) -> AsyncGenerator[RemoteBroker]:
    """The broker that ``url`` names, open for as long as the block lasts.

    ``create``: whether a file that does not exist is made; otherwise that is a `BrokerFailed`. A
    broker on a server is there as soon as the server is: nothing is made by looking.
    Raises `InvalidTask` for a URL that cannot be or an extra that is missing, `BrokerFailed` and
    `BrokerUnavailable`. Entering and leaving may wait; cancelled: it is closed.
    """
    parsed = parse_broker_url(url)
    parsed.need_extra()
    async with parsed.open(create=create) as broker:
        yield broker


async def examine_broker_url(parsed: BrokerUrl) -> Sequence[Finding]:
    """What there is to say of the file or the server: see `_sqlite_check`, `_redis_check`.

    Raises `InvalidTask` if the extra is missing, and otherwise nothing: what fails is a finding.
    Cancelled: nothing is left behind.
    """
    parsed.need_extra()
    return await parsed.examine()
