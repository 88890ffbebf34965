"""Peer: persist-queue's SQLiteAckQueue, in WAL mode, its own default."""

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from benchmarks.cases import stores
from benchmarks.measure import Sample

# By name, because type checkers must not need the peers.
persistqueue: Any = importlib.import_module("persistqueue")

# Each claim walks over the rows that were acknowledged: thrown away so often, it is quickest.
CLEARED: Final = 100


class AckStore:
    """FULL is its default; NORMAL is set on its one connection."""

    def __init__(self, place: Path, synchronous: str) -> None:
        self.queue = persistqueue.SQLiteAckQueue(str(place))
        self.queue._conn.execute(f"pragma synchronous = {synchronous}")

    def put(self, number: int) -> None:
        self.queue.put(number)

    def fill(self, numbers: Iterable[int]) -> None:
        """One by one: it commits each."""
        for number in numbers:
            self.queue.put(number)

    def complete(self, marks: bytearray) -> None:
        """`get` and `ack`, and now and then the clearing that its users have to do."""
        done = 0
        while self.queue.size:
            number = self.queue.get(block=False)
            self.queue.ack(number)
            marks[number] += 1
            done += 1
            if done % CLEARED == 0:
                self.queue.clear_acked_data(max_delete=CLEARED, keep_latest=0)

    def stored(self) -> Iterable[int]:
        return [item["data"] for item in self.queue.queue()]

    def close(self) -> None:
        self.queue.close()


def enqueue(size: int, synchronous: str) -> Sample:
    return stores.enqueue(AckStore, size, synchronous)


def claims(size: int, synchronous: str) -> Sample:
    return stores.claims(AckStore, size, synchronous)
