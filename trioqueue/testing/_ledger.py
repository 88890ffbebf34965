"""The ledger: an independent witness of a queue, which holds it to the laws.

It hears of each task from three sides that know nothing of each other: the events that the broker
emits, the handlers' own beginnings and ends, and what the callers of submit were told.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from typing import Any, Final, cast

import trio
from trio.lowlevel import enable_ki_protection

from .. import Event, Move, Queue, TaskSet, current_task
from .._ki import protected
from .._model import Lease
from .._running import running
from .._worker import Worker
from ._errors import holds_interrupt
from ._history import Began, Ended, Entry, History, Left, Quiet, Seen
from ._laws import Breach, LawBroken, breaches_of
from ._numbers import options_of, statistics_of
from ._quiet import QuietWatch
from ._shadow import Shadow
from ._witness import witnessed

#: On a real clock: seconds that the program itself may take between two things "at once".
REAL_SLACK: Final = 5.0
_ACCEPTING: Final = frozenset({Move.SUBMITTED, Move.DELAYED, Move.REPLAYED})
_UNSET: Final = object()


@protected
class Ledger:
    """Witnesses one queue and checks the laws. `open_test_queue` attaches one; you rarely need to.

    ::

        ledger = Ledger()
        with ledger.witness(tasks):
            async with open_queue(tasks, observers=[ledger.observe]) as queue:
                ledger.attach(queue)
                ...
        ledger.check()
    """

    def __init__(self) -> None:
        self.history = History()
        self._queue: Queue | None = None
        self._base: Context | None = None
        self._clock: trio.abc.Clock | None = None
        self._begun: set[tuple[str, int]] = set()

    # --- reading -------------------------------------------------------------------------------

    def breaches(self) -> tuple[Breach, ...]:
        """What breaks the laws in the history so far."""
        return breaches_of(self.history)

    def check(self) -> None:
        """Raise `LawBroken` if anything in the history breaks a law."""
        breaches = self.breaches()
        if breaches:
            raise LawBroken(breaches)

    def note(self, entry: Entry) -> None:
        """Write an entry down, as the parts of the toolkit do."""
        self.history.entries.append(entry)

    def now(self) -> float:
        """Seconds on Trio's clock; from a worker thread too."""
        return trio.current_time() if self._clock is None else self._clock.current_time()

    # --- events --------------------------------------------------------------------------------

    def observe(self, event: Event) -> None:
        """An observer, for ``open_queue(observers=[ledger.observe])``."""
        options = None
        full: frozenset[str] = frozenset()
        if event.name in _ACCEPTING and self._queue is not None:
            options = options_of(self._queue, event.task_id)
        elif event.name == Move.STARTED and self._queue is not None and not self.history.elsewhere:
            full = self._types_without_room()
        self.note(Seen(event.time, event, options, full))

    def _types_without_room(self) -> frozenset[str]:
        """The types all of whose tokens are lent to others than the worker that claims."""
        assert self._queue is not None
        pool = self._queue.pool
        full = {
            task_type
            for task_type, limiter in pool.limiters.items()
            if limiter is not None and limiter.available_tokens < 1
        }
        if full:
            name = trio.lowlevel.current_task().name
            full -= {w.limited for w in pool._workers if name == f"trioqueue worker {w.number}"}
        return frozenset(full)

    # --- handlers ------------------------------------------------------------------------------

    @contextmanager
    @enable_ki_protection
    def witness(self, tasks: TaskSet) -> Generator[None]:
        """Witness the beginnings and ends of all handlers of ``tasks``, as long as the block lasts.

        Begin it before the queue is opened.
        """
        self._base = copy_context()
        self._clock = trio.lowlevel.current_clock()
        self.history.middleware = tasks.around is not None
        self.history.slack = _slack(tasks, self._clock)
        with witnessed(self, tasks):
            yield

    def own_lease(self) -> Lease | None:
        """The lease of the handler that is being called, unless it is a call within a handler.

        (For the wrappers of handlers.)
        """
        try:
            lease = current_task()._lease
        except RuntimeError:
            return None  # a plain call of the function, past any queue
        queue = self._queue
        known = queue is not None and lease.holder.pool is queue.pool
        return lease if known and (lease.task.id, lease.token) not in self._begun else None

    def inside_handler(self) -> bool:
        """Whether the caller is a handler of the witnessed queue."""
        return self._queue is not None and self._queue.pool.own_lease() is not None

    def began(self, lease: Lease) -> None:
        """A handler's body begins. (For the wrappers of handlers.)"""
        task = lease.task
        self._begun.add((task.id, lease.token))
        # A thread begins when it can, whatever has been cancelled since its attempt was started.
        stopped = trio.lowlevel.in_trio_task() and _cancellation(cast("Worker", lease.holder))[0]
        self.note(
            Began(
                self.now(),
                task.id,
                task.type,
                lease.token,
                task.options.timeout,
                lease.deadline,
                stopped,
                self._spoilt(),
            )
        )

    def ended(self, lease: Lease, error: BaseException | None) -> None:
        """A handler's body ends. (For the wrappers of handlers.)"""
        worker = cast("Worker", lease.holder)
        stopped, asked = _cancellation(worker)
        within = stopped or worker.scope._cancel_called
        stray = isinstance(error, trio.Cancelled) and not within
        task = lease.task
        self.note(
            Ended(
                self.now(),
                task.id,
                task.type,
                lease.token,
                error,
                stopped,
                stopped and not asked,
                stray,
            )
        )

    def _spoilt(self) -> tuple[str, ...]:
        """The names of the context variables that differ from when the queue was opened."""
        assert self._base is not None
        base, here = dict(self._base), dict(copy_context())
        return tuple(var.name for var in here.keys() | base.keys() if _differs(var, here, base))

    # --- the queue -----------------------------------------------------------------------------

    def attach(self, queue: Queue, *, whole: bool = True) -> None:
        """Witness what callers of ``queue`` are told from now on, for as long as it lives.

        ``whole``: the queue's broker ends with it, and its tasks with both.
        """
        self._queue = queue
        history, pool = self.history, queue.pool
        history.workers = pool.size
        history.elsewhere = queue._local is None
        history.perhaps = getattr(queue._broker.inspector, "perhaps", False)
        numbers = statistics_of(queue)
        bound = None if numbers is None else numbers.capacity
        history.capacity = float("inf") if bound is None else bound
        history.whole = whole
        # From what was registered, not from the pool's own limiters: a wrong one would vouch for
        # itself.
        history.limits = {t.name: t.limit for t in queue._tasks if t.limit is not None}
        if history.elsewhere:
            history.fleet = frozenset(t.name for t in queue._tasks if t.scope == "fleet")
        Shadow(self, queue)

    @contextmanager
    @enable_ki_protection
    def watching(self) -> Generator[None]:
        """Look at the queue whenever nothing can run, as long as the block lasts."""
        watch = QuietWatch(self._quiet, lambda: len(self.history.entries))
        trio.lowlevel.add_instrument(watch)
        try:
            yield
        finally:
            trio.lowlevel.remove_instrument(watch)

    def left(self, error: BaseException | None = None) -> None:
        """The queue's block has been left, by ``error`` if by one: write down its last numbers."""
        self.history.interrupted = holds_interrupt(error)
        queue = self._queue
        if queue is None:
            return  # it was never open
        unfinished = tuple(record.id for record in queue.unfinished())
        self.note(Left(self.now(), statistics_of(queue), self._tokens(), unfinished))

    def _quiet(self) -> None:
        if self._queue is None:
            return
        pool = self._queue.pool
        ended = pool.ended.is_set()
        over = ended or _is_cancelled(pool._scope)
        numbers = statistics_of(self._queue)
        self.note(Quiet(self.now(), numbers, self._tokens(), over, ended))

    def _tokens(self) -> dict[str, int]:
        assert self._queue is not None
        return {
            name: int(limiter.borrowed_tokens)
            for name, limiter in self._queue.pool.limiters.items()
            if limiter is not None
        }


def _slack(tasks: TaskSet, clock: trio.abc.Clock) -> float:
    """How long a stop may last without a handler: a lifespan's end may take its time."""
    if tasks.lifespan is not None:
        return float("inf")
    virtual = not isinstance(clock, trio._core._run.SystemClock)
    return 0.0 if virtual else REAL_SLACK


def _differs(
    var: ContextVar[Any], here: dict[ContextVar[Any], Any], base: dict[ContextVar[Any], Any]
) -> bool:
    # In a worker thread Trio itself sets sniffio's variable.
    ours = var is running or var.name == "current_async_library_cvar"
    return not ours and here.get(var, _UNSET) is not base.get(var, _UNSET)


def _is_cancelled(scope: trio.CancelScope) -> bool:
    """Whether ``scope``, or one round it, is cancelled.

    Trio's own attribute tells that of the scope alone, cancels it by the way if its deadline has
    passed, and cannot be read in a thread.
    """
    status = scope._cancel_status
    return scope._cancel_called if status is None else status.effectively_cancelled


def _cancellation(worker: Worker) -> tuple[bool, bool]:
    """Whether a worker is being cancelled from outside of its attempt; whether anybody asked."""
    asked = worker.life._cancel_called or _is_cancelled(worker.pool._scope)
    return asked or _is_cancelled(worker.life), asked
