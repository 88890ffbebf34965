"""Properties: no task is lost or doubled, in any schedule; backoffs keep within their bounds."""

import math

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from tests.test_random_programs import Program
from trioqueue import Retry
from trioqueue.testing import chosen, schedules


@pytest.mark.race
@given(seed=st.integers(0, 2**32), choices=schedules(300))
def test_the_laws_hold_for_any_program_in_any_schedule(seed: int, choices: list[int]) -> None:
    """Cancellations, timeouts, failures, retries, limits, stops: all drawn, and all shrunk."""

    with chosen(choices) as schedule:
        trio.run(Program(seed).prove, clock=MockClock(autojump_threshold=0), instruments=[schedule])


retries = st.builds(
    lambda initial, more, factor, jitter: Retry(
        initial=initial, maximum=initial + more, factor=factor, jitter=jitter
    ),
    st.floats(0, 1e6),
    st.floats(0, 1e6),
    st.one_of(st.floats(1, 1e9), st.integers(1, 10**9)),
    st.floats(0, 1),
)
chances = st.floats(0, 1, exclude_max=True)


@given(retry=retries, failures=st.integers(1, 10**9), chance=chances)
def test_a_backoff_is_between_nothing_and_its_maximum(
    retry: Retry, failures: int, chance: float
) -> None:
    """Whatever the policy, the number of failures and the chance: finite, and never too long."""
    delay = retry.delay(failures, chance)
    assert math.isfinite(delay)
    assert 0 <= delay <= retry.maximum
    whole = retry.delay(failures, 0)
    assert whole * (1 - retry.jitter) <= delay * (1 + 1e-9) + 1e-300


@given(retry=retries, failures=st.integers(1, 10**6), more=st.integers(1, 10**6))
def test_a_backoff_never_shrinks(retry: Retry, failures: int, more: int) -> None:
    """Before the jitter, a later attempt waits at least as long as an earlier one."""
    assert retry.delay(failures, 0) <= retry.delay(failures + more, 0)


@given(retry=retries, failures=st.integers(1, 1000), a=chances, b=chances)
def test_jitter_only_shortens(retry: Retry, failures: int, a: float, b: float) -> None:
    """More chance, no longer a wait: so that ``maximum`` stays a maximum."""
    low, high = sorted((a, b))
    assert retry.delay(failures, high) <= retry.delay(failures, low)


@given(attempts=st.integers(1, 50), data=st.data())
def test_the_first_delay_is_the_initial_one(attempts: int, data: st.DataObject) -> None:
    """The exponent begins at nothing: 50 ms is 50 ms after the first failure."""
    initial = data.draw(st.floats(0, 1))
    retry = Retry(attempts=attempts, initial=initial, maximum=1, factor=3, jitter=0)
    assert retry.delay(1, 0) == initial
