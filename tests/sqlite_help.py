"""What the tests of the SQLite broker share: tasks, verdicts, and hands into the engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from trioqueue import Counts, Move, Options, Outcome, OutcomeKind, State
from trioqueue._model import Lease, Settlement, Task
from trioqueue.brokers._sqlite import SqliteBroker
from trioqueue.brokers._sqlite_engine import Engine

PAYLOAD = b'[["cat.png"],{"width":640}]'
ALL = {"a": 10**6}

_KINDS = {
    Move.SUCCEEDED: OutcomeKind.RETURNED,
    Move.RETRIED: OutcomeKind.ERROR,
    Move.DIED: OutcomeKind.ERROR,
    Move.SNOOZED: OutcomeKind.SNOOZE,
    Move.RELEASED: OutcomeKind.INTERRUPTED,
    Move.CANCELLED: OutcomeKind.CANCELLED,
}
#: Where a task can be, as `Counts` names it.
PLACES = tuple(state.value for state in State)


def a_task(task_id: object, type_: str = "a", **options: Any) -> Task:
    task = Task(str(task_id), type_, (), {}, Options(**options))
    task.payload = PAYLOAD
    return task


def verdict(lease: Lease, move: Move, delay: float = 0.0, result: bytes = b'"ok"') -> Settlement:
    """What a worker would settle ``lease`` with."""
    failed = move in {Move.RETRIED, Move.DIED}
    outcome = Outcome(_KINDS[move], exception=ValueError("bad") if failed else None)
    settlement = Settlement(lease, move, outcome, delay, failed)
    if move is Move.SUCCEEDED:
        settlement.result = result
    return settlement


async def take(broker: SqliteBroker, most: int = 1, **room: int) -> Sequence[Lease]:
    return await broker.claim(room or ALL, most)


async def end(broker: SqliteBroker, lease: Lease, move: Move, delay: float = 0.0) -> None:
    assert await broker.settle([verdict(lease, move, delay)]) == [True]


def engine_of(broker: SqliteBroker) -> Engine:
    engine: Engine = broker._desk._engine  # type: ignore[attr-defined]
    return engine


def database(broker: SqliteBroker) -> apsw.Connection:
    """The broker's own connection: not while its thread has something to do."""
    db = engine_of(broker)._db
    assert isinstance(db, apsw.Connection)
    return db


@contextmanager
def outsider(path: Path) -> Iterator[apsw.Connection]:
    """Another program that has the file open."""
    db = apsw.Connection(str(path))
    try:
        yield db
    finally:
        db.close(True)


def conserved(counts: Counts) -> bool:
    """The law of conservation, from what the broker counts."""
    return counts.submitted == sum(getattr(counts, place) for place in PLACES)


def recount(path: Path) -> dict[str, int]:
    """How many tasks of each state there are in the file, walked one by one."""
    from trioqueue.brokers._sqlite_schema import STATES

    with outsider(path) as db:
        rows = db.execute("SELECT state, count(*) FROM tasks GROUP BY state").fetchall()
    return {STATES[code].value: number for code, number in rows}
