"""Peer: dramatiq with its stub broker and a worker of threads."""

import importlib
import logging
from typing import Any

from benchmarks.measure import WORKERS, Ledger, Sample, Stopwatch

# By name, because type checkers must not need the peers.
dramatiq: Any = importlib.import_module("dramatiq")
stub: Any = importlib.import_module("dramatiq.brokers.stub")

# Milliseconds; a join that takes longer means that a task was lost.
JOIN_LIMIT = 60_000


def _no_op(size: int) -> Sample:
    ledger, watch = Ledger(size), Stopwatch()
    marks = ledger.marks

    def handle(number: int) -> None:
        marks[number] += 1

    broker = stub.StubBroker()
    actor = dramatiq.actor(handle, actor_name="no-op", broker=broker)
    worker = dramatiq.Worker(broker, worker_threads=WORKERS, worker_timeout=100)
    worker.start()
    try:
        with watch:
            for number in range(size):
                actor.send(number)
            broker.join(actor.queue_name, timeout=JOIN_LIMIT)
            worker.join()
    finally:
        worker.stop()
        broker.close()
    ledger.verify()
    return watch.rates(size)


def no_op(size: int) -> Sample:
    """`send` with the default middleware, which is where its retries and time limits live."""
    logging.getLogger("dramatiq").setLevel(logging.WARNING)
    _no_op(size // 20)
    return _no_op(size)
