"""Peer: aiometer on Trio."""

import importlib
from functools import partial
from typing import Any

import trio

from benchmarks.measure import WORKERS, Ledger, Sample, Stopwatch

# By name, because type checkers must not need the peers.
aiometer: Any = importlib.import_module("aiometer")


async def _no_op(size: int) -> Sample:
    ledger, watch = Ledger(size), Stopwatch()
    marks = ledger.marks

    async def handle(number: int) -> None:
        marks[number] += 1

    numbers = range(size)
    with watch:
        await aiometer.run_on_each(handle, numbers, max_at_once=WORKERS)
    ledger.verify()
    return watch.rates(size)


def no_op(size: int) -> Sample:
    """`run_on_each`, which keeps no results; a limit, no timeout, no retries."""
    trio.run(partial(_no_op, size // 20))
    return trio.run(partial(_no_op, size))
