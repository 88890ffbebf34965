"""A connection that is made anew when it is needed and the last one has died."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Final, final

import trio
from coredis.exceptions import RedisError

from .._errors import TrioqueueError
from .._ki import protected
from ._redis_connection import Connection
from ._redis_faults import Lost

#: Seconds between two tries to connect: at first, and at most. Of a fleet of a thousand workers
#: whose server is back, each comes within the last.
_FIRST: Final = 0.02
_LAST: Final = 1.0


@final
class _Attempt:
    """One try to connect, for all who wait for it."""

    def __init__(self) -> None:
        self.ended: Final = trio.Event()
        self.connection: Connection | None = None
        self.error: Exception = Lost("the line was left")


@final
@protected
class Link:
    """``connect()`` makes a connection; ``spawn`` starts a task behind it; ``patience`` as there;
    ``closed()`` says that there will be no connections any more.

    However many want a connection, there is one attempt at a time, and a pause after each that
    fails, which grows.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        spawn: Callable[..., object],
        patience: float,
        closed: Callable[[], bool],
    ) -> None:
        self._connect = connect
        self._closed = closed
        self._spawn = spawn
        self._patience = patience
        self._connection: Connection | None = None
        self._attempt: _Attempt | None = None
        self._failures = 0
        self._left = False
        self.error: Exception | None = None  # of the last attempt, if it failed
        self._random = random.Random()

    @property
    def connection(self) -> Connection | None:
        """The one that there is, if it is of use."""
        connection = self._connection
        return connection if connection is not None and connection.usable else None

    async def connected(self) -> Connection:
        """The connection, made if need be. Raises why the attempt failed.

        Cancelled: the attempt goes on, for others.
        """
        if (connection := self.connection) is not None:
            return connection
        attempt = self._attempt
        if attempt is None:
            attempt = _Attempt()
            self._spawn(self._try, attempt)
            self._attempt = attempt
        await attempt.ended.wait()
        if attempt.connection is None:
            raise attempt.error
        return attempt.connection

    @property
    def closed(self) -> bool:
        """Whether there will be no connection any more."""
        return self._closed()

    def drop(self, why: str) -> None:
        """End the connection that there is."""
        if self._connection is not None:
            self._connection.drop(why)

    def leave(self) -> None:
        """End the connection, also one that is just being made: nobody will ask for it."""
        self._left = True
        self.drop("nobody needs it any more")

    async def _try(self, attempt: _Attempt) -> None:
        try:
            if self._failures:
                # Not so long that a call could spend all its time with it.
                pause = min(_LAST, self._patience / 2, _FIRST * 2.0 ** min(self._failures, 10))
                await trio.sleep(pause * self._random.uniform(0.5, 1.0))
            with trio.fail_after(self._patience):
                attempt.connection = self._connection = await self._connect()
            self._failures = 0
            self.error = None
            if self._left:
                self.leave()
        except trio.TooSlowError:
            self._fail(attempt, Lost(f"no connection within {self._patience:g} s"))
        except (RedisError, OSError, Lost, TrioqueueError) as error:
            self._fail(attempt, error)
        finally:
            self._attempt = None
            attempt.ended.set()

    def _fail(self, attempt: _Attempt, error: Exception) -> None:
        self._failures += 1
        self.error = attempt.error = error
