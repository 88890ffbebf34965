"""What the tests of durable queues share: a queue on a fresh store, on the virtual clock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import trio

from tests.contract import LEDGERS, Ledger, NoJitter
from tests.redis_audit import audit
from tests.redis_broker import open_virtual
from tests.redis_server import Redis
from trioqueue import Event, Queue, TaskSet, open_queue
from trioqueue._broker import RemoteBroker
from trioqueue.brokers._sqlite import open_sqlite_broker

#: Seconds of a lease in these tests.
LEASE = 10.0
#: Virtual seconds after which a test is taken to hang: a worker renews, and so has work, for ever.
FOR_EVER = 2_000


class OnServer(NamedTuple):
    """Where a queue on Redis is: what a path is for one in a file."""

    server: Redis
    name: str

    def open(self, **options: Any) -> AbstractAsyncContextManager[RemoteBroker]:
        return open_virtual(self.server, self.name, **options)


Place = Path | OnServer


def open_at(place: Place, **options: Any) -> AbstractAsyncContextManager[RemoteBroker]:
    """A broker there."""
    if isinstance(place, OnServer):
        return place.open(**options)
    return open_sqlite_broker(place, **options)


class FileLedger(Ledger):
    """Folds the events of every opening of one store in this process.

    Not the limits: the next task is claimed while the end of the last one is still being written,
    so they hold for handlers, which the queue's own tests count.
    """

    def _check_start(self, event: Event) -> None:
        if event.delivery <= self._tokens.get(event.task_id, 0):
            self.wrongs.append(f"the fence did not grow: {event}")
        self._tokens[event.task_id] = event.delivery


#: By the path of the file, or the name on the server.
_ledgers: dict[Place, FileLedger] = {}


@asynccontextmanager
async def in_file(
    path: Place,
    tasks: TaskSet,
    *,
    workers: int = 2,
    within: float = FOR_EVER,
    broker: dict[str, Any] | None = None,
    **options: Any,
) -> AsyncIterator[Queue]:
    """`open_queue` on the store at ``path``, with a ledger that folds every event."""
    ledger = _ledgers.setdefault(path, FileLedger(tasks, workers))
    async with open_at(path, lease=LEASE, **broker or {}) as opened:
        opening = open_queue(
            tasks,
            workers=workers,
            broker=opened,
            observers=[ledger],
            random=options.pop("random", NoJitter(0)),
            **options,
        )
        with trio.fail_after(within):
            async with opening as queue:
                LEDGERS[queue] = ledger
                try:
                    yield queue
                finally:
                    del LEDGERS[queue]
        assert not ledger.wrongs, "\n".join(ledger.wrongs)
        await check_sum(opened)
    if isinstance(path, OnServer):
        audit(path.server, path.name, retention=(broker or {}).get("retention", 86_400.0))


async def check_sum(broker: RemoteBroker) -> None:
    """Conservation: every accepted task is in exactly one place."""
    counts = await broker.counts()
    places = counts._asdict()
    for name in ("submitted", "moves", "capacity", "waiting_submitters"):
        del places[name]
    assert counts.submitted == sum(places.values()), counts
