"""The cases of the peers that keep their tasks in an SQLite file, each a plain loop in one thread.

One thread is their best setting: none of them commits the work of several callers together, so
that more threads only wait for each other.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Protocol

from benchmarks import scratch
from benchmarks.measure import Ledger, Sample, Stopwatch

# Tasks waiting at most while claims are measured, on every side: litequeue sorts all that wait for
# each claim (13k/s with 200 of them, 2.5k/s with 5,000), so the figure needs a depth.
DEPTH: Final = 1_000


class Store(Protocol):
    """A peer, opened on one file."""

    def put(self, number: int) -> None:
        """Enqueue one task, as its users do."""
        ...

    def fill(self, numbers: Iterable[int]) -> None:
        """Enqueue many, the quickest way that there is; not measured by ``claims``."""
        ...

    def complete(self, marks: bytearray) -> None:
        """Claim and complete all that wait, one by one, and mark each."""
        ...

    def stored(self) -> Iterable[int]:
        """Everything that waits, read back."""
        ...

    def close(self) -> None: ...


Open = Callable[[Path, str], Store]
Fill = Callable[[Store, Iterable[int]], None]


def _put_each(store: Store, numbers: Iterable[int]) -> None:
    put = store.put
    for number in numbers:
        put(number)


def _enqueue(opened: Open, size: int, synchronous: str, fill: Fill) -> Sample:
    ledger, watch = Ledger(size), Stopwatch()
    with scratch.directory() as place:
        store = opened(place, synchronous)
        with watch:
            fill(store, range(size))
        for number in store.stored():
            ledger.marks[number] += 1
        store.close()
    ledger.verify()
    return watch.rates(size)


def enqueue(opened: Open, size: int, synchronous: str) -> Sample:
    """One task after the other, each safe when its call returns."""
    _enqueue(opened, size // 20, synchronous, _put_each)
    return _enqueue(opened, size, synchronous, _put_each)


def bulk(opened: Open, size: int, synchronous: str) -> Sample:
    """By the peer's own way to enqueue many."""

    def fill(store: Store, numbers: Iterable[int]) -> None:
        store.fill(numbers)

    _enqueue(opened, size // 20, synchronous, fill)
    return _enqueue(opened, size, synchronous, fill)


def _claims(opened: Open, size: int, synchronous: str) -> Sample:
    ledger, watch = Ledger(size), Stopwatch()
    with scratch.directory() as place:
        store = opened(place, synchronous)
        for first in range(0, size, DEPTH):
            store.fill(range(first, min(size, first + DEPTH)))
            with watch:
                store.complete(ledger.marks)
        store.close()
    ledger.verify()
    return watch.rates(size)


def claims(opened: Open, size: int, synchronous: str) -> Sample:
    """Claim and complete, with up to `DEPTH` tasks waiting."""
    _claims(opened, size // 20, synchronous)
    return _claims(opened, size, synchronous)
