"""The pool: claim, run, decide, settle. A synchronous core in an asynchronous shell.

A worker awaits in four places only: a cancel point before it takes a task (it holds nothing then),
the handler, its parking place while there is nothing to do, and a rest for the sake of the program
around it. Between a task's claim and its handler, and between the handler's return and the
settling, there is no await and, under the protection of ``_ki``, no Ctrl-C.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from contextvars import copy_context
from threading import get_ident
from typing import Any, Final, final

import trio
from trio.lowlevel import cancel_shielded_checkpoint, checkpoint_if_cancelled

from . import _calls
from ._broker import Feed
from ._calls import Calls, call_handler
from ._deadlock import NOTHING_WAITING, RoomWait, Snapshot, Target
from ._decide import Facts, classify, decide, skip_frames
from ._events import logger
from ._instrument import Instruments
from ._ki import protected
from ._letters import dead_letter
from ._model import Lease, Outcome, OutcomeKind, Task
from ._registry import TaskSet, TaskType
from ._retry import is_a, leaves
from ._running import running
from ._turn import Turn
from ._waits import Waits
from ._worker import Worker

_RETURNED: Final = OutcomeKind.RETURNED

#: Seconds after a cancellation until the handlers that are still on their way are named in the log.
HARD_LIMIT: Final = 5.0

#: Room for a type without a limit of its own.
_UNBOUNDED: Final = 1_000_000

#: What a traceback of a handler's error begins with, and nobody wants to read.
_OWN_FILES: Final = frozenset({__file__, _calls.__file__})


def _holds(error: BaseException | None, kind: type[BaseException]) -> bool:
    """Whether ``error`` is of ``kind``, or a group that holds one."""
    return error is not None and any(is_a(leaf, kind) for leaf in leaves(error))


@final
@protected
class Pool:
    """``size`` workers on one broker, supervised by a nursery.

    ``owner`` is the queue that ``current_task().queue`` names. ``random()`` in [0, 1) draws the
    jitter of backoffs.
    """

    def __init__(
        self,
        feed: Feed,
        tasks: TaskSet,
        size: int,
        random: Callable[[], float],
        owner: object,
        instruments: Instruments | None = None,
    ) -> None:
        self.owner = owner
        self.state: Any = None
        self.size: Final = size
        self.limiters: Final[dict[str, trio.CapacityLimiter | None]] = {}
        self.stopping = False
        self.ended = trio.Event()
        self.idle = 0  # workers that are parked
        self._feed = feed
        self._types = {task_type.name: task_type for task_type in tasks}
        for task_type in tasks:
            limit = task_type.limit
            limiter = None if limit is None else trio.CapacityLimiter(limit)
            self.limiters[task_type.name] = limiter
        #: What a worker that holds no token may take tasks of: known types with a token left.
        self.admitted: Final = set(self.limiters)
        self._admits: Final = self.admitted.__contains__
        self._tasks = tasks
        self._random = random
        self._scope = trio.CancelScope()  # of all workers; its deadline is the end of the grace
        self._workers: set[Worker] = set()
        self._started = 0
        self.empty = trio.Event()  # no worker is left
        self._lot = trio.lowlevel.ParkingLot()
        self._coming = False  # a worker was called and has not arrived yet
        self._called_in = -1  # the turn in which it was called
        self._turn = Turn()
        self.waits: Final = Waits(self._snapshot)
        self._thread = get_ident()
        self._context = copy_context()
        self._context.run(running.set, None)
        self.variables: Final = len(self._context)
        self.context: Final = [item for item in self._context.items() if item[0] is not running]
        self._instruments = instruments
        self._calls = Calls(tasks.around, instruments, size)
        self._now = trio.lowlevel.current_clock().current_time  # half the cost of trio.current_time

    # --- life ----------------------------------------------------------------------------------

    async def run(self, task_status: trio.TaskStatus[None]) -> None:  # noqa: ASYNC128 - below
        """Run the workers until ``stop``; started once the lifespan is entered."""
        try:
            async with AsyncExitStack() as stack:
                # Outside of the workers' scope: its clean-up is not cut short by a stop's own end.
                if self._tasks.lifespan is not None:
                    self.state = await stack.enter_async_context(self._tasks.lifespan())
                # Inside of the lifespan: its last settlements come before that is left.
                async with self._feed.serve(self):
                    with self._scope:
                        await self._supervise(task_status.started)
            if not self.stopping and not self._scope.cancelled_caught:
                # A scope or a nursery of the lifespan's own has absorbed the workers' end.
                msg = "the lifespan ended while the queue was open, and its workers with it"
                raise RuntimeError(msg)
        finally:
            self.ended.set()

    async def _supervise(self, started: Callable[[], object]) -> None:
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            for _ in range(self.size):
                self._spawn()
            nursery.start_soon(self._watch, name="trioqueue watch")
            started()
        if not self.stopping and not self._scope.cancel_called:
            msg = "something cancelled the workers' nursery, which is trioqueue's own"
            raise RuntimeError(msg)

    def _spawn(self) -> None:
        """Start a worker in the context in which the queue was opened, whoever calls this."""
        self._started += 1
        worker = Worker(self, self._started)
        self._workers.add(worker)
        name = f"trioqueue worker {worker.number}"
        self._context.copy().run(
            lambda: self._nursery.start_soon(self._live, worker, name=name),
        )

    async def _live(self, worker: Worker) -> None:
        """One worker's life. Replaced if it ends early: cancelled alone, or in a spoilt context."""
        try:
            with worker.life:
                if not self._feed.has_ready(self._admits):
                    await self._park(worker)
                while not worker.retired:
                    await self._serve_in_scope(worker)
        finally:
            self._workers.discard(worker)
            worker.let_go()
            if not self.stopping and trio.current_effective_deadline() != -math.inf:
                self._spawn()
            if not self._workers:
                self.empty.set()
                self._nursery.cancel_scope.cancel(reason="all workers have ended")
            self.on_ready()

    async def _watch(self) -> None:
        """If a cancelled pool does not end, say which handlers hold it up."""
        try:
            await trio.sleep_forever()
        finally:
            # Bounded, and it does nothing but wait for what has to be waited for anyway.
            with trio.CancelScope(shield=True, deadline=trio.current_time() + HARD_LIMIT):
                await self.empty.wait()
            for worker in self._workers:
                if worker.lease is not None:
                    logger.error(
                        "%r goes on %g s after its cancellation: its handler shields itself, "
                        "swallows Cancelled, or blocks a thread; the stop waits for it",
                        worker.lease.task,
                        HARD_LIMIT,
                    )

    def do_without(self) -> None:
        """There are no workers: everything that waits for their end has it already."""
        self.empty.set()
        self.ended.set()

    def stop(self, grace: float) -> None:
        """Start no more tasks; cancel the running ones after ``grace`` seconds, or sooner."""
        self.stopping = True
        self._scope.deadline = min(self._scope.deadline, trio.current_time() + grace)
        self._feed.hold_back()
        self._lot.unpark_all()

    @property
    def running(self) -> int:
        """How many workers run a task."""
        return sum(worker.lease is not None for worker in self._workers)

    # --- the loop ------------------------------------------------------------------------------

    async def _serve_in_scope(self, worker: Worker) -> None:
        """Serve under one scope until an attempt ends by anything but a plain return."""
        escaped: BaseException | None = None
        try:
            with trio.move_on_after(math.inf) as worker.scope:
                worker.deadline = math.inf
                worker.spent = False
                await self._serve(worker)
        except BaseException as error:  # noqa: ASYNC103 - `_ended` judges it, and goes on or raises
            if worker.lease is None:
                raise  # not from a handler: cancelled while it held nothing, or a bug of ours
            escaped = error
        if worker.lease is not None:
            self._ended(worker, worker.lease, escaped)

    async def _serve(self, worker: Worker) -> None:
        """The loop: claim, run, settle. Returns when the scope, or the worker, must be replaced."""
        feed, turn, bare, clock = self._feed, self._turn, self._calls.bare, self._now
        types, admits, calls = self._types, worker.admits, self._calls.call
        while True:
            await checkpoint_if_cancelled()
            if self.stopping:
                worker.retired = True
                return
            now = clock()
            if not (turn.left and now < turn.ends):
                # The turn is over. One that has not worked since its last rest parks if another
                # rests, who will be back and calls for help when there is work: else all 64 of a
                # pool would go through a checkpoint for each slice that one of them works.
                await (self._park if turn.resting and not worker.took else self._yield)(worker)
                continue
            lease = feed.claim_nowait(admits, now)
            if lease is None:
                await self._wait_for_work(worker)
                continue
            turn.left -= 1
            task = lease.task
            task_type = types[task.type]
            self._begin(worker, lease, task_type, task.options.timeout)
            if bare and task_type.is_async:
                value = await call_handler(task_type.handler, task.args, task.kwargs)
            else:
                value = await calls(task_type, lease)
            now = clock()
            worker.lease = None
            feed.complete_nowait(lease, self._returned(worker, lease, value, now), now)
            if worker.spent:
                return

    def _begin(
        self,
        worker: Worker,
        lease: Lease,
        task_type: TaskType[..., Any],
        timeout: float | None,
    ) -> None:
        """Own the lease: from here on whatever happens to the worker settles it."""
        worker.lease = lease
        worker.took = True
        lease.holder = worker
        if worker.limited != task_type.name:
            worker.hold(task_type)
        if timeout is not None or worker.deadline != math.inf:
            worker.arm(lease.started_at, timeout)
        lease.deadline = worker.deadline
        running.set(lease)
        if lease.cancel_requested or lease.lost:  # by an observer, before it had a holder
            worker.scope.cancel(reason="the attempt was over before it began")
        if self.idle and not self._coming:
            self.on_ready()

    def _returned(self, worker: Worker, lease: Lease, value: object, now: float) -> Outcome:
        """The outcome of an attempt that returned; says whether its scope and worker are spent."""
        outcome = Outcome(_RETURNED, value, now - lease.started_at)
        if now >= worker.deadline:
            outcome.late = True
            worker.spent = True
        if lease.cancel_requested:
            outcome.cancel_ignored = True
            worker.spent = True
        # (The first half alone decides it in a program without context variables of its own.)
        if len(copy_context()) != self.variables or (self.context and not worker.is_clean()):
            worker.spent = worker.retired = True
        if lease.lost:
            worker.spent = True
        if self._instruments is not None:
            self._instruments.ended(lease, outcome)
        return outcome

    def _ended(self, worker: Worker, lease: Lease, error: BaseException | None) -> None:
        """Settle an attempt that did not return; raise again what must not be stopped here.

        A Cancelled from outside is not raised again: it is level-triggered, and the worker's next
        step is a cancel point. So an error raised while a cancellation is on its way can be
        attached to the task instead of crashing the pool.
        """
        now = trio.current_time()
        worker.lease = None
        worker.retired |= not worker.is_clean()
        fatal = _holds(error, KeyboardInterrupt) or _holds(error, GeneratorExit)
        # Outside of the worker's own scope by now: -inf means that somebody above is cancelled.
        outer = fatal or trio.current_effective_deadline() == -math.inf
        stray = not outer and _holds(error, trio.Cancelled)
        overdue = now >= lease.deadline
        cause = None if is_a(error, trio.Cancelled) and not stray else error
        if cause is not None:
            skip_frames(cause, _OWN_FILES)  # a reader's own code comes first
        outcome = classify(
            lease,
            Facts(
                cause, worker.scope.cancelled_caught, overdue, outer, stray, now - lease.started_at
            ),
        )
        if fatal:
            self.stopping = True  # nothing new is taken while the interrupt is on its way up
            outcome.exception = None  # it is not the task's, and it goes on with its traceback
        if self._instruments is not None:
            self._instruments.ended(lease, outcome)
        if outcome.kind is not OutcomeKind.LOST:
            retry = self._types[lease.task.type].retry
            self._feed.settle_nowait(decide(lease, outcome, retry, self._random()), now)
        if fatal:
            assert error is not None
            raise error

    def on_dead(self, task: Task) -> None:
        """See `Consumer`. Calls the hook; its errors are logged.

        A task must not die in silence: if there is neither a hook nor an observer, it is logged.
        """
        hook = self._tasks.on_dead
        if hook is None:
            if not self._feed.events.observers:
                letter = dead_letter(task)
                logger.error(
                    "task %s (%s) is dead after %d failures: %s",
                    letter.id,
                    letter.type,
                    letter.failures,
                    letter.error,
                    extra={"task_id": letter.id, "task_type": letter.type},
                )
            return
        try:
            hook(dead_letter(task))
        except Exception:
            logger.exception("on_dead failed for %r", task, extra={"task_id": task.id})

    # --- waiting -------------------------------------------------------------------------------

    async def _park(self, worker: Worker) -> None:
        """Wait until called, holding nothing. A stop that has begun is seen before parking.

        The scope stays armed for the attempt that is over: disarming costs more than the one time
        that its deadline may end the wait, for nothing, on a worker that has a new scope then.
        """
        worker.let_go()
        running.set(None)
        if self.stopping:
            return
        self.idle += 1
        if len(self.waits):
            self._look_for_deadlock()
        try:
            await self._lot.park()
        finally:
            self.idle -= 1
        # Called, and not cancelled (or only after the call: the end of this life calls the next).
        self._coming = False
        if self._turn.number == self._called_in:
            # Nobody has begun a turn since the call, and Trio's scheduler has been round.
            self._turn.begin(trio.current_time())

    async def _wait_for_work(self, worker: Worker) -> None:
        """Look once more in Trio's next pass, then park.

        In a steady trickle (a submitter that submits one task in each pass) this saves a parking,
        a call and a token for each task. Whoever lingers is the one who is coming.
        """
        if worker.took and not self._coming:
            self._coming = True
            await self._yield(worker)
            self._coming = False
        else:
            await self._park(worker)

    async def _yield(self, worker: Worker) -> None:
        """Be back in Trio's next pass, and begin a turn there if nobody else has.

        Not a cancel point (the loop has one), so that no counter needs a ``finally``.
        """
        turn = self._turn
        number = turn.number
        worker.took = False
        turn.resting += 1
        await cancel_shielded_checkpoint()
        turn.resting -= 1
        if turn.number == number:
            turn.begin(self._now())

    def on_ready(self) -> None:
        """See `Consumer`. Wakes one worker, unless one is on its way already."""
        if len(self.waits):
            self._look_for_deadlock()
        # The lot itself is asked: a parked worker that was just cancelled counts as idle still.
        if self._coming or self.stopping or not self._lot:
            return
        if self._feed.has_ready(self._admits):
            self._called_in = self._turn.number
            self._coming = bool(self._lot.unpark())

    def on_cancel(self, lease: Lease) -> None:
        """See `Consumer`."""
        worker = lease.holder
        if isinstance(worker, Worker) and worker.lease is lease:
            why = "its lease was lost" if lease.lost else "the task was cancelled by request"
            worker.scope.cancel(reason=why)

    def free(self) -> int:
        """See `Consumer`."""
        return self.size - self.running

    def room(self) -> Mapping[str, int]:
        """See `Consumer`. A worker that holds a token and runs nothing is about to use it, or not.

        Either way one more of that type can be started.
        """
        room: dict[str, int] = {}
        for name, limiter in self.limiters.items():
            room[name] = _UNBOUNDED if limiter is None else int(limiter.available_tokens)
        for worker in self._workers:
            if worker.limited is not None and worker.lease is None:
                room[worker.limited] += 1
        return room

    # --- for handlers --------------------------------------------------------------------------

    def own_lease(self) -> Lease | None:
        """The lease of the handler that calls this, if it is one of this pool's, and still runs."""
        lease = running.get()
        if lease is None or lease.task.lease is not lease:
            return None
        worker = lease.holder
        return lease if isinstance(worker, Worker) and worker.pool is self else None

    def report_progress(self, lease: Lease, done: float, total: float | None) -> None:
        """Store and tell how far a running task is; nothing once its lease is over."""
        if get_ident() != self._thread:
            # A handler in a thread of ours: what observers do is for Trio's thread.
            trio.from_thread.run_sync(self.report_progress, lease, done, total)
        elif lease.task.lease is lease:
            lease.task.trace().progress = (done, total)
            if self._feed.events.observers:
                self._feed.events.task("progressed", trio.current_time(), lease.task)

    def _snapshot(self, waits: Mapping[object, Sequence[Target]]) -> Snapshot:
        """The pool for `Waits`, given what each blocked worker waits for."""
        for_room = any(isinstance(wait, RoomWait) for targets in waits.values() for wait in targets)
        held: dict[str, list[Worker]] = {}
        for worker in self._workers:
            if worker.limited is not None:
                held.setdefault(worker.limited, []).append(worker)
        return Snapshot(
            workers=self.size,
            waits=waits,
            running={w.lease.task.id: w for w in self._workers if w.lease is not None},
            limits={t.name: t.limit for t in self._types.values() if t.limit is not None},
            held=held,
            waiting=self._feed.waiting() if for_room else NOTHING_WAITING,
        )

    def _look_for_deadlock(self) -> None:
        """While any worker works on its own, there is nothing to fear yet."""
        if self.idle + len(self.waits) >= self.size:
            self.waits.look()
