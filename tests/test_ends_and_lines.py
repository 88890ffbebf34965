"""Ends that nobody announced, and the line for room: nobody is overtaken, nobody waits for ever."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
import trio
import trio.testing
from trio.testing import MockClock

import trioqueue

tasks = trioqueue.TaskSet()


@tasks.task
async def nap(seconds: float) -> None:
    await trio.sleep(seconds)


@tasks.task(retry=trioqueue.Retry(attempts=1))
async def hopeless() -> None:
    raise trioqueue.Discard("of no use")


@tasks.task
async def janitor() -> int:
    return len(await trioqueue.current_task().queue.dead_letters.replay_all())


async def test_a_batch_as_large_as_the_room_is_not_overtaken(autojump_clock: MockClock) -> None:
    """It is first in line: whoever comes later waits behind it, or is told so."""
    async with trioqueue.open_queue(tasks, workers=4, capacity=4) as queue:
        await queue.submit(nap, 1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(queue.submit_many, [nap.bind(0)] * 4)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.WouldBlock):
                queue.submit_nowait(nap, 0)
            with trio.move_on_after(0.5) as waiting:
                await queue.submit(nap, 0)
            assert waiting.cancelled_caught
        assert trio.current_time() == 1
    assert queue.statistics().succeeded == 5


async def test_what_is_there_already_needs_no_place_in_line(autojump_clock: MockClock) -> None:
    """A submit with the key of a live task is answered at once, whoever waits for room."""
    async with trioqueue.open_queue(tasks, workers=4, capacity=4) as queue:
        keyed = queue.options(key="one")
        first = await keyed.submit(nap, 1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(queue.submit_many, [nap.bind(0)] * 4)
            await trio.testing.wait_all_tasks_blocked()
            assert keyed.submit_nowait(nap, 1).id == first.id


async def test_a_handler_that_replays_into_its_own_full_queue_is_told(
    autojump_clock: MockClock,
) -> None:
    """It holds the last place but one itself: the second letter could never have room."""
    async with trioqueue.open_queue(tasks, workers=1, capacity=2) as queue:
        for _ in range(3):
            await (await queue.submit(hopeless)).wait()
        cleaning = await queue.submit(janitor)
        with pytest.raises(trioqueue.TaskFailed, match="would wait for room"):
            await cleaning.result()


@tasks.task
async def hurried_janitor(letter: str) -> None:
    queue = trioqueue.current_task().queue
    async with trio.open_nursery() as nursery:
        nursery.start_soon(queue.dead_letters.replay, letter)
        await trio.lowlevel.checkpoint()
        queue.submit_nowait(nap, 0)  # takes the place that the replay may have seen


async def test_a_replay_whose_place_is_taken_under_its_eyes_is_told(
    autojump_clock: MockClock,
) -> None:
    """Room that was there when the replay began is no promise: its wait is looked at."""
    async with trioqueue.open_queue(tasks, workers=1, capacity=2) as queue:
        letter = await queue.submit(hopeless)
        await letter.wait()
        cleaning = await queue.submit(hurried_janitor, letter.id)
        with trio.move_on_after(50) as waiting:
            outcome = await cleaning.wait()
        assert not waiting.cancelled_caught
        assert outcome.kind in {"error", "returned"}


@pytest.mark.parametrize("how", ["deadline", "nursery"])
async def test_a_lifespan_that_ends_takes_the_queue_down(
    autojump_clock: MockClock, how: str
) -> None:
    """The workers are gone with it: the block is told, and nobody waits for ever."""

    @asynccontextmanager
    async def lifespan() -> AsyncGenerator[None]:
        if how == "deadline":
            with trio.move_on_after(1):  # noqa: ASYNC100 - the block has the checkpoints
                yield
        else:
            async with trio.open_nursery() as nursery:
                nursery.cancel_scope.deadline = trio.current_time() + 1
                yield

    short = trioqueue.TaskSet(lifespan=lifespan)
    short.task(nap.handler)
    with pytest.raises(RuntimeError, match="lifespan ended"):
        async with trioqueue.open_queue(short):
            await trio.sleep(5)
    assert trio.current_time() == 1


async def test_a_task_of_the_lifespan_may_stop_the_queue(autojump_clock: MockClock) -> None:
    """``shutdown`` waits for the workers, not for the lifespan that waits for it."""
    opened: list[trioqueue.Queue] = []

    async def watchdog() -> None:
        await trio.sleep(1)
        await opened[0].shutdown(0)

    @asynccontextmanager
    async def lifespan() -> AsyncGenerator[None]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watchdog)
            yield

    watched = trioqueue.TaskSet(lifespan=lifespan)
    watched.task(nap.handler)
    with trio.fail_after(5):
        async with trioqueue.open_queue(watched) as queue:
            opened.append(queue)
            await trio.sleep(2)
    assert trio.current_time() == 2


async def test_options_with_a_time_can_be_kept(autojump_clock: MockClock) -> None:
    """``at`` becomes a delay when something is submitted, not when the options are made."""
    async with trioqueue.open_queue(tasks) as queue:
        past = queue.options(at=datetime.now(UTC) - timedelta(seconds=1))
        soon = queue.options(at=datetime.now(UTC) + timedelta(days=1))
        assert (await past.submit(nap, 0)).state in {"ready", "running", "succeeded"}
        assert (await soon.submit(nap, 0)).state == "scheduled"
        await queue.shutdown(0)


class Busy(trioqueue.Snooze):
    def __init__(self, seconds: object) -> None:
        self.seconds = seconds  # type: ignore[assignment]


@pytest.mark.parametrize("seconds", ["30", float("inf"), float("nan"), -1, None])
async def test_an_instruction_of_no_length_is_an_ordinary_error(
    autojump_clock: MockClock, seconds: object
) -> None:
    """A subclass may have put anything in: the attempt has failed, and the pool goes on."""
    local = trioqueue.TaskSet(retry=trioqueue.Retry(attempts=2))

    @local.task
    async def busy() -> None:
        raise Busy(seconds)

    async with trioqueue.open_queue(local, workers=1) as queue:
        with pytest.raises(trioqueue.TaskFailed):
            await (await queue.submit(busy)).result()
    assert queue.statistics().dead == 1


async def test_a_broker_in_use_is_refused_and_untouched(autojump_clock: MockClock) -> None:
    """The second queue gets an error; the first goes on."""
    async with (
        trioqueue.open_memory_broker() as broker,
        trioqueue.open_queue(tasks, broker=broker) as queue,
    ):
        with pytest.raises(trioqueue.InvalidTask, match="serves a queue already"):
            async with trioqueue.open_queue(tasks, broker=broker):
                pass
        await (await queue.submit(nap, 1)).result()


async def test_a_hard_stop_accepts_nothing_more(autojump_clock: MockClock) -> None:
    """Not even what a handler's shielded clean-up submits."""
    refused: list[bool] = []
    local = trioqueue.TaskSet()

    @local.task
    async def cleans_up() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                try:
                    await trioqueue.current_task().queue.submit(cleans_up)
                except trioqueue.QueueClosed:
                    refused.append(True)

    with pytest.raises(KeyError):
        async with trioqueue.open_queue(local) as queue:
            await queue.submit(cleans_up)
            await trio.testing.wait_all_tasks_blocked()
            raise KeyError("mine")
    assert refused == [True]


async def test_observers_hear_everything_in_one_order(autojump_clock: MockClock) -> None:
    """What the first brings about, the second hears after what brought it about."""
    heard: list[str] = []

    def purge(event: trioqueue.Event) -> None:
        if event.name == "died":
            queue.dead_letters.purge(event.task_id)

    def note(event: trioqueue.Event) -> None:
        heard.append(event.name)

    async with trioqueue.open_queue(tasks, observers=[purge, note]) as queue:
        await queue.submit(hopeless)
    assert heard == ["submitted", "started", "died", "purged"]


async def test_an_observer_that_wants_out_breaks_no_step(autojump_clock: MockClock) -> None:
    """Even ``sys.exit()`` in an observer is logged and the observer dropped: the task ends."""

    def leave(event: trioqueue.Event) -> None:
        raise SystemExit(event.name)

    async with trioqueue.open_queue(tasks, observers=[leave]) as queue:
        handle = await queue.submit(nap, 1)
    assert (await handle.wait()).kind == "returned"
