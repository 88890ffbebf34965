"""The conformance suite of brokers, on the SQLite broker: on a virtual clock, and in threads."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
import trio

from trioqueue.brokers._sqlite import SqliteBroker, open_sqlite_broker
from trioqueue.testing.conformance import REMOTE_BROKER, Bench, BrokerConformance, Has


class TestSqliteBroker(BrokerConformance, has=REMOTE_BROKER):
    retention = 10_000.0

    @pytest.fixture(autouse=True)
    def store(self, tmp_path: Path) -> None:
        self.path = tmp_path / "jobs.db"
        self.ahead = 0.0

    def open_broker(self, **options: Any) -> AbstractAsyncContextManager[SqliteBroker]:
        clocks = {
            "wall_clock": lambda: 1.7e9 + trio.current_time(),
            "lease_clock": lambda: trio.current_time() + self.ahead,
        }
        defaults = {"synchronous": "normal", "retention": self.retention, **clocks}
        return open_sqlite_broker(self.path, **{**defaults, **options})

    def skip(self, seconds: float) -> None:
        self.ahead += seconds

    async def forget(self, bench: Bench) -> None:
        await trio.sleep(90_000)  # noqa: ASYNC116 - virtual seconds: ends are known for a day


@pytest.mark.long
class TestSqliteBrokerInThread(
    BrokerConformance, has=REMOTE_BROKER - {Has.FORGETS, Has.RETENTION, Has.SKIPS}
):
    """The same on a real clock, where the file is the business of a thread."""

    virtual = False
    unit = 0.2

    @pytest.fixture(autouse=True)
    def store(self, tmp_path: Path) -> None:
        self.path = tmp_path / "jobs.db"

    def open_broker(self, **options: Any) -> AbstractAsyncContextManager[SqliteBroker]:
        return open_sqlite_broker(self.path, lease=10 * self.unit, **options)
