"""What is used of an SQLite connection. (Typed here, as apsw's own types leave blobs unknown.)"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

#: The values of one row. What they are is known by who wrote the query.
Row = tuple[Any, ...]


class Rows(Protocol):
    """The lazy rows of one statement."""

    def __iter__(self) -> Iterator[Row]: ...
    def __next__(self) -> Row: ...
    def fetchall(self) -> list[Row]: ...
    def fetchone(self) -> Row | None: ...
    def close(self, force: bool = False) -> None: ...


class Execute(Protocol):
    """Runs one statement. A cursor's has only one statement at a time, and costs half."""

    def __call__(
        self, sql: str, values: Sequence[object] | Mapping[str, object] = ..., /
    ) -> Rows: ...


class Cursor(Protocol):
    """Of which nothing but ``execute`` is used."""

    def execute(
        self, sql: str, values: Sequence[object] | Mapping[str, object] = ..., /
    ) -> Rows: ...


class Database(Protocol):
    """An ``apsw.Connection``."""

    @property
    def in_transaction(self) -> bool: ...
    def cursor(self) -> Cursor: ...
    def execute(
        self, sql: str, values: Sequence[object] | Mapping[str, object] = ..., /
    ) -> Rows: ...
    def executemany(self, sql: str, values: Iterable[Sequence[object]], /) -> Rows: ...
    def changes(self) -> int: ...
    def pragma(self, name: str, value: object = ..., /) -> Any: ...
    def set_busy_timeout(self, milliseconds: int, /) -> None: ...
    def close(self, force: bool = False) -> None: ...
