"""What a broker promises: where tasks are kept, who holds them, and what each verb means.

The call that waits has no effect, and the call that has an effect does not wait: so there is never
a lease that nobody owns, however a Trio task is cancelled. Policy (retries, timeouts, limits) lives
above, in the worker; a broker makes the moves that it is told, atomically, and refuses the others.

`Broker` is for workers and producers, `Inspector` for handles, tools and pages. A broker in another
process, or in a file, is both and a `RemoteBroker`; one in the same process also offers every verb
without waiting (``_local``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol, final, runtime_checkable

from ._deadlock import Waiting
from ._events import Emitter
from ._letters import DeadLetter
from ._model import Lease, Move, Outcome, Settlement, State, Task

#: Asked with a task type's name: may the one who claims start one of these now?
Admits = Callable[[str], bool]


class Broker(Protocol):
    """The verbs of every broker, for the worker and for handles.

    Every coroutine is a full Trio checkpoint. "Cancelled" below: what holds when the call raises
    Cancelled. Every verb of a remote broker may also raise `BrokerUnavailable`: nothing is known to
    have been done, and doing it again is safe.
    """

    @property
    def events(self) -> Emitter:
        """What happens to tasks, as far as this process is told."""
        ...

    async def publish(
        self, tasks: Sequence[Task], closed: Callable[[], bool] | None = None
    ) -> Sequence[Task]:
        """Accept all of ``tasks`` or none, in order; wait while there is no room.

        ``closed()``, if given, is asked in the last moment, perhaps in another thread: if it is
        so, nothing is accepted, and `QueueClosed` is raised.

        Returned means accepted, and, in a durable broker, stored. Instead of a task whose id is
        known or whose key is held, the task that is there already is returned, and no new one comes
        into being. Raises `QueueClosed`. Cancelled: nothing was accepted (in memory, in a file), or
        perhaps (over a network: publish the same again).
        """
        ...

    async def wait_ready(
        self, types: Collection[str] | None = None, queues: Collection[str] | None = None
    ) -> None:
        """Wait until a claim for these types and queues (``None``: all) may bring something.

        Changes nothing. May return in vain, but not again and again for the same cause.
        """
        ...

    async def claim(
        self, room: Mapping[str, int], most: int, queues: Collection[str] | None = None
    ) -> Sequence[Lease]:
        """Take up to ``most`` tasks that are ready, in order. Never waits for work.

        ``room``: type -> how many of it may be started now; a type that is not in it is never
        taken. ``queues``: only from these lanes (``None``: from all). In order means: higher
        priority first, then what a stop or a lost lease gave back, then as they became ready.
        Cancelled: nothing was taken.
        """
        ...

    async def renew(self, leases: Collection[Lease]) -> Collection[Lease]:
        """Prolong ``leases``; those returned were lost. Sets ``cancel_requested`` where it is.

        Cancelled: prolonged or not.
        """
        ...

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[bool]:
        """End leases, each by one atomic move. ``False``: that lease was lost, nothing changed.

        Repeated: the same answer, no second effect. Cancelled: applied or not; settle again.
        """
        ...

    async def wait_settled(self, task: Task) -> None:
        """Wait until ``task`` has ended; its ``state`` and ``outcome`` say how then.

        Raises `UnknownTask` if it is not, or no longer, known. Cancelled: changes nothing.
        """
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
    capacity: int | None  # ``None``: without a bound
    waiting_submitters: int


class LaneCounts(NamedTuple):
    """The open tasks of one type in one queue."""

    queue: str
    type: str
    scheduled: int
    ready: int
    running: int
    paused: bool
    oldest: float | None  # seconds since the oldest ready task was accepted


@final
@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """One worker process, as it registered itself.

    ``id`` is random for each start of a process. ``seen``: seconds since it was last heard of;
    ``live``: it was heard of within the last lease and has not said goodbye.
    """

    id: str
    host: str
    pid: int
    workers: int
    types: tuple[str, ...]
    queues: tuple[str, ...] | None
    started_at: float  # Unix time
    running: int = 0  # tasks that it held when last heard of
    seen: float = 0.0
    live: bool = True


class HistoryEntry(NamedTuple):
    """One thing that happened to one task, as the broker has noted it."""

    name: str  # a `Move`, or "cancel_requested"
    at: float  # Unix time
    delivery: int  # the fencing token; 0 before the first claim
    worker: str  # a `WorkerRecord`'s id, or "" if no worker did it


class Inspector(Protocol):
    """The second protocol: looking into a broker and operating it, from handles and tools.

    Every coroutine is a full Trio checkpoint. Cancelled: done or not; doing it again is safe.
    """

    async def get(self, task_id: str) -> Task | None:
        """The task of this id as it is now, while it is known."""
        ...

    async def cancel(self, task_id: str) -> bool:
        """Cancel a waiting task, or ask for a running one's cancellation. ``False``: too late."""
        ...

    async def run_now(self, task_id: str) -> bool:
        """Make a scheduled task due now. ``False``: it is not scheduled, or not known.

        What falls due while there is no room stays scheduled until there is, ahead of waiting
        submitters. A paused queue stays paused.
        """
        ...

    async def revoke(self, task_id: str) -> bool:
        """Take a running task's lease away: the attempt is void, the task ready at the front.

        What a sweep does with an expired lease. Counts as a loss, never as a failure of the task;
        one loss too many makes it a dead letter. ``False``: it is not running.
        """
        ...

    async def pause(self, queue: str | None = None) -> None:
        """Stop claims from one queue, or from all."""
        ...

    async def resume(self, queue: str | None = None) -> None:
        """Undo ``pause``."""
        ...

    async def tasks(
        self,
        state: State | None = None,
        *,
        type: str | None = None,
        queue: str | None = None,
        limit: int = 100,
        newest: bool = False,
    ) -> Sequence[Task]:
        """Up to ``limit`` tasks of one state (``None``: the open ones), in order of acceptance.

        ``newest``: from the last accepted one backwards. Of the ended ones those that are known
        still: in memory the last ones (``results``), in a durable broker those of a day or of the
        ``retention``, if that is longer; without what they returned once results are kept no more.
        """
        ...

    async def dead_letters(
        self,
        type: str | None = None,
        *,
        error: str | None = None,
        older_than: float = 0.0,
        limit: int | None = None,
        newest: bool = False,
    ) -> Sequence[DeadLetter]:
        """Up to ``limit`` dead letters (``None``: all), oldest death first; or ``newest`` first.

        ``error``: only those whose last error, as ``Type: message``, has this text in it.
        ``older_than``: only those that died at least so many seconds ago.
        """
        ...

    async def replay(self, task_id: str) -> Task:
        """Make a dead letter ready again, with its failures forgotten; waits for room.

        Raises `UnknownTask`, `KeyTaken`, `QueueClosed`. Cancelled: it is a dead letter still (in
        memory, in a file), or perhaps (over a network).
        """
        ...

    async def purge(self, task_id: str) -> None:
        """Throw a dead letter away. Raises `UnknownTask`."""
        ...

    async def counts(self) -> Counts:
        """How many tasks are where. Cheap: nothing is walked."""
        ...

    async def lanes(self) -> Sequence[LaneCounts]:
        """The open tasks by queue and type, in alphabetical order; lanes without any are left out.

        Walks the open tasks: for people, not for a hot path.
        """
        ...

    async def paused(self) -> tuple[bool, Sequence[str]]:
        """Whether everything is paused, and which queues are by themselves."""
        ...

    async def workers(self) -> Sequence[WorkerRecord]:
        """The worker processes heard of lately, the longest-lived first.

        In memory: the one that there is, while a queue is open on the broker.
        """
        ...

    async def history(self, task_id: str) -> Sequence[HistoryEntry]:
        """What has happened to a task, oldest first; the last entries if there are many.

        Raises `UnknownTask`. A broker in memory notes nothing and answers with nothing.
        """
        ...

    async def is_drained(self, types: Collection[str], queues: Collection[str] | None) -> bool:
        """Whether no task of these types is open in these queues. Raises `QueuePaused`.

        (The error: tasks wait in a paused queue, so that waiting for them would not end.)
        """
        ...


@runtime_checkable
class RemoteBroker(Broker, Inspector, Protocol):
    """A broker that other processes use as well: its leases expire, its tasks outlive a process."""

    @property
    def identity(self) -> str:
        """Random for each opening."""
        ...

    @property
    def lease(self) -> float:
        """How long a lease lasts, in seconds."""
        ...

    def lease_time(self) -> float:
        """The time on the clock by which leases expire, in seconds. Goes on in every sleep."""
        ...

    def watch(
        self,
        on_cancel: Callable[[Lease], object] | None,
        on_dead: Callable[[Task], object] | None,
    ) -> None:
        """Tell the one who works here what it cannot know by itself; ``None``: nobody any more.

        ``on_cancel(lease)``: that task's cancellation was requested, and ``cancel_requested`` is
        set; at the latest by the next `renew`. ``on_dead(task)``: this process has found that a
        task's lease was lost once too often.
        """
        ...

    def limit_fleet(self, limits: Mapping[str, int]) -> None:
        """Bound how many tasks of a type may be held in the whole fleet: type -> 1 or more.

        No claim of this opening takes a task of such a type while that many leases on the type are
        held: by whichever opening, in whichever queue. They are counted in the same atomic step as
        the claim. A lease is held from its claim until it is settled, revoked, or swept once it has
        expired; that its holder is gone, or is asked to cancel, frees nothing yet.

        ``wait_ready`` does not return for what only such a limit forbids, and returns when a slot
        becomes free, whoever held it. The limits are this opening's own and replace those that it
        had; calls that have begun go by the old ones.
        """
        ...

    async def register(self, worker: WorkerRecord) -> None:
        """Note that a worker process is alive, and what it does. ``live=False``: its goodbye."""
        ...

    async def wait_drained(self, types: Collection[str], queues: Collection[str] | None) -> None:
        """Wait until `is_drained`. Raises `QueuePaused`. Cancelled: changes nothing."""
        ...


class Codec(Protocol):
    """Between Python values and the bytes that a durable broker keeps."""

    def encode_arguments(
        self, type: str, args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> bytes:
        """The payload. Raises `InvalidArguments`, naming the argument and what it should be."""
        ...

    def decode_arguments(
        self, type: str, payload: bytes
    ) -> tuple[tuple[object, ...], Mapping[str, object]]:
        """Back again, validated by the handler's annotations. Raises `InvalidArguments`."""
        ...

    def encode_result(self, type: str, value: object) -> bytes:
        """What the handler returned. Raises `InvalidArguments` if it cannot be stored."""
        ...

    def decode_result(self, type: str, result: bytes) -> object:
        """Back again, by the handler's annotation. Raises `InvalidArguments`."""
        ...


class Consumer(Protocol):
    """Whoever runs what a feed hands out: the pool. All of it is called in Trio's thread."""

    @property
    def size(self) -> int:
        """How many workers there are."""
        ...

    def on_ready(self) -> None:
        """Something became ready."""
        ...

    def on_cancel(self, lease: Lease) -> None:
        """That attempt is to be cancelled: by request, or because its lease was lost."""
        ...

    def on_dead(self, task: Task) -> None:
        """The task has become a dead letter, which is stored."""
        ...

    def free(self) -> int:
        """How many workers run nothing."""
        ...

    def room(self) -> Mapping[str, int]:
        """Type -> how many of its tasks its limit would let start now, for all types there are."""
        ...


class Feed(Protocol):
    """What workers see of a broker, wherever it is: synchronous, and never in between.

    None of these but ``serve`` is a checkpoint; each is atomic for Trio and for Ctrl-C.
    """

    @property
    def events(self) -> Emitter:
        """What happens to tasks, as far as this process is told."""
        ...

    def serve(self, consumer: Consumer) -> AbstractAsyncContextManager[None]:
        """Feed ``consumer``, the one and only, for as long as the block lasts.

        Leaving it settles what has finished and releases what has not started.
        """
        ...

    def check_free(self) -> None:
        """`InvalidTask` if it has a consumer already."""
        ...

    def has_ready(self, admits: Admits) -> bool:
        """Whether ``claim_nowait`` is worth trying. May be wrong, but only when it says yes."""
        ...

    def claim_nowait(self, admits: Admits, now: float) -> Lease | None:
        """Take the first ready task of an admitted type, or ``None``."""
        ...

    def settle_nowait(self, settlement: Settlement, now: float) -> bool:
        """End one lease; ``False`` if it is known to be lost."""
        ...

    def complete_nowait(self, lease: Lease, outcome: Outcome, now: float) -> bool:
        """End one lease with success: nothing to decide then, so it needs no settlement."""
        ...

    def hold_back(self) -> None:
        """Hand out nothing more from now on: a stop has begun."""
        ...

    def waiting(self) -> Waiting:
        """What holds places in the common room without running. (For `WouldDeadlock`.)"""
        ...
