"""The kinds of brokers that a URL can name, each with what can be done with it.

What they are made of is imported at its use: it needs an extra.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final, final
from urllib.parse import parse_qsl, quote, unquote

from .._broker import RemoteBroker
from .._errors import InvalidTask
from ._findings import Finding
from ._redis_address import RedisAddress, split_redis_url
from ._url_options import REDIS, SQLITE, parse_options

_FILE: Final = "sqlite:///jobs.db (beside the program) or sqlite:////var/lib/jobs.db"
MEMORY: Final = (
    "a memory queue lives inside its program, and no other can look into it: "
    f"name a broker that keeps tasks outside of it, such as {_FILE}"
)


@final
@dataclass(frozen=True, slots=True)
class SqliteUrl:
    """What a ``sqlite:`` URL says: the file, and the options of ``open_sqlite_broker``."""

    path: str
    options: Mapping[str, Any]  # checked

    @property
    def shown(self) -> str:
        """What may be shown."""
        return f"sqlite:///{self.path}"

    def need_extra(self) -> None:
        """`InvalidTask` unless what the broker is built on is installed."""
        _need("sqlite", ("apsw", "msgspec"))

    def open(self, *, create: bool) -> AbstractAsyncContextManager[RemoteBroker]:
        """See `open_broker_url`."""
        from ._sqlite import open_sqlite_broker

        return open_sqlite_broker(self.path, create=create, **self.options)

    async def examine(self) -> Sequence[Finding]:
        """See `examine_broker_url`."""
        from ._sqlite_facts import examine_sqlite

        return await examine_sqlite(self.path, self.options)


@final
@dataclass(frozen=True, slots=True)
class RedisUrl:
    """What a ``redis:`` URL says: where it is, and the options of ``open_redis_broker``."""

    address: RedisAddress
    options: Mapping[str, Any]  # checked

    @property
    def shown(self) -> str:
        """What may be shown: no password."""
        url = str(self.address)
        queue = quote(self.options.get("queue", "default"))
        return f"{url}{'&' if '?' in url else '?'}queue={queue}"

    def need_extra(self) -> None:
        """`InvalidTask` unless what the broker is built on is installed."""
        _need("redis", ("coredis", "msgspec"))

    def open(self, *, create: bool) -> AbstractAsyncContextManager[RemoteBroker]:
        """See `open_broker_url`. ``create`` means nothing: there is no file."""
        from ._redis_open import open_redis_broker

        return open_redis_broker(self.address, **self.options)

    async def examine(self) -> Sequence[Finding]:
        """See `examine_broker_url`."""
        from ._redis_facts import examine_redis

        return await examine_redis(self.address, self.options)


def _need(extra: str, modules: Collection[str]) -> None:
    for module in modules:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError:
            msg = f"a {extra}: broker needs the extra {extra!r}: pip install 'trioqueue[{extra}]'"
            raise InvalidTask(msg) from None


def parse_sqlite(url: str, rest: str) -> SqliteUrl:
    """``rest``: of the URL, after the first colon. Raises `InvalidTask`."""
    location, _, query = rest.partition("?")
    if not location.startswith("///"):
        msg = f"{url}: three slashes stand before the file's name, four before /: {_FILE}"
        raise InvalidTask(msg)
    path = unquote(location.removeprefix("///"))
    if path == ":memory:":
        raise InvalidTask(MEMORY)
    if not path or path.endswith("/") or not path.isprintable():
        msg = f"{url} names no file: write {_FILE}"
        raise InvalidTask(msg)
    return SqliteUrl(path, parse_options(parse_qsl(query, keep_blank_values=True), SQLITE))


def parse_redis(url: str) -> RedisUrl:
    """Raises `InvalidTask`."""
    address, pairs = split_redis_url(url)
    return RedisUrl(address, parse_options(pairs, REDIS))
