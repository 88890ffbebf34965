"""Small programs on a queue in a durable store, to be disturbed at every step.

The store is a fresh one for each play. Each asserts only what is true in spite of a cancellation;
the laws are checked by the test queue.
"""

import itertools
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from contextvars import ContextVar
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import trio

from trioqueue import (
    Discard,
    Queue,
    Retry,
    RetryLater,
    Snooze,
    TaskSet,
    TrioqueueError,
    current_task,
    open_queue,
    open_sqlite_broker,
)
from trioqueue._broker import RemoteBroker
from trioqueue.testing import (
    open_test_queue,
    raises,
    raises_when_cancelled,
    returns,
    script,
    shields,
    swallows_cancellation,
    target,
    times_out,
)

#: What opens one broker on a store; `stored` gives it.
Opening = Callable[[], AbstractAsyncContextManager[RemoteBroker]]
#: Makes the store of a play.
Store = Callable[[], AbstractContextManager[Opening]]

#: Shared memory where there is some: tens of thousands of files are made and thrown away.
_FOLDER = TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
_numbers = itertools.count()


@contextmanager
def new_file() -> Iterator[str]:
    """The path of a file that nobody has used before."""
    path = os.path.join(_FOLDER.name, f"{next(_numbers)}.db")
    try:
        yield path
    finally:
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                os.unlink(path + suffix)


@contextmanager
def in_new_file() -> Iterator[Opening]:
    with new_file() as path:
        yield lambda: open_sqlite_broker(path, synchronous="normal")


_store: ContextVar[Store] = ContextVar("_store", default=in_new_file)


@contextmanager
def stored_in(store: Store) -> Iterator[None]:
    """What is played in the block, is played on stores of this kind."""
    token = _store.set(store)
    try:
        yield
    finally:
        _store.reset(token)


@asynccontextmanager
async def fresh(tasks: TaskSet, **options: Any) -> AsyncIterator[Queue]:
    """A test queue on a new store."""
    with _store.get()() as open_broker:
        async with (
            open_broker() as broker,
            open_test_queue(tasks, broker=broker, **options) as queue,
        ):
            yield queue


async def every_end():
    tasks = TaskSet(retry=Retry(attempts=3, initial=0.25, maximum=1))
    steps = {
        "quick": returns(1),
        "slow": returns(2, after=1),
        "flaky": script(raises(OSError("down"), after=0.1), returns(3)),
        "hopeless": raises(ValueError("no")),
        "discarded": raises(Discard("never")),
        "snoozing": script(raises(Snooze(0.5)), raises(Snooze(0)), returns(4)),
        "later": script(raises(RetryLater(0.7)), returns(5)),
        "endless": times_out(),
        "crashing": script(raises(SystemExit()), returns(6)),
    }
    types = [
        tasks.task(name=name, timeout=2 if name == "endless" else None)(script(step))
        for name, step in steps.items()
    ]
    async with fresh(tasks, workers=2) as queue:
        with target("submitter"):
            for task_type in types:
                await queue.submit(task_type)
        await queue.drain()


async def limits_and_lanes():
    tasks = TaskSet()
    single = tasks.task(name="single", limit=1)(script(returns(after=1)))
    pair = tasks.task(name="pair", limit=2, queue="mail")(script(returns(after=0.5)))
    free = tasks.task(name="free")(script(returns()))
    async with fresh(tasks, workers=3) as queue:
        with target("submitter"):
            await queue.submit_many([single.bind() for _ in range(3)])
            await queue.submit_many([pair.bind() for _ in range(4)])
            await queue.options(priority=200).submit(free)
            await queue.options(delay=1).submit(free)
        await queue.drain()


async def stubborn_handlers():
    tasks = TaskSet(retry=Retry(attempts=2, initial=0.3, jitter=0))
    types = [
        tasks.task(name="shields", timeout=1)(script(shields(2))),
        tasks.task(name="swallows", timeout=1)(script(swallows_cancellation(5))),
        tasks.task(name="breaks")(script(raises_when_cancelled(ValueError("late")))),
        tasks.task(name="plain")(script(returns(after=1))),
    ]
    async with fresh(tasks, workers=3) as queue:
        for task_type in types:
            await queue.submit(task_type)
        with target("waiter"):
            await trio.sleep(1.5)
        await queue.shutdown(grace=1)


async def results_and_letters():
    tasks = TaskSet(retry=Retry(attempts=1))
    dies = tasks.task(name="dies")(script(raises(ValueError("no")), returns(7)))
    keyed = tasks.task(name="keyed")(script(returns(1, after=1)))
    async with fresh(tasks, workers=2) as queue:
        with target("caller"):
            handle = await queue.submit(dies)
            await handle.wait()
            with suppress(TrioqueueError):
                again = await queue.dead_letters.replay(handle.id)
                await again.wait()
            one = await queue.options(key="k").submit(keyed)
            two = await queue.options(key="k").submit(keyed)
            assert one.id == two.id
            await one.cancel()
        await queue.drain()


async def handlers_that_submit():
    tasks = TaskSet()
    leaf = tasks.task(name="leaf")(script(returns(1, after=0.2)))

    @tasks.task
    async def branch(width: int) -> int:
        queue = current_task().queue
        handles = [await queue.submit(leaf) for _ in range(width)]
        return sum([await handle.result() for handle in handles])

    async with fresh(tasks, workers=2) as queue:
        with target("caller"):
            handle = await queue.submit(branch, 3)
            with suppress(TrioqueueError):
                await handle.result()
        await queue.drain()


async def a_limit_of_two_queues():
    """Without the laws: their ledger sees one queue, to which what the other runs still waits."""
    tasks = TaskSet(retry=Retry(attempts=2, initial=0.3, jitter=0))
    running: list[str] = []
    most = 0

    @tasks.task(limit=2, scope="fleet")
    async def scarce() -> None:
        nonlocal most
        task = current_task()
        running.append(task.id)
        most = max(most, len(running))
        try:
            await trio.sleep(1)
            if task.attempt == 1:
                raise OSError("once")
        finally:
            running.remove(task.id)

    try:
        with _store.get()() as open_broker:
            async with (
                open_broker() as one,
                open_broker() as two,
                open_test_queue(tasks, broker=one, workers=2, check=False) as queue,
                open_queue(tasks, broker=two, workers=2, random=Random(0)),
            ):
                with target("submitter"):
                    await queue.submit_many([scarce.bind() for _ in range(3)])
                await queue.drain()
    finally:
        assert most <= 2, "however it ends"


ALL = (
    *(every_end, limits_and_lanes, stubborn_handlers, results_and_letters, handlers_that_submit),
    a_limit_of_two_queues,
)
