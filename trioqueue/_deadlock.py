"""Would this wait ever end? A pure look at who waits for whom inside one pool.

Handlers may submit to their own queue and wait for its results. That is fine while somebody else
can make progress; the one whose wait would close the circle must be told instead.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from typing import NamedTuple

from ._model import TERMINAL, State, Task

Worker = Hashable


class Snapshot(NamedTuple):
    """The pool as it would be if the wait in question had begun.

    ``waits``: for each blocked worker what its handler waits for: tasks, and ``None`` for room.
    ``running``: task id -> the worker that runs it. ``limits``: type -> how many may run at once.
    ``held``: type -> the workers that hold its tokens now. ``workers``: how many there are.
    ``ready_types``: the types of which tasks are ready. ``room``: whether there is some already.
    """

    workers: int
    waits: Mapping[Worker, Collection[Task | None]]
    running: Mapping[str, Worker]
    limits: Mapping[str, int]
    held: Mapping[str, Collection[Worker]]
    ready_types: Collection[str]


def stuck_workers(snapshot: Snapshot) -> set[Worker]:
    """The blocked workers whose waits can never end by what the pool itself does.

    Assume all of them stuck, then free, again and again, whoever waits for something that a worker
    not stuck could still bring about. What remains waits for itself.
    """
    stuck = set(snapshot.waits)
    while True:
        freed = {
            worker
            for worker in stuck
            if all(_can_come(target, stuck, snapshot) for target in snapshot.waits[worker])
        }
        if not freed:
            return stuck
        stuck -= freed


def _can_come(target: Task | None, stuck: set[Worker], snapshot: Snapshot) -> bool:
    if target is None:
        return _room_can_come(stuck, snapshot)
    if target.state in TERMINAL:
        return True
    if target.state is State.RUNNING:
        return snapshot.running.get(target.id) not in stuck
    return _can_run(target.type, stuck, snapshot)


def _can_run(task_type: str, stuck: set[Worker], snapshot: Snapshot) -> bool:
    """Whether a worker and, if the type has a limit, a token will be there for it."""
    if len(stuck) >= snapshot.workers:
        return False
    limit = snapshot.limits.get(task_type)
    if limit is None:
        return True
    return sum(worker in stuck for worker in snapshot.held.get(task_type, ())) < limit


def _room_can_come(stuck: set[Worker], snapshot: Snapshot) -> bool:
    """A place is freed when a task ends: one that runs unstuck, or one that can start."""
    if any(worker not in stuck for worker in snapshot.running.values()):
        return True
    return any(_can_run(task_type, stuck, snapshot) for task_type in snapshot.ready_types)
