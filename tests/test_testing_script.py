"""The tools with which a user tests handlers: scripts, gates, waiting, looking, breaking."""

import pytest
import trio

from trioqueue import Retry, Snooze, State, TaskFailed, TaskSet, open_queue
from trioqueue.testing import (
    LawBroken,
    Ledger,
    blocks,
    failing,
    ledger_of,
    lose_lease,
    open_test_queue,
    raises,
    raises_when_cancelled,
    returns,
    run,
    run_until_idle,
    script,
    shields,
    swallows_cancellation,
    timeline,
    times_out,
)

THRICE = Retry(attempts=3, initial=0.5, jitter=0)


@pytest.fixture
def tasks():
    return TaskSet(retry=THRICE)


# --- run ----------------------------------------------------------------------------------------


def test_run_takes_no_time_and_returns_the_value():
    async def main(what):
        await trio.sleep(3600)
        return what, trio.current_time()

    assert run(main, "value") == ("value", 3600)


def test_run_repeats_the_interleaving_of_its_seed():
    def order(seed):
        seen = []

        async def child(n):
            for _ in range(3):
                await trio.lowlevel.checkpoint()
                seen.append(n)

        async def main():
            async with trio.open_nursery() as nursery:
                for n in range(5):
                    nursery.start_soon(child, n)

        run(main, seed=seed)
        return tuple(seen)

    assert order(1) == order(1)
    assert len({order(seed) for seed in range(10)}) > 5


def test_a_test_queue_is_the_same_each_time(tasks):
    flaky = tasks.task(name="flaky", retry=Retry(jitter=1))(script(raises(OSError), returns()))

    async def main():
        async with open_test_queue(tasks) as queue:
            handle = await queue.submit(flaky)
            await handle.wait()
        return timeline(handle), handle.id

    assert run(main) == run(main)


# --- scripts ------------------------------------------------------------------------------------


async def test_each_attempt_does_its_step_and_the_last_is_repeated(tasks, autojump_clock):
    handler = script(raises(OSError("one")), raises(ValueError), returns(7))
    flaky = tasks.task(name="flaky")(handler)
    hopeless = tasks.task(name="hopeless")(script(raises(OSError("always"))))
    async with open_test_queue(tasks) as queue:
        first = await queue.submit(flaky, "any", argument=True)
        assert await first.result() == 7
        second = await queue.submit(hopeless)
        with pytest.raises(TaskFailed, match="always"):
            await second.result()
        assert second.attempt == 3


async def test_a_snooze_is_a_step_of_its_own(tasks, autojump_clock):
    sleepy = tasks.task(name="sleepy")(script(raises(Snooze(5)), raises(Snooze(5)), returns("up")))
    async with open_test_queue(tasks) as queue:
        assert await (await queue.submit(sleepy)).result() == "up"
    assert trio.current_time() == 10


async def test_an_interrupted_attempt_does_its_step_again(tasks, autojump_clock):
    slow = tasks.task(name="slow")(script(returns("first", after=5), returns("second")))
    async with open_test_queue(tasks) as queue:
        handle = await queue.submit(slow)
        await trio.sleep(1)
        lose_lease(handle)
        assert await handle.result() == "first"


async def test_steps_end_as_they_say(tasks, autojump_clock):
    steps = {
        "endless": (times_out(), "timeout"),
        "deaf": (swallows_cancellation("late"), "returned"),
        "bitter": (raises_when_cancelled(OSError), "timeout"),
        "firm": (shields(3, "done"), "returned"),
    }
    types = {
        name: tasks.task(name=name, timeout=1, retry=Retry(attempts=1))(script(step))
        for name, (step, _) in steps.items()
    }
    async with open_test_queue(tasks) as queue:
        for name, (_, kind) in steps.items():
            outcome = await (await queue.submit(types[name])).wait()
            assert outcome.kind == kind, name


def test_a_script_without_a_step_is_refused():
    with pytest.raises(ValueError, match="needs a step"):
        script()


async def test_an_error_is_copied_for_each_attempt(tasks, autojump_clock):
    error = OSError("down")
    doomed = tasks.task(name="doomed")(script(raises(error)))
    async with open_test_queue(tasks) as queue:
        outcome = await (await queue.submit(doomed)).wait()
    assert outcome.exception is not error
    assert error.__traceback__ is None


async def test_a_gate_holds_attempts_until_it_is_opened(tasks, autojump_clock):
    gate = blocks("through")
    slow = tasks.task(name="slow")(script(gate))
    async with open_test_queue(tasks, workers=2) as queue:
        handles = [await queue.submit(slow) for _ in range(2)]
        await gate.entered()
        await run_until_idle(queue)
        assert gate.waiting == 2
        assert {handle.state for handle in handles} == {State.RUNNING}
        gate.open()
        assert [await handle.result() for handle in handles] == ["through"] * 2
    assert gate.waiting == 0


# --- waiting ------------------------------------------------------------------------------------


async def test_run_until_idle_waits_for_retries_and_delays(tasks, autojump_clock):
    flaky = tasks.task(name="flaky")(script(raises(OSError), returns()))
    async with open_test_queue(tasks) as queue:
        await queue.options(delay=3600).submit(flaky)
        await run_until_idle(queue)
        assert queue.statistics().succeeded == 1
        assert trio.current_time() >= 3600


async def test_run_until_idle_does_not_wait_for_what_cannot_come(tasks, autojump_clock):
    quick = tasks.task(name="quick")(script(returns()))
    async with open_test_queue(tasks) as queue:
        queue.pause()
        with trio.fail_after(1000):
            await queue.submit(quick)
            await run_until_idle(queue)
            assert trio.current_time() == 0
        queue.resume()


async def test_run_until_idle_ends_in_a_program_in_which_nobody_waits_for_a_time(tasks):
    forever = tasks.task(name="forever")(script(times_out()))
    async with open_test_queue(tasks) as queue:
        await queue.submit(forever)
        await run_until_idle(queue)
        assert queue.statistics().running == 1
        await queue.shutdown(grace=0)


async def test_run_until_idle_leaves_no_observer_behind(tasks):
    async with open_test_queue(tasks) as queue:
        before = queue._broker.events.observers
        await run_until_idle(queue)
        assert queue._broker.events.observers == before


# --- looking ------------------------------------------------------------------------------------


async def test_a_timeline_tells_what_happened(tasks, autojump_clock):
    flaky = tasks.task(name="flaky", timeout=2)(
        script(raises(OSError("down")), times_out(), returns())
    )
    async with open_test_queue(tasks) as queue:
        handle = await queue.options(delay=1).submit(flaky)
        await handle.wait()
        assert timeline(handle) == [
            "+0      delayed: scheduled; again in 1 s",
            "+1      due: ready",
            "+1      started: attempt 1, delivery 1",
            "+1      retried: scheduled; OSError: down; again in 0.5 s",
            "+1.5    due: ready",
            "+1.5    started: attempt 2, delivery 2",
            "+3.5    retried: scheduled; timeout; again in 1 s",
            "+4.5    due: ready",
            "+4.5    started: attempt 3, delivery 3",
            "+4.5    succeeded",
        ]


async def test_a_timeline_needs_a_ledger(tasks):
    quick = tasks.task(name="quick")(script(returns()))
    async with open_queue(tasks) as queue:
        handle = await queue.submit(quick)
        with pytest.raises(LookupError, match="open_test_queue"):
            timeline(handle)


# --- breaking -----------------------------------------------------------------------------------


async def test_a_lost_lease_cancels_the_handler_and_writes_nothing(tasks, autojump_clock):
    ends = []

    @tasks.task
    async def stubborn():
        try:
            await trio.sleep(5)
        finally:
            ends.append(trio.current_time())
            if len(ends) == 1:
                return "zombie"  # noqa: B012 - swallows the cancellation
        return "fresh"

    async with open_test_queue(tasks) as queue:
        handle = await queue.submit(stubborn)
        await trio.sleep(1)
        lose_lease(handle)
        assert handle.state is State.READY
        assert await handle.result() == "fresh"
    assert ends == [1, 6]
    assert "lost: ready" in timeline(handle)[2]


async def test_only_a_running_task_has_a_lease_to_lose(tasks):
    quick = tasks.task(name="quick")(script(returns()))
    async with open_test_queue(tasks) as queue:
        handle = await queue.submit(quick)
        await handle.wait()
        with pytest.raises(RuntimeError, match="no lease"):
            lose_lease(handle)


async def test_a_failing_broker_crashes_the_block(tasks):
    quick = tasks.task(name="quick")(script(returns()))
    with pytest.raises(OSError, match="disk full"):
        async with open_test_queue(tasks, check=False) as queue:
            with failing(queue, "claim_nowait", OSError("disk full"), after=1):
                await queue.submit(quick)
                await queue.drain()
                await queue.submit(quick)
                await queue.drain()


async def test_a_broker_is_whole_again_after_its_failure(tasks):
    quick = tasks.task(name="quick")(script(returns(1)))
    async with open_test_queue(tasks) as queue:
        down = failing(queue, "accept_nowait", OSError("down"))
        with pytest.raises(OSError, match="down"), down:
            queue.submit_nowait(quick)
        assert await queue.submit_nowait(quick).result() == 1


# --- the test queue -----------------------------------------------------------------------------


async def test_handlers_are_as_before_when_the_block_is_left(tasks):
    @tasks.task
    async def quick():
        return 1

    handler = quick.handler
    async with open_test_queue(tasks) as queue:
        assert quick.handler is not handler
        assert await quick() == 1  # a plain call of it is not a run of a task
        assert await (await queue.submit(quick)).result() == 1
    assert quick.handler is handler


async def test_a_broken_law_is_raised_from_the_error_of_the_block(tasks):
    quick = tasks.task(name="quick")(script(returns()))
    with pytest.raises(LawBroken, match="no ghost") as caught:
        async with open_test_queue(tasks) as queue:
            ledger_of(queue).history.entries.clear()
            await queue._broker.publish([queue._make(quick, (), {})])
            raise KeyError
    assert isinstance(caught.value.__cause__, KeyError)


async def test_a_ledger_can_be_attached_by_hand(tasks):
    quick = tasks.task(name="quick")(script(returns()))
    ledger = Ledger()
    with ledger.witness(tasks), ledger.watching():
        async with open_queue(tasks, observers=[ledger.observe]) as queue:
            ledger.attach(queue)
            await queue.submit(quick)
    ledger.left()
    ledger.check()
    assert ledger.history.entries


async def test_the_error_of_a_queue_that_never_opened_is_its_own(tasks):
    with pytest.raises(ValueError, match="workers"):
        async with open_test_queue(tasks, workers=0):
            pass


async def test_thread_handlers_are_witnessed_too(tasks):
    @tasks.task
    def in_a_thread(n):
        return n + 1

    async with open_test_queue(tasks, workers=2) as queue:
        handles = [await queue.submit(in_a_thread, n) for n in range(4)]
        assert [await handle.result() for handle in handles] == [1, 2, 3, 4]
    entries = ledger_of(queue).history.entries
    assert sum(type(entry).__name__ == "Began" for entry in entries) == 4
