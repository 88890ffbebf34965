"""Queues on a real server as the stores of `tests.durable_scenarios`; each is audited."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager

from tests.durable_scenarios import Opening, Store
from tests.redis_audit import audit
from tests.redis_broker import open_virtual
from tests.redis_server import Redis, fresh_name
from trioqueue.brokers._redis import RedisBroker


def on_server(server: Redis, *, late: bool) -> Store:
    """New queues there. ``late``: see `InlineLine`."""

    @asynccontextmanager
    async def opening(name: str) -> AsyncGenerator[RedisBroker]:
        async with open_virtual(server, name, late=late) as broker:
            set_alarm = broker._set_alarm
            # Never in the same instant as something else: Trio's order would be another each time.
            broker._set_alarm = lambda delay: set_alarm(delay + 3e-7)  # type: ignore[method-assign]
            yield broker

    @contextmanager
    def new_queue() -> Iterator[Opening]:
        name = fresh_name()
        try:
            yield lambda: opening(name)
            audit(server, name)
        finally:
            server.flush(name)

    return new_queue
