"""Peer: huey with its memory storage."""

import importlib
from typing import Any

from benchmarks.measure import Ledger, Sample, Stopwatch

# By name, because type checkers must not need the peers.
huey: Any = importlib.import_module("huey")


def _no_op(size: int) -> Sample:
    ledger, watch = Ledger(size), Stopwatch()
    marks = ledger.marks

    def handle(number: int) -> None:
        marks[number] += 1

    queue = huey.MemoryHuey(immediate=False)
    task = queue.task(name="no-op")(handle)
    with watch:
        for number in range(size):
            task(number)
        while (message := queue.dequeue()) is not None:
            queue.execute(message)
    ledger.verify()
    return watch.rates(size)


def no_op(size: int) -> Sample:
    """Enqueue, then dequeue and execute in the same thread.

    Without the consumer, whose threads poll: the rate is the same with one of them, a little lower
    with eight, and no idle wait blurs the figure.
    """
    _no_op(size // 20)
    return _no_op(size)
