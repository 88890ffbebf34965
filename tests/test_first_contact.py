"""What a newcomer meets first: a handler that fails, and a stop while the block is busy."""

import logging

import pytest
import trio
from trio.testing import MockClock

import trioqueue


def failing_tasks(**policy: object) -> tuple[trioqueue.TaskSet, trioqueue.TaskType[[], None]]:
    tasks = trioqueue.TaskSet(retry=trioqueue.Retry(attempts=1), **policy)  # type: ignore[arg-type]

    @tasks.task
    async def fails() -> None:
        raise ValueError("of no use")

    return tasks, fails


async def test_a_task_does_not_die_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody waits, nobody observes: the death is logged, with the task and its error."""
    tasks, fails = failing_tasks()
    async with trioqueue.open_queue(tasks) as queue:
        handle = await queue.submit(fails)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert handle.id in record.getMessage()
    assert "ValueError: of no use" in record.getMessage()


async def test_a_death_that_somebody_hears_of_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With a hook or an observer it is theirs to tell."""
    letters: list[trioqueue.DeadLetter] = []
    tasks, fails = failing_tasks(on_dead=letters.append)
    async with trioqueue.open_queue(tasks) as queue:
        await queue.submit(fails)
    events: list[trioqueue.Event] = []
    tasks, fails = failing_tasks()
    async with trioqueue.open_queue(tasks, observers=[events.append]) as queue:
        await queue.submit(fails)
    assert len(letters) == 1
    assert [event.name for event in events] == ["submitted", "started", "died"]
    assert not caplog.records


@pytest.mark.parametrize("in_a_nursery", [False, True])
async def test_a_stop_that_ends_the_block_keeps_its_grace(
    autojump_clock: MockClock, in_a_nursery: bool
) -> None:
    """The block leaves by the QueueClosed of a stop under way: its grace is not cut short."""
    tasks = trioqueue.TaskSet()
    done: list[float] = []

    @tasks.task
    async def works() -> None:
        await trio.sleep(3)
        done.append(trio.current_time())

    async def stop(queue: trioqueue.Queue) -> None:
        await trio.sleep(1)
        await queue.shutdown(grace=5)

    async def feed(queue: trioqueue.Queue) -> None:
        while True:
            await queue.submit(works)

    caught: list[BaseException] = []
    async with trio.open_nursery() as nursery:
        try:
            async with trioqueue.open_queue(tasks, workers=1, capacity=2) as queue:
                nursery.start_soon(stop, queue)  # noqa: ASYNC111 - the stop outlives the block
                if in_a_nursery:
                    async with trio.open_nursery() as inner:  # noqa: ASYNC112 - for its group
                        inner.start_soon(feed, queue)
                else:
                    await feed(queue)
        except* trioqueue.QueueClosed as group:
            caught += group.exceptions
    assert len(caught) == 1
    assert done == [3]
    assert queue.statistics().succeeded == 1
    assert queue.statistics().handed_back == 1


async def test_an_error_of_the_blocks_own_is_a_hard_stop(autojump_clock: MockClock) -> None:
    """Whatever else leaves the block cancels the handlers at once, a stop under way or not."""
    tasks = trioqueue.TaskSet()

    @tasks.task
    async def works() -> None:
        await trio.sleep(3)

    with pytest.raises(ValueError, match="my own"):
        async with trioqueue.open_queue(tasks) as queue:
            await queue.submit(works)
            await trio.sleep(1)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(queue.shutdown, 5)
                await trio.sleep(1)
                nursery.cancel_scope.cancel()
            raise ValueError("my own")
    assert trio.current_time() == 2
    assert queue.statistics().handed_back == 1
