"""Finding the server that has a queue's keys: the one, the sentinels' master, the slot's owner."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import trio
from coredis.exceptions import InvalidResponse, RedisError

from .._errors import BrokerFailed, BrokerUnavailable, InvalidTask
from .._ki import protected
from .._nursery import open_bare_nursery
from ._redis_address import RedisAddress
from ._redis_connection import Connection, Place
from ._redis_faults import Lost, cause_of, is_lost, is_refused, tls_fault, translated

#: Seconds for each of several hosts: one that is silent must not use up all the time there is.
_EACH: Final = 1.0
#: Starts a task in the background.
Spawn = Callable[..., object]
OnPush = Callable[[list[Any]], object]


def tls_context(address: RedisAddress) -> ssl.SSLContext | None:
    """What TLS needs. Raises `InvalidTask` for files that cannot be read."""
    if not address.tls:
        return None
    try:
        context = ssl.create_default_context(cafile=address.ca)
        if address.cert is not None:
            context.load_cert_chain(address.cert, address.key)
    except (OSError, ssl.SSLError) as error:
        msg = f"{address}: the files for TLS (ca, cert, key) cannot be used: {error}"
        raise InvalidTask(msg) from error
    return context


class Door:
    """How to knock at the servers of an address, and what to say there.

    ``name``: what the server calls the client. ``patience``: see `Connection`.
    """

    def __init__(self, address: RedisAddress, name: str, patience: float) -> None:
        self._address = address
        self._where = str(address)
        self._name = name
        self._patience = patience
        self._context = tls_context(address)

    async def enter(
        self, place: Place, spawn: Spawn, on_push: OnPush | None = None, *, sentinel: bool = False
    ) -> Connection:
        """A connection that is logged in. Raises `BrokerFailed` if it makes no sense to try again.

        Cancelled: none is left behind.
        """
        stream = await self._open(place)
        connection = Connection(stream, place, self._patience, on_push)
        spawn(connection.run)
        try:
            await self._log_in(connection, sentinel=sentinel)
        except Lost as error:
            connection.drop("it could not log in")
            if isinstance(connection.error, InvalidResponse):
                msg = f"{self._where}: this is no Redis server: {connection.error}"
                raise BrokerFailed(msg) from error
            raise self._of_stream(connection.error, error) from error
        except BaseException:
            connection.drop("it could not log in")
            raise
        return connection

    def _of_stream(self, error: BaseException | None, lost: Lost) -> Exception:
        """What a broken stream means: with a certificate that does not fit, no wait helps."""
        fault = tls_fault(error)
        return lost if fault is None else BrokerFailed(f"{self._where}: TLS: {fault}")

    async def _open(self, place: Place) -> trio.abc.Stream:
        if place is None:
            assert self._address.path is not None
            return await trio.open_unix_socket(self._address.path)
        stream = await trio.open_tcp_stream(*place)
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if self._context is None:
            return stream
        secure = trio.SSLStream(
            stream, self._context, server_hostname=place[0], https_compatible=True
        )
        try:
            await secure.do_handshake()
        except trio.BrokenResourceError as error:
            stream.socket.close()
            raise self._of_stream(error, Lost(cause_of(error))) from error
        except BaseException:
            stream.socket.close()
            raise
        return secure

    async def _log_in(self, connection: Connection, *, sentinel: bool) -> None:
        address = self._address
        user, password, db = address.username, address.password, address.db
        if sentinel:
            user, password, db = address.sentinel_user, address.sentinel_password, 0
        login = ("AUTH", user or "default", password or "") if user or password else ()
        greeted = connection.request("HELLO", 3, *login, "SETNAME", self._name)
        selected = connection.request("SELECT", db) if db else None
        greeting = await greeted.wait()
        if selected is not None:
            await selected.wait()
        if address.kind == "sentinel" and not sentinel and greeting.get(b"role") != b"master":
            host, port = connection.place or ("", 0)
            raise Lost(f"the sentinels name {host}:{port}, which is no master (any more, or yet)")


@asynccontextmanager
async def open_connection(
    address: RedisAddress, place: Place, *, sentinel: bool = False, patience: float = 2.0
) -> AsyncGenerator[Connection]:
    """A connection for a few questions. Raises as `Door.enter` does."""
    door = Door(address, "trioqueue", patience)
    async with open_bare_nursery() as nursery:
        connection = await door.enter(place, nursery.start_soon, sentinel=sentinel)
        try:
            yield connection
        finally:
            connection.drop("it was for a few questions")


@protected
class Finder:
    """Knows where to connect to, and asks again where that may have changed."""

    def __init__(
        self, address: RedisAddress, prefix: str, name: str = "trioqueue", patience: float = 2.0
    ) -> None:
        self._address = address
        self._prefix = prefix
        self._door = Door(address, name, patience)
        self._first = 0  # of the hosts to ask: the one that answered last
        self._hint: Place = None

    async def connect(self, spawn: Spawn, on_push: OnPush | None = None) -> Connection:
        """A connection to the server that has the keys. Raises as `find` does.

        Cancelled: none is left behind.
        """
        hint, self._hint = self._hint, None
        place = hint or await self.find()
        try:
            return await self._door.enter(place, spawn, on_push)
        except BaseException:
            self._first += 1  # the next one may know better
            raise

    def moved(self, place: tuple[str, int] | None, told_by: Place) -> None:
        """The server at ``told_by`` says that the keys are at ``place``: the next look is there."""
        if place is not None:
            host = place[0] or (told_by[0] if told_by else "")
            self._hint = (host, place[1]) if host else None

    async def find(self) -> Place:
        """Where the keys are now. Raises what a connection raises, and `BrokerFailed`."""
        address = self._address
        if address.path is not None:
            return None
        if address.kind == "single":
            return address.hosts[0]
        return await self._ask_all()

    async def _ask_all(self) -> Place:
        hosts = self._address.hosts
        passing: Exception | None = None
        last: Exception | None = None
        first = self._first
        for offset in range(len(hosts)):
            index = (first + offset) % len(hosts)
            try:
                with trio.fail_after(_EACH):
                    self._first = index + 1  # an attempt may end here; the next goes on from there
                    found = await self._ask(hosts[index])
            except trio.TooSlowError as error:
                passing = last = Lost(f"{_text(hosts[index])} was silent for {_EACH:g} s")
                passing.__cause__ = error
            except (RedisError, OSError, Lost, BrokerFailed, BrokerUnavailable) as error:
                last = error
                if is_lost(error) or is_refused(error) or isinstance(error, BrokerUnavailable):
                    passing = error
            else:
                self._first = index
                return found
        if passing is None and last is not None:
            raise translated(str(self._address), "looking for the server", last) from last
        kind = "sentinels" if self._address.kind == "sentinel" else "nodes"
        why = cause_of(passing) if passing else ""
        raise Lost(f"none of the {kind} told where the queue is: {why}") from passing

    async def _ask(self, host: tuple[str, int]) -> Place:
        sentinel = self._address.kind == "sentinel"
        async with open_bare_nursery() as nursery:
            connection = await self._door.enter(host, nursery.start_soon, sentinel=sentinel)
            try:
                if sentinel:
                    return await self._ask_sentinel(connection)
                return await self._ask_node(connection, host)
            finally:
                connection.drop("it was for one question")
        raise AssertionError  # for type checkers: the nursery swallows nothing

    async def _ask_sentinel(self, connection: Connection) -> Place:
        service = self._address.service or ""
        found: Any = await connection.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", service)
        if not found:
            msg = f"{self._address}: the sentinel knows no master {service!r}"
            raise BrokerFailed(msg)
        return found[0].decode(), int(found[1])

    async def _ask_node(self, connection: Connection, host: tuple[str, int]) -> Place:
        slot: Any = await connection.ask("CLUSTER", "KEYSLOT", self._prefix)
        ranges: Any = await connection.ask("CLUSTER", "SLOTS")
        for first, last, master, *_ in ranges:
            if first <= slot <= last:
                name, port, *_ = master
                # A node may know no name of another one: then that is where this one is.
                unknown = not name or name == b"?"
                return host[0] if unknown else name.decode(), port
        raise Lost(f"no node of the cluster has the slot {slot}")


def _text(place: tuple[str, int]) -> str:
    return f"{place[0]}:{place[1]}"
