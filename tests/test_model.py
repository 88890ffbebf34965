"""The pure rules: the transition table, classify, decide, retries, fold, and errors as text."""

import math
from itertools import product
from typing import NamedTuple

import pytest

from tests.contract import ONCE, a_cancelled
from trioqueue import (
    Discard,
    Event,
    IllegalMove,
    Move,
    Options,
    Outcome,
    OutcomeKind,
    Retry,
    RetryLater,
    Snooze,
    State,
    fold,
)
from trioqueue._decide import Facts, classify, decide
from trioqueue._model import TERMINAL, Lease, Task, transition

#: The life cycle as section 4 of the design tells it, written down a second time.
LEGAL: dict[tuple[str | None, str], str] = {
    (None, "submitted"): "ready",
    (None, "delayed"): "scheduled",
    ("scheduled", "due"): "ready",
    ("ready", "started"): "running",
    ("running", "succeeded"): "succeeded",
    ("running", "retried"): "scheduled",
    ("running", "snoozed"): "scheduled",
    ("running", "released"): "ready",
    ("running", "lost"): "ready",
    ("running", "died"): "dead",
    ("running", "cancelled"): "cancelled",
    ("scheduled", "cancelled"): "cancelled",
    ("ready", "cancelled"): "cancelled",
    ("scheduled", "expired"): "expired",
    ("ready", "expired"): "expired",
    ("scheduled", "handed_back"): "handed_back",
    ("ready", "handed_back"): "handed_back",
    ("dead", "replayed"): "ready",
    ("dead", "purged"): "purged",
    ("dead", "evicted"): "evicted",
}
STATES = (None, *State)
K = OutcomeKind


def a_task() -> Task:
    return Task("id", "type", (), {}, Options())


def a_lease() -> Lease:
    return Lease(a_task(), 1, 0.0)


# --- the table -----------------------------------------------------------------------------------


@pytest.mark.parametrize("move", Move)
def test_each_move_leaves_the_states_that_the_design_lists_and_no_other(move: Move) -> None:
    for state in STATES:
        task = a_task()
        task.state = state
        after = LEGAL.get((state, move.value))
        if after is not None:
            task.move(move)
            assert task.state == after == transition(state, move)
            continue
        with pytest.raises(IllegalMove) as caught:
            task.move(move)
        assert task.state is state
        assert move.value in str(caught.value)
        assert (state.value if state else "not accepted") in str(caught.value)
        with pytest.raises(IllegalMove):
            transition(state, move)


def test_a_refused_move_changes_nothing_else_of_the_task() -> None:
    task = a_task()
    before = {name: getattr(task, name) for name in Task.__slots__}
    with pytest.raises(IllegalMove):
        task.move(Move.SUCCEEDED)
    assert {name: getattr(task, name) for name in Task.__slots__} == before


def test_only_a_replay_leads_out_of_a_terminal_state() -> None:
    """And a dead letter has two ends of its own."""
    leaving = {(state, move) for state, move in LEGAL if state in set(TERMINAL)}
    assert leaving == {("dead", "replayed"), ("dead", "purged"), ("dead", "evicted")}
    assert {State(after) for after in LEGAL.values()} == set(State)


def an_event(name: str, state: State | None = None) -> Event:
    return Event(name, 0.0, "id", "type", "default", 1, 1, state)


def test_fold_follows_the_table() -> None:
    for state, move in product(STATES, Move):
        after = LEGAL.get((state, move.value))
        if after is None:
            with pytest.raises(IllegalMove):
                fold(state, an_event(move.value))
        else:
            assert fold(state, an_event(move.value)) == after


@pytest.mark.parametrize("remark", ["progressed", "cancel_requested", "refused"])
def test_remarks_change_no_state(remark: str) -> None:
    assert all(fold(state, an_event(remark)) is state for state in STATES)


def test_fold_does_not_believe_an_event_that_names_another_state() -> None:
    with pytest.raises(AssertionError, match="started"):
        fold(State.READY, an_event("started", State.DEAD))


def test_fold_does_not_know_a_made_up_event() -> None:
    with pytest.raises(ValueError, match="exploded"):
        fold(State.READY, an_event("exploded"))


# --- classify ------------------------------------------------------------------------------------


class Odd(BaseException):
    """Neither an Exception nor anything that Python or Trio knows."""


async def errors() -> dict[BaseException | None, OutcomeKind]:
    """What can come out of a handler when nothing else holds: and what it is then."""
    stray = await a_cancelled()
    return {
        ValueError("x"): K.ERROR,
        TimeoutError("its own"): K.ERROR,
        ExceptionGroup("g", [ValueError("x")]): K.ERROR,
        RetryLater(1): K.RETRY_LATER,
        Snooze(1): K.SNOOZE,
        Discard("x"): K.DISCARD,
        SystemExit(3): K.CRASH,
        Odd(): K.CRASH,
        stray: K.CRASH,
        BaseExceptionGroup("g", [stray, ValueError("x")]): K.CRASH,
    }


def the_kind(lost: bool, requested: bool, outer: bool, overdue: bool, alone: K) -> K:
    """Section 4: lease lost > cancel by request > outer cancel > own timeout > error > stray."""
    if lost:
        return K.LOST
    if requested:
        return K.CANCELLED
    if outer:
        return K.INTERRUPTED
    return K.TIMEOUT if overdue else alone


async def test_classify_ranks_what_holds_at_once() -> None:
    """An Exception keeps its rank in every mixture, and is attached, whatever outranks it."""
    seen = set()
    for error, alone in (await errors()).items():
        for lost, requested, outer, overdue, caught in product([False, True], repeat=5):
            if overdue and alone is K.CRASH and not caught:
                continue  # not an error, and nothing was cancelled: the design leaves it open
            if caught and not (overdue or requested):
                continue  # nothing else cancels the attempt's own scope
            lease = a_lease()
            lease.lost, lease.cancel_requested = lost, requested
            stray = alone is K.CRASH and not outer and not isinstance(error, (SystemExit, Odd))
            outcome = classify(lease, Facts(error, caught, overdue, outer, stray, 2.5))
            assert outcome.kind is the_kind(lost, requested, outer, overdue, alone)
            assert outcome.exception is error
            assert outcome.duration == 2.5
            seen.add(outcome.kind)
    assert seen == set(K) - {K.RETURNED, K.EXPIRED, K.HANDED_BACK, K.INVALID}


#: Lost, requested, outer, overdue: one at least, or nobody cancelled it.
CANCELLATIONS = [facts for facts in product([False, True], repeat=4) if any(facts)]


@pytest.mark.parametrize("facts", CANCELLATIONS)
def test_a_clean_cancellation_has_no_error(facts: tuple[bool, bool, bool, bool]) -> None:
    lost, requested, outer, overdue = facts
    lease = a_lease()
    lease.lost, lease.cancel_requested = lost, requested
    outcome = classify(lease, Facts(None, True, overdue, outer, False, 1.0))
    assert outcome.kind is the_kind(lost, requested, outer, overdue, K.CRASH)
    assert outcome.exception is None


# --- decide --------------------------------------------------------------------------------------


class Row(NamedTuple):
    outcome: Outcome
    move: Move
    failed: bool
    delay: float


def decided(outcome: Outcome, retry: Retry, failures: int = 0) -> tuple[Move, bool, float]:
    lease = a_lease()
    lease.task.failures = failures
    settlement = decide(lease, outcome, retry, 0.0)
    assert settlement.lease is lease
    assert settlement.outcome is outcome
    assert lease.task.failures == failures, "decide only decides"
    return settlement.move, settlement.failed, settlement.delay


NEVER_A_FAILURE = [
    Row(Outcome(K.RETURNED, 1), Move.SUCCEEDED, False, 0),
    Row(Outcome(K.CANCELLED), Move.CANCELLED, False, 0),
    Row(Outcome(K.CANCELLED, exception=ValueError()), Move.CANCELLED, False, 0),
    Row(Outcome(K.INTERRUPTED), Move.RELEASED, False, 0),
    Row(Outcome(K.INTERRUPTED, exception=ValueError()), Move.RELEASED, False, 0),
    Row(Outcome(K.SNOOZE, exception=Snooze(7), delay=7), Move.SNOOZED, False, 7),
    Row(Outcome(K.SNOOZE, exception=Snooze(0), delay=0), Move.SNOOZED, False, 0),
]


@pytest.mark.parametrize("row", NEVER_A_FAILURE, ids=repr)
@pytest.mark.parametrize("failures", [0, 3, 100])
def test_what_is_not_the_tasks_fault_counts_nothing_and_is_never_the_end(
    row: Row, failures: int
) -> None:
    assert decided(row.outcome, Retry(attempts=4), failures) == row[1:]


FAILURES = [
    Outcome(K.ERROR, exception=ValueError()),
    Outcome(K.TIMEOUT),
    Outcome(K.TIMEOUT, exception=ValueError()),
    Outcome(K.CRASH, exception=SystemExit()),
    Outcome(K.RETRY_LATER, exception=RetryLater()),
]


@pytest.mark.parametrize("outcome", FAILURES, ids=repr)
def test_a_failure_is_retried_while_attempts_are_left(outcome: Outcome) -> None:
    retry = Retry(attempts=3, initial=2, factor=3, maximum=100)
    assert decided(outcome, retry, 0) == (Move.RETRIED, True, 2)
    assert decided(outcome, retry, 1) == (Move.RETRIED, True, 6)
    assert decided(outcome, retry, 2) == (Move.DIED, True, 0)
    assert decided(outcome, ONCE, 0) == (Move.DIED, True, 0)


def test_discard_is_the_end_whatever_the_policy() -> None:
    outcome = Outcome(K.DISCARD, exception=Discard("no"))
    assert decided(outcome, Retry(attempts=100), 0) == (Move.DIED, True, 0)


def test_retry_later_says_itself_when() -> None:
    outcome = Outcome(K.RETRY_LATER, exception=RetryLater(9), delay=9)
    only_key_errors = Retry(attempts=2, on=KeyError)
    assert decided(outcome, only_key_errors) == (Move.RETRIED, True, 9)
    assert decided(outcome, only_key_errors, 1) == (Move.DIED, True, 0)


def test_a_policy_that_does_not_cover_the_error_ends_it_at_once() -> None:
    picky = Retry(attempts=9, on=(OSError,), never=(FileNotFoundError,))
    assert decided(Outcome(K.ERROR, exception=ValueError()), picky)[0] is Move.DIED
    assert decided(Outcome(K.ERROR, exception=FileNotFoundError()), picky)[0] is Move.DIED
    assert decided(Outcome(K.ERROR, exception=PermissionError()), picky)[0] is Move.RETRIED
    assert decided(Outcome(K.TIMEOUT), picky)[0] is Move.RETRIED, "TimeoutError is an OSError"
    assert decided(Outcome(K.TIMEOUT), Retry(on=KeyError))[0] is Move.DIED
    assert decided(Outcome(K.TIMEOUT), Retry(never=TimeoutError))[0] is Move.DIED


# --- retries -------------------------------------------------------------------------------------


def test_backoff_grows_by_the_factor_up_to_the_maximum() -> None:
    retry = Retry(attempts=99, initial=0.5, factor=2, maximum=3, jitter=0)
    assert [retry.delay(n, 0.0) for n in range(1, 6)] == [0.5, 1, 2, 3, 3]


def test_backoff_stays_within_its_bounds_however_often_it_failed() -> None:
    """And is never shorter after one more failure, jitter apart."""
    numbers = (0.0, 0.001, 1, 60.0)
    for initial, factor, jitter in product(numbers, (1, 1.0, 1.5, 2, 10.0), (0.0, 0.25, 1)):
        retry = Retry(initial=initial, factor=factor, maximum=60.0, jitter=jitter)
        longest = [retry.delay(n, 0.0) for n in (1, 2, 3, 10, 1_000, 5_000, 10**6)]
        assert longest == sorted(longest)
        assert all(initial <= delay <= 60.0 for delay in longest)
        for failures, full in zip((1, 10**6), (longest[0], longest[-1]), strict=True):
            for chance in (0.0, 0.5, math.nextafter(1, 0)):
                assert full * (1 - jitter) <= retry.delay(failures, chance) <= full


def test_no_first_delay_means_no_delay() -> None:
    """min(maximum, 0 * factor ** n) is 0, for n = a million too."""
    assert [Retry(initial=0).delay(n, 0.0) for n in (1, 2, 10**6)] == [0, 0, 0]


def test_a_group_is_covered_if_all_in_it_are() -> None:
    retry = Retry(on=(OSError, KeyError), never=PermissionError)
    one, other, no, excluded = OSError(), KeyError(), ValueError(), PermissionError()
    assert retry.covers(ExceptionGroup("g", [one, ExceptionGroup("h", [other])]))
    assert not retry.covers(ExceptionGroup("g", [one, ExceptionGroup("h", [other, no])]))
    assert not retry.covers(ExceptionGroup("g", [one, excluded]))
    assert not Retry().covers(BaseExceptionGroup("g", [one, SystemExit()]))


def test_never_wins_over_on() -> None:
    assert not Retry(on=Exception, never=Exception).covers(ValueError())
    assert not Retry(on=()).covers(ValueError())
    assert Retry(on=ValueError).on == (ValueError,)
