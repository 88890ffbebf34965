"""``current_task()``: what a handler can know and do about the task that it is running."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, final

from ._ki import protected
from ._model import NO_HEADERS, Lease
from ._running import running

if TYPE_CHECKING:
    from ._queue import Queue


class Pool(Protocol):
    """What `CurrentTask` needs to know of the pool."""

    owner: Any
    state: Any

    def report_progress(self, lease: Lease, done: float, total: float | None) -> None:
        """Store and tell how far a running task is."""


@final
@protected
class CurrentTask:
    """The running task, as its handler sees it."""

    __slots__ = ("_lease",)

    def __init__(self, lease: Lease) -> None:
        self._lease = lease

    @property
    def id(self) -> str:
        """The task's id."""
        return self._lease.task.id

    @property
    def type(self) -> str:
        """The name of its type."""
        return self._lease.task.type

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1. Interruptions and snoozes do not count."""
        return self._lease.task.attempt

    @property
    def deadline(self) -> float:
        """When this attempt times out, on Trio's clock; infinity without a timeout."""
        return self._lease.deadline

    @property
    def fencing_token(self) -> tuple[str, int]:
        """(task id, delivery number): grows with each delivery of the task.

        Hand it to a store that refuses what is older than what it has seen, and an attempt that
        goes on after it lost its lease can do no harm there.
        """
        return self._lease.task.id, self._lease.token

    @property
    def cancel_requested(self) -> bool:
        """Whether ``handle.cancel()`` was called for this task."""
        return self._lease.cancel_requested

    @property
    def headers(self) -> Mapping[str, str]:
        """What ``options(headers=...)`` said, and what tracing added; read-only."""
        return self._lease.task.options.headers or NO_HEADERS

    @property
    def queue(self) -> Queue:
        """The queue that runs it, to submit more work to."""
        queue: Queue = self._lease.holder.pool.owner
        return queue

    @property
    def state(self) -> Any:
        """What the ``TaskSet``'s lifespan yielded; ``None`` without a lifespan."""
        return self._lease.holder.pool.state

    def progress(self, done: float, total: float | None = None) -> None:
        """Tell how far the work is, to observers and to whoever looks. Not a checkpoint.

        Raises `ValueError` for a negative number, or ``done`` over ``total``.
        """
        if not done >= 0 or (total is not None and not done <= total):
            msg = f"progress({done!r}, {total!r}): expected 0 <= done <= total"
            raise ValueError(msg)
        self._lease.holder.pool.report_progress(self._lease, done, total)


def current_task() -> CurrentTask:
    """The task that is being run by the handler that calls this, or that called it.

    Also works in the handler's child tasks and threads. Raises `RuntimeError` elsewhere.
    """
    lease = running.get()
    if lease is None:
        msg = "current_task() was called outside of a task's handler"
        raise RuntimeError(msg)
    return CurrentTask(lease)
