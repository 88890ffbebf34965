"""What the tests of the Redis broker share: an opening on the virtual clock of a test."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from secrets import token_hex
from typing import Any

import trio

from tests.redis_inline import InlineLine, open_inline_line
from tests.redis_server import Redis
from trioqueue import Options
from trioqueue._model import MAX_LOSSES, Lease, Task
from trioqueue.brokers._redis import RedisBroker, serve_line
from trioqueue.brokers._redis_calls import Setting

#: Unix time at the beginning of a virtual clock.
EPOCH = 1.7e9


@asynccontextmanager
async def open_virtual(
    server: Redis,
    name: str,
    *,
    lease: float = 10.0,
    retention: float = 86_400.0,
    max_losses: int = MAX_LOSSES,
    capacity: int | None = None,
    full: str = "wait",
    ahead: Callable[[], float] = lambda: 0.0,
    poll: float = 10_000.0,
    late: bool = False,
) -> AsyncGenerator[RedisBroker]:
    """The broker of this name on a real server, which is told the time of Trio's virtual clock.

    ``ahead()``: seconds by which the clocks of the server and of the leases are ahead of Trio's.
    ``late``: see `InlineLine`.
    """
    identity = token_hex(8)
    setting = Setting(
        *(identity, lease, 0.05 * lease, retention, max_losses, capacity, full == "wait"),
        lambda: trio.current_time() + ahead(),
        lambda: EPOCH + trio.current_time() + ahead(),
        poll,
    )
    with open_inline_line(server, name, identity) as line:
        line.late = late
        async with serve_line(line, setting) as broker:
            yield broker


def a_task(
    task_id: str, type: str = "type", *, payload: bytes = b"[[],{}]", **options: Any
) -> Task:
    """A task as a queue would make it, not accepted yet."""
    task = Task(task_id, type, (), {}, Options(**options))
    task.payload = payload
    return task


def room(*types: str, each: int = 1_000) -> dict[str, int]:
    """Room for so many of these types, or of the one that is called "type"."""
    return dict.fromkeys(types or ("type",), each)


async def ids_of(claim: Awaitable[Sequence[Lease]]) -> list[str]:
    """What a claim takes."""
    return [lease.task.id for lease in await claim]


def line_of(broker: RedisBroker) -> InlineLine:
    """The line of one that was opened by `open_virtual`."""
    line = broker._line
    assert isinstance(line, InlineLine)
    return line
