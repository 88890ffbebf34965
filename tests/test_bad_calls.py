"""Wrong calls of an open queue: what is submitted, with what, from where, and when."""

import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.contract import capture, opened
from tests.handlers import double, rest, tasks
from tests.test_bad_input import nothing, refused, says
from trioqueue import (
    Handle,
    InvalidArguments,
    InvalidTask,
    NotRegistered,
    Queue,
    QueueClosed,
    TaskSet,
    TrioqueueError,
    WrongRun,
    current_task,
)

# --- what is submitted ---------------------------------------------------------------------------


def another_double(n: int) -> int:
    return 3 * n


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (nothing, ["nothing", "register", "@tasks.task"]),
        ("double", ["double", "not a task"]),
        (TaskSet().task(another_double), ["another_double", "TaskSet", "double"]),
        (TaskSet().task(name="double")(another_double), ["double", "another TaskSet"]),
        (double.bind(1), ["double", "not a task"]),
    ],
    ids=lambda value: repr(value)[:20],
)
async def test_only_a_task_of_this_queue_can_be_submitted(task: Any, words: list[str]) -> None:
    async with opened(tasks) as queue:
        for submit in (queue.submit, queue.options(priority=1).submit):
            error = await capture(submit, task)
            assert isinstance(error, NotRegistered)
            assert isinstance(error, LookupError)
            says(error, *words)
        with pytest.raises(NotRegistered):
            queue.submit_nowait(task)
    assert queue.statistics().submitted == 0


async def test_a_task_that_was_registered_after_the_opening_is_told_so() -> None:
    local = TaskSet()
    async with opened(local) as queue:
        late = local.task(nothing)
        error = await capture(queue.submit, late)
    assert isinstance(error, NotRegistered)
    says(error, "nothing", "open")


@pytest.mark.parametrize(
    ("args", "kwargs", "word"),
    [
        ((), {}, "missing"),
        ((1, 2), {}, "too many"),
        ((1,), {"n": 1}, "multiple values"),
        ((1,), {"m": 1}, "'m'"),
    ],
)
async def test_arguments_that_do_not_fit_are_found_at_the_submit(
    args: Any, kwargs: Any, word: str
) -> None:
    """The message shows the signature."""

    def check(error: BaseException) -> None:
        assert isinstance(error, InvalidArguments)
        assert isinstance(error, TypeError)
        says(error, "double", "(n: int)", word)

    async with opened(tasks) as queue:
        for submit in (queue.submit, queue.options(delay=1).submit):
            check(await capture(lambda s=submit: s(double, *args, **kwargs)))
        for call in (double.bind, lambda *a, **k: queue.submit_nowait(double, *a, **k)):
            with pytest.raises(InvalidArguments) as caught:
                call(*args, **kwargs)
            check(caught.value)
    assert queue.statistics().submitted == 0


async def test_every_kind_of_parameter_is_bound_as_python_would() -> None:
    local = TaskSet()

    @local.task
    async def handler(a: int, /, b: int = 2, *rest: int, c: int, d: int = 4, **more: int) -> object:
        return a, b, rest, c, d, more

    @local.task
    async def plain(a: int, b: int = 2) -> object:
        return a, b

    async with opened(local) as queue:
        handle = await queue.submit(handler, 1, 5, 6, 7, c=8, e=9)
        assert await handle.result() == (1, 5, (6, 7), 8, 4, {"e": 9})
        assert await (await queue.submit(plain, 1)).result() == (1, 2)
        for args, kwargs in (((1,), {}), ((), {"a": 1, "c": 1}), ((), {"c": 1})):
            error = await capture(lambda a=args, k=kwargs: queue.submit(handler, *a, **k))
            assert isinstance(error, InvalidArguments)


async def test_submit_many_takes_bound_calls() -> None:
    async with opened(tasks, workers=1, capacity=2) as queue:
        for value, words in (
            ([double], ["bind", "double"]),
            ([(double, 1)], ["bind"]),
            (double.bind(1), ["list", "bind"]),
            ([double.bind(n) for n in range(3)], ["3", "2", "capacity"]),
        ):
            error = await capture(queue.submit_many, value)
            assert isinstance(error, InvalidTask), value
            says(error, *words)
        named = queue.options(id="one")
        error = await capture(named.submit_many, [double.bind(1), double.bind(2)])
        assert isinstance(error, InvalidTask)
        says(error, "id", "one", "2")
    assert queue.statistics().submitted == 0


# --- options -------------------------------------------------------------------------------------


async def test_options_are_checked_where_they_are_given() -> None:
    async with opened(tasks) as queue:
        now = datetime.now(UTC)
        refused(lambda: queue.options(delay=1, at=now), "delay", "at", "one of them")
        naive: Any
        for naive in (datetime(2030, 1, 1), "2030-01-01", 1e9, now.date()):
            refused(lambda n=naive: queue.options(at=n), "at", "time zone")
        for name in ("key", "id", "queue"):
            for value in ("", 5, "a\nb"):
                refused(lambda n=name, v=value: queue.options(**{n: v}), name, "printable string")
        with pytest.raises(TypeError, match="priorty"):
            queue.options(priorty=5)


# --- when and where ------------------------------------------------------------------------------


async def test_a_closed_queue_says_so(autojump_clock: MockClock) -> None:
    async with opened(tasks) as queue:
        queue.close()
        error = await capture(queue.submit, double, 1)
    assert isinstance(error, QueueClosed)
    says(error, "closed")


def test_current_task_is_for_handlers() -> None:
    with pytest.raises(RuntimeError, match="outside"):
        current_task()


Use = Callable[[Queue, Handle[Any]], Awaitable[object]]
USES: dict[str, Use] = {
    "result": lambda queue, handle: handle.result(),
    "wait": lambda queue, handle: handle.wait(),
    "cancel": lambda queue, handle: handle.cancel(),
    "drain": lambda queue, handle: queue.drain(),
    "shutdown": lambda queue, handle: queue.shutdown(0),
    "submit": lambda queue, handle: queue.submit(double, 1),
    "options": lambda queue, handle: queue.options(delay=1).submit(double, 1),
    "submit_many": lambda queue, handle: queue.submit_many([double.bind(1)]),
    "replay": lambda queue, handle: queue.dead_letters.replay(handle.id),
}


def run_elsewhere(use: Use, queue: Queue, handle: Handle[Any], errors: list[object]) -> None:
    """Use a queue in a Trio run of this thread's own."""

    async def main() -> None:
        errors.append(await capture(use, queue, handle))

    trio.run(main)


@pytest.mark.parametrize("use", USES.values(), ids=USES)
async def test_a_queue_is_of_one_run_only(use: Use) -> None:
    """Another thread's run is told what to do instead, and nothing has happened."""
    errors: list[object] = []
    async with opened(tasks, within=60) as queue:
        queue.pause()
        handle = await queue.submit(double, 1)
        thread = threading.Thread(target=run_elsewhere, args=(use, queue, handle, errors))
        thread.start()
        await trio.to_thread.run_sync(thread.join)
        queue.resume()
        assert await handle.result() == 2
    (error,) = errors
    assert isinstance(error, WrongRun)
    assert isinstance(error, RuntimeError)
    says(error, "another", "from_thread")
    assert queue.statistics().submitted == 1


Act = Callable[[Queue, Handle[Any]], object]
ACTS: dict[str, Act] = {
    "submit_nowait": lambda queue, handle: queue.submit_nowait(double, 1),
    "options": lambda queue, handle: queue.options(key="k").submit_nowait(double, 1),
    "pause": lambda queue, handle: queue.pause(),
    "resume": lambda queue, handle: queue.resume(),
    "close": lambda queue, handle: queue.close(),
    "purge": lambda queue, handle: queue.dead_letters.purge_all(),
}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
async def test_a_plain_thread_is_told_to_go_through_trio(act: Act) -> None:
    errors: list[BaseException] = []

    def elsewhere() -> None:
        with pytest.raises(WrongRun) as caught:
            act(queue, handle)
        errors.append(caught.value)

    async with opened(tasks, within=60) as queue:
        handle = await queue.submit(rest, 0)
        await handle.wait()
        thread = threading.Thread(target=elsewhere)
        thread.start()
        await trio.to_thread.run_sync(thread.join)
        assert await (await queue.submit(double, 1)).result() == 2, "nothing has happened"
        assert await trio.to_thread.run_sync(through_trio, queue) == 4
    says(errors[0], "from_thread")
    assert queue.statistics().submitted == 3


def through_trio(queue: Queue) -> int:
    """As the message says."""
    handle = trio.from_thread.run_sync(queue.submit_nowait, double, 2)
    result: int = trio.from_thread.run(handle.result)
    return result


def test_every_error_of_a_wrong_call_is_ours() -> None:
    for error in (InvalidTask, InvalidArguments, NotRegistered, WrongRun, QueueClosed):
        assert issubclass(error, TrioqueueError)
        assert error.__doc__
