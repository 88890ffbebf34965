"""What can be said of one task at its submission, and what the queue makes of it."""

from datetime import datetime, timedelta, timezone

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.contract import opened
from tests.handlers import double, rest, tasks
from trioqueue import State, TaskSet, current_task


async def test_a_delay_counts_from_acceptance(autojump_clock: MockClock) -> None:
    async with opened(tasks) as queue:
        await trio.sleep(2)
        handle = await queue.options(delay=5).submit(double, 1)
        assert handle.state is State.SCHEDULED
        await handle.wait()
        assert trio.current_time() == 7


async def test_a_date_is_a_delay_and_one_in_the_past_is_now(autojump_clock: MockClock) -> None:
    east = timezone(timedelta(hours=9))
    async with opened(tasks) as queue:
        later = queue.options(at=datetime.now(east) + timedelta(hours=1))
        handle = await later.submit(double, 1)
        await (await queue.options(at=datetime(1999, 1, 1, tzinfo=east)).submit(double, 1)).wait()
        assert trio.current_time() == 0
        await handle.wait()
        assert 3590 < trio.current_time() <= 3600


async def test_options_apply_to_one_submission_and_can_be_used_again(
    autojump_clock: MockClock,
) -> None:
    seen: list[tuple[float, str]] = []
    local = TaskSet(timeout=50)

    @local.task(timeout=7, queue="mail")
    async def look() -> None:
        seen.append((current_task().deadline - trio.current_time(), current_task().id))

    async with opened(local) as queue:
        await (await queue.submit(look)).wait()
        quick = queue.options(timeout=2)
        for submission in (quick, quick, queue.options(timeout=None), queue.options(priority=1)):
            await trio.sleep(1)
            await (await submission.submit(look)).wait()
    assert [deadline for deadline, _ in seen] == [7, 2, 2, float("inf"), 7]
    assert len({id for _, id in seen}) == 5


async def test_priority_is_strict(autojump_clock: MockClock) -> None:
    ran: list[int] = []
    local = TaskSet()

    @local.task
    async def note(priority: int) -> None:
        ran.append(priority)
        await trio.sleep(1)

    async with opened(local, workers=1) as queue:
        queue.submit_nowait(note, -1)
        await wait_all_tasks_blocked()
        for priority in (0, 255, 100, 255, 7):
            queue.options(priority=priority).submit_nowait(note, priority)
    assert ran == [-1, 255, 255, 100, 7, 0]


async def test_a_key_makes_a_submit_idempotent_while_its_task_lives(
    autojump_clock: MockClock,
) -> None:
    async with opened(tasks) as queue:
        first = await queue.options(key="k").submit(rest, 5)
        again = await queue.options(key="k").submit(rest, 9)
        other = await queue.options(key="k", queue="other").submit(rest, 1)
        assert again.id == first.id != other.id
        assert await again.result() == 5
        new = await queue.options(key="k").submit(double, 1)
        assert new.id != first.id


async def test_an_id_of_ones_own_makes_a_submit_safe_to_repeat(autojump_clock: MockClock) -> None:
    """Also after it has ended: the result is given again, nothing runs again."""
    async with opened(tasks) as queue:
        named = queue.options(id="mine")
        assert await (await named.submit(double, 1)).result() == 2
        assert await (await named.submit(double, 100)).result() == 2
        assert queue.handle("mine").id == "mine"
    assert queue.statistics().submitted == 1


async def test_ids_come_from_the_source_that_was_given(autojump_clock: MockClock) -> None:
    numbers = iter(range(100))
    async with opened(tasks, new_id=lambda: f"id-{next(numbers)}") as queue:
        assert [(await queue.submit(double, 1)).id for _ in range(3)] == ["id-0", "id-1", "id-2"]


async def test_ids_grow(autojump_clock: MockClock) -> None:
    async with opened(tasks) as queue:
        ids = [queue.submit_nowait(double, 1).id for _ in range(50)]
    assert ids == sorted(set(ids))


async def test_headers_travel_with_a_task(autojump_clock: MockClock) -> None:
    """Read-only, as they were at the submit; a plain submit shares its type's options."""
    seen: list[object] = []
    local = TaskSet()

    @local.task
    async def look() -> None:
        seen.append(current_task().headers)

    async with opened(local) as queue:
        given = {"traceparent": "00-1"}
        tagged = queue.options(headers=given)
        await tagged.submit(look)
        given["traceparent"] = "later"
        await tagged.submit(look)
        await queue.options(headers=None).submit(look)
        await queue.submit(look)
        assert queue._make(look, (), {}).options is look.options
    assert seen == [{"traceparent": "00-1"}, {"traceparent": "later"}, {}, {}]
    assert not any(hasattr(headers, "update") for headers in seen)


async def test_options_apply_to_each_of_a_batch(autojump_clock: MockClock) -> None:
    async with opened(tasks) as queue:
        later = queue.options(delay=3)
        handles = await later.submit_many([double.bind(n) for n in range(3)])
        assert [handle.state for handle in handles] == [State.SCHEDULED] * 3
        assert [await handle.result() for handle in handles] == [0, 2, 4]
        assert trio.current_time() == 3
        (named,) = await queue.options(id="mine").submit_many([double.bind(5)])
        assert named.id == "mine"
