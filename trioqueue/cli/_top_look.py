"""What ``trioqueue top`` sees of a broker: plain values, for its picture and for JSON.

A look is a handful of requests, however many tasks there are: what is listed is bounded, and what
the history says of a task is asked once for each of its attempts.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple, final

import trio

from .. import DeadLetter, Inspector, Move, State, Task, UnknownTask
from .._failures import FailureGroup, failure_of_letter, failure_of_task, group_failures
from .._rates import Rates, Window
from ._status import Seen, look

#: Dead letters that are looked at, the newest: what failed before is old news.
LETTERS: Final = 200
#: Running tasks, and tasks that are tried again, that are looked at: more than a screen shows.
LISTED: Final = 60

#: An attempt, or the wait for the next: task id, deliveries and state.
_Key = tuple[str, int, State | None]


class Running(NamedTuple):
    """A task that runs. ``running_for``: seconds; ``worker``: a `WorkerRecord`'s id, or ``""``.

    ``progress``: (done, total) where it is known to others than its own process.
    """

    id: str
    type: str
    queue: str
    attempt: int
    running_for: float | None
    worker: str
    progress: tuple[float, float | None] | None


@final
@dataclass(frozen=True)
class Snapshot:
    """A broker at one moment; ``at`` is Unix time."""

    at: float
    seen: Seen
    rates: Rates | None
    running: Sequence[Running]
    failures: Sequence[FailureGroup]
    #: (queue, type) -> dead letters, among the newest `LETTERS`.
    dead: Mapping[tuple[str, str], int]

    def as_json(self) -> dict[str, Any]:
        """For programs: the names are those of the records, and of ``status --json``."""
        rates = self.rates
        return {
            "at": self.at,
            **self.seen.as_json(),
            "rates": rates and {**rates._asdict(), "failure_rate": rates.failure_rate},
            "running": [task._asdict() for task in self.running],
            "failures": [asdict(group) for group in self.failures],
        }


@final
class Watch:
    """Looks at one broker again and again, and remembers what rates need."""

    def __init__(self, inspector: Inspector) -> None:
        self._inspector = inspector
        self._window = Window()
        #: When each was started, or failed, and by whom.
        self._known: dict[_Key, tuple[float, str]] = {}

    async def look(self) -> Snapshot:
        """Look once. Raises what the broker raises; cancelled: changes nothing there."""
        seen = await look(self._inspector)
        self._window.note(trio.current_time(), seen.counts.moves)
        running = await self._tasks(State.RUNNING, seen.counts.running)
        letters = await self._letters(seen.counts.dead)
        retried = [task for task in await self._scheduled(seen) if failure_of_task(task)]
        known = await self._last_moves([*running, *retried])
        now = time.time()
        return Snapshot(
            now,
            seen,
            self._window.rates(),
            running_of(running, known, now),
            group_failures(
                [
                    *map(failure_of_letter, letters),
                    *filter(None, (failure_of_task(t, known[_key(t)][0]) for t in retried)),
                ]
            ),
            count_lanes(letters),
        )

    def per_second(self) -> float | None:
        """Tasks that succeeded or failed per second, between the last two looks."""
        rates = self._window.last()
        return None if rates is None else rates.succeeded + rates.failed

    async def _tasks(self, state: State, there: int) -> Sequence[Task]:
        if not there:
            return ()
        return await self._inspector.tasks(state, limit=LISTED)

    async def _scheduled(self, seen: Seen) -> Sequence[Task]:
        if not seen.counts.scheduled or not seen.counts.moves.get(Move.RETRIED):
            return ()
        return await self._inspector.tasks(State.SCHEDULED, limit=LISTED, newest=True)

    async def _letters(self, there: int) -> Sequence[DeadLetter]:
        if not there:
            return ()
        return await self._inspector.dead_letters(limit=LETTERS, newest=True)

    async def _last_moves(self, tasks: Iterable[Task]) -> dict[_Key, tuple[float, str]]:
        """When each was started, or failed, and by whom; (0.0, "") where that is not known."""
        wanted = {_key(task): task for task in tasks}
        self._known = {key: last for key, last in self._known.items() if key in wanted}
        async with trio.open_nursery() as nursery:
            for key in wanted.keys() - self._known.keys():
                nursery.start_soon(self._ask, key)
        return self._known

    async def _ask(self, key: _Key) -> None:
        try:
            history = await self._inspector.history(key[0])
        except UnknownTask:  # it has ended in the meantime
            history = ()
        moves = [each for each in history if each.name in {Move.STARTED, Move.RETRIED}]
        self._known[key] = (moves[-1].at, moves[-1].worker) if moves else (0.0, "")


def _key(task: Task) -> _Key:
    return (task.id, task.deliveries, task.state)


def running_of(
    tasks: Iterable[Task], known: Mapping[_Key, tuple[float, str]], now: float
) -> list[Running]:
    """The running tasks, the longest-running first; ``now`` is Unix time."""
    made: list[Running] = []
    for task in tasks:
        since, worker = known[_key(task)]
        progress = task.trail.progress if task.trail else None
        running_for = max(0.0, now - since) if since else None  # clocks of machines differ
        queue = task.options.queue
        made.append(Running(task.id, task.type, queue, task.attempt, running_for, worker, progress))
    return sorted(made, key=lambda task: -(task.running_for or 0.0))


def count_lanes(letters: Iterable[DeadLetter]) -> dict[tuple[str, str], int]:
    """How many of these dead letters each queue and type has."""
    counted: dict[tuple[str, str], int] = {}
    for letter in letters:
        lane = (letter.queue, letter.type)
        counted[lane] = counted.get(lane, 0) + 1
    return counted
