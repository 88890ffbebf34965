"""What the tests of queues in a file share: a queue on a fresh file, on the virtual clock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from tests.contract import LEDGERS, Ledger, NoJitter
from trioqueue import Event, Queue, TaskSet, open_queue
from trioqueue._broker import RemoteBroker
from trioqueue.brokers._sqlite import open_sqlite_broker

#: Seconds of a lease in these tests.
LEASE = 10.0
#: Virtual seconds after which a test is taken to hang: a worker renews, and so has work, for ever.
FOR_EVER = 2_000


class FileLedger(Ledger):
    """Folds the events of every opening of one file in this process.

    Not the limits: the next task is claimed while the end of the last one is still being written,
    so they hold for handlers, which the queue's own tests count.
    """

    def _check_start(self, event: Event) -> None:
        if event.delivery <= self._tokens.get(event.task_id, 0):
            self.wrongs.append(f"the fence did not grow: {event}")
        self._tokens[event.task_id] = event.delivery


#: By the path of the file.
_ledgers: dict[Path, FileLedger] = {}


@asynccontextmanager
async def in_file(
    path: Path,
    tasks: TaskSet,
    *,
    workers: int = 2,
    within: float = FOR_EVER,
    broker: dict[str, Any] | None = None,
    **options: Any,
) -> AsyncIterator[Queue]:
    """`open_queue` on the file at ``path``, with a ledger that folds every event."""
    ledger = _ledgers.setdefault(path, FileLedger(tasks, workers))
    async with open_sqlite_broker(path, lease=LEASE, **broker or {}) as opened:
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


async def check_sum(broker: RemoteBroker) -> None:
    """Conservation: every accepted task is in exactly one place."""
    counts = await broker.counts()
    places = counts._asdict()
    for name in ("submitted", "moves", "capacity", "waiting_submitters"):
        del places[name]
    assert counts.submitted == sum(places.values()), counts
