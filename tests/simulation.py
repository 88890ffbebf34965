"""A simulation of failure: handlers that fail by seed, callers and workers that are cancelled.

It keeps its own account of every attempt, by what the handlers themselves see, and judges the queue
by it when all is over.
"""

from collections import Counter, deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import trio

from tests.contract import ENDS, a_cancelled
from trioqueue import (
    CurrentTask,
    Discard,
    Handle,
    Outcome,
    OutcomeKind,
    Queue,
    QueueClosed,
    Retry,
    RetryLater,
    Snooze,
    State,
    TaskSet,
    TaskType,
    current_task,
)

ATTEMPTS = 3
WORKERS = 8
LIMITS = {"free": None, "one": 1, "three": 3, "strict": None}

#: What a handler does, and how often out of a hundred.
WAYS = {
    "return": 50,
    "sleep": 14,
    "error": 10,
    "group": 3,
    "never": 1,
    "endless": 4,
    "untidy": 2,
    "deaf": 2,
    "crash": 2,
    "stray": 1,
    "snooze": 5,
    "later": 4,
    "discard": 2,
}


@dataclass
class Life:
    """What one task's handlers have seen of it."""

    type: str
    busy: bool = False
    token: int = 0
    ends: Counter[str] = field(default_factory=Counter[str])
    last: str = ""


def judge(current: CurrentTask, error: BaseException) -> str:
    """How an attempt that raised has to be counted."""
    lease = current._lease
    if current.cancel_requested:
        return "cancelled"
    if lease.holder.life.cancel_called or lease.holder.pool._scope.cancel_called:
        return "interrupted"
    if trio.current_time() < current.deadline and isinstance(error, (Snooze, Discard)):
        return "snoozed" if isinstance(error, Snooze) else "discarded"
    return "failed"


class Simulation:
    """``count`` submits by several submitters; everything that can be drawn is, by ``seed``."""

    def __init__(self, seed: int | str, count: int) -> None:
        self.random = Random(seed)
        self.left = count
        self.lives: dict[str, Life] = {}
        self.handles: dict[str, Handle[object]] = {}
        self.recent: deque[Handle[object]] = deque(maxlen=30)  # may still wait, or run
        self.asked: set[str] = set()  # to be cancelled
        self.wrongs: list[str] = []
        self.given_up = 0
        self._running: Counter[str] = Counter()
        retry = Retry(attempts=ATTEMPTS, initial=0.1, maximum=1, never=KeyError)
        self.tasks = TaskSet(retry=retry, timeout=2)
        self.types: list[TaskType[[], object]] = [
            self.tasks.task(name=name, limit=limit, priority=90 if name == "strict" else 100)(
                self._handler
            )
            for name, limit in LIMITS.items()
        ]

    # --- handlers --------------------------------------------------------------------------------

    async def _handler(self) -> object:
        current = current_task()
        life = self.lives.setdefault(current.id, Life(current.type))
        self._begin(life, current)
        (way,) = self.random.choices(list(WAYS), list(WAYS.values()))
        try:
            await self._act(way)
        except BaseException as error:
            self._end(life, judge(current, error))
            raise
        self._end(life, "returned")
        return way

    async def _act(self, way: str) -> None:
        match way:
            case "sleep":
                await trio.sleep(self.random.choice([0, 0.01, 0.5]))
            case "error":
                raise OSError("down")
            case "group":
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(trio.sleep_forever)
                    raise ValueError("in a nursery")
            case "never":
                raise KeyError("not to be tried again")
            case "endless":
                await trio.sleep_forever()
            case "untidy":
                try:
                    await trio.sleep_forever()
                finally:
                    raise OSError("in cleaning up")
            case "deaf":
                with trio.CancelScope(shield=True):
                    await trio.sleep(2.5)
            case "crash":
                raise SystemExit(3)
            case "stray":
                raise await a_cancelled()
            case "snooze":
                raise Snooze(self.random.choice([0, 0.3]))
            case "later":
                raise RetryLater(self.random.choice([None, 0, 0.7]))
            case "discard":
                raise Discard
            case _:
                pass

    def _begin(self, life: Life, current: CurrentTask) -> None:
        self._running[life.type] += 1
        if life.busy:
            self.wrongs.append(f"two handlers of {current.id} at once")
        if self._running[life.type] > (LIMITS[life.type] or WORKERS):
            self.wrongs.append(f"more {life.type} run than the limit allows")
        if self._running.total() > WORKERS:
            self.wrongs.append("more run than there are workers")
        if current.fencing_token[1] <= life.token:
            self.wrongs.append(f"the fence of {current.id} did not grow")
        if current.attempt != 1 + life.ends["failed"]:
            self.wrongs.append(f"{current.id} begins attempt {current.attempt} after {life.ends}")
        if life.last not in {"", "failed", "snoozed", "interrupted"}:
            self.wrongs.append(f"{current.id} runs again although it {life.last}")
        life.busy, life.token = True, current.fencing_token[1]

    def _end(self, life: Life, end: str) -> None:
        self._running[life.type] -= 1
        life.busy, life.last = False, end
        life.ends[end] += 1

    # --- everybody else --------------------------------------------------------------------------

    async def submitter(self, queue: Queue) -> None:
        """Submit until enough has been, in every way that there is; sometimes give up at once."""
        while self.left > 0:
            batch = self.random.choice([1, 1, 1, 1, 5])
            self.left -= batch
            with trio.CancelScope() as scope:
                if self.random.random() < 0.1:
                    scope.deadline = trio.current_time() + self.random.choice([0, 0, 0.2])
                try:
                    for handle in await self._submit(queue, batch):
                        self.handles[handle.id] = handle
                        self.recent.append(handle)
                except trio.WouldBlock:
                    self.given_up += batch
                    await trio.sleep(0.05)
                except QueueClosed:
                    return
            if scope.cancelled_caught:
                self.given_up += batch

    async def _submit(self, queue: Queue, batch: int) -> list[Handle[object]]:
        random = self.random
        task_type = random.choice(self.types)
        if batch > 1:
            return await queue.submit_many([task_type.bind() for _ in range(batch)])
        match random.randrange(8):
            case 0:
                return [queue.submit_nowait(task_type)]
            case 1:
                delay = random.choice([0.1, 2])
                return [await queue.options(delay=delay, expires=5).submit(task_type)]
            case 2:
                key = f"key {random.randrange(5)}"
                return [await queue.options(key=key, priority=120).submit(task_type)]
            case 3:
                return [await queue.options(expires=0.2, queue="other").submit(task_type)]
            case _:
                return [await queue.submit(task_type)]

    async def chaos(self, queue: Queue, pause: float) -> None:
        """Cancel workers and tasks, again and again."""
        while True:
            await trio.sleep(self.random.expovariate(1 / pause))
            if self.random.random() < 0.5:
                workers = sorted(queue.pool._workers, key=lambda worker: worker.number)
                self.random.choice(workers).life.cancel()
            elif self.recent:
                handle = self.random.choice(self.recent)
                self.asked.add(handle.id)
                await handle.cancel()

    async def run(
        self,
        opening: Callable[..., AbstractAsyncContextManager[Queue]],
        *,
        pause: float = 0.05,
        grace: float | None = None,
        **options: Any,
    ) -> None:
        """Open, submit, disturb, and leave or shut down; in ten times the time that it takes."""
        virtual_seconds = 60 + 0.1 * self.left
        with trio.fail_after(virtual_seconds):
            await self._run(opening, pause, grace, options)

    async def _run(
        self,
        opening: Callable[..., AbstractAsyncContextManager[Queue]],
        pause: float,
        grace: float | None,
        options: dict[str, Any],
    ) -> None:
        async with (
            opening(self.tasks, workers=WORKERS, **options) as queue,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(self.chaos, queue, pause)
            async with trio.open_nursery() as submitters:
                for _ in range(4):
                    submitters.start_soon(self.submitter, queue)
            if grace is None:
                await queue.drain()
            else:
                await queue.shutdown(grace)
            nursery.cancel_scope.cancel()
        self._verify(queue)

    # --- the verdict -----------------------------------------------------------------------------

    def _verify(self, queue: Queue) -> None:
        assert not self.wrongs, self.wrongs[:10]
        assert not self._running.total()
        assert set(self.lives) <= set(self.handles), "a ghost ran"
        statistics = queue.statistics()
        states = Counter(handle.state.value for handle in self.handles.values())
        assert {end: states[end] for end in ENDS} == {e: getattr(statistics, e) for e in ENDS}
        assert statistics.submitted == len(self.handles) == states.total()
        assert statistics.scheduled == statistics.ready == statistics.running == 0
        for handle in self.handles.values():
            self._verify_task(handle)
        ends = sum((life.ends for life in self.lives.values()), Counter[str]())
        dead = states["dead"] + states["evicted"]
        assert ends["returned"] == statistics.succeeded
        assert ends["failed"] + ends["discarded"] == statistics.retried + dead
        assert ends["snoozed"] == statistics.snoozed
        assert ends["interrupted"] == statistics.released
        limiters = [limiter for limiter in queue.pool.limiters.values() if limiter is not None]
        assert not sum(limiter.borrowed_tokens for limiter in limiters)

    def _verify_task(self, handle: Handle[object]) -> None:
        """It ended in the way that its handlers' last end, or a caller, says."""
        life = self.lives.get(handle.id) or Life(handle.type)
        outcome: Outcome | None = handle._task.outcome
        assert outcome is not None
        told = (handle, outcome, life)
        match handle.state:
            case State.SUCCEEDED:
                assert life.last == "returned", told
                assert outcome.kind is OutcomeKind.RETURNED, told
            case State.DEAD | State.EVICTED:
                never = isinstance(outcome.exception, KeyError)
                spent = life.ends["failed"] == ATTEMPTS
                assert life.last == "discarded" or (life.last == "failed" and (never or spent)), (
                    told
                )
            case State.CANCELLED:
                assert handle.id in self.asked, told
                assert life.last in {"", "failed", "snoozed", "interrupted", "cancelled"}, told
            case State.EXPIRED:
                assert life.last == "", told
            case State.HANDED_BACK:
                assert life.last in {"", "failed", "snoozed", "interrupted"}, told
                assert life.ends["failed"] < ATTEMPTS, told
            case _:
                raise AssertionError(told)
