"""The pool: limits that hold, work that is not left lying, and turns for everybody else."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.attempts import LEAKY, end_worker_of
from tests.contract import ONCE, opened
from tests.handlers import double, rest, tasks
from trioqueue import TaskSet

# --- limits --------------------------------------------------------------------------------------


async def test_a_limit_is_never_exceeded_and_is_used_to_the_full(
    autojump_clock: MockClock,
) -> None:
    """The ledger checks the first half in every test; the time tells the second."""
    local = TaskSet()

    @local.task(limit=3)
    async def capped() -> None:
        await trio.sleep(1)

    @local.task(limit=1)
    async def alone() -> None:
        await trio.sleep(1)

    async with opened(local, workers=8) as queue:
        for _ in range(12):
            queue.submit_nowait(capped)
        for _ in range(4):
            queue.submit_nowait(alone)
    assert trio.current_time() == 4


async def test_a_capped_type_does_not_stand_in_the_way(autojump_clock: MockClock) -> None:
    local = TaskSet()
    ends: list[tuple[str, float]] = []

    @local.task(limit=1)
    async def capped() -> None:
        await trio.sleep(10)
        ends.append(("capped", trio.current_time()))

    @local.task
    async def free() -> None:
        await trio.sleep(1)
        ends.append(("free", trio.current_time()))

    async with opened(local, workers=2) as queue:
        for _ in range(3):
            queue.submit_nowait(capped)
        for _ in range(4):
            queue.submit_nowait(free)
    assert ends[:4] == [("free", n) for n in (1, 2, 3, 4)]
    assert trio.current_time() == 30


async def test_a_token_is_yielded_to_an_older_task(autojump_clock: MockClock) -> None:
    """A worker does not stay on its type while an older task of another waits."""
    local = TaskSet()
    ran: list[str] = []

    @local.task(limit=1)
    async def capped(name: str) -> None:
        ran.append(name)
        await trio.sleep(1)

    @local.task(limit=1)
    async def other(name: str) -> None:
        ran.append(name)
        await trio.sleep(1)

    async with opened(local, workers=1) as queue:
        for n in range(4):
            queue.submit_nowait(capped, f"c{n}")
            queue.submit_nowait(other, f"o{n}")
    assert ran == ["c0", "o0", "c1", "o1", "c2", "o2", "c3", "o3"]


@pytest.mark.parametrize("end", ["raises", "times out", "cancelled", "worker", "leaks", "returns"])
async def test_a_token_never_leaks(end: str, autojump_clock: MockClock) -> None:
    """However the attempt ends, the next task of the type can start."""
    local = TaskSet(retry=ONCE)

    @local.task(limit=1, timeout=5)
    async def capped(how: str) -> None:
        if how == "raises":
            raise OSError
        if how == "leaks":
            LEAKY.set("leaked")
        elif how != "returns":
            await trio.sleep_forever()

    async with opened(local, workers=3) as queue:
        for _ in range(5):
            handle = await queue.submit(capped, end)
            await wait_all_tasks_blocked()
            if end == "cancelled":
                await handle.cancel()
            elif end == "worker":
                end_worker_of(queue, handle)
                await wait_all_tasks_blocked()
                await handle.cancel()
            await handle.wait()
        assert (await (await queue.submit(capped, "returns")).wait()).exception is None


# --- work conservation, turns --------------------------------------------------------------------


async def test_all_workers_work_while_there_is_work(autojump_clock: MockClock) -> None:
    """Sixteen tasks of a second on sixteen workers take a second, however they were submitted."""
    async with opened(tasks, workers=16) as queue:
        await queue.submit_many([rest.bind() for _ in range(16)])
        await queue.drain()
        assert trio.current_time() == 1
        for _ in range(16):
            queue.submit_nowait(rest)
        await queue.drain()
        assert trio.current_time() == 2
        for _ in range(16):
            await queue.options(delay=1).submit(rest)
        await queue.drain()
        assert trio.current_time() == 4
        queue.pause()
        await queue.submit_many([rest.bind() for _ in range(16)])
        queue.resume()
        await queue.drain()
        assert trio.current_time() == 5


async def test_a_freed_token_wakes_a_worker_that_is_parked(autojump_clock: MockClock) -> None:
    """The one who frees it goes on to other work; an idle one must not sleep through it."""
    local = TaskSet()

    @local.task(limit=1)
    async def capped() -> None:
        await trio.sleep(1)

    @local.task
    async def free() -> None:
        await trio.sleep(5)

    async with opened(local, workers=2) as queue:
        queue.submit_nowait(capped)
        queue.options(priority=1).submit_nowait(capped)
        await trio.sleep(0.5)
        queue.submit_nowait(free)
    assert trio.current_time() == 5.5


async def test_a_saturated_pool_gives_others_their_turn(autojump_clock: MockClock) -> None:
    """Counted in steps of another Trio task, while thousands of tasks that never wait are run."""
    steps = 0

    async def other() -> None:
        nonlocal steps
        while True:
            await trio.lowlevel.checkpoint()
            steps += 1

    for workers in (1, 64):
        async with opened(tasks, workers=workers, capacity=5_000) as queue:
            await queue.submit_many([double.bind(n) for n in range(5_000)])
            steps = 0
            async with trio.open_nursery() as nursery:
                nursery.start_soon(other)
                await queue.drain()
                nursery.cancel_scope.cancel()
        assert steps >= 10, "256 tasks a turn at most, whatever the number of workers"
