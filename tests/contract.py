"""What the behavioural tests share: a queue that an independent ledger watches to its end.

The ledger knows the laws of the design, and nothing of how the queue keeps its books.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import outcome
import trio

from trioqueue import (
    Event,
    MemoryBroker,
    Move,
    Options,
    Outcome,
    OutcomeKind,
    Queue,
    Retry,
    State,
    TaskSet,
    fold,
    open_queue,
)
from trioqueue import Observer as Observer
from trioqueue._model import Lease, Settlement, Task

#: Virtual seconds after which a test that still waits is taken for one that waits for ever.
FOR_EVER = 1e7
#: Every test of failures that are not retried.
ONCE = Retry(attempts=1)

ENDS = ("succeeded", "dead", "cancelled", "expired", "handed_back", "purged", "evicted")
PLACES = ("scheduled", "ready", "running", *ENDS)


class NoJitter(Random):
    """Backoffs at their full length, so that the virtual clock shows them exactly."""

    def random(self) -> float:
        return 0.0


class Ledger:
    """Folds every event, and keeps what it finds wrong: an observer that raises is only dropped."""

    def __init__(self, tasks: TaskSet, workers: int) -> None:
        self.events: list[Event] = []
        self.states: dict[str, State | None] = {}
        self.wrongs: list[str] = []
        self._workers = workers
        self._limits = {task.name: task.limit or workers for task in tasks}
        self._tokens: dict[str, int] = {}
        self._running: dict[str, str] = {}

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        try:
            self.states[event.task_id] = fold(self.states.get(event.task_id), event)
        except (AssertionError, RuntimeError) as error:
            self.wrongs.append(f"{event}: {error}")
        if event.name == "started":
            self._check_start(event)
        elif event.name not in {"progressed", "cancel_requested", "refused"}:
            self._running.pop(event.task_id, None)

    def _check_start(self, event: Event) -> None:
        if event.delivery <= self._tokens.get(event.task_id, 0):
            self.wrongs.append(f"the fence did not grow: {event}")
        self._tokens[event.task_id] = event.delivery
        self._running[event.task_id] = event.task_type
        if len(self._running) > self._workers:
            self.wrongs.append(f"more run than there are workers: {event}")
        running = Counter(self._running.values())[event.task_type]
        if running > self._limits[event.task_type]:
            self.wrongs.append(f"more run than the type's limit: {event}")

    def names(self, task_id: str | None = None) -> list[str]:
        """The names of the events, of one task if named."""
        return [str(e.name) for e in self.events if task_id is None or e.task_id == task_id]

    def verify(self, queue: Queue) -> None:
        """The laws that hold once the queue has ended."""
        assert not self.wrongs, "\n".join(self.wrongs)
        statistics = queue.statistics()
        check_sum(queue)
        counted = Counter(state for state in self.states.values() if state is not None)
        assert {p: getattr(statistics, p) for p in PLACES} == {p: counted[State(p)] for p in PLACES}
        assert not self._running
        assert statistics.scheduled == statistics.ready == statistics.running == 0
        limiters = [one for one in queue.pool.limiters.values() if one is not None]
        assert [one.borrowed_tokens for one in limiters] == [0] * len(limiters)
        assert (queue._broker._room.used, queue._broker._delayed.used) == (0, 0)


def check_sum(queue: Queue) -> None:
    """Conservation: every accepted task is in exactly one place."""
    statistics = queue.statistics()
    assert statistics.submitted == sum(getattr(statistics, place) for place in PLACES), statistics


@asynccontextmanager
async def opened(
    tasks: TaskSet,
    *,
    workers: int = 2,
    within: float = FOR_EVER,
    observers: tuple[Observer, ...] = (),
    **options: Any,
) -> AsyncIterator[Queue]:
    """`open_queue` with a ledger, no jitter, and an end to waiting for ever."""
    ledger = Ledger(tasks, workers)
    opening = open_queue(
        tasks,
        workers=workers,
        observers=[ledger, *observers],
        random=options.pop("random", NoJitter(0)),
        **options,
    )
    queue: Queue | None = None
    try:
        with trio.fail_after(within):
            async with opening as queue:
                LEDGERS[queue] = ledger
                yield queue
    finally:
        if queue is not None:
            del LEDGERS[queue]
            ledger.verify(queue)


#: {queue: its ledger}, for tests that look at the events.
LEDGERS: dict[Queue, Ledger] = {}


def history(queue: Queue, task_id: str | None = None) -> list[str]:
    """The names of what has happened, to one task if named."""
    return LEDGERS[queue].names(task_id)


async def capture(function: Callable[..., Any], *args: Any) -> BaseException:
    """What an async function raises, as a value: Cancelled too."""
    result = await outcome.acapture(function, *args)
    assert isinstance(result, outcome.Error)
    error: BaseException = result.error
    return error


async def a_cancelled() -> trio.Cancelled:
    """A Cancelled that belongs to a scope which has ended: raised again, it is a stray one."""
    with trio.CancelScope() as scope:
        scope.cancel()
        error = await capture(trio.lowlevel.checkpoint)
    assert isinstance(error, trio.Cancelled)
    return error


# --- a broker, driven directly -------------------------------------------------------------------


def a_task(id: str, type: str = "type", **options: Any) -> Task:
    """A task as a queue would make it, not accepted yet."""
    return Task(id, type, (1,), {"a": 2}, Options(**options))


def anything(_: str) -> bool:
    """Admits every type."""
    return True


def take(broker: MemoryBroker, admits: Callable[[str], bool] = anything) -> Lease:
    """Claim the next task, which must be there."""
    lease = broker.claim_nowait(admits, trio.current_time())
    assert lease is not None
    return lease


def take_all(broker: MemoryBroker) -> list[str]:
    """Claim all that is ready: the ids, in order."""
    ids: list[str] = []
    while (lease := broker.claim_nowait(anything, trio.current_time())) is not None:
        ids.append(lease.task.id)
    return ids


#: What a worker's verdict looks like, for each end of a lease.
KINDS = {
    Move.SUCCEEDED: OutcomeKind.RETURNED,
    Move.RETRIED: OutcomeKind.ERROR,
    Move.DIED: OutcomeKind.ERROR,
    Move.SNOOZED: OutcomeKind.SNOOZE,
    Move.RELEASED: OutcomeKind.INTERRUPTED,
    Move.CANCELLED: OutcomeKind.CANCELLED,
}


def verdict(lease: Lease, move: Move, delay: float = 0.0) -> Settlement:
    """A settlement of ``lease`` by ``move``."""
    failed = move in {Move.RETRIED, Move.DIED}
    outcome = Outcome(KINDS[move], exception=ValueError("bad") if failed else None)
    return Settlement(lease, move, outcome, delay, failed)


def end(broker: MemoryBroker, lease: Lease, move: Move, delay: float = 0.0) -> Settlement:
    """Settle ``lease`` by ``move``; it must be accepted."""
    settlement = verdict(lease, move, delay)
    assert broker.settle_nowait(settlement, trio.current_time())
    check_places(broker)
    return settlement


def check_places(broker: MemoryBroker) -> None:
    """The invariants of the bounds: places taken are tasks open, and never more than there are."""
    open_tasks = broker.tasks()
    apart = [task for task in open_tasks if task.id in broker._apart]
    assert all(task.state is State.SCHEDULED for task in apart)
    assert broker._delayed.used == len(apart) <= broker._delayed.capacity
    assert broker._room.used == len(open_tasks) - len(apart) <= broker._room.capacity
    counts = broker.counts()
    assert counts.submitted == sum(getattr(counts, place) for place in PLACES)
    assert counts.running == len(broker.tasks(State.RUNNING))
