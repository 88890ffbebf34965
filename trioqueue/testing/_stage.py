"""What can be struck while a scenario plays: its queues, their workers and tasks, named scopes."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Final

import trio
from trio.lowlevel import enable_ki_protection

from .. import Queue, State
from ._lease import lose_lease_of

Strike = Callable[[], object]

#: What `cancel_everywhere` can do at a moment:
#: ``program``: cancel the whole scenario. ``scope``: cancel a block marked by `target`. ``queue``:
#: cancel the scope round an open queue.
#: ``shutdown``: ``queue.shutdown(grace=0)``. ``close``: ``queue.close()``. ``worker``: cancel one
#: worker. ``task``: ``handle.cancel()`` of an open task. ``lease``: lose a running task's lease.
KINDS: Final = ("program", "scope", "queue", "shutdown", "close", "worker", "task", "lease")


class Stage:
    """The live targets of one run."""

    def __init__(self) -> None:
        self._scopes: dict[str, trio.CancelScope] = {}
        self._queues: list[Queue] = []

    def targets(self) -> dict[str, Strike]:
        """What can be struck now, by name: ``"kind"``, or ``"kind name"``."""
        found: dict[str, Strike] = {}
        for name, scope in self._scopes.items():
            if not scope.cancel_called:
                found[name] = scope.cancel
        for number, queue in enumerate(self._queues):
            place = f" of queue {number + 1}" if number else ""
            for name, strike in _targets_of(queue).items():
                found[name + place] = strike
        return found

    @contextmanager
    @enable_ki_protection
    def scope(self, name: str) -> Generator[None]:
        """A cancel scope that can be struck as ``name``."""
        with trio.CancelScope() as scope, self.marked(name, scope):
            yield

    @contextmanager
    @enable_ki_protection
    def marked(self, name: str, scope: trio.CancelScope) -> Generator[None]:
        """Within this block ``scope`` can be struck as ``name``."""
        while name in self._scopes:
            name += "'"
        self._scopes[name] = scope
        try:
            yield
        finally:
            del self._scopes[name]

    @contextmanager
    @enable_ki_protection
    def holding(self, queue: Queue) -> Generator[None]:
        """Within this block ``queue`` is there."""
        self._queues.append(queue)
        try:
            yield
        finally:
            self._queues.remove(queue)


def _targets_of(queue: Queue) -> dict[str, Strike]:
    found: dict[str, Strike] = {}
    pool, broker = queue.pool, queue._local
    if not pool.stopping:
        found["shutdown"] = lambda: _begin_shutdown(queue)
        found["close"] = queue.close
    for worker in sorted(pool._workers, key=lambda worker: worker.number):
        if not worker.life.cancel_called:
            found[f"worker {worker.number}"] = worker.life.cancel
    for task in () if broker is None else broker.tasks():
        assert broker is not None
        found[f"task {task.id}"] = partial(broker.cancel, task.id)
        if task.state is State.RUNNING:
            found[f"lease {task.id}"] = partial(lose_lease_of, queue, task.id)
    return found


def _begin_shutdown(queue: Queue) -> None:
    """What ``queue.shutdown(grace=0)`` does after its checkpoint."""
    queue._broker.stop()
    queue.pool.stop(0)


_current: ContextVar[Stage | None] = ContextVar("trioqueue_stage", default=None)


@contextmanager
@enable_ki_protection
def set_stage(stage: Stage) -> Generator[None]:
    """Let what is run in the block play on ``stage``."""
    token = _current.set(stage)
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
@enable_ki_protection
def on_stage() -> Generator[Callable[[Queue], None]]:
    """Play in a scope that can be struck as ``queue``; call what is yielded with the open queue."""
    stage = _current.get()
    if stage is None:
        yield lambda queue: None
        return
    with trio.CancelScope() as scope, ExitStack() as stack:

        def enter(queue: Queue) -> None:
            # Not before: a context manager whose entry is cancelled by itself has nothing to yield.
            stack.enter_context(stage.holding(queue))
            stack.enter_context(stage.marked("queue", scope))

        yield enter


@contextmanager
@enable_ki_protection
def target(name: str) -> Generator[None]:
    """Mark a block, such as one submitter, that `cancel_everywhere` shall cancel at every step.

    ::

        with target("submitter"):
            await queue.submit(resize, "cat.png")

    A cancelled block is left, and the program goes on behind it. Does nothing in any other run.
    """
    stage = _current.get()
    if stage is None:
        yield
    else:
        with stage.scope(f"scope {name}"):
            yield
