"""Cases of a queue at work on the broker: from ``submit`` to ``result``, and what may go wrong."""

from __future__ import annotations

import os
import platform

import trio

from ... import State, TaskCancelled, TaskFailed
from ._bench import Bench, raised
from ._case import Has, case
from ._shop import SLOW, Shop


@case(Has.QUEUES)
async def what_is_submitted_is_run_and_answered(bench: Bench) -> None:
    shop = Shop(bench)
    async with shop.open() as queue:
        handles = [await queue.submit(shop.quick, n) for n in range(20)]
        assert [await handle.result() for handle in handles] == [2 * n for n in range(20)]
    counts = await bench.counts()
    assert (counts.submitted, counts.succeeded) == (20, 20)


@case(Has.QUEUES)
async def a_queue_at_work_is_seen_among_the_workers(bench: Bench) -> None:
    shop = Shop(bench)
    async with shop.open(3) as queue:
        await (await queue.submit(shop.quick, 1)).result()
        (record,) = [worker for worker in await queue.inspector.workers() if worker.live]
        assert (record.pid, record.host) == (os.getpid(), platform.node())
        assert record.workers == 3
        assert shop.quick.name in record.types
    assert not any(worker.live for worker in await bench.inspector.workers())


@case(Has.QUEUES)
async def a_batch_is_run_in_its_order(bench: Bench) -> None:
    shop = Shop(bench)
    async with shop.open(1) as queue:
        await queue.submit_many([shop.quick.bind(n) for n in range(20)])
        await queue.drain()
    assert shop.ended == list(range(20))


@case(Has.QUEUES)
async def a_failed_attempt_is_tried_again_when_it_is_due(bench: Bench) -> None:
    shop = Shop(bench)
    async with shop.open() as queue:
        passed = bench.stopwatch()
        handle = await queue.submit(shop.flaky, 7)
        assert await handle.result() == 14
        assert bench.about(passed(), 2)
        task = await bench.get(handle.id)
        assert (task.failures, task.deliveries) == (1, 2)


@case(Has.QUEUES)
async def a_task_that_fails_for_good_is_a_dead_letter(bench: Bench) -> None:
    shop = Shop(bench)

    @shop.tasks.task(retry=None)
    async def broken() -> None:
        await trio.lowlevel.checkpoint()
        raise ValueError("for good")

    async with shop.open() as queue:
        handle = await queue.submit(broken)
        error = await raised(TaskFailed, handle.result)
        assert "for good" in error.error
        (letter,) = await queue.inspector.dead_letters()
        assert letter.id == handle.id


@case(Has.QUEUES)
async def a_running_task_is_cancelled_by_request(bench: Bench) -> None:
    shop = Shop(bench)
    async with shop.open() as queue:
        handle = await queue.submit(shop.slow, 1)
        await shop.until_begun(1)
        assert await handle.cancel()
        await raised(TaskCancelled, handle.result)
        assert await bench.state(handle.id) is State.CANCELLED
    assert shop.ended == []


@case(Has.QUEUES)
async def whose_lease_is_lost_stops_and_writes_nothing(bench: Bench) -> None:
    """The handler is cancelled at once; the task runs again, and nothing counts as a failure."""
    shop = Shop(bench)
    async with shop.open() as queue:
        handle = await queue.submit(shop.slow, 1)
        await shop.until_begun(1)
        assert await bench.inspector.revoke(handle.id)
        assert await handle.result() == 2
        task = await bench.get(handle.id)
        assert (task.failures, task.deliveries, task.trace().losses) == (0, 2, 1)
    assert (shop.began, shop.ended) == ([1, 1], [1])


@case(Has.QUEUES)
async def workers_leave_a_paused_queue_alone(bench: Bench) -> None:
    shop = Shop(bench)
    async with shop.open() as queue:
        await bench.inspector.pause("default")
        handle = await queue.submit(shop.quick, 1)
        await bench.sleep()
        assert shop.began == []
        await bench.inspector.resume("default")
        assert await handle.result() == 2


@case(Has.QUEUES, Has.LEASES)
async def a_long_handler_keeps_its_lease(bench: Bench) -> None:
    """It is renewed for as long as the handler runs."""
    shop = Shop(bench)

    @shop.tasks.task
    async def long() -> str:
        await trio.sleep(4 * bench.broker.lease)
        return "done"

    async with shop.open() as queue:
        handle = await queue.submit(long)
        assert await handle.result() == "done"
        task = await bench.get(handle.id)
        assert (task.deliveries, task.trace().losses) == (1, 0)


@case(Has.QUEUES, Has.SHARED)
async def one_submits_and_another_works(bench: Bench) -> None:
    """A producer without workers, and a worker in another process."""
    shop = Shop(bench)
    async with bench.another() as other, shop.open(0) as producer, shop.open(broker=other):
        handles = [await producer.submit(shop.quick, n) for n in range(9)]
        assert [await handle.result() for handle in handles] == [2 * n for n in range(9)]


@case(Has.QUEUES, Has.SHARED)
async def two_queues_share_the_work(bench: Bench) -> None:
    """Nothing runs twice, nothing is left."""
    shop = Shop(bench)
    async with bench.another() as other, shop.open(2) as first, shop.open(2, broker=other):
        for n in range(12):
            await first.submit(shop.slow, n)
        await first.drain()
    assert sorted(shop.ended) == sorted(shop.began) == list(range(12))


@case(Has.QUEUES, Has.SHARED)
async def a_cancellation_from_another_process_reaches_the_handler(bench: Bench) -> None:
    shop = Shop(bench)
    async with bench.another() as other, shop.open(0, broker=other) as producer, shop.open():
        handle = await producer.submit(shop.slow, 1)
        await shop.until_begun(1)
        assert await handle.cancel()
        await bench.promptly(raised, TaskCancelled, handle.result, units=SLOW)
    assert shop.ended == []
