"""What holds the tasks of a chaos run: how it is opened, struck, and looked over in the end."""

from __future__ import annotations

import random
from collections.abc import Generator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Literal, Protocol

from ... import RemoteBroker
from ._excuses import Terms
from ._final import store_check
from ._witness import Witness

#: A task of a run is killed more often than any real one.
MAX_LOSSES: Final = 10_000


class Live(Protocol):
    """A store while a run lasts, in the hands of the monkey.

    ``mischief``: what can be done to it, and how often that is drawn. A slot is what a process has
    that takes the place of another one: its way to the store. All of it is called by one process.
    """

    mischief: Mapping[str, float]

    def address(self, slot: int | None) -> str:
        """Where the store is for the process of a slot; ``None``: without anything in between."""
        ...

    def occupied(self, slot: int, process: str) -> None:
        """The slot is that process's from now on."""
        ...

    def strike(self, kind: str, slot: int, chance: random.Random) -> str:
        """Do one of the ``mischief``, to that slot's way to the store or to the store itself.

        Returns what was done, in a word; none if there is trouble already.
        """
        ...

    def look_after(self) -> None:
        """What was struck comes back when its time has come. To be called again and again."""
        ...

    def calm(self) -> None:
        """End all trouble, and wait until the store is there."""
        ...


class Store(Protocol):
    """A kind of store. ``certain``: a submit that was cancelled has accepted nothing."""

    certain: ClassVar[bool]

    def terms(self, lease: float) -> Terms:
        """What the checker holds a run to."""
        ...

    def preload(self) -> None:
        """Import what every process will need, so that a forked one starts at once."""
        ...

    def serve(
        self, directory: Path, seed: int, lease: float, slots: int, witness: Witness
    ) -> AbstractContextManager[Live]:
        """The store of a run. For a process without threads: it may fork."""
        ...

    def open(self, address: str, lease: float) -> AbstractAsyncContextManager[RemoteBroker]:
        """A broker on it."""
        ...

    async def check(self, broker: RemoteBroker, address: str) -> str:
        """What is found to be wrong with it after all tasks have ended, in words."""
        ...


@dataclass(frozen=True)
class SqliteStore:
    """A file of SQLite."""

    synchronous: Literal["full", "normal"] = "full"

    certain: ClassVar[bool] = True

    def terms(self, lease: float) -> Terms:
        """See `Store`."""
        return Terms(lease, margin=lease)

    def preload(self) -> None:
        """See `Store`."""
        from ...brokers import _codec, _sqlite_thread

        assert _codec is not None
        assert _sqlite_thread is not None

    @contextmanager
    def serve(
        self, directory: Path, seed: int, lease: float, slots: int, witness: Witness
    ) -> Generator[Live]:
        """See `Store`."""
        yield _LiveFile(str(directory / "chaos.db"))

    def open(self, address: str, lease: float) -> AbstractAsyncContextManager[RemoteBroker]:
        """See `Store`."""
        from ...brokers._sqlite import open_sqlite_broker

        return open_sqlite_broker(
            address, lease=lease, synchronous=self.synchronous, max_losses=MAX_LOSSES
        )

    async def check(self, broker: RemoteBroker, address: str) -> str:
        """See `Store`."""
        return store_check(Path(address))


class _LiveFile:
    """Nothing happens to a file but by its processes."""

    mischief: Mapping[str, float] = {}

    def __init__(self, path: str) -> None:
        self._path = path

    def address(self, slot: int | None) -> str:
        return self._path

    def occupied(self, slot: int, process: str) -> None: ...

    def strike(self, kind: str, slot: int, chance: random.Random) -> str:
        return ""

    def look_after(self) -> None: ...

    def calm(self) -> None: ...
