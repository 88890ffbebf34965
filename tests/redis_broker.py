"""What the tests of the Redis broker share: an opening on the virtual clock of a test."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from secrets import token_hex

import trio

from tests.redis_inline import open_inline_line
from tests.redis_server import Redis
from trioqueue._model import MAX_LOSSES
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
