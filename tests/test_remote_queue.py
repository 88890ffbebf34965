"""A queue in a file, or on Redis: the same handlers and words, what differs, what is refused."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.contract import ONCE, history
from tests.durable import OnServer, Place, in_file
from trioqueue import (
    DeadLetter,
    Discard,
    InvalidArguments,
    InvalidTask,
    OutcomeKind,
    QueueClosed,
    QueuePaused,
    ResultExpired,
    ResultNotStored,
    Retry,
    Snooze,
    State,
    TaskCancelled,
    TaskExpired,
    TaskFailed,
    TaskSet,
    UnknownTask,
    current_task,
    open_queue,
)

tasks = TaskSet(retry=Retry(attempts=3, initial=1, maximum=1))
ran: list[Any] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    ran.clear()


@pytest.fixture(params=["file", "redis"])
def path(request: pytest.FixtureRequest, tmp_path: Place) -> Place:
    if request.param == "file":
        return tmp_path / "jobs.db"
    server, queue = (request.getfixturevalue(name) for name in ("redis_server", "redis_queue"))
    return OnServer(server, queue)


@tasks.task
async def double(number: int) -> int:
    ran.append(number)
    return 2 * number


@tasks.task
async def rest(seconds: float) -> str:
    await trio.sleep(seconds)
    return "rested"


@tasks.task(limit=1)
async def single(number: int) -> int:
    ran.append(("began", number))
    await trio.sleep(1)
    ran.append(("ended", number))
    return number


@tasks.task
async def when() -> datetime:
    return datetime(2026, 1, 2, tzinfo=UTC)


@tasks.task
async def odd() -> Any:
    return object()


@tasks.task
async def fail(times: int) -> int:
    if current_task().attempt <= times:
        raise ValueError("bad")
    return current_task().attempt


@tasks.task(retry=ONCE)
async def once() -> None:
    raise ValueError("bad")


@tasks.task
async def snooze_once() -> str:
    if len(ran) == 0:
        ran.append("snoozed")
        raise Snooze(5)
    return "awake"


@tasks.task
async def discard() -> None:
    raise Discard("no use")


@tasks.task(timeout=1)
async def too_long() -> None:
    await trio.sleep(9)


@tasks.task
def in_a_thread(number: int) -> int:
    return number + 1


@tasks.task
async def fan_out(number: int) -> int:
    queue = current_task().queue
    handles = [await queue.submit(double, n) for n in range(number)]
    return sum([await handle.result() for handle in handles])


# --- results -------------------------------------------------------------------------------------


async def test_results_come_back_as_the_handler_says(
    path: Place, autojump_clock: MockClock
) -> None:
    async with in_file(path, tasks) as queue:
        handle = await queue.submit(double, 21)
        assert await handle.result() == 42
        assert await handle.result() == 42, "again"
        assert handle.state is State.SUCCEEDED
        assert await (await queue.submit(when)).result() == datetime(2026, 1, 2, tzinfo=UTC)
        assert await (await queue.submit(in_a_thread, 1)).result() == 2
        assert history(queue, handle.id) == ["submitted", "started", "succeeded"]


async def test_a_failing_task_is_retried_and_dies(path: Place, autojump_clock: MockClock) -> None:
    async with in_file(path, tasks) as queue:
        survivor = await queue.submit(fail, 2)
        victim = await queue.submit(fail, 3)
        assert await survivor.result() == 3
        with pytest.raises(TaskFailed, match="failed after 3 attempts: ValueError: bad"):
            await victim.result()
        (letter,) = await queue.inspector.dead_letters()
        assert (letter.id, letter.failures, letter.args) == (victim.id, 3, (3,))
        assert [str(error) for error in letter.errors] == ["ValueError: bad"] * 3
        handle = await queue.dead_letters.replay(victim.id)
        with pytest.raises(TaskFailed):
            await handle.result()
        assert len(await queue.dead_letters.replay_all()) == 1


async def test_every_end_is_told(path: Place, autojump_clock: MockClock) -> None:
    async with in_file(path, tasks) as queue:
        assert await (await queue.submit(snooze_once)).result() == "awake"
        with pytest.raises(TaskFailed, match="Discard: no use"):
            await (await queue.submit(discard)).result()
        with pytest.raises(TaskFailed, match="timed out after 3 attempts"):
            await (await queue.submit(too_long)).result()
        with pytest.raises(ResultNotStored, match="odd"):
            await (await queue.submit(odd)).result()
        delayed = await queue.options(delay=50).submit(double, 1)
        assert delayed.state is State.SCHEDULED
        assert await delayed.cancel()
        with pytest.raises(TaskCancelled):
            await delayed.result()
        running = await queue.submit(rest, 1_000)
        await trio.sleep(1)
        assert await running.cancel()
        with pytest.raises(TaskCancelled):
            await running.result()
        await queue.inspector.pause("mail")
        late = await queue.options(queue="mail", expires=5).submit(double, 1)
        with pytest.raises(TaskExpired, match=r"5.0 s"):
            await late.result()


async def test_results_and_tombstones_end(path: Place, autojump_clock: MockClock) -> None:
    async with in_file(path, tasks, broker={"retention": 60}) as queue:
        handle = await queue.submit(double, 1)
        await handle.wait()
    async with in_file(path, tasks, workers=0, within=1e6, broker={"retention": 60}) as queue:
        again = queue.handle(handle.id)
        await trio.sleep(100)
        with pytest.raises(ResultExpired):
            await again.result()
        await trio.sleep(86_400)
        with pytest.raises(UnknownTask):
            await queue.handle(handle.id).result()
        with pytest.raises(UnknownTask):
            await queue.handle("nobody").result()


async def test_a_handle_is_found_again_by_its_id(path: Place, autojump_clock: MockClock) -> None:
    async with in_file(path, tasks, workers=0) as queue:
        task_id = (await queue.submit(double, 4)).id
        dead = (await queue.submit(once)).id
    async with in_file(path, tasks) as queue:
        handle = queue.handle(task_id)
        with pytest.raises(LookupError, match="not known yet"):
            handle.state  # noqa: B018 - the property itself raises
        assert await handle.result() == 8
        assert (handle.state, handle.type) == (State.SUCCEEDED, "double")
        with pytest.raises(TaskFailed, match=r"\(once\) failed after 1 attempt"):
            await queue.handle(dead).result()


# --- what outlives the block ---------------------------------------------------------------------


async def test_what_is_not_run_stays_in_the_file(path: Place, autojump_clock: MockClock) -> None:
    """A producer leaves at once; the next process runs what it left, delayed tasks included."""
    async with in_file(path, tasks, workers=0) as queue:
        for number in range(5):
            await queue.submit(double, number)
        await queue.options(delay=30).submit(double, 9)
    assert trio.current_time() == 0
    async with in_file(path, tasks) as queue:
        await queue.drain()
        assert ran == [0, 1, 2, 3, 4, 9]
        assert trio.current_time() == 30


async def test_leaving_waits_for_what_runs_here_and_no_more(
    path: Place, autojump_clock: MockClock
) -> None:
    async with in_file(path, tasks, workers=1) as queue:
        slow = await queue.submit(rest, 100)
        await queue.submit(double, 1)
        await trio.sleep(1)
    assert trio.current_time() == 100, "renewed for as long as it took"
    assert ran == []
    async with in_file(path, tasks, workers=0) as queue:
        assert await queue.handle(slow.id).result() == "rested"
        assert (await queue.inspector.counts()).ready == 1


async def test_a_stop_gives_back_what_did_not_end(path: Place, autojump_clock: MockClock) -> None:
    async with in_file(path, tasks, workers=2) as queue:
        handles = [await queue.submit(rest, 100) for _ in range(3)]
        await trio.sleep(1)
        unfinished = await queue.shutdown(grace=5)
        assert trio.current_time() == 6
        assert {one.id for one in unfinished} == {handle.id for handle in handles[:2]}
        with pytest.raises(QueueClosed):
            await queue.submit(double, 1)
    async with in_file(path, tasks, workers=0) as queue:
        counts = await queue.inspector.counts()
        assert (counts.ready, counts.running) == (3, 0)
        first = await queue.inspector.get(handles[0].id)
        assert first is not None
        assert (first.failures, first.trace().interruptions) == (0, 1)


async def test_a_cancelled_block_gives_back_as_well(path: Place, autojump_clock: MockClock) -> None:
    with trio.move_on_after(3):
        async with in_file(path, tasks) as queue:
            for _ in range(5):
                await queue.submit(rest, 100)
            await trio.sleep_forever()
    assert trio.current_time() == 3
    async with in_file(path, tasks, workers=0) as queue:
        counts = await queue.inspector.counts()
        assert (counts.ready, counts.running) == (5, 0)


async def test_close_refuses_and_what_is_accepted_stays(
    path: Place, autojump_clock: MockClock
) -> None:
    async with in_file(path, tasks) as queue:
        handle = await queue.submit(double, 1)
        queue.close()
        with pytest.raises(QueueClosed):
            await queue.submit(double, 2)
        assert await handle.result() == 2


# --- limits, order, lanes ------------------------------------------------------------------------


async def test_a_limit_holds_and_blocks_nobody_else(path: Place, autojump_clock: MockClock) -> None:
    async with in_file(path, tasks, workers=4) as queue:
        for number in range(3):
            await queue.submit(single, number)
        handles = [await queue.submit(double, n) for n in range(3)]
        assert [await handle.result() for handle in handles] == [0, 2, 4]
        assert trio.current_time() < 1
        await queue.drain()
        assert trio.current_time() == 3
    singles = [one for one in ran if isinstance(one, tuple)]
    assert singles == [(what, n) for n in range(3) for what in ("began", "ended")]


async def test_handlers_may_wait_for_what_they_submit(
    path: Place, autojump_clock: MockClock
) -> None:
    async with in_file(path, tasks, workers=2) as queue:
        assert await (await queue.submit(fan_out, 5)).result() == 20


async def test_only_the_queues_that_are_asked_for_are_served(
    path: Place, autojump_clock: MockClock
) -> None:
    async with in_file(path, tasks, queues=["mail"]) as queue:
        other = await queue.submit(double, 1)
        mail = await queue.options(queue="mail").submit(double, 2)
        assert await mail.result() == 4
        await queue.drain()
        task = await queue.inspector.get(other.id)
        assert task is not None
        assert task.state is State.READY


async def test_drain_waits_for_what_others_submit_and_says_if_it_cannot_end(
    path: Place, autojump_clock: MockClock
) -> None:
    async with in_file(path, tasks) as queue, in_file(path, tasks, workers=0) as producer:
        await producer.submit(rest, 10)
        await queue.drain()
        assert trio.current_time() == 10
        await queue.inspector.pause()
        await producer.submit(double, 1)
        with pytest.raises(QueuePaused, match="default"):
            await queue.drain()
        await queue.inspector.resume()
        await queue.drain()
    assert ran == [1]


# --- what is refused -----------------------------------------------------------------------------


async def test_what_cannot_be_stored_is_refused_at_the_submit(
    path: Place, autojump_clock: MockClock
) -> None:
    async with in_file(path, tasks) as queue:
        with pytest.raises(InvalidArguments, match="number"):
            await queue.submit(double, "four")  # type: ignore[arg-type]
        assert (await queue.inspector.counts()).submitted == 0


async def test_what_needs_a_broker_at_hand_says_so(path: Place, autojump_clock: MockClock) -> None:
    async with in_file(path, tasks) as queue:
        for call in (
            lambda: queue.submit_nowait(double, 1),
            lambda: queue.options(delay=1).submit_nowait(double, 1),
            queue.statistics,
            queue.pause,
            queue.resume,
            queue.dead_letters.list,
            lambda: queue.dead_letters.purge("x"),
            lambda: len(queue.dead_letters),
        ):
            with pytest.raises(TypeError, match="await queue"):
                call()
        assert (await queue.inspector.counts()).submitted == 0


async def test_a_bad_opening_names_what_is_wrong(path: Place) -> None:
    for options, words in (
        ({"broker": f"sqlite:///{path}", "capacity": 5}, "capacity"),
        ({"broker": None, "workers": 0}, "workers"),
        ({"broker": "postgres://x"}, "sqlite"),
    ):
        with pytest.raises(InvalidTask, match=words):
            async with open_queue(tasks, **options):  # type: ignore[arg-type]
                pass


async def test_a_url_opens_a_file(tmp_path: Path) -> None:
    """On real clocks and the real thread."""
    path = tmp_path / "jobs.db"
    async with open_queue(tasks, broker=f"sqlite:///{path}?synchronous=normal") as queue:
        handles = await queue.submit_many([double.bind(n) for n in range(100)])
        assert [await handle.result() for handle in handles] == [2 * n for n in range(100)]
        assert await (await queue.submit(in_a_thread, 1)).result() == 2
    assert await trio.Path(path).exists()


# --- times ---------------------------------------------------------------------------------------


async def test_at_is_a_wall_clock_time(path: Place, autojump_clock: MockClock) -> None:
    async with in_file(path, tasks) as queue:
        at = datetime.now(UTC) + timedelta(seconds=100)
        handle = await queue.options(at=at).submit(double, 1)
        await handle.result()
        assert 95 < trio.current_time() < 105


async def test_a_key_is_unique_across_processes(path: Place, autojump_clock: MockClock) -> None:
    async with in_file(path, tasks, workers=0) as one, in_file(path, tasks, workers=0) as two:
        first = await one.options(key="k", delay=9).submit(double, 1)
        second = await two.options(key="k").submit(double, 2)
        assert first.id == second.id
        assert second.state is State.SCHEDULED
        assert await second.cancel()
        third = await two.options(key="k").submit(double, 3)
        assert third.id != first.id


async def test_the_on_dead_hook_is_told_after_the_letter_is_stored(
    path: Place, autojump_clock: MockClock
) -> None:
    told: list[DeadLetter] = []
    dying = TaskSet(retry=ONCE, on_dead=told.append)

    @dying.task
    async def die() -> None:
        raise ValueError("bad")

    async with in_file(path, dying) as queue:
        handle = await queue.submit(die)
        outcome = await handle.wait()
        assert outcome.kind is OutcomeKind.ERROR
        await wait_all_tasks_blocked()
        assert [letter.id for letter in told] == [handle.id]
