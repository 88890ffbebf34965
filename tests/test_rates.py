"""Rates from counters, and failures by what they have in common: pure, so all by plain values."""

import timeit

import pytest

from trioqueue import DeadLetter, ErrorRecord, Move, Options, State, Task
from trioqueue._failures import (
    Failure,
    failure_of_letter,
    failure_of_task,
    fold_message,
    group_failures,
)
from trioqueue._rates import Window


def test_rates_are_differences_over_the_time_between():
    """Delayed tasks were submitted too, and both ways to fail count as failed."""
    window = Window(60)
    window.note(100.0, {Move.SUBMITTED: 5})
    assert window.rates() is None
    window.note(
        110.0,
        {
            Move.SUBMITTED: 25,
            Move.DELAYED: 10,
            Move.STARTED: 50,
            Move.SUCCEEDED: 30,
            Move.RETRIED: 8,
            Move.DIED: 2,
        },
    )
    rates = window.rates()
    assert rates == (3.0, 5.0, 3.0, 1.0, 0.8, 0.2, 10.0)
    assert rates is not None
    assert rates.failure_rate == 0.25


def test_without_an_attempt_that_ended_there_is_no_failure_rate():
    """Not 0: nothing is known."""
    window = Window()
    window.note(1.0, {Move.SUBMITTED: 1})
    window.note(2.0, {Move.SUBMITTED: 2})
    rates = window.rates()
    assert rates is not None
    assert rates.failure_rate is None


def test_the_window_moves_on():
    """What happened before it is no part of the rate; the last step alone can be asked for."""
    window = Window(10)
    for at, n in [(0.0, 0), (5.0, 1000), (10.0, 1000), (15.0, 1010), (20.0, 1030)]:
        window.note(at, {Move.SUCCEEDED: n})
    whole, step = window.rates(), window.last()
    assert whole is not None
    assert step is not None
    assert (whole.succeeded, whole.span) == (3.0, 10.0)
    assert (step.succeeded, step.span) == (4.0, 5.0)


def test_readings_that_are_far_apart_are_compared_all_the_same():
    """An interval longer than the window."""
    window = Window(10)
    window.note(0.0, {Move.SUCCEEDED: 0})
    window.note(100.0, {Move.SUCCEEDED: 50})
    rates = window.rates()
    assert rates is not None
    assert rates.succeeded == 0.5


def test_counters_that_went_back_begin_anew():
    """A server that was emptied does not make negative rates."""
    window = Window()
    window.note(0.0, {Move.SUBMITTED: 100})
    window.note(1.0, {Move.SUBMITTED: 3})
    assert window.rates() is None
    window.note(2.0, {Move.SUBMITTED: 5})
    rates = window.rates()
    assert rates is not None
    assert rates.submitted == 2.0


def test_no_time_between_two_readings_is_no_division_by_zero():
    """Two in the same instant."""
    window = Window()
    window.note(1.0, {})
    window.note(1.0, {Move.SUBMITTED: 3})
    assert window.rates() is None


def test_the_callers_counters_are_its_own():
    """A mapping that goes on counting changes no reading."""
    window, moves = Window(), {Move.SUBMITTED: 1}
    window.note(0.0, moves)
    moves[Move.SUBMITTED] = 3
    window.note(1.0, moves)
    rates = window.rates()
    assert rates is not None
    assert rates.submitted == 2.0


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("no row 17 of 20", "no row # of #"),
        ("took 1.25 s at 12:30:01", "took # s at #"),
        ("no 01234567-89ab-cdef-0123-456789abcdef here", "no # here"),
        ("<object at 0x7f00deadbeef>", "<object at #>"),
        ("task 0192a7b3c4d5e6f7 and task-1234567890 failed", "task # and # failed"),
        ("two\n  lines\tof text", "two lines of text"),
        ("internationalization failed", "internationalization failed"),
        ("port :8080", "port :#"),
        ("", ""),
    ],
)
def test_what_differs_each_time_is_folded(text: str, folded: str):
    """Numbers, UUIDs, addresses, long identifiers; words are left alone."""
    assert fold_message(text) == folded


def test_a_page_of_a_message_is_shortened():
    """And in no time, however long it is."""
    assert fold_message("x " * 10_000_000) == "x " * 100 + "..."
    assert len(fold_message("a1" * 10_000_000)) < 300


@pytest.mark.parametrize("text", ["a-" * 400, "-a" * 400, "a_-" * 266])
def test_a_message_that_somebody_has_chosen_is_folded_as_fast_as_any(text: str):
    """No word is looked at again from each of its letters: that took fifty times as long."""

    def cost(message: str) -> float:
        return min(timeit.repeat(lambda: fold_message(message), number=5, repeat=5))

    assert cost(text) < 10 * cost("word " * 160)


def record(message: str) -> ErrorRecord:
    return ErrorRecord(1, "error", "ValueError", message, "")


def test_failures_are_grouped_newest_first():
    """By type and folded error, with an example that failed last."""
    groups = group_failures(
        [
            Failure("a", "mail", record("row 1"), 10.0, State.DEAD),
            Failure("b", "mail", record("row 2"), 30.0, State.SCHEDULED),
            Failure("c", "mail", record("other"), 20.0, State.DEAD),
            Failure("d", "note", record("row 3"), 40.0, State.DEAD),
            Failure("e", "note", None, None, State.DEAD),
        ]
    )
    assert [(group.type, group.error, group.count, group.example_id) for group in groups] == [
        ("note", "ValueError: row #", 1, "d"),
        ("mail", "ValueError: row #", 2, "b"),
        ("mail", "ValueError: other", 1, "c"),
        ("note", "unknown", 1, "e"),
    ]
    both = groups[1]
    assert (both.dead, both.retrying, both.last_at, both.state) == (1, 1, 30.0, State.SCHEDULED)


def test_failures_are_made_of_letters_and_of_tasks_that_are_tried_again():
    """A task without an error has not failed."""
    letter = DeadLetter("a", "mail", "default", (), {}, None, 3, 3, (record("x"),), 12.0)
    assert failure_of_letter(letter) == ("a", "mail", record("x"), 12.0, State.DEAD)
    task = Task("b", "mail", (), {}, Options())
    task.state = State.SCHEDULED
    assert failure_of_task(task) is None
    task.trace().errors = (record("1"), record("2"))
    assert failure_of_task(task, 5.0) == ("b", "mail", record("2"), 5.0, State.SCHEDULED)
