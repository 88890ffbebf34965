"""The nouns and the rules: tasks, leases, outcomes, settlements, and the one transition table.

Pure: no Trio, no clock, no I/O, no logging. Times are float seconds on the broker's clock, and are
handed in. Everything that can happen to a task is a row of ``TABLE``; a move that is not in it
raises and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, NoReturn, final

from ._errors import IllegalMove


class State(StrEnum):
    """Where a task is. Every accepted task is in exactly one of these."""

    SCHEDULED = "scheduled"  # due later: a delay, a retry, a snooze
    READY = "ready"
    RUNNING = "running"  # somebody holds its lease
    SUCCEEDED = "succeeded"
    DEAD = "dead"  # a dead letter: replayable, keeps its arguments and errors
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    HANDED_BACK = "handed_back"  # the queue stopped first; listed by ``unfinished()``
    PURGED = "purged"  # a dead letter that an operator threw away
    EVICTED = "evicted"  # a dead letter that had to make room


class Move(StrEnum):
    """What can happen to a task. Named in the past tense, since each is also an event's name."""

    SUBMITTED = "submitted"
    DELAYED = "delayed"
    DUE = "due"
    STARTED = "started"
    SUCCEEDED = "succeeded"
    RETRIED = "retried"
    SNOOZED = "snoozed"
    RELEASED = "released"
    LOST = "lost"
    DIED = "died"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REPLAYED = "replayed"
    PURGED = "purged"
    EVICTED = "evicted"
    HANDED_BACK = "handed_back"


_S, _M = State, Move


class Row(dict[State | None, State]):
    """One row of the table: ``row[state before]`` is the state after, or raises `IllegalMove`."""

    def __init__(self, move: Move, states: Mapping[State | None, State]) -> None:
        super().__init__(states)
        self.move = move

    def __missing__(self, state: State | None) -> NoReturn:
        before = "not accepted yet" if state is None else state.value
        msg = f"a task that is {before} cannot be {self.move.value}"
        raise IllegalMove(msg)


_ROWS: Final[dict[Move, dict[State | None, State]]] = {
    _M.SUBMITTED: {None: _S.READY},
    _M.DELAYED: {None: _S.SCHEDULED},
    _M.DUE: {_S.SCHEDULED: _S.READY},
    _M.STARTED: {_S.READY: _S.RUNNING},
    _M.SUCCEEDED: {_S.RUNNING: _S.SUCCEEDED},
    _M.RETRIED: {_S.RUNNING: _S.SCHEDULED},
    _M.SNOOZED: {_S.RUNNING: _S.SCHEDULED},
    _M.RELEASED: {_S.RUNNING: _S.READY},
    _M.LOST: {_S.RUNNING: _S.READY},
    _M.DIED: {_S.RUNNING: _S.DEAD},
    _M.CANCELLED: {
        _S.SCHEDULED: _S.CANCELLED,
        _S.READY: _S.CANCELLED,
        _S.RUNNING: _S.CANCELLED,
    },
    _M.EXPIRED: {_S.SCHEDULED: _S.EXPIRED, _S.READY: _S.EXPIRED},
    _M.REPLAYED: {_S.DEAD: _S.READY},
    _M.PURGED: {_S.DEAD: _S.PURGED},
    _M.EVICTED: {_S.DEAD: _S.EVICTED},
    # A running task is released first: its lease ends before the task is handed back.
    _M.HANDED_BACK: {_S.SCHEDULED: _S.HANDED_BACK, _S.READY: _S.HANDED_BACK},
}

#: The life cycle, whole: move -> {state before: state after}. ``None``: not accepted yet.
TABLE: Final[Mapping[Move, Row]] = MappingProxyType(
    {move: Row(move, states) for move, states in _ROWS.items()}
)

#: States that only an explicit replay (from DEAD) can leave, and DEAD's own two ends.
TERMINAL: Final = frozenset(
    {_S.SUCCEEDED, _S.DEAD, _S.CANCELLED, _S.EXPIRED, _S.HANDED_BACK, _S.PURGED, _S.EVICTED}
)


def transition(state: State | None, move: Move) -> State:
    """The state after ``move``; `IllegalMove` if the table has no such row."""
    return TABLE[move][state]


@final
@dataclass(frozen=True, slots=True)
class ErrorRecord:
    """One failed attempt as text: exception objects would keep every frame's locals alive."""

    attempt: int  # from 1
    kind: str  # an OutcomeKind
    type: str  # the exception's class, qualified unless built in
    message: str
    traceback: str

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" if self.message else self.type


#: In the middle of 0..255, so that there is room on both sides.
DEFAULT_PRIORITY: Final = 100


@final
@dataclass(frozen=True, slots=True)
class Options:
    """How one task is to be treated. A plain submit shares its type's own instance.

    ``timeout`` and ``expires`` in seconds; ``None`` means without. ``priority`` 0..255, higher
    first, strict. ``delay`` in seconds from acceptance. ``key`` is unique among the live tasks of
    its queue. ``headers``: text that travels with the task, read-only; ``None`` without any.
    """

    queue: str = "default"
    priority: int = DEFAULT_PRIORITY
    timeout: float | None = None
    expires: float | None = None
    delay: float = 0.0
    key: str | None = None
    headers: Mapping[str, str] | None = field(default=None, hash=False)
    #: Nothing but a type, a queue and a priority has to be looked at when such a task is accepted.
    plain: bool = field(init=False, repr=False, compare=False, default=True)

    def __post_init__(self) -> None:
        plain = not self.delay and self.expires is None and self.key is None
        object.__setattr__(self, "plain", plain)
        if self.headers is not None:  # a copy: whoever gave them may go on with theirs
            headers = MappingProxyType(dict(self.headers)) if self.headers else None
            object.__setattr__(self, "headers", headers)


@final
class Trail:
    """What only some tasks have: how often it was not their fault, and how they failed."""

    __slots__ = ("died_at", "errors", "interruptions", "losses", "progress", "snoozes")

    def __init__(self) -> None:
        self.losses = 0  # leases that expired unsettled
        self.interruptions = 0  # attempts that a stop cut short
        self.snoozes = 0
        self.errors: tuple[ErrorRecord, ...] = ()
        self.progress: tuple[float, float | None] | None = None  # (done, total)
        self.died_at = 0.0  # Unix time of the last death


#: Errors kept per task: the last ones tell why it died, and a task with 10,000 attempts must not
#: grow with them.
ERRORS_KEPT: Final = 10

#: What most tasks have: one for all of them, as millions may wait.
NO_KWARGS: Final[Mapping[str, object]] = {}
NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})

#: A task whose lease is lost more often than this kills its process, as far as anybody can tell.
MAX_LOSSES: Final = 10


@final
class Task:
    """One unit of work. Owned and changed by the broker alone; 15 slots, as millions may wait.

    ``deliveries`` is the fence: it only ever grows, and the current lease carries its value.
    ``failures`` alone counts against the retry policy. ``payload``: the arguments as a durable
    broker keeps them; ``args`` and ``kwargs`` are empty until it was decoded.
    """

    __slots__ = (
        "accepted_at",
        "args",
        "deliveries",
        "failures",
        "id",
        "kwargs",
        "lease",
        "options",
        "order",
        "outcome",
        "payload",
        "seq",
        "state",
        "trail",
        "type",
    )

    def __init__(
        self,
        id: str,
        type: str,
        args: tuple[object, ...],
        kwargs: Mapping[str, object],
        options: Options,
    ) -> None:
        self.id = id
        self.type = type
        self.args = args
        self.kwargs = kwargs
        self.options = options
        self.state: State | None = None
        self.deliveries = 0
        self.failures = 0
        self.accepted_at = 0.0  # on the broker's clock
        self.seq = 0  # the broker's number of it, in order of acceptance
        self.order = 0  # and in the order in which tasks became ready
        self.lease: Lease | None = None  # the current one: whoever holds it may change the task
        self.trail: Trail | None = None
        self.outcome: Outcome | None = None
        self.payload: bytes | None = None

    @property
    def attempt(self) -> int:
        """The number of the attempt that runs or comes next, from 1."""
        return self.failures + 1

    def move(self, move: Move) -> None:
        """Change the state as the table says, or raise `IllegalMove` and change nothing."""
        self.state = TABLE[move][self.state]

    def trace(self) -> Trail:
        """The task's `Trail`, made at the first use."""
        if self.trail is None:
            self.trail = Trail()
        return self.trail

    def __repr__(self) -> str:
        return f"<Task {self.type} {self.id} {self.state} attempt {self.attempt}>"


@final
class Lease:
    """A claim on a task. ``(task.id, token)`` is the fencing token.

    ``holder`` is the worker's own; the broker only keeps it. ``deadline`` is the attempt's, on the
    worker's clock. ``cancel_requested`` and ``lost`` are set from outside while the attempt runs.
    ``expires``: until when the lease can be proven, on the broker's `lease_time` clock.
    """

    __slots__ = (
        "cancel_requested",
        "deadline",
        "expires",
        "holder",
        "lost",
        "settled",
        "started_at",
        "task",
        "token",
    )

    def __init__(self, task: Task, token: int, started_at: float) -> None:
        self.task = task
        self.token = token
        self.started_at = started_at
        self.cancel_requested = False
        self.lost = False
        self.holder: Any = None  # the worker that runs it, from before the handler is called
        self.deadline = float("inf")
        self.expires = float("inf")
        self.settled: Outcome | None = None  # with what it ended; tells a repeat from a zombie


class OutcomeKind(StrEnum):
    """How an attempt ended (the first ten), or how a task ended without one (the last two)."""

    RETURNED = "returned"
    ERROR = "error"
    TIMEOUT = "timeout"
    CRASH = "crash"  # a stray Cancelled, SystemExit, or another BaseException
    RETRY_LATER = "retry_later"
    SNOOZE = "snooze"
    DISCARD = "discard"
    INVALID = "invalid"  # the stored arguments do not decode, or no longer fit the handler
    CANCELLED = "cancelled"  # by request
    INTERRUPTED = "interrupted"  # by a stop: not the task's fault
    LOST = "lost"  # the lease: nothing may be written
    EXPIRED = "expired"
    HANDED_BACK = "handed_back"


@final
class Outcome:
    """How an attempt, or a task, ended. As returned by ``handle.wait()``.

    ``value`` is what the handler returned. ``exception`` is what it raised, without its traceback;
    ``error`` is that as text, traceback included. ``late``: the handler returned after its timeout
    all the same. ``cancel_ignored``: it returned although its cancellation was requested.
    ``duration``: seconds from start to end of the attempt. ``stored``: ``False`` if the value could
    not be stored (``error`` says why), or is no longer kept.
    """

    __slots__ = (
        "cancel_ignored",
        "decoded",
        "delay",
        "duration",
        "error",
        "exception",
        "kind",
        "late",
        "stored",
        "value",
    )

    def __init__(
        self,
        kind: OutcomeKind,
        value: object = None,
        duration: float = 0.0,
        exception: BaseException | None = None,
        *,
        late: bool = False,
        cancel_ignored: bool = False,
        delay: float | None = None,
    ) -> None:
        self.kind = kind
        self.value = value
        self.duration = duration
        self.exception = exception
        self.late = late
        self.cancel_ignored = cancel_ignored
        self.delay = delay  # asked for by RetryLater and Snooze, in seconds
        self.error: ErrorRecord | None = None
        self.stored = True
        self.decoded = False  # the value, from what a durable broker keeps

    def __repr__(self) -> str:
        what = f"value={self.value!r}" if self.exception is None else f"error={self.error}"
        return f"<Outcome {self.kind} {what}>"


@final
class Settlement:
    """What ends a lease: the move to make, the outcome to keep, the delay before the next try.

    ``result``: what the handler returned, as a durable broker keeps it.
    """

    __slots__ = ("delay", "failed", "lease", "move", "outcome", "result")

    def __init__(
        self, lease: Lease, move: Move, outcome: Outcome, delay: float = 0.0, failed: bool = False
    ) -> None:
        self.lease = lease
        self.move = move
        self.outcome = outcome
        self.delay = delay
        self.failed = failed  # counts against the retry policy
        self.result: bytes | None = None
