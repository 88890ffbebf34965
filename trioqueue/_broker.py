"""What a broker promises: where tasks are kept, who holds them, and what each verb means.

The call that waits has no effect, and the call that has an effect does not wait: so there is never
a lease that nobody owns, however a Trio task is cancelled. Policy (retries, timeouts, limits) lives
above, in the worker; a broker makes the moves that it is told, atomically, and refuses the others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple, Protocol

from ._deadlock import RoomWait, Waiting
from ._events import Emitter
from ._letters import DeadLetter, Unfinished
from ._model import Lease, Move, Outcome, Settlement, State, Task

#: Asked with a task type's name: may the one who claims start one of these now?
Admits = Callable[[str], bool]


class Broker(Protocol):
    """The verbs of every broker, for the worker and for handles. Times are the broker's clock's.

    Every coroutine is a full Trio checkpoint. "Cancelled" below: what holds when the call raises
    Cancelled.
    """

    events: Emitter

    async def publish(self, tasks: Sequence[Task]) -> Sequence[Task]:
        """Accept all of ``tasks`` or none, in order; wait while there is no room.

        Returned means accepted. Instead of a task whose id is known or whose key is held, the task
        that is there already is returned, and no new one comes into being. Raises `QueueClosed`.
        Cancelled: nothing was accepted (locally), or perhaps (remotely: publish the same again).
        """
        ...

    async def wait_ready(self) -> None:
        """Wait until something may be ready. Changes nothing; may return in vain."""
        ...

    async def claim(self, admits: Admits, most: int) -> Sequence[Lease]:
        """Take up to ``most`` ready tasks of admitted types, in order. Never waits for work.

        Cancelled: nothing was taken.
        """
        ...

    async def renew(self, leases: Collection[Lease]) -> Collection[Lease]:
        """Prolong ``leases``; those returned were lost. Sets ``cancel_requested`` where it is."""
        ...

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[bool]:
        """End leases, each by one atomic move. ``False``: that lease was lost, nothing changed.

        Repeated: the same answer, no second effect. Cancelled: applied or not; settle again.
        """
        ...

    async def wait_settled(self, task: Task) -> None:
        """Wait until ``task`` has ended. Cancelled: changes nothing."""
        ...


class LocalBroker(Broker, Protocol):
    """A broker in the same process: the same verbs, at once and without waiting.

    None of these is a checkpoint; each is atomic for Trio and for Ctrl-C.
    """

    def publish_nowait(self, tasks: Sequence[Task]) -> Sequence[Task]:
        """Like ``publish``; raises `trio.WouldBlock` instead of waiting."""
        ...

    def accept_nowait(self, task: Task) -> Task:
        """Like ``publish_nowait`` of one task, and quicker."""
        ...

    def claim_nowait(self, admits: Admits, now: float) -> Lease | None:
        """Take the first ready task of an admitted type, or ``None``."""
        ...

    def settle_nowait(self, settlement: Settlement, now: float) -> bool:
        """End one lease; ``False`` if it was lost."""
        ...

    def complete_nowait(self, lease: Lease, outcome: Outcome, now: float) -> bool:
        """End one lease with success: nothing to decide then, so it needs no settlement."""
        ...

    def check_free(self) -> None:
        """`InvalidTask` if it has a consumer already."""
        ...

    def attach(
        self, on_ready: Callable[[], object], on_cancel: Callable[[Lease], object]
    ) -> Callable[[], None]:
        """Become the one consumer. Call what is returned to leave.

        ``on_ready()``: something became ready. ``on_cancel(lease)``: that attempt is to be
        cancelled.
        """
        ...

    def has_ready(self, admits: Admits) -> bool:
        """Whether ``claim_nowait`` is worth trying. May be wrong, but only when it says yes."""
        ...

    def waiting(self) -> Waiting:
        """What holds places in the common room without running. (For `WouldDeadlock`.)"""
        ...

    def wait_for_room(self, tasks: Sequence[Task]) -> RoomWait:
        """What publishing ``tasks`` (none: replaying a dead letter) would wait for now."""
        ...

    def close(self) -> None:
        """Refuse new tasks from now on; waiting submitters get `QueueClosed`."""
        ...

    def stop(self) -> None:
        """Close, and hand back whatever is waiting now or comes back from a worker later."""
        ...

    async def drain(self) -> None:
        """Wait until no task is open. Raises `QueuePaused` if that cannot be."""
        ...


class Counts(NamedTuple):
    """How many tasks are, or ended, where.

    ``submitted == scheduled + ready + running + succeeded + dead + cancelled + expired +
    handed_back + purged + evicted``, always.
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
    moves: dict[Move, int]  # how often each happened
    capacity: int
    waiting_submitters: int


class Inspector(Protocol):
    """The second protocol: looking into a broker and operating it, from handles and tools."""

    def get(self, task_id: str) -> Task | None:
        """The task of this id, while it is known."""
        ...

    def cancel(self, task_id: str) -> bool:
        """Cancel a waiting task, or ask for a running one's cancellation. ``False``: too late."""
        ...

    def revoke(self, task_id: str) -> bool:
        """Take a running task's lease away: the attempt is void, the task ready at the front.

        What a sweep does with an expired lease. Counts as a loss, never as a failure of the task;
        one loss too many makes it a dead letter. ``False``: it is not running.
        """
        ...

    def pause(self, queue: str | None = None) -> None:
        """Stop claims from one queue, or from all."""
        ...

    def resume(self, queue: str | None = None) -> None:
        """Undo ``pause``."""
        ...

    def dead_letters(self, type: str | None = None) -> Sequence[DeadLetter]:
        """The dead letters, oldest first."""
        ...

    async def replay(self, task_id: str) -> Task:
        """Make a dead letter ready again, with its failures forgotten; waits for room.

        Raises `UnknownTask`, `KeyTaken`, `QueueClosed`. Cancelled: it is a dead letter still.
        """
        ...

    def replay_nowait(self, task_id: str) -> Task:
        """Like ``replay``; raises `trio.WouldBlock` instead of waiting."""
        ...

    def purge(self, task_id: str) -> None:
        """Throw a dead letter away. Raises `UnknownTask`."""
        ...

    def tasks(self, state: State | None = None) -> Sequence[Task]:
        """The open tasks, or those of one state."""
        ...

    def unfinished(self) -> Sequence[Unfinished]:
        """After a stop: what was accepted and did not end."""
        ...

    def counts(self) -> Counts:
        """How many tasks are where. Cheap: nothing is walked."""
        ...


class QueueBroker(LocalBroker, Inspector, Protocol):
    """What a queue in one process needs of its broker: both sides of it."""
