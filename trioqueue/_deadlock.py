"""Would this wait ever end? A pure look at who waits for whom inside one pool.

Handlers may submit to their own queue and wait for its results. That is fine while somebody else
can make progress; the one whose wait would close the circle must be told instead.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from ._model import TERMINAL, State, Task

Worker = object


class RoomWait(NamedTuple):
    """A wait for ``places`` free places of the common room; ``what``: in words."""

    places: int
    what: str


class Waiting(NamedTuple):
    """What holds places in the common room without running, and will not leave by itself.

    ``places``: type -> how many of its tasks are ready or backing off. (Those that expire leave.)
    """

    capacity: int
    places: Mapping[str, int]


#: For a look in which nobody waits for room.
NOTHING_WAITING = Waiting(0, {})


Target = Task | RoomWait


class Snapshot(NamedTuple):
    """The pool as it would be if the wait in question had begun.

    ``waits``: for each blocked worker what its handler waits for. ``running``: task id -> the
    worker that runs it. ``limits``: type -> how many may run at once. ``held``: type -> the workers
    that hold its tokens now. ``workers``: how many there are.
    """

    workers: int
    waits: Mapping[Any, Collection[Target]]
    running: Mapping[str, Worker]
    limits: Mapping[str, int]
    held: Mapping[str, Collection[Worker]]
    waiting: Waiting


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


def _can_come(target: Target, stuck: set[Worker], snapshot: Snapshot) -> bool:
    if isinstance(target, RoomWait):
        return target.places <= _places_to_come(stuck, snapshot)
    if target.state in TERMINAL:
        return True
    if target.state is State.RUNNING:
        return snapshot.running.get(target.id) not in stuck
    if target.options.expires is not None and not target.deliveries:
        return True  # it ends by itself
    return _can_run(target.type, stuck, snapshot)


def _can_run(task_type: str, stuck: set[Worker], snapshot: Snapshot) -> bool:
    """Whether a worker and, if the type has a limit, a token will be there for it."""
    if len(stuck) >= snapshot.workers:
        return False
    limit = snapshot.limits.get(task_type)
    if limit is None:
        return True
    return sum(worker in stuck for worker in snapshot.held.get(task_type, ())) < limit


def _places_to_come(stuck: set[Worker], snapshot: Snapshot) -> int:
    """The most places that could be free at once: all but those of what can never end."""
    kept = sum(worker in stuck for worker in snapshot.running.values())
    for task_type, count in snapshot.waiting.places.items():
        if not _can_run(task_type, stuck, snapshot):
            kept += count
    return snapshot.waiting.capacity - kept
