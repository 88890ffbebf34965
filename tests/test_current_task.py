"""current_task(): what a handler knows of the task that it runs, and what it can tell."""

import pytest
import trio
from trio.testing import MockClock, assert_no_checkpoints

from tests.contract import opened
from trioqueue import Event, Retry, Snooze, TaskSet, current_task


async def test_what_a_handler_knows_of_its_task(autojump_clock: MockClock) -> None:
    local = TaskSet(retry=Retry(attempts=9, initial=1))
    seen: list[tuple[object, ...]] = []

    @local.task(timeout=5)
    async def look() -> None:
        me = current_task()
        seen.append((me.id, me.type, me.attempt, me.fencing_token, me.deadline, me.queue))
        await trio.lowlevel.checkpoint()
        if len(seen) == 1:
            raise Snooze(1)
        if len(seen) == 2:
            raise OSError

    async with opened(local) as queue:
        handle = await queue.submit(look)
    id = handle.id
    assert seen == [
        (id, "look", 1, (id, 1), 5, queue),
        (id, "look", 1, (id, 2), 6, queue),
        (id, "look", 2, (id, 3), 7, queue),
    ]


async def test_current_task_reaches_child_tasks_and_nobody_else(autojump_clock: MockClock) -> None:
    local = TaskSet()
    ids: list[str] = []

    async def child() -> None:
        ids.append(current_task().id)

    @local.task
    async def parent() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)
            nursery.start_soon(child)

    async with opened(local) as queue:
        handle = await queue.submit(parent)
        await handle.wait()
        with pytest.raises(RuntimeError, match="outside"):
            current_task()
    assert ids == [handle.id] * 2


async def test_progress_is_told_and_is_no_checkpoint(autojump_clock: MockClock) -> None:
    local = TaskSet()

    @local.task
    async def work() -> None:
        with assert_no_checkpoints():
            current_task().progress(0, 10)
            current_task().progress(0.5)
            current_task().progress(10, 10)
        for done, total in ((-1, None), (11, 10), (float("nan"), None), (1, float("nan"))):
            with pytest.raises(ValueError, match="progress"):
                current_task().progress(done, total)

    events: list[Event] = []
    async with opened(local, observers=(events.append,)) as queue:
        await (await queue.submit(work)).result()
    told = [event.progress for event in events if event.name == "progressed"]
    assert told == [(0, 10), (0.5, None), (10, 10)]


async def test_a_handler_can_ask_whether_it_is_to_be_cancelled(autojump_clock: MockClock) -> None:
    local = TaskSet()

    @local.task
    async def work() -> list[bool]:
        before = current_task().cancel_requested
        with trio.CancelScope(shield=True):
            await trio.sleep(2)
        return [before, current_task().cancel_requested]

    async with opened(local) as queue:
        handle = await queue.submit(work)
        await trio.sleep(1)
        await handle.cancel()
        assert await handle.result() == [False, True]
