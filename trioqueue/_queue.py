"""The queue: what a program opens, submits to, and leaves when everything accepted has ended."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from threading import get_ident
from typing import Any, Final, ParamSpec, TypeVar, cast, final

import trio

from ._backend import Backend, LocalBackend
from ._broker import Counts, Inspector
from ._checks import (
    UNSET,
    Unset,
    check_hook,
    check_name,
    check_seconds,
)
from ._errors import InvalidTask, NotRegistered, WouldDeadlock, WrongRun, unknown_task
from ._events import Observer
from ._handle import Handle
from ._instrument import Instruments
from ._ki import protected
from ._letterbox import DeadLetters
from ._letters import Statistics, Unfinished
from ._model import NO_KWARGS, TERMINAL, Move, Options, Task
from ._pool import Pool
from ._registry import Call, TaskSet, TaskType, make_options
from ._submission import Submission, at_as_delay, checked_calls, seconds_until

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


@final
@protected
class Queue:
    """An open queue. Made by `open_queue`; belongs to the Trio run in which it was opened."""

    def __init__(
        self,
        tasks: TaskSet,
        backend: Backend,
        local: LocalBackend | None,
        workers: int,
        queues: Collection[str] | None,
        random: Callable[[], float],
        new_id: Callable[[], str],
        instruments: Instruments | None = None,
    ) -> None:
        self._tasks = tasks
        self._types = {task_type.name: task_type for task_type in tasks}
        self._broker = backend
        self._local = local  # the same, if it is in this process
        self._queues = queues
        self._new_id = new_id
        self._token = trio.lowlevel.current_trio_token()
        self._thread = get_ident()
        self._instruments = instruments
        self.pool: Final = Pool(backend.feed, tasks, workers, random, self, instruments)
        self.dead_letters: Final = DeadLetters(self, backend)

    # --- submitting ----------------------------------------------------------------------------

    async def submit(self, task: TaskType[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Accept one task; waits while the queue is full. Returned means accepted.

        A full checkpoint, before the effect. Cancelled: nothing was accepted and nothing will run.
        Raises `InvalidArguments` if the arguments do not fit the handler, `NotRegistered`,
        `QueueClosed`, and, in a handler of this queue, `WouldDeadlock` if room could never come.
        """
        made = self._make(task, args, kwargs)
        if self._local is None or self._instruments is not None:
            (handle,) = await self._publish((made,))
            return handle
        await trio.lowlevel.checkpoint()
        try:
            return Handle(self, self._local.accept_nowait(made))
        except trio.WouldBlock:
            (handle,) = await self._publish((made,))
            return handle

    def submit_nowait(
        self, task: TaskType[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> Handle[R]:
        """Accept one task now, or raise `trio.WouldBlock` if it is full. Not a checkpoint.

        In memory only: elsewhere nothing can be accepted without waiting (`TypeError`).
        """
        made = self._make(task, args, kwargs)
        local = self._local or self._at_hand("submit_nowait()", "await queue.submit(...)")
        if self._instruments is not None:
            (handle,) = self._publish_nowait((made,))
            return handle
        return Handle(self, local.accept_nowait(made))

    async def submit_many(self, calls: Iterable[Call[R]]) -> list[Handle[R]]:
        """Accept all of ``calls`` (from ``task.bind(...)``) or none; waits until all of them fit.

        A checkpoint; cancelled: nothing was accepted. Raises `InvalidTask` if there are more than
        the queue's capacity, and what `submit` raises.
        """
        checked = checked_calls(calls)
        return await self._publish(
            [self._make(call.type, call.args, call.kwargs) for call in checked], batch=True
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
        headers: Mapping[str, str] | None | Unset = UNSET,
        id: str | None = None,
    ) -> Submission:
        """This queue with options put in; what is not given is as the task type says.

        ``delay``: seconds until it may start. ``at``: the same as an aware datetime (in the past:
        now). ``key``: while a live task of the same lane holds this idempotency key, its handle is
        returned and no new task comes into being. ``priority``: 0 to 255, higher first, strict.
        ``timeout``: seconds for one attempt. ``expires``: seconds from acceptance to the first
        start. ``headers``: text that travels with the task, seen by its handler in
        ``current_task().headers``: string to string, 32 at most, of 16 KiB in all (names and values
        in UTF-8). ``id``: the task's id, chosen by the caller, so that submitting again is safe.

        Raises `InvalidTask`, naming the option.
        """
        if at is not UNSET:
            if delay is not UNSET:
                msg = "options(delay=..., at=...): give one of them"
                raise InvalidTask(msg)
            seconds_until(at)
        if queue is not UNSET:
            self._check_queue(check_name("queue", queue))
        given: dict[str, Any] = {
            "queue": queue,
            "delay": delay,
            "at": at,
            "key": key,
            "priority": priority,
            "timeout": timeout,
            "expires": expires,
            "headers": headers,
        }
        overrides = {name: value for name, value in given.items() if value is not UNSET}
        checked = {name: value for name, value in overrides.items() if name != "at"}
        make_options(Options(), **checked)  # raises now, not at the submit
        return Submission(self, overrides, None if id is None else check_name("id", id))

    def _make(
        self,
        task_type: Any,
        args: tuple[object, ...],
        kwargs: Mapping[str, object],
        overrides: Mapping[str, Any] | None = None,
        id: str | None = None,
    ) -> Task:
        """A checked, not yet accepted task."""
        if get_ident() != self._thread:  # a third of what the whole check costs
            self._check_run()
        if not isinstance(task_type, TaskType) or self._types.get(task_type.name) is not task_type:
            raise NotRegistered(self._why_not(cast("object", task_type)))
        if kwargs or len(args) != task_type.plain:
            task_type.check_arguments(args, kwargs)
        options = task_type.options
        if overrides:
            options = make_options(options, **at_as_delay(overrides))
        task_id = self._new_id() if id is None else id
        return Task(task_id, task_type.name, args, kwargs or NO_KWARGS, options)

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

    async def _publish(self, tasks: Sequence[Task], *, batch: bool = False) -> list[Handle[Any]]:
        """Accept made tasks."""
        self._check_run()
        if self._instruments is None:
            return await self._accept(tasks)
        with self._instruments.submitting(tasks, batch=batch):
            return await self._accept(tasks)

    async def _accept(self, tasks: Sequence[Task]) -> list[Handle[Any]]:
        if self._local is None:
            accepted = await self._broker.publish(tasks)
        else:
            local = self._local
            accepted = await self._wait_for_room(
                local, tasks, partial(local.publish_nowait, tasks), partial(local.publish, tasks)
            )
        return [Handle(self, task) for task in accepted]

    async def _wait_for_room(
        self,
        local: LocalBackend,
        tasks: Sequence[Task],
        at_once: Callable[[], T],
        patiently: Callable[[], Awaitable[T]],
    ) -> T:
        """Do what needs places for ``tasks`` (none: for one). In a handler of ours, a wait is told.

        The two ways are the same but for the waiting. Nothing is awaited between the look that
        finds no room and the telling: room that was seen earlier may be gone.
        """
        lease = self.pool.own_lease()
        if lease is None:
            return await patiently()
        await trio.lowlevel.checkpoint()
        try:
            return at_once()
        except trio.WouldBlock:
            with self.pool.waits.blocking(lease, local.wait_for_room(tasks)):
                return await patiently()

    async def _replay(self, task_id: str) -> Handle[Any]:
        """Make a dead letter ready again."""
        self._check_run()
        if self._local is None:
            return Handle(self, await self._broker.replay(task_id))
        local = self._local
        task = await self._wait_for_room(
            local, (), partial(local.replay_nowait, task_id), partial(local.replay, task_id)
        )
        return Handle(self, task)

    def _publish_nowait(self, tasks: Sequence[Task]) -> list[Handle[Any]]:
        """Accept made tasks now."""
        self._check_run()
        local = self._at_hand("submit_nowait()", "await queue.submit(...)")
        if self._instruments is None:
            return [Handle(self, task) for task in local.publish_nowait(tasks)]
        with self._instruments.submitting(tasks, batch=False):
            return [Handle(self, task) for task in local.publish_nowait(tasks)]

    # --- for handles ---------------------------------------------------------------------------

    def handle(self, task_id: str) -> Handle[Any]:
        """The handle of a task by its id, from another process too. Raises `UnknownTask`.

        On a broker elsewhere nothing is looked up yet: if there is no such task, whoever waits for
        its end is told so.
        """
        task = self._broker.find(check_name("task_id", task_id))
        if task is None:
            raise unknown_task(task_id)
        return Handle(self, task)

    async def _wait_settled(self, task: Task) -> None:
        """Wait until ``task`` has ended."""
        self._check_run()
        lease = None if task.state in TERMINAL else self.pool.own_lease()
        if lease is None or self._local is None:
            await self._broker.wait_settled(task)
        else:
            with self.pool.waits.blocking(lease, task):
                await self._broker.wait_settled(task)

    async def _cancel(self, task: Task) -> bool:
        """Cancel ``task``."""
        self._check_run()
        return await self._broker.cancel_task(task.id)

    # --- looking and operating -----------------------------------------------------------------

    @property
    def inspector(self) -> Inspector:
        """For looking into the broker and operating it, by the same verbs on every broker."""
        return self._broker.inspector

    def _at_hand(self, verb: str, instead: str) -> LocalBackend:
        """The broker, if it is in this process; else a `TypeError` that says what to use."""
        if self._local is None:
            if not instead.startswith("await"):
                instead = f"await queue.inspector.{instead}"
            msg = f"{verb} is for a queue in memory: on a broker elsewhere, {instead}"
            raise TypeError(msg)
        return self._local

    def statistics(self) -> Statistics:
        """The numbers of this instant. In memory only: a `TypeError` elsewhere, see `inspector`."""
        return self._count(self._at_hand("statistics()", "counts()").counts())

    def _count(self, counts: Counts) -> Statistics:
        """A broker's numbers, and this queue's own."""
        moves = counts.moves
        places = counts._asdict()
        del places["moves"]
        return Statistics(
            **places,
            retried=moves[Move.RETRIED],
            snoozed=moves[Move.SNOOZED],
            released=moves[Move.RELEASED],
            replayed=moves[Move.REPLAYED],
            workers=self.pool.size,
            idle_workers=self.pool.idle,
        )

    def observe(self, observer: Observer) -> Callable[[], None]:
        """Call ``observer`` with every `Event` from now on. Call what is returned to stop."""
        check_hook("observer", observer)
        return self._broker.events.add(observer)

    def pause(self, queue: str | None = None) -> None:
        """Start no more tasks of one queue (lane), or of all. Running ones go on.

        In memory only: a `TypeError` elsewhere, see `inspector`.
        """
        self._check_run()
        if queue is not None:
            self._check_queue(check_name("queue", queue))
        self._at_hand("pause()", "pause()").pause(queue)

    def resume(self, queue: str | None = None) -> None:
        """Undo `pause`: for one queue (lane), or for all. In memory only, like it."""
        self._check_run()
        if queue is not None:
            self._check_queue(check_name("queue", queue))
        self._at_hand("resume()", "resume()").resume(queue)

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
            # For the workers, not for the lifespan: it may be a task of the lifespan that calls.
            await self.pool.empty.wait()
            await self._broker.flush()
        return self.unfinished()

    def unfinished(self) -> Sequence[Unfinished]:
        """What was accepted and has not ended. After a stop, those are the tasks handed back."""
        return self._broker.unfinished()

    async def _leave(self) -> None:
        """The end of the block: drain, then stop."""
        if not self.pool.stopping:
            await self._broker.finish()
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
