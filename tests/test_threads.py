"""Plain ``def`` handlers: in worker threads on the real clock, inline on the virtual one."""

import threading

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.contract import ONCE, opened
from trioqueue import OutcomeKind, Retry, TaskSet, current_task

#: Real seconds after which a test here is taken for one that hangs.
LONG = 60


class Gate:
    """Threads wait here until they are let go; tells when they have come."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.came = threading.Semaphore(0)

    def pass_through(self) -> None:
        self.came.release()
        assert self.open.wait(LONG)

    async def wait_for(self, count: int) -> None:
        """Wait until so many have come."""
        for _ in range(count):
            await trio.to_thread.run_sync(self.came.acquire, limiter=trio.CapacityLimiter(1))


@pytest.fixture
def gate() -> Gate:
    return Gate()


async def test_a_plain_function_runs_in_a_thread() -> None:
    local = TaskSet()

    @local.task
    def where(word: str) -> tuple[str, bool]:
        return word, threading.current_thread() is threading.main_thread()

    async with opened(local, within=LONG) as queue:
        assert await (await queue.submit(where, "here")).result() == ("here", False)


async def test_current_task_works_inside_a_thread() -> None:
    """And there is a way back to Trio from there."""
    local = TaskSet()

    @local.task
    def look() -> tuple[str, int, bool]:
        me = current_task()
        me.progress(1, 2)
        return me.id, me.attempt, trio.from_thread.run_sync(trio.current_time) > 0

    async with opened(local, within=LONG) as queue:
        handle = await queue.submit(look)
        assert await handle.result() == (handle.id, 1, True)


async def test_an_error_in_a_thread_is_a_failure_like_any_other() -> None:
    local = TaskSet(retry=Retry(attempts=3, initial=0))
    threads: list[int] = []

    @local.task
    def bad() -> None:
        threads.append(current_task().attempt)
        raise OSError("bad")

    async with opened(local, within=LONG) as queue:
        outcome = await (await queue.submit(bad)).wait()
    assert (outcome.kind, threads) == (OutcomeKind.ERROR, [1, 2, 3])


@pytest.mark.parametrize("workers", [1, 3, 50])
async def test_as_many_threads_as_workers_run_at_once(workers: int, gate: Gate) -> None:
    """More than Trio's own 40, which are left to the rest of the program."""
    local = TaskSet()
    own = trio.to_thread.current_default_thread_limiter()

    @local.task
    def wait() -> None:
        gate.pass_through()

    async with opened(local, workers=workers, within=LONG) as queue:
        for _ in range(workers + 1):
            queue.submit_nowait(wait)
        await gate.wait_for(workers)
        assert queue.statistics().running == workers
        assert own.borrowed_tokens == 0
        gate.open.set()


async def test_a_value_from_a_thread_after_the_timeout_is_a_late_success(gate: Gate) -> None:
    """A thread is never abandoned: its attempt lasts until it returns."""
    local = TaskSet(retry=ONCE)

    @local.task(timeout=0.05)
    def slow() -> str:
        gate.pass_through()
        return "late"

    async with opened(local, workers=1, within=LONG) as queue:
        handle = await queue.submit(slow)
        await gate.wait_for(1)
        await trio.sleep(0.1)  # past the deadline
        assert handle.state == "running"
        gate.open.set()
        outcome = await handle.wait()
    assert (outcome.kind, outcome.value, outcome.late) == (OutcomeKind.RETURNED, "late", True)


async def test_an_error_from_a_thread_after_the_timeout_is_a_timeout(gate: Gate) -> None:
    local = TaskSet(retry=ONCE)

    @local.task(timeout=0.05)
    def slow() -> None:
        gate.pass_through()
        raise OSError("late")

    async with opened(local, workers=1, within=LONG) as queue:
        handle = await queue.submit(slow)
        await gate.wait_for(1)
        await trio.sleep(0.1)  # past the deadline
        gate.open.set()
        outcome = await handle.wait()
    assert outcome.kind is OutcomeKind.TIMEOUT
    assert isinstance(outcome.exception, OSError)


async def test_a_thread_can_look_whether_it_was_cancelled(gate: Gate) -> None:
    local = TaskSet(retry=ONCE)

    @local.task
    def polite() -> None:
        gate.pass_through()
        trio.from_thread.check_cancelled()

    async with opened(local, workers=1, within=LONG) as queue:
        handle = await queue.submit(polite)
        await gate.wait_for(1)
        assert await handle.cancel()
        gate.open.set()
        outcome = await handle.wait()
    assert outcome.kind is OutcomeKind.CANCELLED


async def test_a_thread_that_ignores_its_cancellation_has_succeeded(gate: Gate) -> None:
    local = TaskSet()

    @local.task
    def stubborn() -> str:
        gate.pass_through()
        return "value"

    async with opened(local, workers=1, within=LONG) as queue:
        handle = await queue.submit(stubborn)
        await gate.wait_for(1)
        assert await handle.cancel()
        gate.open.set()
        outcome = await handle.wait()
    assert (outcome.value, outcome.cancel_ignored) == ("value", True)


async def test_a_stop_waits_for_a_thread(gate: Gate) -> None:
    """It cannot be stopped from outside; its value still counts."""
    local = TaskSet()

    @local.task
    def stubborn() -> str:
        gate.pass_through()
        return "value"

    async with opened(local, workers=1, within=LONG) as queue:
        handle = await queue.submit(stubborn)
        await gate.wait_for(1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(queue.shutdown, 0)
            await wait_all_tasks_blocked()
            (record,) = queue.unfinished()
            assert (record.id, record.state) == (handle.id, "running")
            gate.open.set()
    assert await handle.result() == "value"


async def test_a_thread_submits_through_trio() -> None:
    """From inside a handler's thread the queue knows whose handler it is."""
    local = TaskSet(retry=ONCE)

    @local.task
    def parent() -> str:
        queue = current_task().queue
        handle = trio.from_thread.run(queue.submit, child)
        result: str = trio.from_thread.run(handle.result)
        return result

    @local.task
    def child() -> str:
        return "child"

    async with opened(local, workers=2, within=LONG) as queue:
        assert await (await queue.submit(parent)).result() == "child"
    async with opened(local, workers=1, within=LONG) as queue:
        outcome = await (await queue.submit(parent)).wait()
    assert "WouldDeadlock" in str(outcome.error)


async def nap() -> None:
    raise AssertionError("never run")


def returns_a_coroutine() -> object:
    return nap()


async def test_a_plain_function_that_returns_a_coroutine_is_told() -> None:
    """The likely slip: a lambda, or a wrapper, round an async function."""
    local = TaskSet(retry=ONCE)
    task = local.task(returns_a_coroutine)
    async with opened(local, within=LONG) as queue:
        outcome = await (await queue.submit(task)).wait()
    assert isinstance(outcome.exception, TypeError)
    assert "returns_a_coroutine" in str(outcome.exception)
    assert "async" in str(outcome.exception)


# --- on the virtual clock ------------------------------------------------------------------------


async def test_on_the_virtual_clock_a_plain_function_runs_inline(
    autojump_clock: MockClock,
) -> None:
    """Virtual time would run away while a thread works."""
    local = TaskSet(retry=ONCE)
    retried: list[float] = []

    @local.task(timeout=5)
    def where() -> tuple[bool, str]:
        return threading.current_thread() is threading.main_thread(), current_task().type

    @local.task(retry=Retry(attempts=2, initial=1))
    def bad() -> None:
        retried.append(trio.current_time())
        raise OSError

    async with opened(local) as queue:
        assert await (await queue.submit(where)).result() == (True, "where")
        await (await queue.submit(bad)).wait()
        assert retried == [0, 1]
