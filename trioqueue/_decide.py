"""Decide, then do: how an attempt ended, and what must happen then. Pure functions.

``classify`` turns the facts of an attempt's end into one `Outcome`, when several hold at once;
``decide`` turns the outcome into a `Settlement`. The worker gathers the facts, the broker makes the
move: neither of them judges.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Collection
from typing import Final, NamedTuple

from ._checks import check_seconds
from ._model import ErrorRecord, Lease, Move, Outcome, OutcomeKind, Settlement
from ._retry import Discard, Retry, RetryLater, Snooze, is_a, leaves, members

#: Characters of traceback kept: the end of it, which names the place. A recursion error alone would
#: keep 100 kB otherwise.
TRACEBACK_KEPT: Final = 8_000
#: Characters of the message kept: an error that quotes its whole input is not rare.
MESSAGE_KEPT: Final = 2_000


class Facts(NamedTuple):
    """What is known when an attempt has ended with an exception, or was cut short.

    ``error``: what came out of the handler past its own scope; ``None`` if that scope caught all of
    it. ``caught``: the attempt's own scope caught a Cancelled. ``overdue``: the own deadline has
    passed. ``outer``: a cancellation from outside is in force. ``stray``: ``error`` is, or holds, a
    Cancelled although nothing is cancelled.
    """

    error: BaseException | None
    caught: bool
    overdue: bool
    outer: bool
    stray: bool
    duration: float


def classify(lease: Lease, facts: Facts) -> Outcome:
    """The outcome of an attempt that did not return.

    The order is the contract: lease lost > (value returned) > cancel by request > outer cancel >
    own timeout > error > stray Cancelled. An error raised while one of the first is in force is
    attached to it: it is not a second failure.
    """
    error = facts.error
    if lease.lost:
        kind = OutcomeKind.LOST
    elif lease.cancel_requested:
        kind = OutcomeKind.CANCELLED
    elif facts.outer:
        kind = OutcomeKind.INTERRUPTED
    elif facts.overdue and (facts.caught or is_a(error, Exception)):
        kind = OutcomeKind.TIMEOUT
    elif facts.stray or error is None or not is_a(error, Exception):
        kind = OutcomeKind.CRASH
    else:
        return _classify_error(error, facts.duration)
    return Outcome(kind, None, facts.duration, error)


def _classify_error(error: BaseException, duration: float) -> Outcome:
    # An instruction raised in a child of the handler's own nursery arrives as a group of one.
    said = next(leaves(error)) if _is_single(error) else error
    kind, delay = OutcomeKind.ERROR, None
    if is_a(said, RetryLater):
        kind, delay = OutcomeKind.RETRY_LATER, _seconds(said, "after")
    elif is_a(said, Snooze):
        kind, delay = OutcomeKind.SNOOZE, _seconds(said, "seconds")
        if delay is None:  # a subclass that says no time: an ordinary error
            kind = OutcomeKind.ERROR
    elif is_a(said, Discard):
        kind = OutcomeKind.DISCARD
    return Outcome(kind, None, duration, error, delay=delay)


def _seconds(said: BaseException, name: str) -> float | None:
    """The delay that an instruction asks for, if it is one: a subclass may have put in anything."""
    try:
        return check_seconds(name, getattr(said, name, None))
    except Exception:
        return None


def _is_single(error: BaseException) -> bool:
    found = leaves(error)
    next(found)
    return next(found, None) is None


def decide(lease: Lease, outcome: Outcome, retry: Retry, chance: float) -> Settlement:
    """What must happen to the task now. ``chance`` in [0, 1) draws the jitter of the backoff.

    A lost lease must not come here: there is nothing left to decide.
    """
    match outcome.kind:
        case OutcomeKind.RETURNED:
            return Settlement(lease, Move.SUCCEEDED, outcome)
        case OutcomeKind.CANCELLED:
            return Settlement(lease, Move.CANCELLED, outcome)
        case OutcomeKind.INTERRUPTED:
            return Settlement(lease, Move.RELEASED, outcome)
        case OutcomeKind.SNOOZE:
            return Settlement(lease, Move.SNOOZED, outcome, outcome.delay or 0.0)
        case OutcomeKind.DISCARD:
            return Settlement(lease, Move.DIED, outcome, failed=True)
        case _:
            return _decide_failure(lease, outcome, retry, chance)


def _decide_failure(lease: Lease, outcome: Outcome, retry: Retry, chance: float) -> Settlement:
    failures = lease.task.failures + 1
    if failures >= retry.attempts or not _retryable(outcome, retry):
        return Settlement(lease, Move.DIED, outcome, failed=True)
    delay = retry.delay(failures, chance) if outcome.delay is None else outcome.delay
    return Settlement(lease, Move.RETRIED, outcome, delay, failed=True)


def _retryable(outcome: Outcome, retry: Retry) -> bool:
    match outcome.kind:
        case OutcomeKind.RETRY_LATER:
            return True  # asked for by the handler itself
        case OutcomeKind.CRASH:
            # Not an Exception, so ``on`` says nothing about it; it may still be ruled out by name.
            error = outcome.exception
            return error is None or not is_a(error, retry.never)
        case OutcomeKind.TIMEOUT:
            return retry.covers(TimeoutError())
        case _:
            return outcome.exception is not None and retry.covers(outcome.exception)


def record_error(outcome: Outcome, attempt: int) -> ErrorRecord:
    """The failure as text. Strips the tracebacks off the exception, so that no frame stays alive.

    Never raises: an exception's ``__str__`` and attributes are user code, and may do anything.
    """
    error = outcome.exception
    kind = outcome.kind.value
    if error is None:
        return ErrorRecord(attempt, kind, "TimeoutError", "timed out", "")
    name = type(error).__qualname__
    if type(error).__module__ not in {"builtins", "__main__"}:
        name = f"{type(error).__module__}.{name}"
    message = _told(lambda: str(error))[:MESSAGE_KEPT]
    text = _told(lambda: "".join(traceback.format_exception(error)))[-TRACEBACK_KEPT:]
    strip_tracebacks(error)
    return ErrorRecord(attempt, kind, name, message, text)


def _told(tell: Callable[[], str]) -> str:
    """What ``tell`` returns, or a word on why it did not."""
    try:
        return tell()
    except BaseException as second:  # noqa: ASYNC103 - a synchronous call of user code
        return f"<could not be told: {type(second).__name__}>"  # noqa: ASYNC104


# The attributes as C sees them: a subclass may shadow them, or refuse to be changed (a frozen
# dataclass does).
_cause = BaseException.__dict__["__cause__"].__get__
_context = BaseException.__dict__["__context__"].__get__
_traceback = BaseException.__dict__["__traceback__"].__get__


def skip_frames(error: BaseException, files: Collection[str]) -> None:
    """Let the traceback begin after its first frames in ``files``, if anything comes after."""
    begin = traceback = _traceback(error)
    while traceback is not None and traceback.tb_frame.f_code.co_filename in files:
        traceback = traceback.tb_next
    BaseException.with_traceback(error, traceback or begin)


def strip_tracebacks(error: BaseException) -> None:
    """Drop the tracebacks of an exception and of all that it is chained to or holds."""
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        current = todo.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        BaseException.with_traceback(current, None)
        todo += [_cause(current), _context(current)]
        todo += members(current)
