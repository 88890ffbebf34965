"""A queue on a real server as the store of `tests.broker_machine`; all of it is audited."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from secrets import token_hex
from typing import ClassVar

from tests.broker_model import LEASE, MAX_LOSSES, RETENTION, Model, Ways
from tests.broker_store import UNDONE, AnyBroker
from tests.redis_audit import audit
from tests.redis_broker import EPOCH
from tests.redis_inline import open_inline_line
from tests.redis_server import Redis, fresh_name
from trioqueue import BrokerUnavailable
from trioqueue.brokers._redis import RedisBroker, serve_line
from trioqueue.brokers._redis_calls import Setting

WAYS = Ways(
    tends=frozenset({"publish", "claim", "cancel"}),
    one_clock=True,
    told_by_holder=True,
    recalls=True,
    forgets_each=True,
    ties_by_id=True,
)
#: Longer than any time that passes in the machine: nobody looks without being called.
POLL = 1e6


class RedisStore:
    """See the module. ``server``: set before the first machine."""

    server: ClassVar[Redis]

    def __init__(self) -> None:
        self._name = fresh_name()

    def new_model(self) -> Model:
        return Model(WAYS, EPOCH, EPOCH)

    @asynccontextmanager
    async def there(self) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            self.server.flush(self._name)

    @asynccontextmanager
    async def open(self, model: Callable[[], Model]) -> AsyncGenerator[RedisBroker]:
        identity = token_hex(8)
        setting = Setting(
            *(identity, LEASE, 0.05 * LEASE, RETENTION, MAX_LOSSES, None, True),
            *(lambda: model().lease_now, lambda: model().told, POLL),
        )
        with open_inline_line(self.server, self._name, identity) as line:
            async with serve_line(line, setting) as broker:
                yield broker

    def check(self, model: Model) -> None:
        audit(self.server, self._name, retention=RETENTION)

    def check_end(self, model: Model) -> None:
        keys = audit(self.server, self._name, retention=RETENTION)
        assert keys.tasks.keys() == model.jobs.keys()

    def die(self) -> None:
        """To be closed is no more than that: nothing is written then."""

    @contextmanager
    def dying(self, broker: AnyBroker, verb: str, stage: str) -> Generator[None]:
        """What is undone was never run; the rest was, and nobody heard of it."""
        if stage not in UNDONE:
            yield
            return
        broker._line.fail_next()
        with suppress(BrokerUnavailable):
            yield
            raise AssertionError(f"{verb} runs no script")

    @contextmanager
    def failing(self, broker: AnyBroker) -> Generator[None]:
        broker._line.repeat_next()
        yield

    def boot(self) -> bool:
        return False
