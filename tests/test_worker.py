"""What becomes of a task whose attempt returns, fails, or runs out of time: row by row."""

from random import Random

import pytest
import trio
from trio.testing import MockClock

from tests.attempts import Attempts, Handler
from tests.contract import ONCE, capture, opened
from trioqueue import (
    Discard,
    OutcomeKind,
    Retry,
    RetryLater,
    Snooze,
    State,
    TaskFailed,
    TaskSet,
    current_task,
)

# --- returns and raises --------------------------------------------------------------------------


async def test_returning_is_success(autojump_clock: MockClock) -> None:
    attempts = Attempts("value")
    outcome = await attempts.run()
    assert (outcome.kind, outcome.value) == (OutcomeKind.RETURNED, "value")
    assert attempts.history == ["submitted", "started", "succeeded"]


async def test_backoff_is_exact_on_the_virtual_clock(autojump_clock: MockClock) -> None:
    retry = Retry(attempts=6, initial=1, factor=3, maximum=20)
    attempts = Attempts(OSError("again"), retry=retry)
    outcome = await attempts.run()
    assert attempts.starts == [0, 1, 4, 13, 33, 53]
    assert (outcome.kind, attempts.state) == (OutcomeKind.ERROR, State.DEAD)
    (letter,) = attempts.letters
    assert (letter.failures, letter.deliveries) == (6, 6)
    assert [error.attempt for error in letter.errors] == [1, 2, 3, 4, 5, 6]
    assert attempts.history == [
        *("submitted", "started"),
        *["retried", "due", "started"] * 5,
        "died",
    ]


async def test_backoff_counts_from_the_end_of_the_attempt(autojump_clock: MockClock) -> None:
    async def slow() -> None:
        await trio.sleep(10)
        raise OSError

    attempts = Attempts(slow, "value", retry=Retry(initial=1))
    assert (await attempts.run()).value == "value"
    assert attempts.starts == [0, 11]


async def test_jitter_comes_from_the_source_that_was_given(autojump_clock: MockClock) -> None:
    class Half(Random):
        def random(self) -> float:
            return 0.5

    attempts = Attempts(OSError(), "value", retry=Retry(initial=1, jitter=0.25))
    async with opened(attempts.tasks, random=Half(0)) as queue:
        await (await queue.submit(attempts.type)).wait()
    assert attempts.starts == [0, 0.875]


async def test_an_error_that_the_policy_does_not_cover_is_the_end(
    autojump_clock: MockClock,
) -> None:
    attempts = Attempts(KeyError("x"), retry=Retry(attempts=9, on=OSError))
    await attempts.run()
    assert (attempts.starts, attempts.state) == ([0], State.DEAD)


async def test_only_the_last_errors_are_kept(autojump_clock: MockClock) -> None:
    attempts = Attempts(OSError(), retry=Retry(attempts=50, initial=0))
    await attempts.run()
    errors = attempts.letters[0].errors
    assert len(errors) == 10
    assert [errors[0].attempt, errors[-1].attempt] == [41, 50]


async def test_discard_is_the_end_at_once(autojump_clock: MockClock) -> None:
    attempts = Attempts(Discard("no such customer"), retry=Retry(attempts=9))
    outcome = await attempts.run()
    assert (outcome.kind, attempts.state) == (OutcomeKind.DISCARD, State.DEAD)
    assert len(attempts.starts) == 1
    assert "no such customer" in str(outcome.error)


async def test_snooze_uses_no_attempt_and_has_no_cap(autojump_clock: MockClock) -> None:
    attempts = Attempts(*[Snooze(7)] * 20, "value", retry=ONCE)
    outcome = await attempts.run()
    assert (outcome.value, attempts.starts) == ("value", [7 * n for n in range(21)])
    assert (attempts.statistics.snoozed, attempts.statistics.retried) == (20, 0)


async def test_retry_later_says_when_and_uses_an_attempt(autojump_clock: MockClock) -> None:
    attempts = Attempts(RetryLater(30), RetryLater(), "value", retry=Retry(3, initial=1, maximum=9))
    assert (await attempts.run()).value == "value"
    assert attempts.starts == [0, 30, 32]
    attempts = Attempts(RetryLater(1), retry=Retry(attempts=2, on=KeyError))
    outcome = await attempts.run()
    assert (outcome.kind, len(attempts.starts)) == (OutcomeKind.RETRY_LATER, 2)


# --- the own timeout -----------------------------------------------------------------------------


async def test_an_attempt_is_cancelled_at_its_timeout_and_retried(
    autojump_clock: MockClock,
) -> None:
    attempts = Attempts(trio.sleep_forever, "value", timeout=5, retry=Retry(initial=1))
    assert (await attempts.run()).value == "value"
    assert attempts.starts == [0, 6]


async def test_a_timeout_is_a_failure_of_its_own_kind(autojump_clock: MockClock) -> None:
    attempts = Attempts(trio.sleep_forever, timeout=5, retry=ONCE)
    async with opened(attempts.tasks) as queue:
        handle = await queue.submit(attempts.type)
        with pytest.raises(TaskFailed, match="timed out"):
            await handle.result()
        outcome = await handle.wait()
    assert (outcome.kind, outcome.duration) == (OutcomeKind.TIMEOUT, 5)
    assert outcome.error is not None
    assert outcome.error.kind == "timeout"


async def test_an_error_in_cleaning_up_after_a_timeout_is_attached(
    autojump_clock: MockClock,
) -> None:
    """One failure, not two, and of the timeout's kind."""

    async def untidy() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise OSError("in cleaning up")

    attempts = Attempts(untidy, timeout=5, retry=ONCE)
    outcome = await attempts.run()
    assert outcome.kind is OutcomeKind.TIMEOUT
    assert isinstance(outcome.exception, OSError)
    assert attempts.letters[0].failures == 1


async def test_an_error_past_the_deadline_is_a_timeout_without_a_cancellation_too(
    autojump_clock: MockClock,
) -> None:
    async def late() -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(6)
        raise OSError("late")

    outcome = await Attempts(late, timeout=5, retry=ONCE).run()
    assert outcome.kind is OutcomeKind.TIMEOUT
    assert isinstance(outcome.exception, OSError)


async def test_a_group_of_the_timeout_and_an_error_is_a_timeout(autojump_clock: MockClock) -> None:
    async def child() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise OSError("child")

    async def parent() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)
            nursery.start_soon(trio.sleep_forever)

    outcome = await Attempts(parent, timeout=5, retry=ONCE).run()
    assert outcome.kind is OutcomeKind.TIMEOUT
    assert isinstance(outcome.exception, ExceptionGroup)


async def shield_itself() -> str:
    with trio.CancelScope(shield=True):
        await trio.sleep(6)
    return "late"


async def swallow_it() -> str:
    await capture(trio.sleep, 6)
    return "late"


@pytest.mark.parametrize("handler", [shield_itself, swallow_it])
async def test_a_value_after_the_timeout_is_a_late_success(
    handler: Handler, autojump_clock: MockClock
) -> None:
    attempts = Attempts(handler, "next", timeout=5)
    async with opened(attempts.tasks, workers=1) as queue:
        outcome = await (await queue.submit(attempts.type)).wait()
        assert (outcome.kind, outcome.value) == (OutcomeKind.RETURNED, "late")
        assert outcome.late
        outcome = await (await queue.submit(attempts.type)).wait()
        assert (outcome.value, outcome.late) == ("next", False), "the next one is not touched"


async def test_a_timeout_given_at_the_submit_wins(autojump_clock: MockClock) -> None:
    for given, seconds in ((2, 2.0), (9, 9.0)):
        outcome = await Attempts(trio.sleep_forever, timeout=5, retry=ONCE).run(timeout=given)
        assert (outcome.kind, outcome.duration) == (OutcomeKind.TIMEOUT, seconds)

    async def ten() -> float:
        await trio.sleep(10)
        return trio.current_effective_deadline()

    outcome = await Attempts(ten, timeout=5).run(timeout=None)
    assert outcome.value > trio.current_time() + 1e5  # type: ignore[operator]


async def test_the_handler_sees_its_own_deadline(autojump_clock: MockClock) -> None:
    async def look() -> tuple[float, float]:
        return trio.current_effective_deadline(), current_task().deadline

    for timeout in (0.001, 1, 1e6):
        outcome = await Attempts(look, timeout=timeout).run()
        start = trio.current_time()
        assert outcome.value == (start + timeout, start + timeout)


async def test_a_timeout_is_never_early_and_hardly_late_in_a_burst(
    autojump_clock: MockClock,
) -> None:
    """Under 1 ms and 1 %, also where attempts follow closely on one worker."""
    late: list[tuple[float, float]] = []
    tasks = TaskSet()

    @tasks.task
    async def look(seconds: float) -> None:
        late.append((seconds, trio.current_effective_deadline() - trio.current_time() - seconds))
        await trio.sleep(0.000_1)

    async with opened(tasks, workers=1) as queue:
        for timeout in (5.0, 0.05, 5.0, 1.0):
            for _ in range(10):
                await queue.options(timeout=timeout).submit(look, timeout)
    assert len(late) == 40
    assert all(-1e-9 <= extra <= min(0.001, timeout / 100) for timeout, extra in late)
