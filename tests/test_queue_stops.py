"""Leaving and stopping: what is waited for, what is refused, what is handed back, what arrives."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.contract import capture, opened
from tests.handlers import double, for_ever, outcome_of, rest, stubborn, submit_more, tasks
from trioqueue import (
    HandedBack,
    OutcomeKind,
    Queue,
    QueueClosed,
    QueuePaused,
    State,
    TaskSet,
    Unfinished,
    current_task,
)

# --- leaving -------------------------------------------------------------------------------------


async def test_leaving_means_that_everything_accepted_has_ended(autojump_clock: MockClock) -> None:
    """Delayed tasks, retries, and what running handlers submit meanwhile included."""
    async with opened(tasks) as queue:
        await queue.submit(submit_more, 5)
        delayed = await queue.options(delay=100).submit(submit_more, 2)
    assert trio.current_time() == 103
    assert queue.statistics().succeeded == 6 + 3
    assert (await delayed.wait()).kind is OutcomeKind.RETURNED
    assert queue.unfinished() == []


async def test_after_the_block_nothing_is_accepted(autojump_clock: MockClock) -> None:
    async with opened(tasks) as queue:
        handle = await queue.submit(double, 1)
    for error in (
        await capture(queue.submit, double, 1),
        await capture(queue.submit_many, [double.bind(1)]),
        await capture(queue.options(delay=1).submit, double, 1),
    ):
        assert isinstance(error, QueueClosed)
    with pytest.raises(QueueClosed):
        queue.submit_nowait(double, 1)
    assert await handle.result() == 2, "what it was asked is still answered"


async def test_an_empty_queue_is_left_at_once(autojump_clock: MockClock) -> None:
    async with opened(tasks):
        pass
    assert trio.current_time() == 0


async def test_a_submitter_outside_is_served_or_refused(autojump_clock: MockClock) -> None:
    """Whoever waits for room while the block is left gets in: the queue is not closed yet."""
    done: list[object] = []

    async def submit(queue: Queue) -> None:
        done.append(await (await queue.submit(double, 1)).result())

    async with trio.open_nursery() as nursery, opened(tasks, workers=1, capacity=1) as queue:
        await queue.submit(rest, 5)
        # It has to outlive the block: that is the point.
        nursery.start_soon(submit, queue)  # noqa: ASYNC111
        await wait_all_tasks_blocked()
    assert done == [2]


# --- close and drain -----------------------------------------------------------------------------


async def test_close_refuses_new_tasks_handlers_own_included(autojump_clock: MockClock) -> None:
    async with opened(tasks, workers=1) as queue:
        first = await queue.submit(submit_more, 3)
        second = await queue.submit(double, 4)
        queue.close()
        queue.close()
        with pytest.raises(QueueClosed):
            queue.submit_nowait(double, 1)
        assert isinstance((await first.wait()).exception, QueueClosed)
        assert await second.result() == 8, "what was accepted still runs"


async def test_close_wakes_those_who_wait_for_room(autojump_clock: MockClock) -> None:
    errors: list[BaseException] = []

    async def submit(queue: Queue) -> None:
        errors.append(await capture(queue.submit, double, 1))

    async with opened(tasks, workers=1, capacity=1) as queue:
        await queue.submit(rest, 9)
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(submit, queue)
            await wait_all_tasks_blocked()
            queue.close()
        assert [type(error) for error in errors] == [QueueClosed] * 3
        assert trio.current_time() == 0


async def test_drain_waits_for_all_and_leaves_the_queue_open(autojump_clock: MockClock) -> None:
    async with opened(tasks) as queue:
        await queue.options(delay=5).submit(submit_more, 1)
        with trio.move_on_after(3) as scope:
            await queue.drain()
        assert scope.cancelled_caught
        await queue.drain()
        assert trio.current_time() == 7
        assert await (await queue.submit(double, 1)).result() == 2


async def test_a_paused_queue_that_is_not_empty_cannot_be_left(autojump_clock: MockClock) -> None:
    """It says so at once, and what it holds is handed back."""
    with pytest.raises(QueuePaused, match="mail"):
        async with opened(tasks) as queue:
            queue.pause("mail")
            handle = await queue.options(queue="mail").submit(double, 1)
            assert await (await queue.submit(double, 1)).result() == 2
            with pytest.raises(QueuePaused, match="resume"):
                await queue.drain()
    assert await outcome_of(handle) == "handed_back"
    assert trio.current_time() == 0


async def test_a_pause_lets_running_tasks_go_on_and_can_be_undone(
    autojump_clock: MockClock,
) -> None:
    async with opened(tasks, workers=2) as queue:
        running = await queue.submit(rest, 3)
        await wait_all_tasks_blocked()
        queue.pause()
        waiting = await queue.submit(double, 1)
        assert await running.result() == 3
        await trio.sleep(3)
        assert waiting.state is State.READY
        queue.resume()
        assert await waiting.result() == 2
        queue.pause()


# --- shutdown ------------------------------------------------------------------------------------


async def test_a_shutdown_starts_nothing_and_gives_the_running_their_grace(
    autojump_clock: MockClock,
) -> None:
    async with opened(tasks, workers=2) as queue:
        quick, slow = await queue.submit(rest, 3), await queue.submit(rest, 50)
        ready = await queue.submit(double, 1)
        delayed = await queue.options(delay=1).submit(double, 1)
        await trio.sleep(1)
        left = await queue.shutdown(grace=5)
        assert trio.current_time() == 6
        assert {record.id for record in left} == {slow.id, ready.id, delayed.id}
        assert all(isinstance(record, Unfinished) for record in left)
        assert {record.id: record.interruptions for record in left}[slow.id] == 1
        assert list(queue.unfinished()) == list(left)
    assert await quick.result() == 3
    assert (queue.statistics().handed_back, queue.statistics().succeeded) == (3, 1)
    assert queue.statistics().dead == 0, "a shutdown is no failure"


async def test_what_had_not_started_is_handed_back_at_once(autojump_clock: MockClock) -> None:
    """Its handles do not wait for the grace."""
    async with opened(tasks, workers=1) as queue, trio.open_nursery() as nursery:
        await queue.submit(rest, 20)
        handles = [await queue.submit(double, 1), await queue.options(delay=1).submit(double, 1)]
        await trio.sleep(1)
        nursery.start_soon(queue.shutdown, 25)
        for handle in handles:
            assert isinstance(await capture(handle.result), HandedBack)
        assert trio.current_time() == 1


async def test_a_retry_that_falls_due_in_the_grace_does_not_run(autojump_clock: MockClock) -> None:
    starts: list[float] = []
    local = TaskSet()

    @local.task
    async def flaky() -> None:
        starts.append(trio.current_time())
        await trio.sleep(2)
        raise OSError

    async with opened(local, workers=2) as queue:
        handle = await queue.submit(flaky)
        await trio.sleep(1)
        await queue.shutdown(grace=10)
        assert trio.current_time() == 2, "nothing runs any more: no need to wait"
    (record,) = queue.unfinished()
    assert (record.id, record.attempt, starts) == (handle.id, 2, [0])


async def test_a_second_shutdown_shortens_the_first_and_never_prolongs_it(
    autojump_clock: MockClock,
) -> None:
    async with opened(tasks) as queue, trio.open_nursery() as nursery:
        await queue.submit(for_ever)
        await trio.sleep(1)
        nursery.start_soon(queue.shutdown, 100)
        await trio.sleep(1)
        nursery.start_soon(queue.shutdown, 1_000)
        await trio.sleep(1)
        await queue.shutdown(grace=4)
        assert trio.current_time() == 7
        await queue.shutdown()
        assert trio.current_time() == 7


async def test_a_cancelled_shutdown_goes_on(autojump_clock: MockClock) -> None:
    async with opened(tasks) as queue:
        await queue.submit(for_ever)
        await trio.sleep(1)
        with trio.move_on_after(1):
            await queue.shutdown(grace=5)
        with pytest.raises(QueueClosed):
            await queue.submit(double, 1)
    assert trio.current_time() == 6


async def test_a_handler_may_begin_a_shutdown(autojump_clock: MockClock) -> None:
    """It does not wait for itself."""
    local = TaskSet()

    @local.task
    async def stop() -> str:
        await current_task().queue.shutdown(grace=3)
        return "stopped"

    async with opened(local) as queue:
        handle = await queue.submit(stop)
    assert await handle.result() == "stopped"


@pytest.mark.parametrize(("own", "ends_at"), [(False, 6), (True, 2)])
async def test_only_an_answer_to_the_stop_keeps_its_grace(
    own: bool, ends_at: float, autojump_clock: MockClock
) -> None:
    """A block that is told QueueClosed waits for the grace; its own error is a hard stop."""
    local = TaskSet()

    @local.task
    async def stop_and_stay() -> None:
        await current_task().queue.shutdown(grace=5)
        await trio.sleep_forever()

    with pytest.raises(OSError if own else QueueClosed):
        async with opened(local) as queue:
            await queue.options(delay=1).submit(stop_and_stay)
            await trio.sleep(2)
            if own:
                raise OSError
            await queue.submit(stop_and_stay)
    assert trio.current_time() == ends_at


async def test_without_a_stop_an_answer_of_the_queue_is_an_error_like_any_other(
    autojump_clock: MockClock,
) -> None:
    """Closing is not stopping: the block that ignores it is a hard stop."""
    with pytest.raises(QueueClosed):
        async with opened(tasks) as queue:
            await queue.submit(for_ever)
            await trio.sleep(1)
            queue.close()
            await queue.submit(double, 1)
    assert trio.current_time() == 1


async def test_a_stop_names_who_holds_it_up(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A handler that shields itself: the log says which, and it is running in ``unfinished``."""
    async with opened(tasks) as queue, trio.open_nursery() as nursery:
        handle = await queue.submit(stubborn, 30)
        await trio.sleep(1)
        nursery.start_soon(queue.shutdown, 2)
        await trio.sleep(15)
        (record,) = queue.unfinished()
        assert (record.id, record.state) == (handle.id, State.RUNNING)
        assert handle.id in caplog.text
    assert trio.current_time() == 30
    assert await handle.result() == "done all the same"
