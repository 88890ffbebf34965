"""The laws about the pool: how many run, in which order, and what a stop means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from .. import Move, OutcomeKind, State
from ._book import Account, Book, walk
from ._history import (
    Began,
    Closed,
    Ended,
    History,
    Left,
    Quiet,
    Replayed,
    Seen,
    Stopped,
    Stopping,
    Told,
)

_BORN: Final = frozenset({Move.SUBMITTED, Move.DELAYED, Move.REPLAYED})


# --- bounds -------------------------------------------------------------------------------------


def limits_hold(history: History) -> Iterator[str]:
    """Counted by the handlers that are really on their way, at each beginning."""
    for entry, book in walk(history):
        if not isinstance(entry, Began):
            continue
        total = len(book.running) + 1
        if total > history.workers:
            yield f"at {entry.time:g}: {total} handlers run on {history.workers} workers"
        limit = history.limits.get(entry.task_type)
        count = book.witnessed(entry.task_type) + 1
        if limit is not None and count > limit:
            yield f"at {entry.time:g}: {count} of {entry.task_type} run, the limit is {limit}"


def capacity_holds(history: History) -> Iterator[str]:
    """Ready, running and backing off: never more than the queue has room for."""
    for entry, book in walk(history):
        if isinstance(entry, (Seen, Quiet, Left)):
            count = book.counts[State.READY] + book.counts[State.RUNNING]
            count += sum(account.backing_off for account in book.in_state(State.SCHEDULED))
            if count > history.capacity:
                yield f"at {entry.time:g}: {count} open tasks, but room for {history.capacity}"


def tokens_never_leak(history: History) -> Iterator[str]:
    """At rest each type has lent as many tokens as it has handlers; at the end, none."""
    for entry, book in walk(history):
        if isinstance(entry, Left):
            for task_type, count in entry.tokens.items():
                if count:
                    yield f"{count} token(s) of {task_type} were lent still at the end"
        elif isinstance(entry, Quiet):
            running = Counter(account.type for account in book.in_state(State.RUNNING))
            for task_type, count in entry.tokens.items():
                least = book.witnessed(task_type)
                most = max(least, running[task_type])
                if not least <= count <= most:
                    yield (
                        f"at {entry.time:g}: {count} token(s) of {task_type} are lent, "
                        f"and {least} of its handlers run"
                    )


# --- stopping -----------------------------------------------------------------------------------


def nothing_after_stop(history: History) -> Iterator[str]:
    """Neither an acceptance after a close nor a beginning after a stop."""
    closed = stopping = False
    before: set[tuple[str, int]] = set()  # the deliveries that were started before a stop
    for entry in history.entries:
        if isinstance(entry, Closed):
            closed = True
        elif isinstance(entry, Stopping):
            stopping = True
        elif isinstance(entry, Seen):
            event = entry.event
            if closed and event.name in _BORN and not history.perhaps:
                yield f"task {event.task_id} was {event.name} after the close"
            if event.name == Move.STARTED:
                if stopping and not history.elsewhere:
                    yield f"task {event.task_id} was started after the stop"
                elif not stopping:
                    before.add((event.task_id, event.delivery))
        elif isinstance(entry, Began):
            # A thread, or the entry of ``around``, may lie between an attempt's start and this.
            if stopping and (entry.task_id, entry.token) not in before:
                yield f"a handler of task {entry.task_id} began after the stop"
            elif entry.stopped and not history.middleware:
                yield f"a handler of task {entry.task_id} began in a cancelled pool"


def stops_end(history: History) -> Iterator[str]:
    """A stop ends as soon as no handler runs, and after the grace those that run are cancelled."""
    deadline: float | None = None  # the end of the shortest grace
    busy_until = 0.0  # when the stop began, or its last handler ended
    for entry, book in walk(history):
        if isinstance(entry, Stopping):
            until = entry.time + entry.grace
            deadline = until if deadline is None else min(deadline, until)
            busy_until = entry.time
        elif isinstance(entry, Ended) and deadline is not None:
            busy_until = entry.time
            if entry.time > deadline + history.slack and not entry.stopped:
                yield (
                    f"the handler of task {entry.task_id} ran until {entry.time:g} and was not "
                    f"cancelled when the grace was over, at {deadline:g}"
                )
        elif isinstance(entry, Stopped) and entry.time > busy_until + history.slack:
            yield f"a stop ended at {entry.time:g}: nothing was on its way since {busy_until:g}"
        elif isinstance(entry, Quiet) and _hangs(entry, book, deadline, history.slack):
            yield f"at {entry.time:g}: a stop has begun and no handler runs, but it does not end"


def _hangs(entry: Quiet, book: Book, deadline: float | None, slack: float) -> bool:
    asked = entry.over or deadline is not None
    return asked and not entry.ended and not book.running and not slack


def no_orphan(history: History) -> Iterator[str]:
    """Nobody runs on when the block has been left, and nobody begins."""
    left = False
    for entry, book in walk(history):
        if isinstance(entry, Left):
            left = True
            for began in book.running.values():
                yield f"the handler of task {began.task_id} was on its way when the block was left"
        elif left and isinstance(entry, Began):
            yield f"a handler of task {entry.task_id} began after the block was left"
        elif left and isinstance(entry, (Told, Replayed)) and entry.error is None:
            yield "a submit succeeded after the block was left"


# --- the life of the pool -----------------------------------------------------------------------


def isolation(history: History) -> Iterator[str]:
    """No handler sees another's context variables, or is cancelled since another one failed."""
    stray: set[tuple[str, int]] = set()
    for entry, book in walk(history):
        if isinstance(entry, Began) and entry.spoilt and not history.middleware:
            yield (
                f"the handler of task {entry.task_id} saw context variables that an earlier one "
                f"had changed: {', '.join(entry.spoilt)}"
            )
        elif isinstance(entry, Ended):
            if entry.toppled and not history.interrupted:
                yield f"the handler of task {entry.task_id} was cancelled although nobody asked"
            if entry.stray:
                stray.add((entry.task_id, entry.token))
        elif isinstance(entry, Seen) and book.settles(entry.event):
            event = entry.event
            if (event.task_id, event.delivery) in stray and not history.middleware:
                kind = event.outcome.kind if event.outcome else None
                if kind not in {OutcomeKind.CRASH, OutcomeKind.LOST, None}:
                    yield f"a stray Cancelled of task {event.task_id} was taken for {kind}"


def work_conservation(history: History) -> Iterator[str]:
    """When nothing can run any more, no task is ready that a free worker may take."""
    stopping = False
    for entry, book in walk(history):
        if isinstance(entry, Stopping):
            stopping = True
        elif isinstance(entry, Quiet) and not entry.over and not stopping:
            free = history.workers - max(len(book.running), book.counts[State.RUNNING])
            waiting = _startable(history, book) if free > 0 else None
            if waiting is not None:
                yield (
                    f"at {entry.time:g}: task {waiting.id} ({waiting.type}) is ready, and "
                    f"{free} worker(s) do nothing"
                )


def _startable(history: History, book: Book) -> Account | None:
    for account in book.in_state(State.READY):
        limit = history.limits.get(account.type)
        has_room = limit is None or book.witnessed(account.type) < limit
        if has_room and not book.is_paused(account.queue):
            return account
    return None


def order(history: History) -> Iterator[str]:
    """Whatever is started ranks before all that is ready in its queue, of the types with room."""
    for entry, book in walk(history):
        if not isinstance(entry, Seen) or entry.event.name != Move.STARTED:
            continue
        taken = book.accounts.get(entry.event.task_id)
        if taken is None:
            continue
        if book.is_paused(taken.queue):
            yield f"task {taken.id} was started although queue {taken.queue!r} is paused"
        full = entry.full if not history.elsewhere else _claimed_in_full(history, book)
        for other in book.in_state(State.READY):
            if other.queue == taken.queue and other.rank < taken.rank and other.type not in full:
                yield (
                    f"at {entry.time:g}: task {taken.id} ({taken.type}) was started before task "
                    f"{other.id} ({other.type}), which was there first"
                )
                break


def _claimed_in_full(history: History, book: Book) -> frozenset[str]:
    """The types of which as many are claimed, and not settled, as may run at once.

    And those that may be full by what others hold, and are passed over by claims ahead; over a
    network all that can be full, since a claim speaks of the room that there was when it was sent.
    """
    if history.perhaps:
        return history.fleet | frozenset(history.limits)
    claimed = Counter(account.type for account in book.in_state(State.RUNNING))
    full = {name for name, limit in history.limits.items() if claimed[name] >= limit}
    return history.fleet | full
