"""Finding the server that has a queue's keys: the one, the sentinels' master, the slot's owner."""

from __future__ import annotations

import ssl
from typing import Any

import trio
from coredis.connection import TCPConnection, UnixDomainSocketConnection
from coredis.connection._base import BaseConnection
from coredis.connection._tcp import TCPLocation
from coredis.connection._uds import UnixDomainSocketLocation
from coredis.exceptions import RedisError

from .._errors import BrokerFailed, BrokerUnavailable, InvalidTask
from ._redis_address import RedisAddress

Place = tuple[str, int] | None


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


def make_connection(
    address: RedisAddress, place: Place, context: ssl.SSLContext | None, *, sentinel: bool = False
) -> BaseConnection:
    """A connection that was not made yet. ``place``: ``None`` for a socket in the file system."""
    user, password, db = address.username, address.password, address.db
    if sentinel:
        user, password, db = address.sentinel_user, address.sentinel_password, 0
    options: dict[str, Any] = {
        "username": user,
        "password": password,
        "db": db,
        "decode_responses": False,
        "connect_timeout": None,  # whoever connects has a deadline
        "stream_timeout": None,
    }
    if place is None:
        assert address.path is not None
        return UnixDomainSocketConnection(UnixDomainSocketLocation(address.path), **options)
    return TCPConnection(TCPLocation(*place), socket_keepalive=True, ssl_context=context, **options)


class Finder:
    """Knows where to connect to, and asks again where that may have changed."""

    def __init__(self, address: RedisAddress, prefix: str) -> None:
        self._address = address
        self._prefix = prefix
        self._context = tls_context(address)
        self._first = 0  # of the hosts to ask: the one that answered last

    def connection(self, place: Place) -> BaseConnection:
        """A connection to a server that was found; not made yet."""
        return make_connection(self._address, place, self._context)

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
        last: Exception | None = None
        for offset in range(len(hosts)):
            index = (self._first + offset) % len(hosts)
            try:
                # So that one that is silent does not use up the whole deadline.
                with trio.fail_after(1.0):
                    found = await self._ask(hosts[index])
            except (RedisError, OSError, trio.TooSlowError, BrokerUnavailable) as error:
                last = error
            else:
                self._first = index
                return found
        kind = "sentinels" if self._address.kind == "sentinel" else "nodes"
        msg = f"none of the {kind} told where the queue is, the last one: {last!r}"
        raise BrokerUnavailable(msg) from last

    async def _ask(self, host: tuple[str, int]) -> Place:
        sentinel = self._address.kind == "sentinel"
        connection = make_connection(self._address, host, self._context, sentinel=sentinel)
        async with trio.open_nursery() as nursery:
            await nursery.start(_run, connection)
            try:
                if sentinel:
                    return await self._ask_sentinel(connection)
                return await self._ask_node(connection, host)
            finally:
                connection.invalidate("it was for one question")
                nursery.cancel_scope.cancel()
        raise AssertionError  # for type checkers: the nursery swallows nothing

    async def _ask_sentinel(self, connection: BaseConnection) -> Place:
        service = self._address.service
        found: Any = await connection.create_request(
            b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", service or "", decode=False
        )
        if not found:
            msg = f"{self._address}: the sentinel knows no master {service!r}"
            raise BrokerFailed(msg)
        return found[0].decode(), int(found[1])

    async def _ask_node(self, connection: BaseConnection, host: tuple[str, int]) -> Place:
        slot: Any = await connection.create_request(
            b"CLUSTER", b"KEYSLOT", self._prefix, decode=False
        )
        ranges: Any = await connection.create_request(b"CLUSTER", b"SLOTS", decode=False)
        for first, last, master, *_ in ranges:
            if first <= slot <= last:
                name = master[0].decode() if master[0] else host[0]  # empty: the one that was asked
                return name or host[0], master[1]
        msg = f"no node of the cluster has the slot {slot}"
        raise BrokerUnavailable(msg)


async def _run(connection: BaseConnection, *, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
    await connection.run(task_status=task_status)
