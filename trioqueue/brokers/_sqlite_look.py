"""Looking into a broker, for handles, tools and pages: reads alone, in one snapshot of the file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, final

from .._broker import Counts, HistoryEntry, LaneCounts, WorkerRecord
from .._errors import queue_paused, unknown_task
from .._letters import DeadLetter, dead_letter
from .._model import Move, State, Task
from ._sqlite_db import Database, Execute
from ._sqlite_fleet import free_slots
from ._sqlite_moves import open_lanes
from ._sqlite_rows import COLUMNS, read_history, snapshot
from ._sqlite_schema import DEAD, MOVES, READY, RUNNING, SCHEDULED, STATES
from ._sqlite_tx import Setting
from ._stored import decode_worker

_TASKS: Final = f"SELECT {COLUMNS} FROM tasks t JOIN lanes l ON l.id = t.lane WHERE "


@final
class Look:
    """One look, in one read transaction. ``now``: Unix time."""

    def __init__(self, db: Database, setting: Setting) -> None:
        self.db = db
        self.execute: Execute = db.cursor().execute
        self.setting = setting
        self.now = setting.clocks.wall()

    def select(self, condition: str, *values: Any) -> list[Task]:
        """The tasks for which a condition over t holds."""
        since = self.now - self.setting.retention
        return [snapshot(row, since) for row in self.execute(_TASKS + condition, values).fetchall()]


def get(look: Look, task_id: str) -> Task | None:
    """The task of this id."""
    return next(iter(look.select("t.id = ?", task_id)), None)


def get_ended(look: Look, task_id: str) -> Task | None:
    """The task of this id if it has ended, ``None`` if it is open. Raises `UnknownTask`."""
    task = get(look, task_id)
    if task is None:
        raise unknown_task(task_id)
    return None if task.state in _OPEN else task


def is_anything_ready(
    look: Look,
    types: Collection[str] | None,
    queues: Collection[str] | None,
    limits: Mapping[str, int],
) -> bool | None:
    """``True`` if a claim for these would bring something; ``None`` if not."""
    lanes = open_lanes(look.execute, types, queues)
    if lanes and limits:
        free = free_slots(look.execute, limits)
        lanes = [lane for lane in lanes if free.get(lane.type, 1) > 0]
    return bool(lanes) or None


_OPEN: Final = frozenset(STATES[:DEAD])


def ended_since(look: Look, finish: int) -> list[str]:
    """The ids of all tasks that ended after one that has this number."""
    sql = (
        f"SELECT id FROM tasks WHERE state > {DEAD} AND finish > ? UNION ALL "
        f"SELECT id FROM tasks WHERE state = {DEAD} AND finish > ?"
    )
    return [task_id for (task_id,) in look.execute(sql, (finish, finish)).fetchall()]


# --- lists ---------------------------------------------------------------------------------------


def tasks(
    look: Look,
    state: State | None,
    type_: str | None,
    queue: str | None,
    limit: int,
    *,
    newest: bool,
) -> list[Task]:
    """Up to ``limit`` tasks of one state, or open ones, in order of acceptance or against it.

    Each state is looked up in the index of its own; only with a filter are the rows themselves read
    on the way.
    """
    lanes = _lane_numbers(look, type_, queue)
    if lanes is not None and not lanes:
        return []
    codes = [SCHEDULED, READY, RUNNING] if state is None else [STATES.index(state)]
    among = "" if lanes is None else f" AND lane IN ({', '.join(map(str, lanes))})"
    first = f"{' DESC' if newest else ''} LIMIT {int(limit)}"
    parts = [
        f"SELECT seq FROM (SELECT seq FROM tasks {_of_state(code)}{among} ORDER BY seq{first})"
        for code in codes
    ]
    return look.select(f"t.seq IN ({' UNION ALL '.join(parts)}) ORDER BY t.seq{first}")


def _of_state(code: int) -> str:
    """A condition, and the index that answers it: SQLite would rather walk the whole table in its
    order than sort.
    """
    index = _INDEXES[min(code, DEAD + 1)]
    ended = f"state > {DEAD} AND " if code > DEAD else ""
    return f"INDEXED BY {index} WHERE {ended}state = {code}"


#: {state: where its tasks stand}
_INDEXES: Final = {
    SCHEDULED: "tasks_due",
    READY: "tasks_ready",
    RUNNING: "tasks_leased",
    DEAD: "tasks_dead",
    DEAD + 1: "tasks_ended",
}


def _lane_numbers(look: Look, type_: str | None, queue: str | None) -> list[int] | None:
    if type_ is None and queue is None:
        return None
    sql = "SELECT id FROM lanes WHERE coalesce(?, type) = type AND coalesce(?, queue) = queue"
    return [number for (number,) in look.execute(sql, (type_, queue)).fetchall()]


def dead_letters(
    look: Look,
    type_: str | None,
    error: str | None,
    older_than: float,
    limit: int | None,
    *,
    newest: bool,
) -> list[DeadLetter]:
    """The dead letters by their deaths. Reads no more of them than it takes."""
    letters: list[DeadLetter] = []
    condition = f"t.state = {DEAD} AND coalesce(?, l.type) = l.type"
    values: list[object] = [type_]
    if older_than:
        condition += " AND t.ended_at <= ?"
        values.append(look.now - older_than)
    order = f" ORDER BY t.finish{' DESC' if newest else ''}"
    for row in look.execute(f"{_TASKS}{condition}{order}", values):
        if limit is not None and len(letters) >= limit:
            break
        letter = dead_letter(snapshot(row))
        if error is None or error in str(letter.error):
            letters.append(letter)
    return letters


def history(look: Look, task_id: str) -> list[HistoryEntry]:
    """What has happened to a task. Raises `UnknownTask`."""
    row = look.execute("SELECT history FROM tasks WHERE id = ?", (task_id,)).fetchone()
    if row is None:
        raise unknown_task(task_id)
    return read_history(row[0])


# --- numbers -------------------------------------------------------------------------------------

_META: Final = f"SELECT scheduled, ready, running, {', '.join(f'n_{m}' for m in MOVES)} FROM meta"


def counts(look: Look) -> Counts:
    """How many tasks are where."""
    scheduled, ready, running, *numbers = look.execute(_META).fetchall()[0]
    moves: dict[Move, int] = dict(zip(MOVES, numbers, strict=True))
    purged, evicted = moves[Move.PURGED], moves[Move.EVICTED]
    return Counts(
        moves[Move.SUBMITTED] + moves[Move.DELAYED],
        scheduled,
        ready,
        running,
        moves[Move.SUCCEEDED],
        moves[Move.DIED] - moves[Move.REPLAYED] - purged - evicted,
        moves[Move.CANCELLED],
        moves[Move.EXPIRED],
        moves[Move.HANDED_BACK],
        purged,
        evicted,
        moves,
        None,
        0,
    )


_OLDEST: Final = f"""
SELECT lane, accepted_at FROM tasks WHERE seq IN (
    SELECT min(seq) FROM tasks WHERE state = {READY} GROUP BY lane)"""
_OPEN_LANES: Final = """
SELECT id, queue, type, scheduled, ready, running FROM lanes
WHERE scheduled > 0 OR ready > 0 OR running > 0 ORDER BY queue, type"""


def lanes(look: Look) -> list[LaneCounts]:
    """The open tasks by queue and type."""
    everything, single = paused(look)
    oldest: dict[int, float] = dict(look.execute(_OLDEST).fetchall())
    return [
        LaneCounts(
            *(queue, type_, scheduled, ready, running),
            everything or queue in single,
            max(0.0, look.now - oldest[lane]) if ready else None,
        )
        for lane, queue, type_, scheduled, ready, running in look.execute(_OPEN_LANES).fetchall()
    ]


def paused(look: Look) -> tuple[bool, list[str]]:
    """Whether everything is paused, and which queues are by themselves."""
    everything = bool(look.execute("SELECT paused FROM meta").fetchall()[0][0])
    queues = look.execute("SELECT queue FROM paused ORDER BY queue").fetchall()
    return everything, [queue for (queue,) in queues]


def workers(look: Look) -> list[WorkerRecord]:
    """The worker processes heard of lately, the longest-lived first."""
    now = look.setting.clocks.lease()
    found: list[WorkerRecord] = []
    for record, seen, lease, live in look.execute(
        "SELECT record, seen, lease, live FROM workers"
    ).fetchall():
        silent = max(0.0, now - seen)
        found.append(decode_worker(record, silent, live=bool(live) and silent <= lease))
    return sorted(found, key=lambda worker: (worker.started_at, worker.id))


def is_drained(look: Look, types: Collection[str], queues: Collection[str] | None) -> bool:
    """Whether no task of these types is open in these queues. Raises `QueuePaused`."""
    everything, single = paused(look)
    drained = True
    for lane, queue, type_, scheduled, ready, _ in look.execute(_OPEN_LANES).fetchall():
        if type_ in types and (queues is None or queue in queues):
            if (scheduled or ready) and (everything or queue in single):
                raise queue_paused(queue, _first_waiting(look, lane), type_)
            drained = False
    return drained


def _first_waiting(look: Look, lane: int) -> str:
    """The id of a task that waits in this lane."""
    waiting = " UNION ALL ".join(
        f"SELECT id FROM tasks {_of_state(code)} AND lane = :lane" for code in (READY, SCHEDULED)
    )
    task_id: str = look.execute(f"{waiting} LIMIT 1", {"lane": lane}).fetchall()[0][0]
    return task_id
