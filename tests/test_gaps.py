"""What a planted bug has shown to be tested by nothing else: one promise each."""

import signal
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests import scenarios
from tests.contract import ONCE, Observer, a_task, anything, opened, take, verdict
from tests.handlers import for_ever, rest, tasks
from trioqueue import MemoryBroker, Move, Retry, State, TaskSet, open_memory_broker, open_queue
from trioqueue._model import Lease
from trioqueue.testing import cancel_everywhere

#: Whether this or that Trio task runs first is drawn each time: both must have come up.
ROUNDS = 20


# --- stops ---------------------------------------------------------------------------------------


async def test_a_second_shutdown_never_prolongs_the_first(autojump_clock: MockClock) -> None:
    async with opened(tasks) as queue, trio.open_nursery() as nursery:
        await queue.submit(for_ever)
        await trio.sleep(1)
        nursery.start_soon(queue.shutdown, 5)
        await trio.sleep(1)
        await queue.shutdown(grace=100)
        assert trio.current_time() == 6


async def test_a_worker_that_is_born_during_a_stop_does_not_park(
    autojump_clock: MockClock,
) -> None:
    """It replaces one that was cancelled just before; nobody would ever wake it."""
    for _ in range(ROUNDS):
        async with opened(tasks, workers=1) as queue:
            await wait_all_tasks_blocked()
            (worker,) = queue.pool._workers
            worker.life.cancel()
            await queue.shutdown(grace=100)
        assert trio.current_time() == 0


async def test_no_handler_begins_in_a_queue_that_is_cancelled_from_outside(
    autojump_clock: MockClock,
) -> None:
    """What a stop gives back is ready at the front, and the worker that gave it back is free."""
    local = TaskSet()
    started = 0

    @local.task
    async def count() -> None:
        nonlocal started
        started += 1
        if started <= ROUNDS:  # or else a broken pool would begin it for ever
            await trio.sleep_forever()

    for number in range(ROUNDS):
        with trio.CancelScope() as scope:
            async with opened(local, workers=1) as queue:
                for _ in range(3):
                    await queue.submit(count)
                await wait_all_tasks_blocked()
                scope.cancel()
                await trio.sleep_forever()
        assert started == number + 1


async def test_a_drain_waits_for_a_submitter_who_was_let_in() -> None:
    """Its task is in no table yet, but it holds a place already."""
    for _ in range(ROUNDS):
        async with open_memory_broker(1) as broker, trio.open_nursery() as nursery:
            await broker.publish([a_task("first")])
            nursery.start_soon(broker.publish, [a_task("second")])
            await wait_all_tasks_blocked()
            settle(broker, take(broker))
            nursery.start_soon(_end_all, broker)
            await broker.drain()
            second = broker.get("second")
            assert second is not None
            assert second.state is State.SUCCEEDED


async def _end_all(broker: MemoryBroker) -> None:
    await wait_all_tasks_blocked()
    settle(broker, take(broker))


def settle(broker: MemoryBroker, lease: Lease) -> None:
    assert broker.settle_nowait(verdict(lease, Move.SUCCEEDED), trio.current_time())


@pytest.mark.main
def test_a_worker_may_be_cancelled_at_every_step_of_its_own() -> None:
    """There is no moment in which it has claimed a task and does not own it yet."""
    report = cancel_everywhere(scenarios.capped_types_compete, kinds=["worker"])
    assert report.strikes["worker"] > 100


# --- waiting -------------------------------------------------------------------------------------


async def test_a_quick_submit_does_not_overtake_a_batch_in_line(autojump_clock: MockClock) -> None:
    """There is a place for it, but the batch before it needs two."""
    async with opened(tasks, workers=1, capacity=2) as queue, trio.open_nursery() as nursery:
        await queue.submit(rest)
        nursery.start_soon(queue.submit_many, [rest.bind(), rest.bind()])
        await wait_all_tasks_blocked()
        with pytest.raises(trio.WouldBlock):
            queue.submit_nowait(rest)


async def test_a_retry_does_not_expire(autojump_clock: MockClock) -> None:
    """Only the first start has to be in time."""
    local = TaskSet(retry=Retry(attempts=2, initial=5, maximum=5))
    starts: list[float] = []

    @local.task(expires=1)
    async def flaky() -> None:
        starts.append(trio.current_time())
        if len(starts) == 1:
            raise OSError

    async with opened(local) as queue:
        await (await queue.submit(flaky)).result()
    assert starts == [0, 5]


async def test_what_has_expired_is_not_claimed_whatever_the_timer_does(
    mock_clock: MockClock,
) -> None:
    """Its alarm rings when Trio comes round to it, and a worker may be there before."""
    async with open_memory_broker() as broker:
        await broker.publish([a_task("1", expires=3)])
        mock_clock.jump(3)
        assert broker.claim_nowait(anything, trio.current_time()) is None
        assert broker.counts().expired == 1


# --- threads and signals -------------------------------------------------------------------------


async def test_two_threads_of_two_workers_meet() -> None:
    local = TaskSet(retry=ONCE)
    meeting = threading.Barrier(2)

    @local.task
    def meet() -> None:
        meeting.wait(timeout=10)  # not for ever: a thread cannot be cancelled

    async with open_queue(local, workers=2) as queue:
        handles = [queue.submit_nowait(meet) for _ in range(2)]
        for handle in handles:
            await handle.result()


async def test_a_queue_is_opened_and_left_under_protection_from_ctrl_c() -> None:
    """Without the toolkit's own `open_test_queue` round it, which would pass its protection on."""
    seen: list[bool] = []

    def observers() -> Iterator[Observer]:
        seen.append(trio.lowlevel.currently_ki_protected())  # in a frame of open_queue's
        yield seen.count

    async with open_queue(tasks, workers=1, observers=observers()):
        seen.append(trio.lowlevel.currently_ki_protected())
    assert seen == [True, False]


@asynccontextmanager
async def nothing(_: object) -> AsyncGenerator[None]:
    yield


@pytest.mark.parametrize("around", [None, nothing])
@pytest.mark.parametrize("thread", [False, True])
def test_ctrl_c_interrupts_a_busy_handler(around: object, thread: bool) -> None:
    """Our own code is protected from it, and a handler must not inherit that."""
    local = TaskSet(retry=ONCE, around=around)  # type: ignore[arg-type]
    passed: list[bool] = []

    def work() -> None:
        signal.raise_signal(signal.SIGINT)
        passed.append(True)

    async def async_work() -> None:
        work()

    task = local.task(name="busy")(work if thread else async_work)

    async def main() -> None:
        async with open_queue(local, workers=1) as queue:
            await (await queue.submit(task)).wait()

    with pytest.raises(KeyboardInterrupt):
        trio.run(main, clock=MockClock(autojump_threshold=0))
    assert not passed
