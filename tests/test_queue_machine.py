"""A state machine against a model: what is where, and what runs next, in any order of operations.

The model is a list and a rule: whenever a worker is free, the first ready task whose type has room
starts, by priority and then by the order in which the tasks became ready.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

import trioqueue
from trioqueue import Handle, Retry, State, TaskSet
from trioqueue.testing import TrioMachine, open_test_queue

WORKERS = 2
LIMITS = {"free": WORKERS, "one": 1}


@dataclass
class Known:
    """One task, as the model knows it. ``order``: of becoming ready, or of being scheduled."""

    handle: Handle[None]
    type: str
    priority: int
    state: State
    order: int = 0
    due: float = 0.0
    failures: int = 0
    gate: trio.Event = field(default_factory=trio.Event)
    fails: bool = False


class QueueMachine(TrioMachine):
    """Handlers wait at a gate until a rule lets them return, or fail."""

    def __init__(self) -> None:
        self.known: dict[str, Known] = {}
        self.ready_count = 0
        self.now = 0.0
        self.paused = False
        self.purged = 0
        self.open = False
        super().__init__()

    @asynccontextmanager
    async def world(self) -> AsyncGenerator[None]:
        tasks = TaskSet(retry=Retry(attempts=2, initial=1, jitter=0))
        types = {
            name: tasks.task(name=name, limit=None if name == "free" else limit)(self.handler)
            for name, limit in LIMITS.items()
        }
        self.types = types
        async with open_test_queue(tasks, workers=WORKERS, capacity=500) as self.queue:
            yield
            self.open = True
            self.queue.resume()
            for known in self.known.values():
                known.fails = False
                known.gate.set()

    async def handler(self) -> None:
        task_id = trioqueue.current_task().id
        if self.open:
            return
        known = self.known[task_id]
        await known.gate.wait()
        known.gate = trio.Event()
        if known.fails:
            raise ValueError(task_id)

    # --- the model ---------------------------------------------------------------------------

    def becomes_ready(self, known: Known) -> None:
        self.ready_count += 1
        known.order = self.ready_count
        known.state = State.READY

    def becomes_scheduled(self, known: Known, delay: float) -> None:
        """Those that are due together become ready in the order in which they were scheduled."""
        self.ready_count += 1
        known.order = self.ready_count
        known.state = State.SCHEDULED
        known.due = self.now + delay

    def start_what_can(self) -> None:
        """Whoever is first among those whose type has room, while there are free workers."""
        ready = [known for known in self.known.values() if known.state is State.READY]
        for known in sorted(ready, key=lambda known: (-known.priority, known.order)):
            running = [one for one in self.known.values() if one.state is State.RUNNING]
            room = sum(one.type == known.type for one in running) < LIMITS[known.type]
            if len(running) < WORKERS and room and not self.paused:
                known.state = State.RUNNING

    def those(self, *states: State) -> list[Known]:
        return [known for known in self.known.values() if known.state in states]

    def pick(self, number: int, *states: State) -> Known:
        those = self.those(*states)
        return those[number % len(those)]

    # --- the rules ---------------------------------------------------------------------------

    @rule(name=st.sampled_from(sorted(LIMITS)), priority=st.sampled_from([100, 100, 7, 200]))
    def submit(self, name: str, priority: int) -> None:
        handle = self.queue.options(priority=priority).submit_nowait(self.types[name])
        known = self.known[handle.id] = Known(handle, name, priority, State.READY)
        self.becomes_ready(known)
        self.settle()

    @rule(name=st.sampled_from(sorted(LIMITS)), count=st.integers(1, 4))
    def submit_many(self, name: str, count: int) -> None:
        made: list[Handle[None]] = []

        async def submit() -> None:
            # The model must know the tasks before any of them can start.
            made.extend(await self.queue.submit_many([self.types[name].bind()] * count))
            for handle in made:
                known = self.known[handle.id] = Known(handle, name, 100, State.READY)
                self.becomes_ready(known)

        self.do(submit)

    @rule(delay=st.sampled_from([0.5, 1, 3]))
    def submit_for_later(self, delay: float) -> None:
        handle = self.queue.options(delay=delay).submit_nowait(self.types["free"])
        known = self.known[handle.id] = Known(handle, "free", 100, State.SCHEDULED)
        self.becomes_scheduled(known, delay)
        self.settle()

    @precondition(lambda self: self.those(State.RUNNING))
    @rule(number=st.integers(0, 9), fails=st.booleans())
    def let_one_end(self, number: int, fails: bool) -> None:
        known = self.pick(number, State.RUNNING)
        known.fails = fails
        known.gate.set()
        if not fails:
            known.state = State.SUCCEEDED
        elif known.failures == 0:
            known.failures = 1
            self.becomes_scheduled(known, 1)
        else:
            known.failures, known.state = 2, State.DEAD
        self.settle()

    @precondition(lambda self: self.known)
    @rule(number=st.integers(0, 99))
    def cancel(self, number: int) -> None:
        known = self.pick(number, *State)
        cancelled = self.do(known.handle.cancel)
        assert cancelled == (known.state in {State.SCHEDULED, State.READY, State.RUNNING})
        if cancelled:
            known.state = State.CANCELLED

    @rule(seconds=st.sampled_from([0.25, 0.5, 1, 4]))
    def let_time_pass(self, seconds: float) -> None:
        self.now += seconds
        due = [known for known in self.those(State.SCHEDULED) if known.due <= self.now]
        for known in sorted(due, key=lambda known: (known.due, known.order)):
            self.becomes_ready(known)
        self.advance(seconds)

    @rule()
    def pause_or_resume(self) -> None:
        self.paused = not self.paused
        if self.paused:
            self.queue.pause()
        else:
            self.queue.resume()
        self.settle()

    @precondition(lambda self: self.those(State.DEAD))
    @rule(number=st.integers(0, 9))
    def replay(self, number: int) -> None:
        known = self.pick(number, State.DEAD)
        known.failures = 0
        known.gate = trio.Event()
        self.becomes_ready(known)
        self.do(self.queue.dead_letters.replay, known.handle.id)

    @precondition(lambda self: self.those(State.DEAD))
    @rule(number=st.integers(0, 9))
    def purge(self, number: int) -> None:
        known = self.pick(number, State.DEAD)
        self.queue.dead_letters.purge(known.handle.id)
        known.state = State.PURGED

    # --- what must hold ----------------------------------------------------------------------

    @invariant()
    def everything_is_where_the_model_says(self) -> None:
        self.start_what_can()
        for known in self.known.values():
            assert known.handle.state is known.state, known

    @invariant()
    def the_numbers_are_the_models(self) -> None:
        statistics = self.queue.statistics()
        assert statistics.submitted == len(self.known)
        for state in State:
            if state not in {State.HANDED_BACK, State.EVICTED}:
                assert getattr(statistics, state.value) == len(self.those(state)), state


@pytest.mark.race
class TestQueueMachine(QueueMachine.TestCase):  # type: ignore[misc, name-defined]
    """Hypothesis draws the operations and the schedule, and shrinks both."""
