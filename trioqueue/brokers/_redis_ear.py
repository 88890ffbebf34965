"""Listening to the messages on a channel, over one connection after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, final

import trio
from coredis.exceptions import RedisError

from .._errors import BrokerFailed
from .._events import logger
from .._ki import protected
from ._redis_connection import Connection
from ._redis_faults import Lost, cause_of, is_lost, is_refused, moved_to, translated
from ._redis_find import Finder, OnPush
from ._redis_link import Link

#: Seconds between two tries: at first, and at most.
_FIRST: Final = 0.02
_LAST: Final = 0.5
#: The same for who may not listen, until somebody has mended that.
_REFUSED: Final = 5.0


@final
@protected
class Ear:
    """``where``: the server, for sentences. ``shards``: whether channels belong to slots.

    ``open_link`` makes a link whose connections hand over what the server sends unasked.
    """

    def __init__(
        self,
        where: str,
        channel: str,
        finder: Finder,
        open_link: Callable[[OnPush], Link],
        *,
        shards: bool,
    ) -> None:
        self._where = where
        self._subscription = ("SSUBSCRIBE" if shards else "SUBSCRIBE", channel)
        self._finder = finder
        self._link = open_link(self._hear)
        self._on_message: Callable[[bytes], object] | None = None

    def follow(self, connection: Connection) -> None:
        """The queue is where ``connection`` leads to: nothing is heard any more elsewhere."""
        heard = self._link.connection
        if heard is not None and heard.place != connection.place:
            heard.drop("the queue is on another server now")

    async def listen(
        self, on_message: Callable[[bytes], object], on_gap: Callable[[], object]
    ) -> None:
        """Listen until cancelled, or the line is left. See `Line`."""
        self._on_message = on_message
        delay = _FIRST
        try:
            while not self._link.closed:
                try:
                    connection = await self._subscribed()
                    on_gap()
                    delay = _FIRST
                    await connection.keep_asking()
                    why = connection.why or ""
                except (RedisError, OSError, Lost, BrokerFailed) as error:
                    why = cause_of(error)
                    if not is_lost(error) and not is_refused(error) and not self._link.closed:
                        # No reason to end: what is missed is found by looking, which is later.
                        logger.warning("%s", translated(self._where, "listening", error))
                        delay = _REFUSED
                logger.debug("%s: messages are missed: %s", self._where, why)
                await trio.sleep(delay)
                delay = min(2 * delay, _LAST)
        finally:
            self._link.leave()

    async def _subscribed(self) -> Connection:
        connection = await self._link.connected()
        try:
            await connection.ask(*self._subscription)
        except (RedisError, Lost) as error:
            self._finder.moved(moved_to(error), connection.place)
            connection.drop("it cannot be listened to")
            raise
        return connection

    def _hear(self, message: list[Any]) -> None:
        match message[0]:
            case b"message" | b"smessage":
                assert self._on_message is not None
                self._on_message(message[2])
            case b"sunsubscribe":
                self._link.drop("the queue's slot has moved")
            case _:
                pass
