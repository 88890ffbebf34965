"""Peer: huey on an SQLite file, in WAL mode, without results."""

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.cases import stores
from benchmarks.measure import Sample

# By name, because type checkers must not need the peers.
huey: Any = importlib.import_module("huey")


class HueyStore:
    """huey knows FULL (its default) and OFF; NORMAL is set on its one connection."""

    def __init__(self, place: Path, synchronous: str) -> None:
        self.marks = bytearray()
        self.queue = huey.SqliteHuey(filename=str(place / "huey.db"), results=False)
        self.queue.storage.conn.execute(f"pragma synchronous = {synchronous}")
        self.task = self.queue.task(name="no-op")(self._handle)

    def _handle(self, number: int) -> None:
        self.marks[number] += 1

    def put(self, number: int) -> None:
        self.task(number)

    def fill(self, numbers: Iterable[int]) -> None:
        """One by one: there is no other way."""
        for number in numbers:
            self.task(number)

    def complete(self, marks: bytearray) -> None:
        """A claim deletes the row: at most once, and one transaction where the others need two."""
        while (message := self.queue.dequeue()) is not None:
            marks[message.args[0]] += 1

    def run(self, marks: bytearray) -> None:
        """With the handler called as the consumer does it, but without the consumer's polling."""
        self.marks = marks
        while (message := self.queue.dequeue()) is not None:
            self.queue.execute(message)

    def stored(self) -> Iterable[int]:
        return [message.args[0] for message in self.queue.pending()]

    def close(self) -> None:
        self.queue.storage.close()


class RunningStore(HueyStore):
    """The whole way of a task, its handler included."""

    def complete(self, marks: bytearray) -> None:
        self.run(marks)


def enqueue(size: int, synchronous: str) -> Sample:
    return stores.enqueue(HueyStore, size, synchronous)


def claims(size: int, synchronous: str) -> Sample:
    return stores.claims(HueyStore, size, synchronous)


def drain(size: int, synchronous: str) -> Sample:
    return stores.claims(RunningStore, size, synchronous)
