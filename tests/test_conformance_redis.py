"""The conformance suite of brokers, on the Redis broker: on a virtual clock, and on a real one."""

from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import trio

from tests.redis_audit import audit
from tests.redis_broker import open_virtual
from tests.redis_server import RunningServer
from trioqueue.brokers._redis import RedisBroker
from trioqueue.brokers._redis_address import split_redis_url
from trioqueue.brokers._redis_open import open_redis_broker
from trioqueue.testing.conformance import REMOTE_BROKER, Bench, BrokerConformance, Case, Has


class TestRedisBroker(BrokerConformance, has=REMOTE_BROKER):
    """A real server, which is told the time; so nothing sleeps."""

    retention = 10_000.0

    @pytest.fixture(autouse=True)
    def store(self, redis_server: RunningServer, redis_queue: str) -> None:
        self.server = redis_server
        self.queue = redis_queue
        self.ahead = 0.0

    def play(self, case: Case) -> None:
        """In the end of each case every key on the server is looked at."""
        super().play(case)
        audit(self.server, self.queue, retention=self.retention)

    def open_broker(self, **options: Any) -> AbstractAsyncContextManager[RedisBroker]:
        options = {"retention": self.retention, **options}
        return open_virtual(self.server, self.queue, ahead=lambda: self.ahead, **options)

    def skip(self, seconds: float) -> None:
        self.ahead += seconds

    async def forget(self, bench: Bench) -> None:
        await trio.sleep(90_000)  # noqa: ASYNC116 - virtual seconds: ends are known for a day


@pytest.mark.long
class TestRedisBrokerOverTheWire(
    BrokerConformance, has=REMOTE_BROKER - {Has.FORGETS, Has.RETENTION, Has.SKIPS, Has.UNDONE}
):
    """The same by the server's own clock, over real connections."""

    virtual = False
    unit = 0.2

    @pytest.fixture(autouse=True)
    def store(self, redis_server: RunningServer, redis_queue: str) -> None:
        self.url = redis_server.url()
        self.queue = redis_queue

    def open_broker(self, **options: Any) -> AbstractAsyncContextManager[RedisBroker]:
        address, _ = split_redis_url(self.url)
        return open_redis_broker(address, queue=self.queue, lease=10 * self.unit, **options)
