"""The file of a SQLite broker, from outside: copied as a dead process leaves it, and checked."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import apsw

from tests.broker_model import Model
from trioqueue.brokers._sqlite_schema import MOVES, STATES


def copy_file(path: Path, to: Path, *, torn_after: int | None = None) -> None:
    """Copy what kill -9 would leave at this instant, the log and its index included.

    ``torn_after``: bytes of the log that were written before; of what follows, half is lost.
    """
    for suffix in ("", "-wal", "-shm"):
        source, target = Path(f"{path}{suffix}"), Path(f"{to}{suffix}")
        if source.exists():
            shutil.copyfile(source, target)
    if torn_after is not None:
        log = Path(f"{to}-wal")
        size = log.stat().st_size
        with log.open("r+b") as file:
            file.truncate((size + torn_after) // 2)


def size_of_log(path: Path) -> int:
    """Bytes of the write-ahead log."""
    log = Path(f"{path}-wal")
    return log.stat().st_size if log.exists() else 0


def check_file(path: Path, model: Model) -> None:
    """The database is whole, and what it counts is what a walk of its rows finds."""
    db = apsw.Connection(str(path))
    db.row_trace = lambda cursor, row: dict(
        zip((name for name, _ in cursor.get_description()), row, strict=True)
    )
    try:
        assert list(db.execute("PRAGMA integrity_check")) == [{"integrity_check": "ok"}]
        (meta,) = db.execute("SELECT * FROM meta")
        lanes = list(db.execute("SELECT * FROM lanes"))
        tasks = list(db.execute("SELECT * FROM tasks"))
    finally:
        db.close()
    _check_numbers(meta, lanes, tasks, sum(model.forgotten.values()))
    for task in tasks:
        _check_row(task, meta["counter"])
    for names in (("seq",), ("id",)):
        _check_unique(tasks, names)
    open_tasks = [task for task in tasks if STATES[task["state"]] in _OPEN]
    _check_unique([task for task in open_tasks if task["key"]], ("key_queue", "key"))
    _check_unique([task for task in open_tasks if task["state"] == 1], ("lane", "place"))
    _check_unique([task for task in tasks if task["finish"] is not None], ("finish",))


_OPEN = ("scheduled", "ready", "running")


def _check_numbers(meta: Any, lanes: Any, tasks: Any, forgotten: int) -> None:
    places = Counter((task["lane"], _column(task)) for task in tasks)
    for lane in lanes:
        for column in (*_OPEN, "kept"):
            assert lane[column] == places.pop((lane["id"], column), 0), (lane, column)
    assert not places, "tasks in no lane"
    states = Counter(_column(task) for task in tasks)
    assert [meta[state] for state in _OPEN] == [states[state] for state in _OPEN]
    moves = {str(move): meta[f"n_{move}"] for move in MOVES}
    assert moves["submitted"] + moves["delayed"] == len(tasks) + forgotten


def _column(task: Any) -> str:
    state = STATES[task["state"]].value
    return state if state in _OPEN else "kept"


def _check_row(task: Any, counter: int) -> None:
    """What is noted of a task goes with its state."""
    state = STATES[task["state"]].value
    ended = state not in _OPEN
    assert (task["lease_until"] is not None) == (state == "running"), task
    assert (task["due"] is not None) == (state == "scheduled"), task
    assert (task["finish"] is not None) == (task["ended_at"] is not None) == ended, task
    assert (task["kind"] is not None) == ended, task
    assert not (ended and state != "dead" and task["payload"]), task
    assert not ((ended or task["deliveries"]) and task["expires_at"] is not None), task
    assert task["settled"] <= task["deliveries"], task
    assert max(task["seq"], task["finish"] or 0) <= counter, task


def _check_unique(rows: Iterable[Any], names: tuple[str, ...]) -> None:
    found = Counter(tuple(row[name] for name in names) for row in rows)
    assert all(number == 1 for number in found.values()), (names, found)
