"""Whatever one handler does, its siblings, its successor and the pool do not notice."""

from dataclasses import dataclass

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.attempts import LEAKY, end_worker_of
from tests.contract import ONCE, capture, opened
from tests.handlers import rest, tasks
from tests.test_records import BrokenNotes, ExitingStr
from trioqueue import Retry, TaskSet

# --- context variables ---------------------------------------------------------------------------


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("before", ["unset", 0, []], ids=repr)
async def test_what_a_handler_sets_does_not_reach_the_next(
    before: object, fails: bool, autojump_clock: MockClock
) -> None:
    """Not by a value that is equal to the one before either: False is not 0."""
    local = TaskSet(retry=ONCE)
    seen: list[object] = []

    @local.task
    async def leak() -> None:
        seen.append(LEAKY.get())
        LEAKY.set(False if before == 0 else [])
        if fails:
            raise OSError

    if before != "unset":
        LEAKY.set(before)
    expected = LEAKY.get()
    async with opened(local, workers=1) as queue:
        for _ in range(3):
            await (await queue.submit(leak)).wait()
    assert all(value is expected for value in seen), seen


class Unequal:
    """Cannot be compared: an array cannot either."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise ValueError("the truth value is ambiguous")


async def test_values_in_the_context_are_never_compared(autojump_clock: MockClock) -> None:
    local = TaskSet(retry=ONCE)

    @local.task
    async def leak(fails: bool) -> None:
        LEAKY.set(Unequal())
        if fails:
            raise OSError

    LEAKY.set(Unequal())
    async with opened(local, workers=1) as queue:
        for fails in (False, True, False):
            await (await queue.submit(leak, fails)).wait()
    assert queue.statistics().succeeded == 2


async def test_a_handler_starts_in_the_context_of_the_opening(autojump_clock: MockClock) -> None:
    """And not in that of whoever submits, or called the worker."""
    local = TaskSet()

    @local.task
    async def look() -> object:
        return LEAKY.get()

    LEAKY.set("at the opening")
    async with opened(local, workers=2) as queue:
        LEAKY.set("at the submit")
        for _ in range(5):
            assert await (await queue.submit(look)).result() == "at the opening"


class Unreadable(Exception):
    def __getattribute__(self, name: str) -> object:
        raise RuntimeError("nothing can be asked of it")


@dataclass(frozen=True)
class Frozen(Exception):
    code: int = 3


def a_deep_group() -> Exception:
    error: Exception = OSError()
    for _ in range(5_000):
        error = ExceptionGroup("deep", [error])
    return error


def a_long_chain() -> Exception:
    error = OSError("first")
    for _ in range(5_000):
        error, cause = OSError(), error
        error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "make", [ExitingStr, BrokenNotes, Unreadable, Frozen, a_deep_group, a_long_chain]
)
async def test_no_exception_can_harm_the_pool(
    make: type[Exception], autojump_clock: MockClock
) -> None:
    """However broken the exception is itself: its task is dead, and the next one runs."""
    local = TaskSet(retry=Retry(attempts=2))

    @local.task
    async def bad() -> None:
        raise make()

    @local.task
    async def good() -> str:
        return "good"

    async with opened(local, workers=1) as queue:
        handle = await queue.submit(bad)
        assert await (await queue.submit(good)).result() == "good"
        await handle.wait()
        (letter,) = queue.dead_letters.list()
    assert letter.failures == 2
    assert letter.error is not None


async def test_siblings_do_not_notice_a_failure(autojump_clock: MockClock) -> None:
    local = TaskSet(retry=ONCE)

    @local.task
    async def bad(error: BaseException) -> None:
        await trio.sleep(1)
        raise error

    async with opened(local, workers=6) as queue:
        handles = [await queue.submit(bad, error) for error in (OSError(), SystemExit())]
        handles.append(await queue.submit(bad, ExceptionGroup("g", [OSError()])))
        slow = await queue.submit(bad, KeyError())
        for handle in [*handles, slow]:
            await handle.wait()
    assert queue.statistics().dead == 4


# --- workers -------------------------------------------------------------------------------------


async def test_a_worker_that_is_cancelled_is_replaced(autojump_clock: MockClock) -> None:
    """Its task is given back, without a failure, and runs again."""
    async with opened(tasks, workers=2) as queue:
        handle = await queue.submit(rest, 5)
        for _ in range(3):
            await trio.sleep(1)
            end_worker_of(queue, handle)
            await wait_all_tasks_blocked()
        assert queue.statistics().workers == len(queue.pool._workers) == 2
        assert await handle.result() == 5
        assert (trio.current_time(), handle.attempt) == (8, 1)
    assert queue.statistics().released == 3


async def test_parked_workers_that_are_cancelled_are_replaced(autojump_clock: MockClock) -> None:
    async with opened(tasks, workers=3) as queue:
        await wait_all_tasks_blocked()
        for worker in list(queue.pool._workers):
            worker.life.cancel()
        handles = [queue.submit_nowait(rest) for _ in range(3)]
        for handle in handles:
            await handle.wait()
        assert trio.current_time() == 1


async def test_one_worker_serves_many_tasks_in_the_order_of_acceptance(
    autojump_clock: MockClock,
) -> None:
    local = TaskSet()
    ran: list[int] = []

    @local.task
    async def note(n: int) -> None:
        ran.append(n)
        if n % 3 == 0:
            await trio.lowlevel.checkpoint()
        if n % 5 == 0:
            LEAKY.set(n)
        if n % 7 == 0:
            raise OSError

    async with opened(local, workers=1, capacity=1_000) as queue:
        await queue.submit_many([note.bind(n) for n in range(1_000)])
        await queue.drain()
    first = list(dict.fromkeys(ran))
    assert first == list(range(1_000))


async def test_a_handlers_own_scopes_and_nurseries_are_its_own(autojump_clock: MockClock) -> None:
    """It may time out, cancel and crash inside as it likes."""
    local = TaskSet()

    @local.task
    async def busy() -> list[object]:
        with trio.move_on_after(1) as scope:
            await trio.sleep_forever()
        error = await capture(failing_nursery)
        return [scope.cancelled_caught, type(error)]

    async def failing_nursery() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            raise OSError

    async with opened(local) as queue:
        assert await (await queue.submit(busy)).result() == [True, ExceptionGroup]
