"""One worker's own state: its scope, its token, its lease.

One Trio task, one cancel scope (`trio.move_on_after`) and one token per worker serve many tasks in
turn, since making them anew costs more than everything else together: the scope is re-armed for
each attempt and replaced after any that did not plainly return.
"""

from __future__ import annotations

import math
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, final

import trio

from ._ki import protected
from ._model import Lease
from ._registry import TaskType

if TYPE_CHECKING:
    from ._pool import Pool


@final
@protected
class Worker:
    """One worker's own state. It is also the borrower of its type's token: one at a time."""

    __slots__ = (
        "deadline",
        "lease",
        "life",
        "limited",
        "number",
        "pool",
        "retired",
        "scope",
        "spent",
        "took",
    )

    def __init__(self, pool: Pool, number: int) -> None:
        self.pool = pool
        self.number = number
        self.life = trio.CancelScope()
        self.scope = trio.CancelScope()  # round the handler; replaced before the first
        self.deadline = math.inf  # the scope's
        self.lease: Lease | None = None
        self.limited: str | None = None  # the type whose token it holds
        self.took = False  # a task, since its last rest
        self.spent = False  # its scope must be replaced before it takes another task
        self.retired = False  # it must be replaced itself

    def admits(self, task_type: str) -> bool:
        """Whether this worker may start a task of the type now."""
        return task_type == self.limited or task_type in self.pool.admitted

    def arm(self, now: float, timeout: float | None) -> None:
        """Set the scope's deadline for an attempt that starts now: never early, and hardly late.

        Setting a deadline costs 2 us. In a burst (the last attempt began so recently that the
        deadlines differ by less than the slack) it is set a little later than asked, so that the
        next attempts can share it; the first and any isolated attempt have theirs to the instant.
        """
        if timeout is None:
            self.deadline = self.scope.deadline = math.inf
            return
        wanted = now + timeout
        slack = 0.000_9 if timeout > 0.1 else timeout * 0.009  # under min(1 ms, 1 %)
        ahead = self.deadline - wanted
        if not 0 <= ahead <= slack:
            burst = -slack <= ahead < 0
            self.deadline = self.scope.deadline = wanted + slack if burst else wanted

    def is_clean(self) -> bool:
        """Whether the handler left the context variables as they were; else the worker must go.

        A changed one never leaks to the next task, since a new worker begins in the context in
        which the queue was opened. By identity: ``==`` is user code, and equal is not the same.
        """
        pool = self.pool
        if len(copy_context()) != pool.variables:
            return False
        return all(variable.get(None) is value for variable, value in pool.context)

    def hold(self, task_type: TaskType[..., Any]) -> None:
        """Hold the token of the type of the task that was taken, and no other."""
        self.let_go()
        limiter = self.pool.limiters[task_type.name]
        if limiter is not None:
            limiter.acquire_on_behalf_of_nowait(self)
            self.limited = task_type.name
            if not limiter.available_tokens:
                self.pool.admitted.discard(task_type.name)

    def let_go(self) -> None:
        """Give the token back, if it holds one."""
        if self.limited is not None:
            limiter = self.pool.limiters[self.limited]
            assert limiter is not None
            limiter.release_on_behalf_of(self)
            self.pool.admitted.add(self.limited)
            self.limited = None
