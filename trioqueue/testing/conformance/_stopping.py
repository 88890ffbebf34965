"""The table of leaving and stopping, as cases: a queue on the broker, stopped in each way.

================  ======================================  ======================================
                  in memory                               elsewhere
================  ======================================  ======================================
leaving           waits until nothing is open             waits for what runs here
``close()``       refuses new tasks, handlers' included   the same
``shutdown()``    what waits is handed back               what waits stays on the broker
cancelled         what runs is handed back                what runs is released
================  ======================================  ======================================
"""

from __future__ import annotations

import trio

from ... import Queue, QueueClosed, State
from ._bench import Bench, raised
from ._case import Has, case
from ._places import LATER
from ._shop import SLOW, Shop


async def _three(shop: Shop, queue: Queue) -> list[str]:
    """Three slow tasks for one worker: one runs, two wait. Their ids."""
    ids = [(await queue.submit(shop.slow, n)).id for n in range(3)]
    await shop.until_begun(1)
    return ids


async def _delayed(bench: Bench, shop: Shop, queue: Queue) -> str:
    handle = await queue.options(delay=bench.seconds(LATER)).submit(shop.quick, 9)
    return handle.id


async def _blame(bench: Bench, ids: list[str]) -> list[tuple[int, int]]:
    """(failures, interruptions) of these tasks."""
    found = [await bench.get(task_id) for task_id in ids]
    return [(task.failures, task.trace().interruptions) for task in found]


def _given_back(bench: Bench) -> State:
    """Where a stop leaves what has not ended."""
    return State.HANDED_BACK if Has.LOCAL in bench.suite.has else State.READY


# --- leaving the block ----------------------------------------------------------------------------


@case(Has.QUEUES)
async def leaving_waits_for_what_runs(bench: Bench) -> None:
    shop = Shop(bench)
    async with shop.open() as queue:
        await queue.submit(shop.slow, 1)
        await shop.until_begun(1)
    assert shop.ended == [1]
    assert (await bench.counts()).succeeded == 1


@case(Has.QUEUES, Has.LOCAL)
async def leaving_waits_until_nothing_is_open(bench: Bench) -> None:
    """Delayed tasks and retries included: afterwards nobody would run them."""
    shop = Shop(bench)
    async with shop.open(1) as queue:
        await _three(shop, queue)
        await queue.submit(shop.flaky, 5)
        await _delayed(bench, shop, queue)
    assert shop.ended == [0, 1, 2, 5, 9]


@case(Has.QUEUES, Has.REMOTE)
async def leaving_leaves_to_others_what_does_not_run_here(bench: Bench) -> None:
    """It waits for the leases held here; what waits stays, uncounted and in its order."""
    shop = Shop(bench)
    async with shop.open(1) as queue:
        ids = await _three(shop, queue)
        later = await _delayed(bench, shop, queue)
    assert 0 in shop.ended
    assert await bench.state(later) is State.SCHEDULED
    left = [task_id for task_id in ids if await bench.state(task_id) is State.READY]
    assert left == ids[len(shop.ended) :]
    assert len(left) >= 1
    assert await _blame(bench, left) == [(0, 0)] * len(left)
    assert (await bench.counts()).running == 0
    assert await bench.claimed(room={"slow": 9}) == left


@case(Has.QUEUES)
async def leaving_after_a_drain_leaves_nothing(bench: Bench) -> None:
    shop = Shop(bench)
    async with shop.open(1) as queue:
        await _three(shop, queue)
        await queue.submit(shop.flaky, 5)
        await _delayed(bench, shop, queue)
        await queue.drain()
        assert sorted(shop.ended) == [0, 1, 2, 5, 9]
    counts = await bench.counts()
    assert (counts.submitted, counts.succeeded) == (5, 5)


@case(Has.QUEUES)
async def what_running_handlers_submit_while_the_block_is_left_is_accepted(bench: Bench) -> None:
    shop = Shop(bench)
    async with shop.open() as queue:
        await queue.submit(shop.parent, 1)
        await shop.until_begun(1)
    assert shop.wrong == []
    assert (await bench.counts()).submitted == 2
    if Has.LOCAL in bench.suite.has:
        assert shop.ended == [1, 2]


@case(Has.QUEUES, Has.REMOTE)
async def without_workers_leaving_takes_no_time(bench: Bench) -> None:
    shop = Shop(bench)
    async with shop.open(0) as queue:
        handle = await queue.submit(shop.quick, 1)
        passed = bench.stopwatch()
    assert bench.about(passed(), 0)
    assert await bench.state(handle.id) is State.READY


# --- close ----------------------------------------------------------------------------------------


@case(Has.QUEUES)
async def a_closed_queue_refuses_new_tasks_and_runs_the_old(bench: Bench) -> None:
    shop = Shop(bench)
    async with shop.open(1) as queue:
        await _three(shop, queue)
        queue.close()
        await raised(QueueClosed, queue.submit, shop.quick, 7)
        await queue.drain()
    assert shop.ended == [0, 1, 2]
    assert (await bench.counts()).submitted == 3


@case(Has.QUEUES)
async def a_closed_queue_refuses_what_its_handlers_submit(bench: Bench) -> None:
    shop = Shop(bench)
    async with shop.open() as queue:
        await queue.submit(shop.parent, 1)
        await shop.until_begun(1)
        queue.close()
    assert [type(error) for error in shop.wrong] == [QueueClosed]
    assert shop.ended == [1]
    assert (await bench.counts()).submitted == 1


# --- shutdown -------------------------------------------------------------------------------------


@case(Has.QUEUES)
async def a_shutdown_lets_what_runs_end_and_starts_nothing_more(bench: Bench) -> None:
    shop = Shop(bench)
    async with shop.open(1) as queue:
        ids = await _three(shop, queue)
        later = await _delayed(bench, shop, queue)
        await queue.shutdown(grace=bench.seconds(SLOW + 20))
        assert shop.ended == [0]
    assert shop.began == [0]
    assert await bench.states(ids) == [State.SUCCEEDED, *[_given_back(bench)] * 2]
    assert await _blame(bench, ids[1:]) == [(0, 0)] * 2
    waits = State.HANDED_BACK if Has.LOCAL in bench.suite.has else State.SCHEDULED
    assert await bench.state(later) is waits


@case(Has.QUEUES)
async def a_shutdown_cancels_what_is_too_slow(bench: Bench) -> None:
    """An interruption, never a failure of the task."""
    shop = Shop(bench)
    async with shop.open(1) as queue:
        ids = await _three(shop, queue)
        passed = bench.stopwatch()
        await queue.shutdown(grace=bench.seconds(1))
        assert bench.about(passed(), 1)
    assert shop.ended == []
    assert await bench.states(ids) == [_given_back(bench)] * 3
    assert await _blame(bench, ids) == [(0, 1), (0, 0), (0, 0)]
    assert (await bench.counts()).running == 0


@case(Has.QUEUES, each=[0, 1])
async def a_shutdown_tells_what_it_did_not_end(bench: Bench, grace: float) -> None:
    shop = Shop(bench)
    async with shop.open(1) as queue:
        ids = await _three(shop, queue)
        records = await queue.shutdown(grace=bench.seconds(grace))
    told = {record.id for record in records}
    if Has.LOCAL in bench.suite.has:
        assert told == set(ids)
    else:
        assert ids[0] in told, "what was held here; the others stay on the broker"


@case(Has.QUEUES)
async def during_a_shutdown_nothing_is_accepted(bench: Bench) -> None:
    """From a handler neither."""
    shop = Shop(bench)
    async with shop.open() as queue, trio.open_nursery() as nursery:
        await queue.submit(shop.parent, 1)
        await shop.until_begun(1)
        nursery.start_soon(queue.shutdown, bench.seconds(20))
        await bench.sleep(1)
        await raised(QueueClosed, queue.submit, shop.quick, 7)
    assert [type(error) for error in shop.wrong] == [QueueClosed]
    assert shop.ended == [1]
    assert (await bench.counts()).submitted == 1


@case(Has.QUEUES)
async def a_retry_that_is_due_during_a_shutdown_does_not_run(bench: Bench) -> None:
    shop = Shop(bench)
    async with shop.open() as queue:
        await queue.submit(shop.slow, 1)
        handle = await queue.submit(shop.flaky, 2)
        await shop.until_begun(2)
        await bench.sleep(0.5)
        await queue.shutdown(grace=bench.seconds(20))
    assert sorted(shop.began) == [1, 2]
    assert shop.ended == [1]
    assert (await bench.get(handle.id)).failures == 1


@case(Has.QUEUES)
async def a_second_shutdown_shortens_the_first(bench: Bench) -> None:
    shop = Shop(bench)
    async with shop.open() as queue, trio.open_nursery() as nursery:
        handle = await queue.submit(shop.slow, 1)
        await shop.until_begun(1)
        passed = bench.stopwatch()
        nursery.start_soon(queue.shutdown, bench.seconds(50))
        await bench.sleep(1)
        await queue.shutdown(grace=0)
        assert bench.about(passed(), 1)
    assert await bench.state(handle.id) is _given_back(bench)


# --- hard -----------------------------------------------------------------------------------------


@case(Has.QUEUES)
async def a_hard_stop_gives_back_what_runs(bench: Bench) -> None:
    """Cancelled from outside: at once, as an interruption; nothing is lost, nothing has failed."""
    shop = Shop(bench)
    ids: list[str] = []
    passed = bench.stopwatch()
    with trio.CancelScope() as scope:
        async with shop.open(1) as queue:
            ids = await _three(shop, queue)
            passed = bench.stopwatch()
            scope.cancel()
    assert scope.cancelled_caught
    assert bench.about(passed(), 0)
    assert shop.ended == []
    assert await bench.states(ids) == [_given_back(bench)] * 3
    assert await _blame(bench, ids) == [(0, 1), (0, 0), (0, 0)]
    assert (await bench.counts()).running == 0


@case(Has.QUEUES)
async def an_error_in_the_block_is_a_hard_stop(bench: Bench) -> None:
    shop = Shop(bench)
    ids: list[str] = []

    async def run() -> None:
        async with shop.open(1) as queue:
            ids.extend(await _three(shop, queue))
            raise KeyError("mine")

    await raised(KeyError, run)
    assert await bench.states(ids) == [_given_back(bench)] * 3
    assert await _blame(bench, ids) == [(0, 1), (0, 0), (0, 0)]


@case(Has.QUEUES, Has.REMOTE, each=["shutdown", "cancelled"])
async def what_a_stop_gave_back_is_run_by_the_next(bench: Bench, how: str) -> None:
    """First of all, and as the same attempt."""
    shop = Shop(bench)
    ids: list[str] = []
    with trio.CancelScope() as scope:
        async with shop.open(1) as queue:
            ids = await _three(shop, queue)
            if how == "shutdown":
                await queue.shutdown(grace=0)
            else:
                scope.cancel()
    async with shop.open(1) as queue:
        await queue.drain()
    assert shop.began == [0, 0, 1, 2]
    assert shop.ended == [0, 1, 2]
    assert await bench.states(ids) == [State.SUCCEEDED] * 3
    assert await _blame(bench, ids) == [(0, 1), (0, 0), (0, 0)]
