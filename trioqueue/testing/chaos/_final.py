"""What a broker says of its tasks when all is over: the other half of what the checker compares."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ... import Counts, Inspector, State
from ..._model import Task


class Final(NamedTuple):
    """One task in the end. ``winner``: the token in the result that is kept, if there is one."""

    state: State
    deliveries: int
    failures: int
    winner: int | None = None


@dataclass(frozen=True)
class FinalState:
    """All tasks in the end. ``drained``: clean workers have had the time to end every task.

    ``integrity``: what the store's own check found, or nothing.
    """

    tasks: Mapping[str, Final] = field(default_factory=dict[str, Final])
    counts: Counts | None = None
    drained: bool = True
    integrity: str = ""


async def look(
    broker: Inspector, ids: Iterable[str], *, drained: bool = True, integrity: str = ""
) -> FinalState:
    """Ask a broker for the `FinalState` of these tasks. Cancelled: changes nothing."""
    tasks: dict[str, Final] = {}
    for task_id in ids:
        task = await broker.get(task_id)
        if task is not None:
            assert task.state is not None
            tasks[task_id] = Final(task.state, task.deliveries, task.failures, _winner(task))
    return FinalState(tasks, await broker.counts(), drained, integrity)


def _winner(task: Task) -> int | None:
    """The handlers of a proof return ``{"token": ...}``: it tells whose result was kept."""
    result = None if task.outcome is None else task.outcome.value
    if not isinstance(result, (bytes, bytearray)):
        return None
    try:
        token = json.loads(result)["token"]
    except (ValueError, KeyError, TypeError):
        return None
    return token if isinstance(token, int) else None


def store_check(path: Path) -> str:
    """What SQLite's own check of a file finds; nothing if it is whole, or of another kind."""
    if not path.is_file() or path.read_bytes()[:15] != b"SQLite format 3":
        return ""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        found = [row[0] for row in database.execute("PRAGMA integrity_check")]
    return "" if found == ["ok"] else "; ".join(found)
