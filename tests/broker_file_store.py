"""A file as the store of `tests.broker_machine`: what a dead process leaves is a copy of it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from pathlib import Path
from typing import Any

from tests.broker_file import check_file, copy_file, size_of_log
from tests.broker_model import LEASE, MAX_LOSSES, RETENTION, Model
from tests.broker_store import AnyBroker
from trioqueue.brokers._sqlite import open_sqlite_broker

#: A disk would only be slower: the copies of a dead process' file are what counts.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class FileStore:
    """See the module."""

    def __init__(self) -> None:
        self._path = Path()
        self._files = 0
        self._boot = 1
        self._probe: Any = None

    def new_model(self) -> Model:
        return Model()

    @asynccontextmanager
    async def there(self) -> AsyncGenerator[None]:
        with tempfile.TemporaryDirectory(prefix="broker-machine-", dir=MEMORY) as folder:
            self._path = Path(folder) / "jobs.db"
            yield

    def open(self, model: Callable[[], Model]) -> AbstractAsyncContextManager[AnyBroker]:
        return open_sqlite_broker(
            self._path,
            synchronous="normal",
            lease=LEASE,
            retention=RETENTION,
            max_losses=MAX_LOSSES,
            wall_clock=lambda: model().now,
            lease_clock=lambda: model().lease_now,
            boot_id=f"boot {self._boot}",
            probe=lambda name: self._probe and self._probe(name),
        )

    def check(self, model: Model) -> None:
        """In the end is enough, since a file takes long to read."""

    def check_end(self, model: Model) -> None:
        check_file(self._path, model)

    def die(self) -> None:
        copy_file(self._path, self._next())
        self._path = self._next()
        self._files += 1

    def _next(self) -> Path:
        return self._path.with_name(f"died {self._files}.db")

    @contextmanager
    def dying(self, broker: AnyBroker, verb: str, stage: str) -> Generator[None]:
        written = size_of_log(self._path)
        end = self._next()
        at = f"{verb}:{'after-commit' if stage == 'torn' else stage}"

        def probe(reached: str) -> None:
            if reached == at:
                copy_file(self._path, end, torn_after=written if stage == "torn" else None)

        self._probe = probe
        yield
        self._probe = None
        assert end.exists(), f"{at} was not reached"
        self._path = end
        self._files += 1

    def failing(self, broker: AnyBroker) -> AbstractContextManager[None]:
        return nullcontext()

    def boot(self) -> bool:
        self._boot += 1
        return True
