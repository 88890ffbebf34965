"""Never run: mypy and pyright read it, in their strict modes, as a user's program.

A line that must be refused says so for each of the two; if one of them did not refuse it any more,
its comment would be stale, and that is an error as well.
"""

from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from random import Random
from typing import Any, assert_type

import trioqueue
from trioqueue import (
    Call,
    CurrentTask,
    DeadLetter,
    Event,
    Handle,
    Outcome,
    Queue,
    Retry,
    Statistics,
    Submission,
    TaskSet,
    Unfinished,
)

# --- registering ---------------------------------------------------------------------------------


@asynccontextmanager
async def lifespan() -> AsyncGenerator[dict[str, int]]:
    yield {}


@asynccontextmanager
async def around(current: CurrentTask) -> AsyncGenerator[None]:
    yield


def on_dead(letter: DeadLetter) -> None:
    assert_type(letter.failures, int)


tasks = TaskSet(
    retry=Retry(attempts=4, on=(OSError, TimeoutError), never=PermissionError),
    timeout=30,
    lifespan=lifespan,
    around=around,
    on_dead=on_dead,
)


@tasks.task(timeout=5, limit=4, retry=Retry(attempts=4, initial=0.05, maximum=1.0))
async def resize(path: str, *, width: int = 300) -> str:
    return f"{path}:{width}"


@tasks.task
async def bare(numbers: list[int]) -> int:
    return sum(numbers)


@tasks.task
def plain(a: int, b: float = 0.5) -> float:
    return a + b


@tasks.task(queue="mail", name="post", priority=7, expires=60.0, limit=2, scope="fleet")
def post(text: str) -> bytes:
    return text.encode()


@tasks.task()
async def nothing() -> None: ...


assert_type(resize.name, str)
TaskSet(lifespan=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
TaskSet(timeout="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
tasks.task(timeuot=5)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
tasks.task(limit=4, scope="flete")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
tasks.task(limit="4")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
Retry(on=ValueError("x"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# --- a decorated function is callable as itself --------------------------------------------------


async def as_itself() -> None:
    assert_type(await resize("cat.png", width=640), str)
    assert_type(await bare([1, 2]), int)
    assert_type(plain(1, b=2), float)
    assert_type(post("text"), bytes)
    coroutine: Coroutine[Any, Any, str] = resize("cat.png")
    await coroutine
    await resize(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    plain("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    post()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


# --- submitting ----------------------------------------------------------------------------------


async def submitting(queue: Queue) -> None:
    handle = await queue.submit(resize, "cat.png", width=640)
    assert_type(handle, Handle[str])
    assert_type(await handle.result(), str)
    assert_type(await (await queue.submit(plain, 1)).result(), float)
    assert_type(await (await queue.submit(post, text="x")).result(), bytes)
    assert_type(await queue.submit(nothing), Handle[None])
    assert_type(queue.submit_nowait(bare, [1]), Handle[int])

    await queue.submit(resize, 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await queue.submit(resize, "cat.png", widht=640)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await queue.submit(resize)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await queue.submit(resize, "cat.png", 640)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await queue.submit(plain, "1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await queue.submit(nothing, 1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    queue.submit_nowait(bare, ["1"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    queue.submit_nowait(bare)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def a_function(n: int) -> int:
    return n


async def not_a_task(queue: Queue) -> None:
    await queue.submit(a_function, 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
    queue.submit_nowait(resize("cat.png"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]


async def forgotten_awaits(queue: Queue, handle: Handle[str]) -> None:
    queue.submit(resize, "cat.png")  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    queue.options(delay=1).submit(nothing)  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    queue.submit_many([bare.bind([1])])  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    queue.drain()  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    queue.shutdown()  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    handle.result()  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    handle.cancel()  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    resize("cat.png")  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    bad: str = queue.submit(resize, "x")  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    del bad


# --- options, batches ----------------------------------------------------------------------------


async def options(queue: Queue) -> None:
    later = queue.options(delay=60, key="dog", priority=200, timeout=None, expires=5, queue="mail")
    assert_type(later, Submission)
    assert_type(await later.submit(resize, "dog.png"), Handle[str])
    assert_type(later.submit_nowait(plain, 1), Handle[float])
    queue.options(at=datetime.now(UTC), id="mine")
    await later.submit(resize, widht=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await later.submit(resize, 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    queue.options(delay="60")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    queue.options(at="2030-01-01")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    queue.options(priorty=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def batches(queue: Queue) -> None:
    assert_type(resize.bind("cat.png", width=1), Call[str])
    assert_type(await queue.submit_many([resize.bind("a"), resize.bind("b")]), list[Handle[str]])
    assert_type(await queue.submit_many(plain.bind(n) for n in range(3)), list[Handle[float]])
    mixed: list[Call[Any]] = [resize.bind("a"), plain.bind(1), nothing.bind()]
    assert_type(await queue.submit_many(mixed), list[Handle[Any]])
    assert_type(await queue.options(delay=1).submit_many([plain.bind(1)]), list[Handle[float]])
    resize.bind(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    resize.bind("a", widht=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    resize.bind()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await queue.submit_many([resize])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# --- handles, operating --------------------------------------------------------------------------


async def handles(queue: Queue, handle: Handle[str]) -> None:
    outcome = await handle.wait()
    assert_type(outcome, Outcome)
    assert_type(outcome.kind, trioqueue.OutcomeKind)
    assert_type(outcome.late, bool)
    assert_type(await handle.cancel(), bool)
    assert_type(handle.id, str)
    assert_type(handle.state, trioqueue.State)
    assert_type(queue.handle("id"), Handle[Any])


def covariant(handle: Handle[bool]) -> Handle[int]:
    """A handle only gives: one of a bool will do where one of an int is wanted."""
    return handle


async def operating(queue: Queue) -> None:
    assert_type(queue.statistics(), Statistics)
    assert_type(queue.statistics().ready, int)
    assert_type(await queue.shutdown(grace=5), Sequence[Unfinished])
    assert_type(queue.unfinished(), Sequence[Unfinished])
    assert_type(queue.dead_letters.list("resize"), Sequence[DeadLetter])
    assert_type(await queue.dead_letters.replay("id"), Handle[Any])
    assert_type(queue.dead_letters.purge_all(), int)
    queue.close()
    queue.pause("mail")
    queue.resume()
    queue.statistics().ready = 5  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def observer(event: Event) -> None:
    assert_type(event.task_id, str)
    assert_type(event.outcome, Outcome | None)


async def opening() -> None:
    async with trioqueue.open_queue(
        tasks,
        workers=16,
        capacity=100,
        queues=("default", "mail"),
        observers=[observer, print],
        random=Random(1),
        new_id=lambda: "id",
    ) as queue:
        assert_type(queue, Queue)
        stop = queue.observe(observer)
        assert_type(stop, Callable[[], None])
    async with (
        trioqueue.open_memory_broker(100) as broker,
        trioqueue.open_queue(tasks, broker=broker),
    ):
        pass
    trioqueue.open_queue([resize])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with trioqueue.open_queue(tasks):  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass


# --- in a handler --------------------------------------------------------------------------------


@tasks.task
async def handler() -> int:
    me = trioqueue.current_task()
    assert_type(me, CurrentTask)
    assert_type(me.id, str)
    assert_type(me.attempt, int)
    assert_type(me.deadline, float)
    assert_type(me.fencing_token, tuple[str, int])
    assert_type(me.queue, Queue)
    me.progress(1, 2)
    if me.cancel_requested:
        raise trioqueue.Discard("why")
    if me.attempt > 1:
        raise trioqueue.Snooze(5)
    raise trioqueue.RetryLater(after=5)


def as_a_parameter(task: trioqueue.TaskType[[int], str]) -> None:
    """What a library writes that takes somebody else's task."""
    assert_type(task.bind(1), Call[str])


@tasks.task
async def of_an_int(n: int) -> str:
    return str(n)


@tasks.task
def of_an_int_too(n: int) -> str:
    return str(n)


as_a_parameter(of_an_int)
as_a_parameter(of_an_int_too)
as_a_parameter(nothing)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
