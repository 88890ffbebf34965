"""The laws about single tasks: where they are, who may change them, what they are charged for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import ulp
from typing import Final

from .. import Event, Move, OutcomeKind, State
from .._events import REMARKS
from .._model import TABLE, TERMINAL
from ._book import ACCEPTING, Book, walk
from ._history import Began, Ended, History, Left, Quiet, Replayed, Seen, Told

#: Sums of floats, as in "due = now + delay", need not be exact.
_ROUNDING: Final = 1e-9


def _events(history: History) -> Iterator[Event]:
    return (entry.event for entry in history.entries if isinstance(entry, Seen))


# --- conservation -------------------------------------------------------------------------------


def conservation(history: History) -> Iterator[str]:
    """The queue's numbers are those that follow from the events, whenever nothing is going on."""
    for entry, book in walk(history):
        if isinstance(entry, (Quiet, Left)):
            yield from _compare(entry, book)
            if isinstance(entry, Left):
                yield from _compare_end(history, entry, book)


def _compare(entry: Quiet | Left, book: Book) -> Iterator[str]:
    statistics = entry.statistics
    if statistics is None:
        return
    for state in State:
        theirs = getattr(statistics, state.value)
        if theirs != book.counts[state]:
            yield (
                f"at {entry.time:g}: the queue counts {theirs} {state.value} tasks, "
                f"the events say {book.counts[state]}"
            )
    total = sum(getattr(statistics, state.value) for state in State)
    if statistics.submitted != total:
        yield f"at {entry.time:g}: {statistics.submitted} submitted, but {total} in all states"
    for name in ("retried", "snoozed", "released", "replayed"):
        theirs, ours = getattr(statistics, name), book.moves.get(name, 0)
        if theirs != ours:
            yield f"at {entry.time:g}: the queue counts {theirs} {name}, the events say {ours}"


def _compare_end(history: History, entry: Left, book: Book) -> Iterator[str]:
    if not history.whole:
        return
    for account in book.accounts.values():
        if account.is_open:
            yield f"task {account.id} was {account.state} still when the block had been left"
    expected = sorted(a.id for a in book.in_state(State.HANDED_BACK))
    if sorted(entry.unfinished) != expected:
        yield f"unfinished() named {sorted(entry.unfinished)}, but {expected} were handed back"


# --- submitting ---------------------------------------------------------------------------------


def nothing_lost(history: History) -> Iterator[str]:
    """Every id that a caller was given came into being."""
    born = {event.task_id for event in _events(history) if event.name in ACCEPTING}
    told = {task_id for e in history.entries if isinstance(e, Told) for task_id in e.ids}
    for task_id in sorted(told - born):
        yield f"a caller was told that task {task_id} is accepted, but no event says so"


def no_ghost(history: History) -> Iterator[str]:
    """Every task that came into being, or came back to life, was promised to somebody."""
    told = {task_id for e in history.entries if isinstance(e, Told) for task_id in e.ids}
    born = {event.task_id for event in _events(history) if event.name in ACCEPTING}
    for task_id in sorted(born - told if not history.perhaps else ()):
        yield f"task {task_id} was accepted, but its submit was cancelled, refused or never made"
    for entry in history.entries:
        if isinstance(entry, Began) and entry.task_id not in told | born:
            yield f"a handler ran for task {entry.task_id}, which nobody submitted"
    asked = Counter(e.task_id for e in history.entries if isinstance(e, Replayed) and not e.error)
    replayed = Counter(event.task_id for event in _events(history) if event.name == Move.REPLAYED)
    for task_id, times in (replayed - asked if not history.perhaps else Counter[str]()).items():
        yield f"dead letter {task_id} was replayed {times} time(s) more than callers were told"
    for task_id, times in (asked - replayed).items():
        yield f"dead letter {task_id} was replayed {times} time(s) less than callers were told"


def keys_are_unique(history: History) -> Iterator[str]:
    """At each acceptance and each replay, no other open task holds the key."""
    held: dict[tuple[str, str], str] = {}
    for entry, book in walk(history):
        if not isinstance(entry, Seen):
            continue
        event = entry.event
        known = book.accounts.get(event.task_id)
        options = entry.options or (known.options if known else None)
        if options is None or options.key is None:
            continue
        key = (options.queue, options.key)
        if event.name in ACCEPTING or event.name == Move.REPLAYED:
            other = held.get(key)
            if other is not None and other != event.task_id:
                yield f"tasks {other} and {event.task_id} hold the key {key[1]!r} at once"
            held[key] = event.task_id
        elif event.state in TERMINAL and held.get(key) == event.task_id:
            del held[key]


# --- leases -------------------------------------------------------------------------------------


def exact_settle(history: History) -> Iterator[str]:
    """Each return of a handler that held its lease is one success, and each success a return."""
    successes = Counter(
        (event.task_id, event.delivery)
        for event in _events(history)
        if event.name == Move.SUCCEEDED
    )
    lost = {(e.task_id, e.delivery) for e in _events(history) if e.name == Move.LOST}
    returned = {
        (e.task_id, e.token) for e in history.entries if isinstance(e, Ended) and e.returned
    }
    for (task_id, delivery), times in successes.items():
        if times > 1:
            yield f"delivery {delivery} of task {task_id} was settled {times} times"
    if history.middleware:
        return  # what ``around`` does after the handler's return decides too
    for task_id, delivery in sorted(returned - set(successes) - lost):
        yield f"delivery {delivery} of task {task_id} returned, but was not settled as succeeded"
    for task_id, delivery in sorted(set(successes) - returned):
        yield f"delivery {delivery} of task {task_id} succeeded, but its handler did not return"


def fencing(history: History) -> Iterator[str]:
    """Deliveries only grow, and each is settled after its own handler's end, never by another's."""
    for entry, book in walk(history):
        if not isinstance(entry, Seen) or entry.event.name in REMARKS:
            continue
        event = entry.event
        account = book.accounts.get(event.task_id)
        last = account.delivery if account else 0
        expected = last + 1 if event.name == Move.STARTED else last
        if event.delivery != expected:
            yield (
                f"task {event.task_id} was {event.name} with delivery {event.delivery}, "
                f"expected {expected}"
            )
        running = (event.task_id, event.delivery) in book.running
        # A lost lease is over at once, while its handler is being cancelled still.
        lost = event.name == Move.LOST or _is_of_kind(event, OutcomeKind.LOST)
        if book.settles(event) and running and not lost:
            yield (
                f"delivery {event.delivery} of task {event.task_id} was settled as {event.name} "
                "while its handler was on its way"
            )


def _is_of_kind(event: Event, kind: OutcomeKind) -> bool:
    return event.outcome is not None and event.outcome.kind is kind


def terminal(history: History) -> Iterator[str]:
    """Every move is a row of the table."""
    for entry, book in walk(history):
        if not isinstance(entry, Seen) or entry.event.name in REMARKS:
            continue
        event = entry.event
        account = book.account(event)
        before = account.state if account else None
        after = TABLE[Move(event.name)].get(before)
        if after is None:
            yield f"task {event.task_id} was {before or 'not accepted'} and then {event.name}"
        elif after is not event.state:
            yield f"task {event.task_id} was {event.name}, but is {event.state} and not {after}"


# --- charges ------------------------------------------------------------------------------------


def no_burned_attempt(history: History) -> Iterator[str]:
    """Attempts are counted by failures alone, and an interruption never is one."""
    ended: dict[tuple[str, int], Ended] = {}
    asked: set[tuple[str, int]] = set()
    for entry, book in walk(history):
        if isinstance(entry, Ended):
            ended[entry.task_id, entry.token] = entry
        if not isinstance(entry, Seen):
            continue
        event = entry.event
        account = book.accounts.get(event.task_id)
        failures = account.failures if account else 0
        if event.name == Move.STARTED and event.attempt != failures + 1:
            yield (
                f"task {event.task_id} began attempt {event.attempt} after {failures} failure(s)"
            )
        if event.name == "cancel_requested":
            asked.add((event.task_id, event.delivery))
        end = ended.get((event.task_id, event.delivery))
        if book.settles(event) and end is not None and end.stopped and not end.returned:
            requested = (event.task_id, event.delivery) in asked
            fine = Move.CANCELLED if requested else Move.RELEASED
            if event.name not in {fine, Move.LOST}:
                yield (
                    f"delivery {event.delivery} of task {event.task_id} was interrupted from "
                    f"outside, but {event.name} and not {fine.value}"
                )


# --- time ---------------------------------------------------------------------------------------


def never_early(history: History) -> Iterator[str]:
    """Timeouts, delays, backoffs and expiries, against the times at which they began."""
    began: dict[tuple[str, int], Began] = {}
    for entry, book in walk(history):
        if isinstance(entry, Began):
            began[entry.task_id, entry.token] = entry
            yield from _check_deadline(history, entry, book)
        elif isinstance(entry, Seen) and entry.event.task_id in book.accounts:
            event = entry.event
            yield from _check_alarm(event, book)
            if _is_of_kind(event, OutcomeKind.TIMEOUT):
                yield from _check_timeout(event, book, began)


def _check_deadline(history: History, entry: Began, book: Book) -> Iterator[str]:
    account = book.accounts.get(entry.task_id)
    if account is None or entry.timeout is None:
        return
    # What was claimed ahead has waited in hand since; its time begins with its handler.
    started_at = entry.time if history.elsewhere else account.started_at
    late = entry.deadline - (started_at + entry.timeout)
    if not -_ROUNDING <= late <= min(0.001, entry.timeout * 0.01) + _ROUNDING:
        yield (
            f"task {entry.task_id} has a timeout of {entry.timeout:g} s, but its deadline is "
            f"{late:+g} s off"
        )


def _check_timeout(event: Event, book: Book, began: dict[tuple[str, int], Began]) -> Iterator[str]:
    attempt = began.get((event.task_id, event.delivery))
    if attempt is None:
        return
    ran = event.time - book.accounts[event.task_id].started_at
    if attempt.timeout is None:
        yield f"task {event.task_id} timed out, but has no timeout"
    elif ran < attempt.timeout - _ROUNDING:
        yield f"task {event.task_id} timed out after {ran:g} s, not {attempt.timeout:g} s"


def _check_alarm(event: Event, book: Book) -> Iterator[str]:
    account = book.accounts[event.task_id]
    rounding = max(_ROUNDING, 4 * ulp(event.time))  # Unix times are not exact to the nanosecond
    if event.name == Move.DUE and event.time < account.due_at - rounding:
        yield f"task {event.task_id} was due at {event.time:g}, not at {account.due_at:g}"
    if event.name == Move.EXPIRED:
        expires = account.options.expires
        if expires is None:
            yield f"task {event.task_id} expired, but was not to"
        elif event.time < account.accepted_at + expires - rounding:
            yield (
                f"task {event.task_id} expired after {event.time - account.accepted_at:g} s, "
                f"not {expires:g} s"
            )
        if account.delivery:
            yield f"task {event.task_id} expired although it had been started"
