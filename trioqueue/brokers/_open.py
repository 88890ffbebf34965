"""From what a user gives as ``broker=`` to an open broker."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from trio.lowlevel import enable_ki_protection

from .._backend import LocalBackend
from .._broker import Codec, RemoteBroker
from .._errors import InvalidTask
from ._memory import MemoryBroker as MemoryBroker
from ._memory import open_memory_broker

if TYPE_CHECKING:
    from .._registry import TaskType


def codec_of(types: Iterable[TaskType[..., Any]]) -> Codec:
    """The codec for the payloads and results of these types. Needs msgspec."""
    from ._codec import TaskCodec  # memory does without

    return TaskCodec(types)


@asynccontextmanager
@enable_ki_protection
async def open_broker(
    broker: object, *, capacity: int, delayed_capacity: int, dead_capacity: int, results: int
) -> AsyncGenerator[LocalBackend | RemoteBroker]:
    """``broker`` itself if it is open already, the one at a URL, or a memory broker of these sizes.

    Raises `InvalidTask` for anything else, and what opening a file or a connection raises.
    """
    if broker is None:
        async with open_memory_broker(
            capacity,
            delayed_capacity=delayed_capacity,
            dead_capacity=dead_capacity,
            results=results,
        ) as own:
            yield own
    elif isinstance(broker, str):
        from ._url import open_broker_url

        async with open_broker_url(broker) as opened:
            yield opened
    elif isinstance(broker, (MemoryBroker, RemoteBroker)):
        yield broker
    else:
        msg = (
            f"broker must be None, a URL such as 'sqlite:///jobs.db', or an open broker, not "
            f"{broker!r}"
        )
        raise InvalidTask(msg)
