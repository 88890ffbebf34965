"""Waiting for replicas, which blocks a connection: once for all who can share it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, final

import trio
from coredis.exceptions import RedisError

from .._ki import protected
from ._redis_connection import Connection
from ._redis_faults import Lost
from ._redis_line import Arg


@final
class _Wait:
    """One wait. ``reached``: how many replicas have all that was answered before it began."""

    def __init__(self, connection: Connection) -> None:
        self.connection: Final = connection
        self.ended: Final = trio.Event()
        self.reached = 0
        self.error: Exception | None = Lost("the line was left")


@final
@protected
class Copies:
    """``replicas``: how many are waited for, for ``limit`` seconds. ``spawn`` starts a task.

    ``mark``: a command that reaches the replicas and changes nothing. A server waits for what its
    connection has written itself: the answer to a repeat, which wrote nothing, would not count.
    """

    def __init__(
        self,
        replicas: int,
        limit: float,
        spawn: Callable[..., object],
        mark: Sequence[Arg],
    ) -> None:
        self.replicas: Final = replicas
        self._limit = max(1, int(1000 * limit))
        self._spawn = spawn
        self._mark = mark
        self._next: _Wait | None = None  # that has not begun
        self._one = trio.Lock()

    async def wait(self, connection: Connection) -> int:
        """How many replicas have what was answered on this connection before.

        Raises `Lost` if the connection ends.
        """
        wait = self._next
        if wait is None or wait.connection is not connection:
            wait = _Wait(connection)
            self._spawn(self._perform, wait)
            self._next = wait
        await wait.ended.wait()
        if wait.error is not None:
            raise wait.error
        return wait.reached

    async def _perform(self, wait: _Wait) -> None:
        try:
            async with self._one:
                if self._next is wait:
                    self._next = None  # who is answered from here on needs another one
                wait.connection.request(*self._mark)
                wait.reached = await wait.connection.ask("WAIT", self.replicas, self._limit)
                wait.error = None
        except (RedisError, OSError, Lost) as error:
            wait.error = error
        finally:
            wait.ended.set()
