"""Whatever is wrong in a call is found in that call, with a message that says what to do.

Each message names what was wrong, what was expected, and what to do instead, so that nobody has to
read the source. Every error is one of ours and of the built-in class that one would expect.
"""

import functools
import math
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from tests.contract import capture, opened
from tests.handlers import double, tasks
from trioqueue import (
    InvalidTask,
    Retry,
    RetryLater,
    Snooze,
    TaskSet,
    TrioqueueError,
    open_memory_broker,
    open_queue,
)

NOT_SECONDS: list[Any] = [-1, -0.001, math.nan, math.inf, -math.inf, 10**400, True, "5", b"5"]
NOT_SECONDS += [Decimal(1), [], object()]
NOT_A_COUNT: list[Any] = [0, -1, 1.0, math.nan, True, "5", []]


def says(error: BaseException, *words: str) -> None:
    """The message has all of these words in it."""
    missing = [word for word in words if word.lower() not in str(error).lower()]
    assert not missing, f"{error!r} does not say {missing}"


def refused(function: Callable[..., object], *words: str, **values: Any) -> None:
    """The call raises `InvalidTask`, and says so."""
    with pytest.raises(InvalidTask) as caught:
        function(**values)
    assert isinstance(caught.value, ValueError)
    says(caught.value, *words)


async def refused_opening(**values: Any) -> BaseException:
    """What opening a queue with these raises."""

    async def enter_and_leave() -> None:
        async with open_queue(**{"tasks": tasks} | values):
            pass

    return await capture(enter_and_leave)


async def nothing() -> None:
    """A handler."""


# --- numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", NOT_SECONDS, ids=lambda v: repr(v)[:20])
@pytest.mark.parametrize("name", ["initial", "maximum", "factor", "jitter"])
def test_a_retry_needs_numbers(name: str, value: object) -> None:
    refused(Retry, f"Retry({name})", "number", **{name: value})


@pytest.mark.parametrize("value", NOT_SECONDS, ids=lambda v: repr(v)[:20])
def test_seconds_are_finite_numbers_and_not_negative(value: Any) -> None:
    refused(lambda: TaskSet(timeout=value), "timeout", "number")
    refused(lambda: TaskSet().task(timeout=value)(nothing), "timeout", "number")
    refused(lambda: TaskSet().task(expires=value)(nothing), "expires", "number")
    refused(lambda: Snooze(value), "Snooze(seconds)", "number")
    if value is not None:
        refused(lambda: RetryLater(value), "RetryLater(after)", "number")


@pytest.mark.parametrize("value", NOT_SECONDS, ids=lambda v: repr(v)[:20])
async def test_seconds_of_options_and_shutdown(value: Any) -> None:
    async with opened(tasks) as queue:
        for name in ("delay", "timeout", "expires"):
            refused(lambda n=name: queue.options(**{n: value}), name, "number")
        error = await capture(queue.shutdown, value)
        assert isinstance(error, InvalidTask)
        says(error, "grace", "number")
        assert await (await queue.submit(double, 1)).result() == 2, "nothing was stopped"


def test_no_time_at_all_is_not_a_timeout() -> None:
    for name in ("timeout", "expires"):
        refused(
            TaskSet().task(nothing).__class__, name, "more than 0", handler=nothing, **{name: 0}
        )
    refused(lambda: TaskSet(timeout=0), "timeout", "more than 0")


@pytest.mark.parametrize("value", NOT_A_COUNT, ids=repr)
async def test_counts_are_whole_numbers(value: Any) -> None:
    refused(lambda: Retry(attempts=value), "Retry(attempts)", "1 or more" if value == 0 else "")
    refused(lambda: TaskSet().task(limit=value)(nothing), "limit")
    for name in ("workers", "capacity", "delayed_capacity", "dead_capacity"):
        error = await refused_opening(**{name: value})
        assert isinstance(error, InvalidTask)
        says(error, name, repr(value))


@pytest.mark.parametrize("value", [-1, 256, 1.5, True, "1", None], ids=repr)
async def test_a_priority_is_0_to_255(value: Any) -> None:
    refused(lambda: TaskSet().task(priority=value)(nothing), "priority")
    async with opened(tasks) as queue:
        refused(lambda: queue.options(priority=value), "priority")
        queue.options(priority=0)
        queue.options(priority=255)


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ([("a", "b")], "mapping"),
        ("a", "mapping"),
        ({1: "a"}, "a name in headers"),
        ({"": "a"}, "a name in headers"),
        ({"a\n": "b"}, "a name in headers"),
        ({"a": b"b"}, "headers['a']"),
        ({"a": None}, "headers['a']"),
        ({"a": "\ud800"}, "UTF-8"),
        ({f"h{n}": "" for n in range(33)}, "32 at most"),
        ({"a": "é" * 8192}, "16384 bytes"),
    ],
    ids=range(10),
)
async def test_headers_are_text_and_bounded(value: Any, what: str) -> None:
    async with opened(tasks) as queue:
        refused(lambda: queue.options(headers=value), "headers", what)
        queue.options(headers={"a": "é" * 8000, **{f"h{n}": "" for n in range(31)}})
        queue.options(headers={})


async def test_capacity_is_never_below_workers() -> None:
    error = await refused_opening(workers=5, capacity=4)
    assert isinstance(error, InvalidTask)
    says(error, "capacity", "5 or more", "4")


def test_a_retry_that_contradicts_itself() -> None:
    refused(Retry, "maximum", "initial", initial=2, maximum=1)
    refused(Retry, "factor", "1 or more", factor=0.5)
    refused(Retry, "jitter", "0 to 1", jitter=1.5)
    for name in ("on", "never"):
        for value in ("ValueError", ValueError("x"), (ValueError, int), [ValueError]):
            refused(Retry, f"Retry({name})", "exception class", **{name: value})


# --- what is not a task --------------------------------------------------------------------------


async def generator() -> AsyncIterator[int]:
    yield 1


def plain_generator() -> Iterator[int]:
    yield 1


class AClass:
    """Callable, but not a function."""


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (5, ["function", "5"]),
        ("resize", ["function", "resize"]),
        (AClass, ["function", "AClass"]),
        (generator, ["generator", "yield"]),
        (plain_generator, ["generator", "yield"]),
        (lambda: None, ["name="]),
        (functools.partial(nothing), ["name="]),
        (double, ["task already"]),
        (nothing(), ["function", "coroutine"]),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_is_not_a_function_with_a_name_is_no_task(handler: Any, words: list[str]) -> None:
    if hasattr(handler, "close"):
        handler.close()
    refused(lambda: TaskSet().task(handler), *words)
    refused(lambda: TaskSet().task()(handler), *words)


def test_a_lambda_with_a_name_is_a_task() -> None:
    assert TaskSet().task(name="seven")(lambda: 7)() == 7


@pytest.mark.parametrize("name", ["", 5, b"x", "a\nb", "\x00"])
def test_names_are_printable_text(name: Any) -> None:
    refused(lambda: TaskSet().task(name=name)(nothing), "name", "printable string")
    refused(lambda: TaskSet().task(queue=name)(nothing), "queue", "printable string")


def test_a_name_is_given_once() -> None:
    local = TaskSet()
    local.task(nothing)
    refused(lambda: local.task(name="nothing")(generous), "nothing", "already", "name=")
    assert len(local) == 1


async def generous(*args: object, **kwargs: object) -> None:
    """Takes anything."""


def test_a_retry_is_a_retry() -> None:
    for value in (3, "3", {"attempts": 3}):
        refused(lambda v=value: TaskSet(retry=v), "retry", "trioqueue.Retry")
        refused(lambda v=value: TaskSet().task(retry=v)(nothing), "retry", "trioqueue.Retry")


def test_a_misspelt_policy_is_named() -> None:
    with pytest.raises(TypeError, match="timeuot"):
        TaskSet().task(timeuot=5)(nothing)


# --- async where it must not be, and the other way round -----------------------------------------


@asynccontextmanager
async def manager(*_: object) -> AsyncIterator[None]:
    yield


@pytest.mark.parametrize("name", ["lifespan", "around"])
@pytest.mark.parametrize(
    "value", [5, "x", nothing, generator, plain_generator, manager()], ids=repr
)
def test_a_manager_is_a_function_that_returns_one(name: str, value: Any) -> None:
    """The likeliest slip: to forget the decorator."""
    refused(lambda: TaskSet(**{name: value}), name, "asynccontextmanager")


def test_a_hook_is_a_plain_function() -> None:
    for value in (5, "x", nothing, generator):
        refused(lambda v=value: TaskSet(on_dead=v), "on_dead", "plain")


async def test_an_observer_is_a_plain_function() -> None:
    """An async one would never be awaited, and its events lost without a word."""
    for value in (5, "x", nothing, generator):
        error = await refused_opening(observers=[value])
        assert isinstance(error, InvalidTask)
        says(error, "observer", "plain")
        async with opened(tasks) as queue:
            refused(lambda v=value: queue.observe(v), "observer", "plain")


# --- opening -------------------------------------------------------------------------------------

OPENINGS: dict[str, tuple[Any, list[str]]] = {
    "tasks": ([nothing], ["TaskSet"]),
    "broker": (7, ["broker", "7", "URL", "sqlite:///jobs.db"]),
    "queues": ("mail", ["queues", "collection"]),
    "random": (5, ["random"]),
    "new_id": (5, ["new_id"]),
    "results": (-1, ["results", "0 or more"]),
}


@pytest.mark.parametrize("name", OPENINGS)
async def test_a_queue_is_opened_with_what_it_can_use(name: str) -> None:
    value, words = OPENINGS[name]
    error = await refused_opening(**{name: value})
    assert isinstance(error, InvalidTask)
    says(error, *words)


async def test_the_names_of_queues() -> None:
    for value in ([], [5], [""], 5):
        error = await refused_opening(queues=value)
        assert isinstance(error, InvalidTask)
        says(error, "queues")
    local = TaskSet()
    local.task(queue="mail")(nothing)
    error = await refused_opening(tasks=local, queues=["default"])
    assert isinstance(error, InvalidTask)
    says(error, "mail", "queues", "default")


async def test_an_unknown_queue_is_named_with_those_that_there_are() -> None:
    async with opened(tasks, queues=("default", "mail")) as queue:
        for function in (lambda: queue.options(queue="mial"), lambda: queue.pause("mial")):
            refused(function, "mial", "default", "mail")
        refused(lambda: queue.resume("mial"), "mial", "default", "mail")
        await queue.options(queue="mail").submit(double, 1)


async def test_one_broker_serves_one_queue() -> None:
    async with open_memory_broker() as broker, open_queue(tasks, broker=broker):
        error = await refused_opening(broker=broker)
        assert isinstance(error, (RuntimeError, TrioqueueError))
        says(error, "one broker for each queue")
