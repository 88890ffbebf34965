"""The queue: what a program opens, submits to, and leaves when everything accepted has ended."""

from __future__ import annotations

import math
import random as random_module
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from threading import get_ident
from typing import Any, Final, ParamSpec, TypeVar, final

import trio
from trio.lowlevel import enable_ki_protection

from ._broker import QueueBroker
from ._checks import (
    UNSET,
    Unset,
    check_count,
    check_hook,
    check_name,
    check_seconds,
    check_type,
)
from ._current import running
from ._errors import InvalidTask, NotRegistered, UnknownTask, WouldDeadlock, WrongRun
from ._events import Observer
from ._handle import Handle
from ._ids import new_id_source
from ._ki import protected
from ._letters import DeadLetter, Unfinished
from ._model import TERMINAL, Move, Options, Task
from ._nursery import open_bare_nursery
from ._registry import Call, TaskSet, TaskType, make_options
from ._worker import Pool
from .brokers._open import open_broker

P = ParamSpec("P")
R = TypeVar("R")

#: Workers of a queue unless told otherwise: handlers mostly wait, so more than cores; few enough
#: that a service behind them is not stormed by default.
WORKERS: Final = 10


@final
@dataclass(frozen=True, slots=True)
class Statistics:
    """A queue's numbers at one instant. Cheap to make.

    ``submitted == scheduled + ready + running + succeeded + dead + cancelled + expired +
    handed_back + purged + evicted``, always. The others count what happened, not where tasks are:
    ``retried`` failed attempts that are tried again, ``snoozed``, ``released`` attempts cut short by
    a stop, ``replayed`` dead letters.
    """

    submitted: int
    scheduled: int
    ready: int
    running: int
    succeeded: int
    dead: int
    cancelled: int
    expired: int
    handed_back: int
    purged: int
    evicted: int
    retried: int
    snoozed: int
    released: int
    replayed: int
    capacity: int
    waiting_submitters: int
    workers: int
    idle_workers: int


@final
@protected
class Submission:
    """A queue with options put in: ``queue.options(delay=60).submit(...)``. Can be used again."""

    __slots__ = ("_id", "_overrides", "_queue")

    def __init__(self, queue: Queue, overrides: Mapping[str, Any], id: str | None) -> None:
        self._queue = queue
        self._overrides = overrides
        self._id = id

    async def submit(self, task: TaskType[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """See `Queue.submit`."""
        (handle,) = await self._queue._publish([self._make(task, args, kwargs)])
        return handle

    def submit_nowait(
        self, task: TaskType[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> Handle[R]:
        """See `Queue.submit_nowait`."""
        (handle,) = self._queue._publish_nowait([self._make(task, args, kwargs)])
        return handle

    async def submit_many(self, calls: Iterable[Call[R]]) -> list[Handle[R]]:
        """See `Queue.submit_many`."""
        tasks = [self._make(call.type, call.args, call.kwargs) for call in _checked_calls(calls)]
        if self._id is not None and len(tasks) > 1:
            msg = f"options(id={self._id!r}) is for one task, not for {len(tasks)}"
            raise InvalidTask(msg)
        return await self._queue._publish(tasks)

    def _make(
        self, task: TaskType[..., Any], args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> Task:
        return self._queue._make(task, args, kwargs, self._overrides, self._id)


@final
@protected
class DeadLetters:
    """The dead letters of a queue: tasks that failed for good, kept with their errors."""

    __slots__ = ("_broker", "_queue")

    def __init__(self, queue: Queue, broker: QueueBroker) -> None:
        self._queue = queue
        self._broker = broker

    def __len__(self) -> int:
        return self._broker.counts().dead

    def list(self, type: str | None = None) -> Sequence[DeadLetter]:
        """The dead letters, oldest first; those of one task type if named."""
        return self._broker.dead_letters(type)

    async def replay(self, task_id: str) -> Handle[Any]:
        """Make a dead letter ready again under its own id, its failures forgotten.

        Waits for room like a submit. Raises `UnknownTask`, `KeyTaken` (a live task holds its key),
        `QueueClosed`. Cancelled: it is a dead letter still.
        """
        self._queue._check_run()
        return Handle(self._queue, await self._broker.replay(task_id))

    async def replay_all(self, type: str | None = None) -> Sequence[Handle[Any]]:
        """Replay all dead letters that there are now, or those of one type, oldest first.

        One by one, waiting for room: cancelled, those not yet replayed are dead letters still. A
        letter that is gone by its turn (purged, evicted, replayed by another) is left out. Raises
        `KeyTaken` at the first letter whose key is taken, with the ones before it replayed.
        """
        handles: list[Handle[Any]] = []
        for letter in self.list(type):
            try:
                handles.append(await self.replay(letter.id))
            except UnknownTask:
                continue
        return handles

    def purge(self, task_id: str) -> None:
        """Throw one dead letter away. Raises `UnknownTask`."""
        self._queue._check_run()
        self._broker.purge(task_id)

    def purge_all(self, type: str | None = None) -> int:
        """Throw all dead letters away, or those of one type. Returns how many there were."""
        self._queue._check_run()
        letters = self.list(type)
        for letter in letters:
            self._broker.purge(letter.id)
        return len(letters)


@final
@protected
class Queue:
    """An open queue. Made by `open_queue`; belongs to the Trio run in which it was opened."""

    def __init__(
        self,
        tasks: TaskSet,
        broker: QueueBroker,
        workers: int,
        queues: Collection[str] | None,
        random: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        self._tasks = tasks
        self._types = {task_type.name: task_type for task_type in tasks}
        self._broker = broker
        self._queues = queues
        self._new_id = new_id
        self._token = trio.lowlevel.current_trio_token()
        self._thread = get_ident()
        self.pool: Final = Pool(broker, tasks, workers, random, self)
        self.dead_letters: Final = DeadLetters(self, broker)

    # --- submitting ----------------------------------------------------------------------------

    async def submit(self, task: TaskType[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Accept one task; waits while the queue is full. Returned means accepted.

        A full checkpoint, before the effect. Cancelled: nothing was accepted and nothing will run.
        Raises `InvalidArguments` if the arguments do not fit the handler, `NotRegistered`,
        `QueueClosed`, and, in a handler of this queue, `WouldDeadlock` if room could never come.
        """
        made = self._make(task, args, kwargs)
        if running.get() is None:
            return Handle(self, (await self._broker.publish((made,)))[0])
        (handle,) = await self._publish((made,))
        return handle

    def submit_nowait(
        self, task: TaskType[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> Handle[R]:
        """Accept one task now, or raise `trio.WouldBlock` if it is full. Not a checkpoint."""
        made = self._make(task, args, kwargs)
        return Handle(self, self._broker.accept_nowait(made))

    async def submit_many(self, calls: Iterable[Call[R]]) -> list[Handle[R]]:
        """Accept all of ``calls`` (from ``task.bind(...)``) or none; waits until all of them fit.

        A checkpoint; cancelled: nothing was accepted. Raises `InvalidTask` if there are more than
        the queue's capacity, and what `submit` raises.
        """
        checked = _checked_calls(calls)
        return await self._publish(
            [self._make(call.type, call.args, call.kwargs) for call in checked]
        )

    def options(
        self,
        *,
        queue: str | Unset = UNSET,
        delay: float | Unset = UNSET,
        at: datetime | Unset = UNSET,
        key: str | Unset = UNSET,
        priority: int | Unset = UNSET,
        timeout: float | None | Unset = UNSET,
        expires: float | None | Unset = UNSET,
        id: str | None = None,
    ) -> Submission:
        """This queue with options put in; what is not given is as the task type says.

        ``delay``: seconds until it may start. ``at``: the same as an aware datetime (in the past:
        now). ``key``: while a live task of the same lane holds this idempotency key, its handle is
        returned and no new task comes into being. ``priority``: 0 to 255, higher first, strict.
        ``timeout``: seconds for one attempt. ``expires``: seconds from acceptance to the first
        start. ``id``: the task's id, chosen by the caller, so that submitting again is safe.

        Raises `InvalidTask`, naming the option.
        """
        if at is not UNSET:
            if delay is not UNSET:
                msg = "options(delay=..., at=...): give one of them"
                raise InvalidTask(msg)
            delay = _seconds_until(at)
        if queue is not UNSET:
            self._check_queue(check_name("queue", queue))
        given: dict[str, Any] = {
            "queue": queue,
            "delay": delay,
            "key": key,
            "priority": priority,
            "timeout": timeout,
            "expires": expires,
        }
        overrides = {name: value for name, value in given.items() if value is not UNSET}
        make_options(Options(), **overrides)  # raises now, not at the submit
        return Submission(self, overrides, None if id is None else check_name("id", id))

    def _make(
        self,
        task_type: object,
        args: tuple[object, ...],
        kwargs: Mapping[str, object],
        overrides: Mapping[str, Any] | None = None,
        id: str | None = None,
    ) -> Task:
        """A checked, not yet accepted task."""
        if get_ident() != self._thread:  # a third of what the whole check costs
            self._check_run()
        if not isinstance(task_type, TaskType) or self._types.get(task_type.name) is not task_type:
            raise NotRegistered(self._why_not(task_type))
        if kwargs or len(args) != task_type.plain:
            task_type.check_arguments(args, kwargs)
        options = task_type.options
        if overrides:
            options = make_options(options, **overrides)
        task_id = self._new_id() if id is None else id
        return Task(task_id, task_type.name, args, kwargs or _NO_KWARGS, options)

    def _why_not(self, task: object) -> str:
        if not isinstance(task, TaskType):
            return (
                f"{task!r} is not a task: register the function with @tasks.task, and submit that"
            )
        if task.name in self._types:
            return f"{task!r} is of another TaskSet; this queue has one of the same name"
        if task.name in self._tasks and self._tasks[task.name] is task:
            return f"{task!r} was registered after the queue was opened: register tasks before"
        known = ", ".join(sorted(self._types)) or "none"
        return f"{task!r} is not in this queue's TaskSet (which has: {known})"

    async def _publish(self, tasks: Sequence[Task]) -> list[Handle[Any]]:
        """Accept made tasks."""
        self._check_run()
        lease = self.pool.own_lease()
        if lease is None:
            return [Handle(self, task) for task in await self._broker.publish(tasks)]
        await trio.lowlevel.checkpoint()
        try:
            accepted = self._broker.publish_nowait(tasks)
        except trio.WouldBlock:
            with self.pool.blocking(lease, self._broker.wait_for_room(tasks)):
                accepted = await self._broker.publish(tasks)
        return [Handle(self, task) for task in accepted]

    def _publish_nowait(self, tasks: Sequence[Task]) -> list[Handle[Any]]:
        """Accept made tasks now."""
        self._check_run()
        return [Handle(self, task) for task in self._broker.publish_nowait(tasks)]

    # --- for handles ---------------------------------------------------------------------------

    def handle(self, task_id: str) -> Handle[Any]:
        """The handle of a task by its id, while it is known. Raises `UnknownTask`."""
        task = self._broker.get(task_id)
        if task is None:
            msg = f"no task {task_id!r} is known: never accepted, or ended too long ago"
            raise UnknownTask(msg, task_id)
        return Handle(self, task)

    async def _wait_settled(self, task: Task) -> None:
        """Wait until ``task`` has ended."""
        self._check_run()
        lease = None if task.state in TERMINAL else self.pool.own_lease()
        if lease is None:
            await self._broker.wait_settled(task)
        else:
            with self.pool.blocking(lease, task):
                await self._broker.wait_settled(task)

    async def _cancel(self, task: Task) -> bool:
        """Cancel ``task``."""
        self._check_run()
        await trio.lowlevel.checkpoint()
        return self._broker.cancel(task.id)

    # --- looking and operating -----------------------------------------------------------------

    def statistics(self) -> Statistics:
        """The numbers of this instant."""
        counts = self._broker.counts()
        moves = counts.moves
        return Statistics(
            *counts[:11],
            retried=moves[Move.RETRIED],
            snoozed=moves[Move.SNOOZED],
            released=moves[Move.RELEASED],
            replayed=moves[Move.REPLAYED],
            capacity=counts.capacity,
            waiting_submitters=counts.waiting_submitters,
            workers=self.pool.size,
            idle_workers=self.pool.idle,
        )

    def observe(self, observer: Observer) -> Callable[[], None]:
        """Call ``observer`` with every `Event` from now on. Call what is returned to stop."""
        check_hook("observer", observer)
        return self._broker.events.add(observer)

    def pause(self, queue: str | None = None) -> None:
        """Start no more tasks of one queue (lane), or of all. Running ones go on."""
        self._check_run()
        if queue is not None:
            self._check_queue(check_name("queue", queue))
        self._broker.pause(queue)

    def resume(self, queue: str | None = None) -> None:
        """Undo `pause`: for one queue (lane), or for all."""
        self._check_run()
        if queue is not None:
            self._check_queue(check_name("queue", queue))
        self._broker.resume(queue)

    # --- stopping ------------------------------------------------------------------------------

    def close(self) -> None:
        """Refuse new tasks from now on, handlers' own included. Accepted ones still run."""
        self._check_run()
        self._broker.close()

    async def drain(self) -> None:
        """Wait until everything accepted has ended, delayed tasks included.

        A checkpoint; cancelled: changes nothing. Raises `QueuePaused` if a paused queue holds
        tasks, `WouldDeadlock` in a handler of this queue, which would wait for itself.
        """
        self._check_run()
        if self.pool.own_lease() is not None:
            msg = "drain() in a handler would wait for that handler itself"
            raise WouldDeadlock(msg)
        await self._broker.drain()

    async def shutdown(self, grace: float = 25) -> Sequence[Unfinished]:
        """Stop: start nothing more, give running handlers ``grace`` seconds, then cancel them.

        What had not started is handed back at once (its handles raise `HandedBack`). Called again
        with a shorter grace it shortens the first. Returns what is `unfinished`; from a handler of
        this queue it only begins the stop. Cancelled: the stop goes on all the same.

        25 s is what fits into the 30 s that most supervisors wait between SIGTERM and SIGKILL.
        """
        self._check_run()
        check_seconds("shutdown(grace)", grace)
        own = self.pool.own_lease()
        await trio.lowlevel.checkpoint()
        self._broker.stop()
        self.pool.stop(grace)
        if own is None:
            await self.pool.ended.wait()
        return self.unfinished()

    def unfinished(self) -> Sequence[Unfinished]:
        """What was accepted and has not ended. After a stop, those are the tasks handed back."""
        return self._broker.unfinished()

    async def _leave(self) -> None:
        """The end of the block: drain, then stop."""
        if not self.pool.stopping:
            await self._broker.drain()
            self._broker.close()  # no checkpoint since the last task ended: nothing slips in
            self.pool.stop(math.inf)
        await self.pool.ended.wait()

    # --- checks --------------------------------------------------------------------------------

    def _check_run(self) -> None:
        """`WrongRun` unless this is the Trio run in which the queue was opened."""
        try:
            same = trio.lowlevel.current_trio_token() is self._token
        except RuntimeError:
            same = False
        if not same:
            msg = (
                "this queue belongs to another Trio run, or thread: use trio.from_thread.run "
                "there, or the queue of this run"
            )
            raise WrongRun(msg)

    def _check_queue(self, queue: str) -> None:
        if self._queues is not None and queue not in self._queues:
            msg = f"queue {queue!r} is not served here: open_queue has queues={list(self._queues)}"
            raise InvalidTask(msg)

    def _check_types(self) -> None:
        """`InvalidTask` if a task type belongs into a queue that is not served."""
        for task_type in self._types.values():
            self._check_queue(task_type.options.queue)


_NO_KWARGS: Final[Mapping[str, object]] = {}


def _checked_calls(calls: Iterable[Call[R]]) -> list[Call[R]]:
    given: object = calls
    if isinstance(given, Call):
        msg = "submit_many takes a list of calls: submit_many([task.bind(...)])"
        raise InvalidTask(msg)
    checked = list(calls)
    call: object
    for call in checked:
        if not isinstance(call, Call):
            msg = f"submit_many takes calls made by task.bind(...), not {call!r}"
            raise InvalidTask(msg)
    return checked


def _seconds_until(at: object) -> float:
    if not isinstance(at, datetime) or at.tzinfo is None:
        msg = f"options(at) must be a datetime with a time zone, not {at!r}"
        raise InvalidTask(msg)
    return max(0.0, at.timestamp() - time.time())


def _check_queues(queues: object) -> Collection[str] | None:
    if queues is None:
        return None
    if isinstance(queues, str) or not isinstance(queues, Iterable):
        msg = f"queues must be a collection of names, not {queues!r}"
        raise InvalidTask(msg)
    names = tuple(check_name("queues", name) for name in queues)
    if not names:
        msg = "queues is empty: nothing could be submitted"
        raise InvalidTask(msg)
    return names


def _check_sources(observers: Iterable[object], random: object, new_id: object) -> None:
    for observer in observers:
        check_hook("observers", observer)
    if random is not None:
        check_type("random", random, random_module.Random)
    if new_id is not None:
        check_hook("new_id", new_id)


@asynccontextmanager
@enable_ki_protection
async def open_queue(
    tasks: TaskSet,
    *,
    workers: int = WORKERS,
    capacity: int | None = None,
    broker: QueueBroker | None = None,
    queues: Iterable[str] | None = None,
    delayed_capacity: int = 10_000,
    dead_capacity: int = 10_000,
    results: int = 1_000,
    observers: Iterable[Observer] = (),
    random: random_module.Random | None = None,
    new_id: Callable[[], str] | None = None,
) -> AsyncIterator[Queue]:
    """Open a queue with ``workers`` workers, for as long as the block lasts.

    Like a nursery: leaving the block waits until everything accepted has ended. An exception in the
    block, or a cancellation, is a hard stop: running handlers are cancelled, and whatever has not
    ended is handed back (``queue.unfinished()``). Entering waits for the lifespan only.

    ``capacity``: how many tasks may be ready, running or backing off (default ``max(100, 4 *
    workers)``); ``delayed_capacity``: how many delayed or snoozed; ``dead_capacity``: how many dead
    letters, the oldest being evicted; ``results``: how many ended tasks `Queue.handle` still finds.
    ``queues``: the lanes that there are (default: any). ``observers``: called with every event.
    ``random`` and ``new_id`` are the sources of jitter and ids, for runs that can be repeated.
    ``broker``: one from `open_memory_broker`, instead of one of the queue's own; the sizes are then
    its own.

    Raises `InvalidTask` for a value that cannot be.
    """
    check_type("open_queue(tasks)", tasks, TaskSet)
    lanes = _check_queues(queues)
    check_count("workers", workers, 1)
    if capacity is None:
        capacity = max(100, 4 * workers)
    sizes = {
        "capacity": check_count("capacity", capacity, workers),
        "delayed_capacity": check_count("delayed_capacity", delayed_capacity, 1),
        "dead_capacity": check_count("dead_capacity", dead_capacity, 1),
        "results": check_count("results", results, 0),
    }
    observers = tuple(observers)
    _check_sources(observers, random, new_id)
    source = random_module.Random() if random is None else random
    ids = new_id_source(source, time.time) if new_id is None else new_id
    async with open_broker(broker, **sizes) as kept:
        for observer in observers:
            kept.events.add(observer)
        queue = Queue(tasks, kept, workers, lanes, source.random, ids)
        queue._check_types()
        try:
            async with open_bare_nursery() as nursery:
                await nursery.start(queue.pool.run, name="trioqueue pool")
                try:
                    yield queue
                    await queue._leave()
                except BaseException:
                    queue.pool.stopping = True
                    raise
        finally:
            kept.stop()  # however the block ends: what has not ended is handed back
