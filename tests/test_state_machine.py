"""A queue with little room, used in any order that Hypothesis finds, does what a model of it says.

The model foretells every number, every state, who waits, and which tasks run. Where the machine of
`tests.test_queue_machine` has room for all, here nearly everything is about room: delayed, snoozed,
expiring and backing-off tasks, batches and dead letters compete for a handful of places.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from tests.contract import FOR_EVER
from tests.queue_model import (
    ATTEMPTS,
    BACKOFF,
    CAPACITY,
    DELAYED,
    LETTERS,
    LIMITS,
    QUEUES,
    SNOOZE,
    WORKERS,
    Batch,
    Closed,
    Full,
    Job,
    Model,
    Taken,
)
from trioqueue import (
    Discard,
    Handle,
    KeyTaken,
    Queue,
    QueueClosed,
    Retry,
    Snooze,
    TaskSet,
    TaskType,
    current_task,
)
from trioqueue.testing import TrioMachine, open_test_queue

types = st.sampled_from(list(LIMITS))
hows = st.sampled_from(["return", "return", "fail", "fail", "discard", "snooze"])
#: How the queue says what the model foretells.
SAYS = {Full: trio.WouldBlock, Closed: QueueClosed, Taken: KeyTaken}


class QueueMachine(TrioMachine):
    """Handlers wait until a rule says how they end; after each rule all is compared."""

    queue: Queue

    def __init__(self) -> None:
        self.model = Model()
        self.handles: dict[str, Handle[Any]] = {}
        self.submits = 0
        self.answers: dict[int, list[Handle[Any]] | type[BaseException]] = {}
        self.scopes: dict[int, trio.CancelScope] = {}
        self.over = False
        self.gates: dict[str, trio.Event] = {}
        self.orders: dict[str, str] = {}  # task id -> how to end
        super().__init__()

    @asynccontextmanager
    async def world(self) -> AsyncGenerator[None]:
        tasks = TaskSet(retry=Retry(attempts=ATTEMPTS, initial=BACKOFF, maximum=BACKOFF, jitter=0))
        self.types: dict[str, TaskType[[], None]] = {
            name: tasks.task(
                name=name, limit=None if limit > WORKERS else limit, queue=QUEUES[name]
            )(self._handler)
            for name, limit in LIMITS.items()
        }
        sizes = {"delayed_capacity": DELAYED, "dead_capacity": LETTERS}
        opening = open_test_queue(tasks, workers=WORKERS, capacity=CAPACITY, **sizes)
        with trio.fail_after(FOR_EVER):  # when the world is left, and the clock goes by itself
            async with opening as self.queue:
                yield
                self.over = True
                for gate in self.gates.values():
                    gate.set()
                self.queue.resume()

    async def _handler(self) -> None:
        if self.over:
            return
        task_id = current_task().id
        self.gates[task_id] = trio.Event()
        try:
            await self.gates[task_id].wait()
        finally:
            del self.gates[task_id]
        match self.orders.pop(task_id, "return"):
            case "fail":
                raise OSError
            case "discard":
                raise Discard
            case "snooze":
                raise Snooze(SNOOZE)
            case _:
                pass

    # --- submitting ------------------------------------------------------------------------------

    @rule(
        type=types,
        priority=st.sampled_from([100, 150, 200]),
        key=st.sampled_from([None, "k"]),
        delay=st.sampled_from([0.0, 0.0, 0.0, 2.0, 5.0]),
        expires=st.sampled_from([None, None, 1.0, 4.0]),
    )
    def submit_nowait(
        self, type: str, priority: int, key: str | None, delay: float, expires: float | None
    ) -> None:
        model = self.model
        how: dict[str, Any] = {} if key is None else {"key": key}
        submission = self.queue.options(delay=delay, priority=priority, expires=expires, **how)
        held = model.holder(QUEUES[type], key)
        try:
            if model.closed:
                raise Closed
            if held is None:
                model.check_delayed() if delay else model.check_room(1)
        except (Full, Closed) as error:
            with pytest.raises(SAYS[error.__class__]):
                submission.submit_nowait(self.types[type])
            return
        handle = self._call(submission.submit_nowait, self.types[type])
        if held is not None:
            assert handle.id == held.id
            return
        job = Job(handle.id, type, priority, key)
        if expires is not None:
            job.expires_at = model.now + expires
        model.accept(job, delay)
        self._follow(handle)

    @precondition(lambda self: len(self.model.waiting) < 2)
    @rule(types=st.lists(types, min_size=1, max_size=CAPACITY))
    def submit(self, types: list[str]) -> None:
        """Wait for room, in the background. Of the lowest priority: it comes when it comes."""
        self.submits += 1
        label = self.submits
        self.scopes[label] = self.start(self._submit, label, types)
        if self.model.closed:
            assert self.answers.pop(label) is QueueClosed
            return
        self.model.line.append(Batch(label, types))
        self._follow()

    async def _submit(self, label: int, types: list[str]) -> None:
        try:
            if len(types) == 1:
                self.answers[label] = [await self.queue.submit(self.types[types[0]])]
            else:
                calls = [self.types[name].bind() for name in types]
                self.answers[label] = await self.queue.submit_many(calls)
        except QueueClosed as error:
            self.answers[label] = error.__class__

    @precondition(lambda self: self.model.waiting)
    @rule(number=st.integers(0, 1))
    def give_up(self, number: int) -> None:
        """Cancel a submit that waits: those behind it may be let in."""
        waiting = self.model.waiting
        batch = waiting[number % len(waiting)]
        self.scopes[batch.label].cancel()
        self.settle()
        self.model.line.remove(batch)
        self._follow()

    # --- ends ------------------------------------------------------------------------------------

    @precondition(lambda self: self.model.in_state("running"))
    @rule(ends=st.lists(st.tuples(st.integers(0, WORKERS - 1), hows), min_size=1, max_size=6))
    def finish(self, ends: list[tuple[int, str]]) -> None:
        """Let running handlers end, one after the other."""
        for number, how in ends:
            running = self.model.in_state("running")
            if running:
                self._finish(running[number % len(running)], how)

    def _finish(self, job: Job, how: str) -> None:
        self.orders[job.id] = how
        self.gates[job.id].set()
        self.settle()
        self.model.finish(job, how)
        self._follow()

    @precondition(lambda self: self.model.in_state("running"))
    @rule(number=st.integers(0, WORKERS - 1))
    def fail_for_good(self, number: int) -> None:
        """Let one fail as often as it takes."""
        running = self.model.in_state("running")
        job = running[number % len(running)]
        while job.state == "running":
            self._finish(job, "fail")
            if job.state == "scheduled":
                self.wait(BACKOFF)

    @precondition(lambda self: self.model.jobs)
    @rule(number=st.integers(0, 20))
    def cancel(self, number: int) -> None:
        """Any task, also one that has ended."""
        job = list(self.model.jobs.values())[-1 - number % len(self.model.jobs)]
        assert self.do(self.handles[job.id].cancel) is self.model.cancel(job)
        self._follow()

    @precondition(lambda self: self.model.letters)
    @rule(number=st.integers(0, LETTERS - 1))
    def replay(self, number: int) -> None:
        model = self.model
        job = model.letters[number % len(model.letters)]
        try:
            model.check_replay(job)
        except Full:
            return  # it would wait
        except (Closed, Taken) as error:
            with pytest.raises(SAYS[error.__class__]):
                self.do(self.queue.dead_letters.replay, job.id)
            return
        self.do(self.queue.dead_letters.replay, job.id)
        model.replay(job)
        self._follow()

    @precondition(lambda self: self.model.letters)
    @rule(number=st.integers(0, LETTERS - 1))
    def purge(self, number: int) -> None:
        job = self.model.letters[number % len(self.model.letters)]
        self._call(self.queue.dead_letters.purge, job.id)
        self.model.purge(job)

    # --- operating -------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1.0, 3.0, 10.0]))
    def wait(self, seconds: float) -> None:
        self.advance(seconds)
        self.model.advance(seconds)
        self._follow()

    @precondition(lambda self: not self.model.paused)
    @rule(queue=st.sampled_from([None, "default", "other"]))
    def pause(self, queue: str | None) -> None:
        self._call(self.queue.pause, queue)
        self.model.paused.add(queue or "all")

    @precondition(lambda self: self.model.paused)
    @rule(queue=st.sampled_from([None, None, "default", "other"]))
    def resume(self, queue: str | None) -> None:
        self._call(self.queue.resume, queue)
        if queue is None:
            self.model.paused.clear()
        self.model.paused.discard(queue or "all")
        self._follow()

    @precondition(lambda self: len(self.model.jobs) > 12)
    @rule()
    def close(self) -> None:
        self._call(self.queue.close)
        self.settle()
        for batch in self.model.waiting:
            assert self.answers.pop(batch.label) is QueueClosed
        self.model.close()

    # --- comparing -------------------------------------------------------------------------------

    def _call(self, function: Any, *args: Any) -> Any:
        """Call a synchronous function inside the run, and let Trio go on from it."""

        async def call() -> Any:
            return function(*args)

        return self.do(call)

    def _follow(self, *handles: Handle[Any]) -> None:
        """What follows in the model: places are given, those let in submit, free workers start."""
        for handle in handles:
            self.handles[handle.id] = handle
        model = self.model
        model.let_in()
        granted = [batch for batch in model.line if batch.granted]
        model.line = model.waiting
        accepted: list[tuple[Handle[Any], str]] = []
        for batch in granted:
            answer = self.answers.pop(batch.label)
            assert isinstance(answer, list)
            accepted += zip(answer, batch.types, strict=True)
        # Of several who are let in at once, the one who submits first is Trio's choice.
        for handle, name in sorted(accepted, key=lambda pair: pair[0]._task.order):
            self.handles[handle.id] = handle
            model.accept(Job(handle.id, name))
        model.start()

    @invariant()
    def the_model_foretells_everything(self) -> None:
        if not self._ready:
            return
        statistics, foretold = self.queue.statistics(), self.model.statistics()
        assert {name: getattr(statistics, name) for name in foretold} == foretold
        for job in self.model.jobs.values():
            handle = self.handles[job.id]
            assert handle.state.value == job.state, (handle, job)
        assert self.gates.keys() == {job.id for job in self.model.in_state("running")}
        letters = [letter.id for letter in self.queue.dead_letters.list()]
        assert letters == [job.id for job in self.model.letters]
        assert not self.answers


@pytest.mark.race
class TestQueueMachine:
    """See above."""

    test_the_queue_does_what_the_model_says = QueueMachine.TestCase().runTest
