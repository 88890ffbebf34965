"""The conformance suite of brokers, on the memory broker."""

from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import trio

from trioqueue import MemoryBroker, Move, open_memory_broker
from trioqueue.testing.conformance import LOCAL_BROKER, Bench, BrokerConformance

pytestmark = pytest.mark.main  # the memory broker's own tests are in the fast tier

#: How many ended tasks are remembered, at least; at most twice as many.
RESULTS = 5


def wall_clock() -> float:
    """The time of day, on the virtual clock."""
    return 1.7e9 + trio.current_time()


class TestMemoryBroker(BrokerConformance, has=LOCAL_BROKER):
    def open_broker(self, **options: Any) -> AbstractAsyncContextManager[MemoryBroker]:
        defaults = {"capacity": 1_000, "results": 50, "wall_clock": wall_clock}
        return open_memory_broker(**{**defaults, **options})

    async def forget(self, bench: Bench) -> None:
        for n in range(101):
            await bench.publish(f"filler {n}", queue="filler")
            (lease,) = await bench.claim(queues=["filler"])
            await bench.end(lease, Move.SUCCEEDED)
