"""Trying again while the broker is away: it may be for a moment, or for hours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import trio

from ._errors import BrokerUnavailable
from ._events import logger

T = TypeVar("T")

#: Seconds between two tries: at first, and at most.
FIRST: Final = 0.05
LAST: Final = 2.0


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """``await call()``, again and again while it raises `BrokerUnavailable`.

    For calls that are safe to repeat, as every verb of a broker is. The first failure is logged.
    Cancelled: as the call itself, or in between, with nothing done.
    """
    delay = FIRST
    while True:
        try:
            return await call()
        except BrokerUnavailable as error:
            if delay == FIRST:
                logger.warning("the broker is away, trying again: %s", error)
            await trio.sleep(delay)
            delay = min(2 * delay, LAST)
