"""A book of accounts: the state of every task, as it follows from the events alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from .. import Event, Move, Options, State, fold
from .._events import REMARKS
from .._model import TERMINAL
from ._history import Began, Ended, Entry, History, Paused, Resumed, Seen

#: What brings a task into being.
ACCEPTING: Final = frozenset({Move.SUBMITTED, Move.DELAYED})
_FAILED: Final = frozenset({Move.RETRIED, Move.DIED})
#: What ends a lease, if there is one.
_SETTLING: Final = frozenset(
    {
        Move.SUCCEEDED,
        Move.RETRIED,
        Move.SNOOZED,
        Move.RELEASED,
        Move.DIED,
        Move.CANCELLED,
        Move.LOST,
    }
)


class Account:
    """What the events have said about one task so far."""

    __slots__ = (
        "accepted_at",
        "backing_off",
        "delivery",
        "due_at",
        "failures",
        "id",
        "number",
        "options",
        "queue",
        "rank",
        "started_at",
        "state",
        "type",
    )

    def __init__(self, event: Event, options: Options | None) -> None:
        self.id = event.task_id
        self.type = event.task_type
        self.queue = event.queue
        self.options = options or Options(queue=event.queue)
        self.state: State | None = None
        self.accepted_at = event.time
        self.started_at = 0.0
        self.due_at = 0.0
        self.backing_off = False  # scheduled by a retry: it keeps its place in the bound
        self.delivery = 0
        self.failures = 0
        self.number = 0  # in order of acceptance
        self.rank: tuple[int, int, int] = (
            0,
            0,
            0,
        )  # (-priority, 0 if given back by a stop else 1, order)

    @property
    def is_open(self) -> bool:
        """Whether the task is accepted and has not ended."""
        return self.state is not None and self.state not in TERMINAL


class Book:
    """All accounts, who runs what, and which queues are paused."""

    def __init__(self, *, elsewhere: bool = False) -> None:
        #: What is given back keeps the order of acceptance there, and that of its return in memory.
        self._elsewhere = elsewhere
        self.accounts: dict[str, Account] = {}
        self.running: dict[tuple[str, int], Began] = {}  # witnessed, not told by events
        self.counts: dict[State, int] = dict.fromkeys(State, 0)  # of all tasks there ever were
        self.moves: dict[str, int] = {}
        self.paused: set[str] = set()
        self.all_paused = False
        self._order = 0

    def account(self, event: Event) -> Account | None:
        """The account that ``event`` is about; ``None`` if it is the first of a task.

        The id of a task that has ended, and was forgotten since, may be used again.
        """
        account = self.accounts.get(event.task_id)
        again = account is not None and account.state in TERMINAL and event.name in ACCEPTING
        return None if again else account

    def settles(self, event: Event) -> bool:
        """Whether ``event`` ends a lease. (A task may also be cancelled while it waits.)"""
        account = self.accounts.get(event.task_id)
        running = account is not None and account.state is State.RUNNING
        return running and event.name in _SETTLING

    def is_paused(self, queue: str) -> bool:
        """Whether nothing may be claimed from ``queue``."""
        return self.all_paused or queue in self.paused

    def in_state(self, state: State) -> list[Account]:
        """The accounts of the tasks in ``state``."""
        if not self.counts[state]:
            return []
        return [account for account in self.accounts.values() if account.state is state]

    def witnessed(self, task_type: str) -> int:
        """How many handlers of a type are on their way."""
        return sum(began.task_type == task_type for began in self.running.values())

    def apply(self, entry: Entry) -> None:
        """Go on by one entry."""
        if isinstance(entry, Seen):
            self._apply_event(entry.event, entry.options)
        elif isinstance(entry, Began):
            self.running[entry.task_id, entry.token] = entry
        elif isinstance(entry, Ended):
            self.running.pop((entry.task_id, entry.token), None)
        elif isinstance(entry, Paused):
            if entry.queue is None:
                self.all_paused = True
            else:
                self.paused.add(entry.queue)
        elif isinstance(entry, Resumed):
            if entry.queue is None:
                self.all_paused = False
                self.paused.clear()
            else:
                self.paused.discard(entry.queue)

    def _apply_event(self, event: Event, options: Options | None) -> None:
        if event.name in REMARKS:
            return
        account = self.account(event)
        if account is None:
            account = self.accounts[event.task_id] = Account(event, options)
            account.number = len(self.accounts)
        before = account.state
        try:
            account.state = fold(before, event)
        except Exception:  # the law of terminal states reports it; the others go on from here
            account.state = event.state
        self._count(event, before, account.state)
        self._note(account, event)

    def _count(self, event: Event, before: State | None, after: State | None) -> None:
        if before is not None:
            self.counts[before] -= 1
        if after is not None:
            self.counts[after] += 1
        self.moves[event.name] = self.moves.get(event.name, 0) + 1

    def _note(self, account: Account, event: Event) -> None:
        name = event.name
        account.delivery = event.delivery
        if name == Move.STARTED:
            account.started_at = event.time
        if name in _FAILED:
            account.failures += 1
        elif name == Move.REPLAYED:
            account.failures = 0
        account.backing_off = name == Move.RETRIED
        if account.state is State.SCHEDULED:
            account.due_at = event.time + (event.delay or 0.0)
        elif account.state is State.READY:
            self._order += 1
            front = 0 if name in {Move.RELEASED, Move.LOST} else 1
            order = account.number if self._elsewhere and not front else self._order
            account.rank = (-account.options.priority, front, order)


def walk(history: History) -> Iterator[tuple[Entry, Book]]:
    """Each entry with the book as it stood *before* it. After the last, the book is complete."""
    book = Book(elsewhere=history.elsewhere)
    for entry in history.entries:
        yield entry, book
        book.apply(entry)
