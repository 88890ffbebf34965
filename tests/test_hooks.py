"""What a program hangs into a queue: lifespan, around, on_dead, observers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from tests.contract import ONCE, history, opened
from tests.handlers import double, fail, rest, tasks
from trioqueue import (
    CurrentTask,
    DeadLetter,
    Event,
    Retry,
    State,
    TaskFailed,
    TaskSet,
    current_task,
    open_queue,
)


class Log:
    """Notes what happens, in order."""

    def __init__(self) -> None:
        self.lines: list[object] = []

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[str]:
        self.lines.append("enter")
        await trio.lowlevel.checkpoint()
        try:
            yield "a pool of connections"
        finally:
            self.lines.append("exit")

    @asynccontextmanager
    async def around(self, current: CurrentTask) -> AsyncIterator[None]:
        self.lines.append(("before", current.type, current.attempt))
        try:
            yield
        except BaseException as error:
            self.lines.append(("after", type(error).__name__))
            raise
        else:
            self.lines.append(("after", "returned"))


# --- lifespan ------------------------------------------------------------------------------------


async def test_a_lifespan_is_entered_once_and_left_last(autojump_clock: MockClock) -> None:
    """After the last handler has ended; its value is what handlers see as ``state``."""
    log = Log()
    local = TaskSet(lifespan=log.lifespan)

    @local.task
    async def look() -> None:
        await trio.sleep(1)
        log.lines.append(current_task().state)

    async with opened(local, workers=3) as queue:
        assert log.lines == ["enter"], "entering the queue waits for it"
        for _ in range(3):
            await queue.submit(look)
    assert log.lines == ["enter", *["a pool of connections"] * 3, "exit"]


async def test_without_a_lifespan_there_is_no_state(autojump_clock: MockClock) -> None:
    local = TaskSet()

    @local.task
    async def look() -> object:
        return current_task().state

    async with opened(local) as queue:
        assert await (await queue.submit(look)).result() is None


async def test_a_hard_stop_leaves_the_lifespan_after_the_handlers(
    autojump_clock: MockClock,
) -> None:
    log = Log()
    local = TaskSet(lifespan=log.lifespan)

    @local.task
    async def slow_to_go() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(3)
            log.lines.append("handler")

    with pytest.raises(OSError, match="stop"):
        async with opened(local) as queue:
            await queue.submit(slow_to_go)
            await trio.sleep(1)
            raise OSError("stop")
    assert log.lines == ["enter", "handler", "exit"]


@pytest.mark.parametrize("entering", [True, False])
@pytest.mark.parametrize("error", [OSError("no database"), ExceptionGroup("g", [OSError("x")])])
async def test_an_error_of_the_lifespan_arrives_as_what_it_is(
    error: Exception, entering: bool, autojump_clock: MockClock
) -> None:
    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        if entering:
            raise error
        yield
        raise error

    entered = False
    with pytest.raises(type(error)) as caught:
        async with open_queue(TaskSet(lifespan=lifespan)):
            entered = True
    assert repr(caught.value) == repr(error)
    assert entered is not entering


# --- around --------------------------------------------------------------------------------------


async def test_around_is_entered_for_every_attempt(autojump_clock: MockClock) -> None:
    log = Log()
    local = TaskSet(around=log.around, retry=Retry(attempts=2))

    @local.task
    async def flaky() -> str:
        log.lines.append("in")
        if current_task().attempt == 1:
            raise OSError
        return "value"

    @local.task
    def plain() -> None:
        log.lines.append("plain")

    async with opened(local) as queue:
        assert await (await queue.submit(flaky)).result() == "value"
        await (await queue.submit(plain)).result()
    assert log.lines == [
        *[("before", "flaky", 1), "in", ("after", "OSError")],
        *[("before", "flaky", 2), "in", ("after", "returned")],
        *[("before", "plain", 1), "plain", ("after", "returned")],
    ]


async def test_around_is_inside_the_timeout(autojump_clock: MockClock) -> None:
    @asynccontextmanager
    async def slow(_: CurrentTask) -> AsyncIterator[None]:
        await trio.sleep(3)
        yield

    local = TaskSet(around=slow, timeout=5, retry=ONCE)

    @local.task
    async def handler() -> None:
        await trio.sleep(3)

    async with opened(local) as queue:
        outcome = await (await queue.submit(handler)).wait()
    assert (outcome.kind, trio.current_time()) == ("timeout", 5)


async def test_an_error_of_around_is_the_attempts(autojump_clock: MockClock) -> None:
    @asynccontextmanager
    async def broken(_: CurrentTask) -> AsyncIterator[None]:
        raise ConnectionError("around")
        yield

    local = TaskSet(around=broken, retry=Retry(attempts=3))

    @local.task
    async def handler() -> None:
        raise AssertionError("never reached")

    async with opened(local) as queue:
        handle = await queue.submit(handler)
        with pytest.raises(TaskFailed, match="around"):
            await handle.result()
    assert queue.dead_letters.list()[0].failures == 3


# --- on_dead -------------------------------------------------------------------------------------


async def test_on_dead_is_called_once_with_the_stored_letter(autojump_clock: MockClock) -> None:
    told: list[tuple[DeadLetter, int, State]] = []

    def on_dead(letter: DeadLetter) -> None:
        told.append((letter, len(queue.dead_letters), queue.handle(letter.id).state))

    local = TaskSet(on_dead=on_dead, retry=Retry(attempts=2))

    @local.task
    async def bad(text: str) -> None:
        raise OSError(text)

    async with opened(local) as queue:
        await queue.submit(bad, "one")
        await queue.drain()
        ((letter, stored, state),) = told
        assert (letter.args, letter.failures, stored, state) == (("one",), 2, 1, State.DEAD)
        assert queue.dead_letters.list() == [letter]


async def test_an_error_of_on_dead_is_logged_and_nothing_else(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    def on_dead(_: DeadLetter) -> None:
        raise RuntimeError("the hook is broken")

    local = TaskSet(on_dead=on_dead, retry=ONCE)

    @local.task
    async def bad() -> None:
        raise OSError

    async with opened(local, workers=1) as queue:
        for _ in range(3):
            await queue.submit(bad)
    assert queue.statistics().dead == 3
    assert caplog.text.count("RuntimeError: the hook is broken") == 3


async def test_every_dead_letter_is_seen_by_the_hook_also_when_it_is_evicted(
    autojump_clock: MockClock,
) -> None:
    told: list[str] = []
    local = TaskSet(on_dead=lambda letter: told.append(letter.id), retry=ONCE)

    @local.task
    async def bad() -> None:
        raise OSError

    async with opened(local, dead_capacity=1) as queue:
        ids = [(await queue.submit(bad)).id for _ in range(4)]
    assert sorted(set(told)) == ids
    assert queue.statistics().evicted == 3


# --- observers -----------------------------------------------------------------------------------


async def test_an_observer_sees_every_event_in_order(autojump_clock: MockClock) -> None:
    events: list[Event] = []
    async with opened(tasks, workers=1) as queue:
        stop = queue.observe(events.append)
        await (await queue.options(delay=2, queue="mail").submit(rest, 3)).wait()
        stop()
        await queue.submit(double, 1)
    delayed, due, started, succeeded = events
    assert [event.name for event in events] == ["delayed", "due", "started", "succeeded"]
    assert (delayed.delay, delayed.state, delayed.delivery) == (2, "scheduled", 0)
    assert (due.time, due.state) == (2, "ready")
    assert (started.time, started.waited, started.delivery) == (2, 2, 1)
    assert (succeeded.time, succeeded.attempt, succeeded.state) == (5, 1, "succeeded")
    assert succeeded.outcome is not None
    assert succeeded.outcome.duration == 3
    assert {(e.task_type, e.queue) for e in events} == {("rest", "mail")}
    with pytest.raises(AttributeError):
        due.time = 3  # type: ignore[misc]


async def test_a_broken_observer_is_dropped_and_logged_once(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []

    def broken(_: Event) -> None:
        raise RuntimeError("the observer is broken")

    observers = (broken, lambda event: seen.append(event.name))
    async with opened(tasks, observers=observers) as queue:
        assert await (await queue.submit(double, 1)).result() == 2
        assert seen == history(queue) == ["submitted", "started", "succeeded"]
    assert caplog.text.count("RuntimeError: the observer is broken") == 1


async def test_stopping_one_of_two_equal_observations_leaves_the_other(
    autojump_clock: MockClock,
) -> None:
    events: list[Event] = []
    async with opened(tasks) as queue:
        queue.observe(events.append)
        queue.observe(events.append)()
        await (await queue.submit(double, 1)).wait()
        assert [event.name for event in events] == ["submitted", "started", "succeeded"]


async def test_an_observer_may_look_and_submit(autojump_clock: MockClock) -> None:
    """It is called when the change is whole: it can ask the queue about it, and act on it."""
    async with opened(tasks) as queue:

        def chain(event: Event) -> None:
            handle = queue.handle(event.task_id)
            assert handle.state is event.state
            if event.name == "died":
                assert queue.dead_letters.list()[-1].id == event.task_id
                queue.submit_nowait(double, 1)

        queue.observe(chain)
        await queue.submit(fail)
        await queue.options(delay=1).submit(fail)
    assert queue.statistics().succeeded == 2
