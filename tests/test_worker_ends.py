"""Attempts that are cancelled, crash, are interrupted, or end with a group of errors."""

import pytest
import trio
from trio.testing import MockClock

from tests.attempts import Attempts, Handler
from tests.contract import ONCE, a_cancelled, history, opened
from tests.handlers import outcome_of
from trioqueue import Discard, Outcome, OutcomeKind, Retry, RetryLater, Snooze, current_task

# --- cancelled by request ------------------------------------------------------------------------


async def cancel_while_running(handler: Handler, **policy: object) -> Outcome:
    attempts = Attempts(handler, **policy)
    async with opened(attempts.tasks, workers=1) as queue:
        handle = await queue.submit(attempts.type)
        await trio.sleep(1)
        assert await handle.cancel()
        await handle.cancel()
        assert history(queue, handle.id).count("cancel_requested") == 1
        return await handle.wait()


async def test_a_running_task_is_cancelled_by_request(autojump_clock: MockClock) -> None:
    outcome = await cancel_while_running(trio.sleep_forever)
    assert (outcome.kind, outcome.duration) == (OutcomeKind.CANCELLED, 1)


async def test_an_error_under_a_requested_cancel_is_attached(autojump_clock: MockClock) -> None:
    async def untidy() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise OSError("in cleaning up")

    outcome = await cancel_while_running(untidy)
    assert outcome.kind is OutcomeKind.CANCELLED
    assert isinstance(outcome.exception, OSError)


async def test_a_value_in_spite_of_a_requested_cancel_is_a_success(
    autojump_clock: MockClock,
) -> None:
    async def stubborn() -> bool:
        with trio.CancelScope(shield=True):
            await trio.sleep(9)
        return current_task().cancel_requested

    outcome = await cancel_while_running(stubborn, timeout=100)
    assert (outcome.kind, outcome.value) == (OutcomeKind.RETURNED, True)
    assert outcome.cancel_ignored
    assert not outcome.late


async def test_a_request_outranks_the_timeout(autojump_clock: MockClock) -> None:
    async def slow_to_go() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(20)

    outcome = await cancel_while_running(slow_to_go, timeout=5)
    assert outcome.kind is OutcomeKind.CANCELLED


# --- crashes -------------------------------------------------------------------------------------


class Odd(BaseException):
    """Not an Exception."""


@pytest.mark.parametrize("error", [SystemExit(3), Odd("odd")])
async def test_other_base_exceptions_are_failures_of_the_kind_crash(
    error: BaseException, autojump_clock: MockClock
) -> None:
    attempts = Attempts(error, error, "value")
    assert (await attempts.run()).value == "value"
    outcome = await Attempts(error, retry=ONCE).run()
    assert (outcome.kind, outcome.exception) == (OutcomeKind.CRASH, error)


async def test_a_stray_cancelled_is_a_crash_and_cancels_nobody(autojump_clock: MockClock) -> None:
    stray = await a_cancelled()
    for error in (stray, BaseExceptionGroup("g", [stray, OSError()])):
        attempts = Attempts(error, "value", retry=Retry(initial=1))
        assert (await attempts.run()).value == "value"
        assert attempts.starts[1] - attempts.starts[0] == 1
        assert (await Attempts(error, retry=ONCE).run()).kind is OutcomeKind.CRASH


@pytest.mark.parametrize("error", [KeyboardInterrupt(), GeneratorExit()])
@pytest.mark.parametrize("grouped", [False, True])
async def test_an_interrupt_is_released_and_arrives_at_the_top(
    error: BaseException, grouped: bool, autojump_clock: MockClock
) -> None:
    """Bare if it came alone; its task has not failed, and nothing else is started."""
    others = 0
    raised = BaseExceptionGroup("g", [error, OSError()]) if grouped else error
    attempts = Attempts(raised, retry=ONCE)

    @attempts.tasks.task
    async def other() -> None:
        nonlocal others
        others += 1

    with pytest.raises(type(raised)) as caught:
        async with opened(attempts.tasks, workers=1) as queue:
            handles = [queue.submit_nowait(attempts.type), queue.submit_nowait(other)]
            await trio.sleep_forever()
    if not grouped:
        assert caught.value is error
    assert [await outcome_of(handle) for handle in handles] == ["handed_back"] * 2
    assert (others, queue.statistics().dead) == (0, 0)
    assert {one.id: one.interruptions for one in queue.unfinished()} == {
        handles[0].id: 1,
        handles[1].id: 0,
    }


# --- groups --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("errors", "tries"),
    [
        ([OSError(), OSError()], 3),
        ([OSError(), KeyError()], 1),
        ([OSError(), ExceptionGroup("inner", [KeyError()])], 1),
        ([OSError(), ExceptionGroup("inner", [OSError()])], 3),
    ],
)
async def test_a_group_is_retried_if_every_error_in_it_would_be(
    errors: list[Exception], tries: int, autojump_clock: MockClock
) -> None:
    attempts = Attempts(ExceptionGroup("g", errors), retry=Retry(attempts=3, on=OSError))
    outcome = await attempts.run()
    assert (outcome.kind, len(attempts.starts)) == (OutcomeKind.ERROR, tries)


@pytest.mark.parametrize(
    ("wish", "kind"), [(Discard("x"), "discard"), (RetryLater(1), "retry_later")]
)
async def test_a_wish_from_a_child_task_is_granted(
    wish: Exception, kind: str, autojump_clock: MockClock
) -> None:
    """A nursery wraps it into a group; alone in there it means what it says."""

    async def child() -> None:
        raise wish

    async def parent() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)
            await trio.sleep_forever()

    assert (await Attempts(parent, retry=Retry(attempts=1, on=())).run()).kind == kind


async def test_a_snooze_from_a_child_task_is_granted(autojump_clock: MockClock) -> None:
    group = ExceptionGroup("nursery", [Snooze(9)])
    attempts = Attempts(group, "value", retry=ONCE)
    assert (await attempts.run()).value == "value"
    assert attempts.starts == [0, 9]


# --- leases that are lost ------------------------------------------------------------------------


async def test_a_handler_that_lost_its_lease_is_cancelled_at_once(
    autojump_clock: MockClock,
) -> None:
    """Nothing is written, no attempt is used, and the task is delivered again with a new token."""
    attempts = Attempts(trio.sleep_forever, "value", retry=ONCE)
    async with opened(attempts.tasks, workers=1) as queue:
        handle = await queue.submit(attempts.type)
        await trio.sleep(1)
        assert queue._broker.revoke(handle.id)
        outcome = await handle.wait()
        assert (outcome.value, attempts.starts) == ("value", [0, 1])
        assert history(queue, handle.id) == [
            *("submitted", "started", "lost", "started", "succeeded")
        ]
        assert (handle.attempt, queue.statistics().dead) == (1, 0)


@pytest.mark.parametrize("ends", ["returns", "raises"])
async def test_what_a_zombie_writes_is_refused(ends: str, autojump_clock: MockClock) -> None:
    """A handler that goes on after it lost its lease cannot end the task, one way or the other."""

    async def zombie() -> str:
        with trio.CancelScope(shield=True):
            await trio.sleep(9)
        if ends == "raises":
            raise OSError("zombie")
        return "zombie"

    async def second() -> str:
        await trio.sleep(20)
        return "second"

    attempts = Attempts(zombie, second, retry=ONCE)
    async with opened(attempts.tasks, workers=2) as queue:
        handle = await queue.submit(attempts.type)
        await trio.sleep(1)
        assert queue._broker.revoke(handle.id)
        outcome = await handle.wait()
    assert (outcome.value, attempts.starts, trio.current_time()) == ("second", [0, 1], 21)
    assert outcome.error is None
