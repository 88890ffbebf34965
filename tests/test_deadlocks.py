"""Waiting on one's own queue: allowed while another worker can make progress, refused if not."""

import pytest
import trio
from trio.testing import MockClock

from tests.contract import ONCE, opened
from trioqueue import Handle, Outcome, Queue, TaskSet, WouldDeadlock, current_task

tasks = TaskSet(retry=ONCE)


@tasks.task
async def leaf(seconds: float = 0) -> str:
    await trio.sleep(seconds)
    return "leaf"


@tasks.task
async def ask(seconds: float = 0) -> str:
    """Submit a task and wait for its result."""
    handle = await current_task().queue.submit(leaf, seconds)
    return await handle.result()


@tasks.task
async def tree(depth: int) -> int:
    """Wait for one child, which waits for one."""
    if not depth:
        return 0
    return 1 + await (await current_task().queue.submit(tree, depth - 1)).result()


@tasks.task(limit=1)
async def capped_tree(depth: int) -> int:
    """The same, one at a time: no child can ever start."""
    if not depth:
        return 0
    return 1 + await (await current_task().queue.submit(capped_tree, depth - 1)).result()


@tasks.task
async def wait_for(id: str, seconds: float = 1) -> object:
    """Wait for a task that is there already."""
    await trio.sleep(seconds)
    return await current_task().queue.handle(id).result()


@tasks.task
async def submit(count: int, before: float = 0, **options: float) -> str:
    """Submit so many leaves, one after the other."""
    await trio.sleep(before)
    for _ in range(count):
        await current_task().queue.options(**options).submit(leaf)  # type: ignore[arg-type]
    return "submitted"


@tasks.task
async def submit_batch(count: int, before: float = 0) -> str:
    """Submit so many leaves at once."""
    await trio.sleep(before)
    await current_task().queue.submit_many([leaf.bind() for _ in range(count)])
    return "submitted"


@tasks.task
async def flaky_leaf(seconds: float) -> None:
    """Fail once: its place is kept while it backs off."""
    if current_task().attempt == 1:
        raise OSError


def stuck(outcome: Outcome) -> bool:
    return isinstance(outcome.exception, WouldDeadlock)


async def outcomes(queue: Queue, *handles: Handle[object]) -> list[bool]:
    """Which of them were told that they would deadlock; all of them end."""
    return [stuck(await handle.wait()) for handle in handles]


# --- waiting for a result ------------------------------------------------------------------------


@pytest.mark.parametrize(("workers", "depth", "fits"), [(1, 1, False), (2, 1, True), (4, 3, True)])
async def test_a_result_may_be_waited_for_while_a_worker_is_left(
    workers: int, depth: int, fits: bool, autojump_clock: MockClock
) -> None:
    async with opened(tasks, workers=workers) as queue:
        handle = await queue.submit(tree, depth)
        outcome = await handle.wait()
    assert stuck(outcome) is not fits
    assert not fits or outcome.value == depth


async def test_the_last_worker_that_would_wait_is_told(autojump_clock: MockClock) -> None:
    """And only that one: the others get their results."""
    async with opened(tasks, workers=3) as queue:
        handles = await queue.submit_many([ask.bind() for _ in range(3)])
        assert sorted(await outcomes(queue, *handles)) == [False, False, True]


async def test_a_worker_that_is_busy_counts_as_progress(autojump_clock: MockClock) -> None:
    async with opened(tasks, workers=2) as queue:
        busy = await queue.submit(leaf, 9)
        assert await (await queue.submit(ask, 1)).result() == "leaf"
        assert trio.current_time() == 10
        assert await busy.result() == "leaf"


async def test_a_type_at_its_limit_cannot_wait_for_itself(autojump_clock: MockClock) -> None:
    """However many workers are idle: the token is held by the one who waits."""
    async with opened(tasks, workers=8) as queue:
        assert await outcomes(queue, await queue.submit(capped_tree, 2)) == [True]
        assert await (await queue.submit(capped_tree, 0)).result() == 0


async def test_nobody_waits_for_himself(autojump_clock: MockClock) -> None:
    async with opened(tasks, workers=4) as queue:
        handle = await queue.options(id="me").submit(wait_for, "me")
        assert await outcomes(queue, handle) == [True]
        assert "me" in str((await handle.wait()).exception)


async def test_a_circle_is_not_closed(autojump_clock: MockClock) -> None:
    async with opened(tasks, workers=9) as queue:
        names = ["a", "b", "c"]
        handles = [
            await queue.options(id=name).submit(wait_for, names[n - 1], 1 + n)
            for n, name in enumerate(names)
        ]
        found = [(await handle.wait()).exception for handle in handles]
    assert [isinstance(error, WouldDeadlock) for error in found] == [False, False, True]


async def test_what_has_ended_can_always_be_asked(autojump_clock: MockClock) -> None:
    async with opened(tasks, workers=1) as queue:
        done = await queue.submit(leaf)
        await done.wait()
        assert await (await queue.submit(wait_for, done.id)).result() == "leaf"


async def test_a_drain_in_a_handler_would_wait_for_that_handler(autojump_clock: MockClock) -> None:
    local = TaskSet(retry=ONCE)

    @local.task
    async def drain() -> None:
        await current_task().queue.drain()

    async with opened(local, workers=4) as queue:
        assert await outcomes(queue, await queue.submit(drain)) == [True]


async def test_waiting_on_another_queue_is_allowed(autojump_clock: MockClock) -> None:
    """Its workers are others; and so are its places."""
    local = TaskSet(retry=ONCE)

    @local.task
    async def ask_other() -> str:
        handles = [await other.submit(leaf, 1) for _ in range(3)]
        return "".join([await handle.result() for handle in handles])

    async with opened(tasks, workers=1, capacity=1) as other, opened(local, workers=1) as queue:
        assert await (await queue.submit(ask_other)).result() == "leaf" * 3


# --- waiting for room ----------------------------------------------------------------------------


@pytest.mark.parametrize(("workers", "fits"), [(1, False), (2, True)])
async def test_room_may_be_waited_for_while_a_worker_is_left(
    workers: int, fits: bool, autojump_clock: MockClock
) -> None:
    async with opened(tasks, workers=workers, capacity=3) as queue:
        handle = await queue.submit(submit, 9)
        assert await outcomes(queue, handle) == [not fits]


async def test_when_all_wait_for_room_the_last_one_is_told(autojump_clock: MockClock) -> None:
    async with opened(tasks, workers=2, capacity=2) as queue:
        handles = [await queue.submit(submit, 1, before) for before in (1, 2)]
        assert await outcomes(queue, *handles) == [False, True]


async def test_submit_nowait_never_waits(autojump_clock: MockClock) -> None:
    local = TaskSet(retry=ONCE)

    @local.task
    async def fill() -> int:
        count = 0
        while True:
            try:
                current_task().queue.submit_nowait(fill_leaf)
            except trio.WouldBlock:
                return count
            count += 1

    @local.task
    async def fill_leaf() -> None:
        pass

    async with opened(local, workers=1, capacity=5) as queue:
        assert await (await queue.submit(fill)).result() == 4


async def test_a_place_that_backs_off_will_be_free(autojump_clock: MockClock) -> None:
    """The other worker runs the retry when it is due: whoever waits for its place may wait."""
    async with opened(tasks, workers=2, capacity=2) as queue:
        handle = await queue.submit(submit, 1, 0.01)
        await queue.submit(flaky_leaf, 1)
        assert await outcomes(queue, handle) == [False]


async def test_a_delayed_task_makes_room_by_itself(autojump_clock: MockClock) -> None:
    """On one worker: the second is accepted when the first falls due."""
    async with opened(tasks, workers=1, capacity=4, delayed_capacity=1) as queue:
        assert await outcomes(queue, await queue.submit(submit, 3, delay=1)) == [False]


async def test_a_task_that_expires_makes_room_by_itself(autojump_clock: MockClock) -> None:
    async with opened(tasks, workers=1, capacity=2) as queue:
        assert await outcomes(queue, await queue.submit(submit, 2, expires=5)) == [False]
        assert trio.current_time() == 5


async def test_a_batch_that_cannot_fit_beside_its_own_place_is_told(
    autojump_clock: MockClock,
) -> None:
    """At once, or when the last other task has ended; but it never waits for ever."""
    async with opened(tasks, workers=2, capacity=2) as queue:
        handle = await queue.submit(submit_batch, 2, 0.5)
        await queue.submit(leaf, 5)
        assert await outcomes(queue, handle) == [True]
        assert await outcomes(queue, await queue.submit(submit_batch, 1)) == [False]


async def test_two_batches_that_need_each_others_places_are_told(
    autojump_clock: MockClock,
) -> None:
    """Both fit alone; together the first one's place is what the second one lacks."""
    async with opened(tasks, workers=3, capacity=4) as queue:
        handles = [await queue.submit(submit_batch, 3, before) for before in (1, 2)]
        await queue.submit(leaf, 9)
        found = await outcomes(queue, *handles)
    assert True in found


@tasks.task(limit=1)
async def one(before: float = 0) -> str:
    """Of a type that runs one at a time; submits a leaf, and so waits for room."""
    await trio.sleep(before)
    await current_task().queue.submit(leaf)
    return "submitted"


async def test_the_place_of_one_that_expires_may_go_to_one_ahead(
    autojump_clock: MockClock,
) -> None:
    """A delayed task that falls due goes first: and it cannot run while the only worker waits."""
    async with opened(tasks, workers=1, capacity=2) as queue:
        handle = await queue.submit(submit, 1, 1)
        await queue.options(expires=5).submit(leaf)
        await queue.options(delay=3).submit(leaf)
        assert await outcomes(queue, handle) == [True]


async def test_a_place_may_go_to_one_ahead_that_lacks_its_token(autojump_clock: MockClock) -> None:
    async with opened(tasks, workers=2, capacity=2) as queue:
        handle = await queue.submit(one, 2)
        await queue.submit(leaf, 5)
        await queue.options(delay=1).submit(one)
        assert await outcomes(queue, handle) == [True]


async def test_a_place_may_go_to_a_submitter_ahead(autojump_clock: MockClock) -> None:
    async with opened(tasks, workers=2, capacity=2) as queue, trio.open_nursery() as nursery:
        handle = await queue.submit(one, 2)
        await queue.submit(leaf, 5)
        nursery.start_soon(queue.submit, one)
        assert await outcomes(queue, handle) == [True]


async def test_a_place_may_go_to_one_ahead_that_came_later(autojump_clock: MockClock) -> None:
    """So it is not enough to look when the wait begins."""
    async with opened(tasks, workers=2, capacity=2) as queue:
        handle = await queue.submit(one, 1)
        await queue.submit(leaf, 5)
        await trio.sleep(2)
        await queue.options(delay=1).submit(one)
        assert await outcomes(queue, handle) == [True]


async def test_a_wait_that_was_given_up_counts_no_more(autojump_clock: MockClock) -> None:
    local = TaskSet(retry=ONCE)

    @local.task
    async def impatient() -> bool:
        handle = await current_task().queue.submit(slow)
        with trio.move_on_after(1) as scope:
            await handle.result()
        return scope.cancelled_caught

    @local.task
    async def slow() -> None:
        await trio.sleep(50)

    async with opened(local, workers=2) as queue:
        assert await (await queue.submit(impatient)).result() is True
        assert await (await queue.submit(impatient)).result() is True
