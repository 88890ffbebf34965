"""The queue as its user sees it: submitting, options, handles, results and numbers."""

from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import (
    MockClock,
    assert_checkpoints,
    assert_no_checkpoints,
)

from tests.contract import check_sum, history, opened
from tests.handlers import double, fail, for_ever, rest, tasks
from trioqueue import (
    Event,
    HandedBack,
    Outcome,
    OutcomeKind,
    Queue,
    State,
    TaskCancelled,
    TaskError,
    TaskExpired,
    TaskFailed,
    TaskSet,
    TrioqueueError,
    UnknownTask,
    open_queue,
)

# --- submitting ----------------------------------------------------------------------------------


async def test_what_the_handler_returns_is_the_result(autojump_clock: MockClock) -> None:
    async with opened(tasks) as queue:
        handle = await queue.submit(double, 21)
        assert await handle.result() == 42
        assert await queue.submit_nowait(double, n=1).result() == 2
        handles = await queue.submit_many(double.bind(n) for n in range(5))
        assert [await one.result() for one in handles] == [0, 2, 4, 6, 8]
        assert await queue.submit_many([]) == []


async def test_a_submit_is_a_checkpoint_and_a_hasty_one_is_not(autojump_clock: MockClock) -> None:
    async with opened(tasks) as queue:
        with assert_checkpoints():
            await queue.submit(double, 1)
        with assert_checkpoints():
            await queue.submit_many([double.bind(1)])
        with assert_no_checkpoints():
            queue.submit_nowait(double, 1)
            queue.options(priority=1).submit_nowait(double, 1)


Submit = Callable[[Queue], Awaitable[object]]
SUBMITS: dict[str, Submit] = {
    "submit": lambda queue: queue.submit(double, 1),
    "submit_many": lambda queue: queue.submit_many([double.bind(1)]),
    "options": lambda queue: queue.options(key="k").submit(double, 1),
    "delayed": lambda queue: queue.options(delay=1).submit(double, 1),
}


@pytest.mark.parametrize("submit", SUBMITS.values(), ids=SUBMITS)
async def test_a_cancelled_submit_leaves_nothing(submit: Submit, autojump_clock: MockClock) -> None:
    """Neither before it began nor while it waits for room."""
    async with opened(tasks, workers=1, capacity=1, delayed_capacity=1) as queue:
        with trio.CancelScope() as scope:
            scope.cancel()
            await submit(queue)
        assert scope.cancelled_caught
        await queue.submit(rest, 9)
        await queue.options(delay=9).submit(rest)
        with trio.move_on_after(5) as scope:
            await submit(queue)
        assert scope.cancelled_caught
        assert queue.statistics().waiting_submitters == 0
    assert queue.statistics().submitted == 2


async def test_submit_waits_while_the_queue_is_full(autojump_clock: MockClock) -> None:
    async with opened(tasks, workers=1, capacity=2) as queue:
        await queue.submit(rest, 3)
        await queue.submit(rest, 3)
        with pytest.raises(trio.WouldBlock):
            queue.submit_nowait(rest, 3)
        await queue.submit(rest, 3)
        assert trio.current_time() == 3
        await queue.submit_many([rest.bind(3), rest.bind(3)])
        assert trio.current_time() == 9


# --- how a task ends -----------------------------------------------------------------------------


async def test_a_failure_is_a_value_and_result_raises_it(autojump_clock: MockClock) -> None:
    async with opened(tasks) as queue:
        handle = await queue.submit(fail, "no such file")
        outcome = await handle.wait()
        assert outcome.kind is OutcomeKind.ERROR
        with pytest.raises(TaskFailed, match="no such file") as caught:
            await handle.result()
        assert (caught.value.task_id, caught.value.error) == (handle.id, "ValueError: no such file")
        assert isinstance(caught.value.__cause__, ValueError)
        assert (handle.state, handle.attempt) == (State.DEAD, 1)


async def test_result_never_waits_for_what_cannot_come(autojump_clock: MockClock) -> None:
    """One error for each way of ending without a result, all with the task's id."""
    async with opened(tasks, workers=1) as queue:
        busy = await queue.submit(for_ever)
        cancelled = await queue.submit(double, 1)
        assert await cancelled.cancel()
        expired = await queue.options(expires=3).submit(double, 1)
        left = await queue.submit(double, 1)
        expected = {cancelled: TaskCancelled, expired: TaskExpired}
        for handle, error in expected.items():
            with pytest.raises(error, match=handle.id) as caught:
                await handle.result()
            assert isinstance(caught.value, TaskError)
            assert caught.value.task_id == handle.id
        assert trio.current_time() == 3
        await queue.shutdown(grace=1)
        for handle in (left, busy):
            with pytest.raises(HandedBack, match=handle.id):
                await handle.result()
        with pytest.raises(UnknownTask, match="nobody"):
            queue.handle("nobody")


async def test_many_may_wait_for_one_result(autojump_clock: MockClock) -> None:
    """And one of them may give up: the task goes on."""
    results: list[float] = []
    async with opened(tasks) as queue:
        handle = await queue.submit(rest, 5)

        async def wait() -> None:
            results.append(await handle.result())

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(wait)
            with trio.move_on_after(1) as scope:
                await handle.result()
    assert scope.cancelled_caught
    assert results == [5, 5, 5]


async def test_waiting_is_a_checkpoint_also_when_it_is_over(autojump_clock: MockClock) -> None:
    async with opened(tasks) as queue:
        handle = await queue.submit(double, 1)
        await handle.wait()
        with assert_checkpoints():
            await handle.wait()
        with assert_checkpoints():
            await handle.result()
        with assert_checkpoints():
            assert await handle.cancel() is False


async def test_an_outcome_says_how_long_it_took(autojump_clock: MockClock) -> None:
    async with opened(tasks) as queue:
        outcome = await (await queue.submit(rest, 5)).wait()
    assert isinstance(outcome, Outcome)
    assert (outcome.kind, outcome.value, outcome.duration) == (OutcomeKind.RETURNED, 5, 5)
    assert (outcome.exception, outcome.error) == (None, None)
    assert not outcome.late
    assert not outcome.cancel_ignored


@pytest.mark.parametrize("delay", [0.0, 9.0])
async def test_a_waiting_task_is_cancelled_at_once(delay: float, autojump_clock: MockClock) -> None:
    async with opened(tasks, workers=1) as queue:
        busy = await queue.submit(rest, 5)
        handle = await queue.options(delay=delay).submit(double, 1)
        assert await handle.cancel()
        assert handle.state is State.CANCELLED
        assert not await handle.cancel(), "too late"
        assert history(queue, handle.id)[-1] == "cancelled"
        await busy.wait()
        assert not await busy.cancel()


async def test_a_cancelled_cancel_does_nothing(autojump_clock: MockClock) -> None:
    async with opened(tasks) as queue:
        handle = await queue.options(delay=1).submit(double, 1)
        with trio.CancelScope() as scope:
            scope.cancel()
            await handle.cancel()
        assert scope.cancelled_caught
        assert await handle.result() == 2


async def test_a_handle_is_found_again_for_as_long_as_results_are_kept(
    autojump_clock: MockClock,
) -> None:
    async with opened(tasks, results=2) as queue:
        handles = [await queue.submit(double, n) for n in range(10)]
        live = await queue.submit(rest, 5)
        assert (await queue.handle(live.id).wait()).value == 5
        assert await queue.handle(handles[-1].id).result() == 18
        with pytest.raises(UnknownTask):
            queue.handle(handles[0].id)
        assert await handles[0].result() == 0, "a handle that was kept keeps its result"


# --- dead letters --------------------------------------------------------------------------------


async def test_a_dead_letter_tells_what_is_needed_to_run_it_again(
    autojump_clock: MockClock,
) -> None:
    async with opened(tasks) as queue:
        handle = await queue.options(key="k", queue="mail").submit(fail, text="broken")
        await handle.wait()
        (letter,) = queue.dead_letters.list()
        assert len(queue.dead_letters) == 1
    assert (letter.id, letter.type, letter.queue, letter.key) == (handle.id, "fail", "mail", "k")
    assert (letter.args, dict(letter.kwargs)) == ((), {"text": "broken"})
    assert (letter.failures, letter.deliveries) == (1, 1)
    assert letter.error is not None
    assert str(letter.error) == "ValueError: broken"
    assert "raise ValueError(text)" in letter.error.traceback


async def test_dead_letters_are_replayed_and_purged(autojump_clock: MockClock) -> None:
    healthy = False
    local = TaskSet(retry=tasks.retry)

    @local.task
    async def flaky(n: int) -> int:
        if not healthy:
            raise OSError
        return n

    @local.task
    async def other() -> None:
        raise OSError

    async with opened(local) as queue:
        handles = [await queue.submit(flaky, n) for n in range(4)]
        await (await queue.submit(other)).wait()
        healthy = True
        letters = queue.dead_letters
        assert [letter.id for letter in letters.list("flaky")] == [one.id for one in handles]
        again = await letters.replay(handles[0].id)
        assert await again.result() == 0
        assert await handles[0].result() == 0, "the first handle sees its second life"
        letters.purge(handles[1].id)
        with pytest.raises(TaskFailed):
            await handles[1].result()
        with pytest.raises(UnknownTask):
            await letters.replay(handles[1].id)
        assert [await one.result() for one in await letters.replay_all("flaky")] == [2, 3]
        assert letters.purge_all() == 1
        assert len(letters) == 0
    assert (queue.statistics().purged, queue.statistics().replayed) == (2, 3)


# --- numbers -------------------------------------------------------------------------------------


async def test_the_numbers_add_up_at_every_event(autojump_clock: MockClock) -> None:
    """Seen from an observer too, who is told after the change and not in the middle of it."""
    seen: set[str] = set()
    wrong: list[object] = []
    queues: list[Queue] = []

    def look(event: Event) -> None:
        if queues:
            seen.add(str(event.name))
            try:
                check_sum(queues[0])
            except AssertionError as error:
                wrong.append((event, error))

    async with opened(tasks, workers=2, capacity=9, dead_capacity=1, observers=(look,)) as queue:
        queues.append(queue)
        for _ in range(3):
            await queue.submit(fail)
        await queue.options(delay=1).submit(double, 1)
        await queue.options(expires=1, delay=2).submit(double, 1)
        await (await queue.options(delay=9).submit(double, 1)).cancel()
        await trio.sleep(3)
        queue.dead_letters.purge_all()
        running = await queue.submit(for_ever)
        await trio.sleep(1)
        await running.cancel()
        await running.wait()
        for _ in range(3):
            await queue.submit(for_ever)
        await queue.shutdown(0)
    assert not wrong
    assert seen >= {"submitted", "died", "evicted", "expired", "purged", "cancelled", "handed_back"}


async def test_the_numbers_of_an_instant(autojump_clock: MockClock) -> None:
    async with opened(tasks, workers=3, capacity=5) as queue:
        for _ in range(2):
            await queue.submit(rest, 5)
        await queue.options(delay=9).submit(double, 1)
        await trio.sleep(1)
        now = queue.statistics()
        assert (now.submitted, now.running, now.scheduled, now.ready) == (3, 2, 1, 0)
        assert (now.workers, now.idle_workers, now.capacity) == (3, 1, 5)
    end = queue.statistics()
    assert (end.submitted, end.succeeded, end.running) == (3, 3, 0)


async def test_default_capacity_is_the_larger_of_100_and_four_for_each_worker() -> None:
    for workers, capacity in ((1, 100), (25, 100), (50, 200)):
        async with open_queue(tasks, workers=workers) as queue:
            assert queue.statistics().capacity == capacity


def test_every_error_of_ours_has_one_base() -> None:
    for error in (TaskFailed, TaskCancelled, TaskExpired, HandedBack, UnknownTask):
        assert issubclass(error, TaskError)
        assert issubclass(error, TrioqueueError)
