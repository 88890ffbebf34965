"""Peer: litequeue, in WAL mode, its own default."""

import importlib
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any, Final

from benchmarks.cases import stores
from benchmarks.measure import Sample

# By name, because type checkers must not need the peers.
litequeue: Any = importlib.import_module("litequeue")

# Tasks of one transaction where it enqueues many, as many as of one `submit_many`.
BATCH: Final = 256


class LiteStore:
    """NORMAL is its default; FULL is set on its one connection."""

    def __init__(self, place: Path, synchronous: str) -> None:
        self.queue = litequeue.LiteQueue(place / "litequeue.db")
        self.queue.conn.execute(f"pragma synchronous = {synchronous}")

    def put(self, number: int) -> None:
        self.queue.put(str(number))

    def fill(self, numbers: Iterable[int]) -> None:
        """In transactions, which it leaves to its user."""
        rest = iter(numbers)
        while batch := list(islice(rest, BATCH)):
            with self.queue.transaction():
                for number in batch:
                    self.queue.put(str(number))

    def complete(self, marks: bytearray) -> None:
        """`pop` and `done`; the rows stay. (Pruning them does not make it quicker.)"""
        while (message := self.queue.pop()) is not None:
            self.queue.done(message.message_id)
            marks[int(message.data)] += 1

    def stored(self) -> Iterable[int]:
        rows = self.queue.conn.execute(f"select data from {self.queue.table} where status = 0")
        return [int(row[0]) for row in rows]

    def close(self) -> None:
        self.queue.close()


def enqueue(size: int, synchronous: str) -> Sample:
    return stores.enqueue(LiteStore, size, synchronous)


def bulk(size: int, synchronous: str) -> Sample:
    return stores.bulk(LiteStore, size, synchronous)


def claims(size: int, synchronous: str) -> Sample:
    return stores.claims(LiteStore, size, synchronous)
