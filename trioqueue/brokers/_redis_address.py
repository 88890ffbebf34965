"""Where a Redis server is: ``redis://user:password@host:6379/0`` and its relatives. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, final
from urllib.parse import parse_qsl, quote, unquote

from .._errors import InvalidTask

Kind = Literal["single", "sentinel", "cluster"]
Pairs = Sequence[tuple[str, str]]

_FORMS: Final = (
    "redis://[user:password@]host[:port][/db], rediss:// for TLS, "
    "redis+sentinel://host:26379,host:26379/master[/db], redis+cluster://host:7000,host:7000, "
    "or redis+unix:///path/to/socket[?db=0]"
)
_PORTS: Final = {"single": 6379, "sentinel": 26379, "cluster": 6379}
#: What the query of a URL may say of the connection. All else is about the broker.
_OURS: Final = ("ca", "cert", "key", "db", "sentinel_user", "sentinel_password")
_SCHEMES: Final[dict[str, tuple[Kind, bool]]] = {
    "redis": ("single", False),
    "rediss": ("single", True),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
    "redis+unix": ("single", False),
}
#: The schemes that name a Redis server.
SCHEMES: Final = tuple(_SCHEMES)


@final
@dataclass(frozen=True, slots=True)
class RedisAddress:
    """A server, or those who know where it is. ``str()`` is a URL without the password.

    ``hosts``: one, or the sentinels, or some nodes of the cluster. ``service``: what the sentinels
    call the master. ``ca``, ``cert``, ``key``: files, for TLS.
    """

    kind: Kind = "single"
    hosts: tuple[tuple[str, int], ...] = ()
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    service: str | None = None
    path: str | None = None
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    sentinel_user: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        user = f"{quote(self.username, safe='')}@" if self.username else ""
        if self.path is not None:
            return f"redis+unix://{user}{quote(self.path)}" + (f"?db={self.db}" if self.db else "")
        scheme = "rediss" if self.tls else "redis"
        if self.kind != "single":
            scheme += f"+{self.kind}"
        hosts = ",".join(
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts
        )
        service = f"/{quote(self.service, safe='')}" if self.service else ""
        db = f"/{self.db}" if self.db or self.kind == "single" else ""
        return f"{scheme}://{user}{hosts}{service}{db}"


def parse_redis_address(url: str) -> RedisAddress:
    """The address that ``url`` is. Raises `InvalidTask`, which never shows a password."""
    address, rest = split_redis_url(url)
    if rest:
        names = ", ".join(name for name, _ in rest)
        msg = f"{address}: an address has no option {names} (there are: {', '.join(_OURS)})"
        raise InvalidTask(msg)
    return address


def split_redis_url(url: str) -> tuple[RedisAddress, Pairs]:
    """The address in ``url``, and those of its options that are not about the connection.

    Raises `InvalidTask`, which says what to write and never shows a password.
    """
    scheme, colon, rest = url.partition("://")
    if not colon or scheme.lower() not in _SCHEMES:
        raise _wrong("it does not begin with a scheme such as redis://")
    kind, tls = _SCHEMES[scheme.lower()]
    rest, _, fragment = rest.partition("#")
    if fragment:
        raise _wrong("it has a '#': write %23 for one in a password or a name")
    location, _, query = rest.partition("?")
    given: dict[str, str] = {}
    others: list[tuple[str, str]] = []
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name in given:
            raise _wrong(f"it has the option {name} twice")
        if name in _OURS:
            given[name] = text
        else:
            others.append((name, text))
    authority, slash, path = location.partition("/")
    credentials, _, where = authority.rpartition("@")
    username, password = _credentials(credentials)
    if "@" in path and kind != "sentinel" and scheme.lower() != "redis+unix":
        raise _wrong("in a user or a password, / is written %2F, ? is %3F, @ is %40")
    names = [unquote(part) for part in path.split("/")] if path else []
    common: dict[str, Any] = {
        "username": username,
        "password": password,
        "tls": tls,
        **{name: given[name] for name in _OURS if name in given and name != "db"},
    }
    if not tls and any(name in given for name in ("ca", "cert", "key")):
        raise _wrong("ca, cert and key are for TLS: write rediss://")
    if scheme.lower() == "redis+unix":
        if where or not slash or not path:
            raise _wrong("three slashes stand before the socket's path")
        db = _db(given.get("db", "0"))
        return RedisAddress(path="/" + unquote(path), db=db, **common), others
    hosts = tuple(_host(part, _PORTS[kind]) for part in where.split(","))
    if kind == "single" and len(hosts) > 1:
        raise _wrong("several hosts need redis+sentinel:// or redis+cluster://")
    service = None
    if kind == "sentinel":
        if not names or not names[0]:
            raise _wrong("the name of the master comes after the sentinels: .../mymaster")
        service, *names = names
    if len(names) > 1:
        raise _wrong(f"there is too much after the host: {'/'.join(names)!r}")
    db = _db(given.get("db") or (names[0] if names else "") or "0")
    if kind == "cluster" and db:
        raise _wrong("a cluster has the database 0 only")
    return RedisAddress(kind, hosts, db, service=service, **common), others


def _credentials(text: str) -> tuple[str | None, str | None]:
    if not text:
        return None, None
    username, _, password = text.partition(":")
    return unquote(username) or None, unquote(password) or None


def _host(text: str, default: int) -> tuple[str, int]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise _wrong("an IPv6 address stands in brackets: [::1]:6379")
        port = rest[1:]
    else:
        host, _, port = text.partition(":")
        if ":" in port:
            raise _wrong("an IPv6 address stands in brackets: [::1]:6379")
    if not host or not host.isprintable() or " " in host:
        raise _wrong("it names no host")
    if not port:
        return host, default
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
        raise _wrong("a port must be 1 to 65535")  # not shown: a password may have got there
    return host, int(port)


def _db(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise _wrong(f"the database must be a number, not {text!r}")
    return int(text)


def _wrong(what: str) -> InvalidTask:
    return InvalidTask(f"this is no address of a Redis server: {what}. Write {_FORMS}")
