"""From what a user gives as ``broker=`` to an open broker."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from trio.lowlevel import enable_ki_protection

from .._broker import QueueBroker
from .._errors import InvalidTask
from ._memory import MemoryBroker, open_memory_broker


@asynccontextmanager
@enable_ki_protection
async def open_broker(
    broker: object, *, capacity: int, delayed_capacity: int, dead_capacity: int, results: int
) -> AsyncGenerator[QueueBroker]:
    """``broker`` itself if it is open already, or a memory broker of these sizes.

    Raises `InvalidTask` for anything else.
    """
    if broker is None:
        async with open_memory_broker(
            capacity,
            delayed_capacity=delayed_capacity,
            dead_capacity=dead_capacity,
            results=results,
        ) as own:
            yield own
    elif isinstance(broker, MemoryBroker):
        yield broker
    else:
        msg = (
            f"broker must be None or what open_memory_broker() yields, not {broker!r}: "
            "this release keeps tasks in memory only"
        )
        raise InvalidTask(msg)
