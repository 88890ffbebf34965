"""Hard stops, and several queues at once: what arrives outside, what is handed back."""

import pytest
import trio
from trio.testing import MockClock

from tests.contract import opened
from tests.handlers import double, for_ever, outcome_of, rest, tasks
from trioqueue import (
    TaskSet,
    current_task,
    open_memory_broker,
    open_queue,
)


class Mine(Exception):
    """An error of the block."""


@pytest.mark.parametrize(
    "error", [Mine("x"), ExceptionGroup("g", [Mine("x")]), KeyboardInterrupt(), SystemExit(3)]
)
async def test_an_error_of_the_block_arrives_as_what_it_is(
    error: BaseException, autojump_clock: MockClock
) -> None:
    """And is a hard stop: running handlers are cancelled, nothing is lost, nothing has failed."""
    with pytest.raises(type(error)) as caught:
        async with opened(tasks, workers=2) as queue:
            handles = [await queue.submit(for_ever) for _ in range(3)]
            handles.append(await queue.options(delay=1e6).submit(double, 1))
            await trio.sleep(1)
            raise error
    assert caught.value is error
    assert trio.current_time() == 1
    assert [await outcome_of(handle) for handle in handles] == ["handed_back"] * 4
    assert sorted(one.interruptions for one in queue.unfinished()) == [0, 0, 1, 1]
    assert all(one.attempt == 1 for one in queue.unfinished())


async def test_a_cancelled_block_is_a_hard_stop(autojump_clock: MockClock) -> None:
    with trio.move_on_after(3) as scope:
        async with opened(tasks, workers=1) as queue:
            handles = [await queue.submit(for_ever), await queue.submit(double, 1)]
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert [await outcome_of(handle) for handle in handles] == ["handed_back"] * 2


async def test_a_cancelled_leaving_is_a_hard_stop(autojump_clock: MockClock) -> None:
    with trio.move_on_after(3):
        async with opened(tasks) as queue:
            handle = await queue.submit(for_ever)
    assert trio.current_time() == 3
    assert await outcome_of(handle) == "handed_back"


async def test_no_handler_begins_once_the_pool_is_cancelled(autojump_clock: MockClock) -> None:
    """Not even its first lines: what a hard stop gives back is not taken again."""
    started = 0
    local = TaskSet()

    @local.task
    async def count() -> None:
        nonlocal started
        started += 1
        await trio.sleep_forever()

    with pytest.raises(Mine):
        async with opened(local, workers=4) as queue:
            for _ in range(20):
                queue.submit_nowait(count)
            await trio.sleep(1)
            assert started == 4
            raise Mine
    assert started == 4
    assert len(queue.unfinished()) == 20


async def test_an_error_in_cleaning_up_is_attached_and_stops_nothing(
    autojump_clock: MockClock,
) -> None:
    local = TaskSet()

    @local.task
    async def untidy() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise OSError("while cleaning up")

    with pytest.raises(Mine):
        async with opened(local) as queue:
            await queue.submit(untidy)
            await trio.sleep(1)
            raise Mine
    (record,) = queue.unfinished()
    assert (record.interruptions, record.attempt) == (1, 1)
    assert queue.statistics().dead == 0


async def test_a_queue_that_ends_hands_back_also_into_a_broker_of_ones_own(
    autojump_clock: MockClock,
) -> None:
    async with open_memory_broker() as broker:
        with pytest.raises(Mine):
            async with open_queue(tasks, broker=broker) as queue:
                handle = await queue.submit(for_ever)
                await trio.sleep(1)
                raise Mine
        with trio.fail_after(5):
            assert await outcome_of(handle) == "handed_back"


# --- two of them ---------------------------------------------------------------------------------


async def test_two_queues_in_one_program_do_not_meet(autojump_clock: MockClock) -> None:
    async with opened(tasks, workers=1) as one, opened(tasks, workers=1) as two:
        slow = await one.submit(rest, 5)
        assert await (await two.submit(double, 1)).result() == 2
        assert trio.current_time() == 0
        await two.shutdown(0)
        assert await slow.result() == 5
        assert (one.statistics().submitted, two.statistics().submitted) == (1, 1)


async def test_a_queue_inside_a_handler_of_another(autojump_clock: MockClock) -> None:
    """Each handler sees its own task and its own queue; the inner one ends with its block."""
    local = TaskSet()

    @local.task
    async def inner(n: int) -> tuple[str, int]:
        await trio.sleep(1)
        return current_task().id, n

    @local.task
    async def outer() -> list[tuple[str, int]]:
        me = current_task()
        async with open_queue(local, workers=2) as queue:
            assert current_task().id == me.id
            handles = [await queue.submit(inner, n) for n in range(4)]
            results = [await handle.result() for handle in handles]
            assert [id for id, _ in results] == [handle.id for handle in handles]
            assert me.queue is not queue
        return results

    async with opened(local, workers=1) as queue:
        result = await (await queue.submit(outer)).result()
    assert [n for _, n in result] == [0, 1, 2, 3]
    assert queue.statistics().submitted == 1
