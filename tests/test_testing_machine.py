"""The state machine base: Hypothesis' rules drive one Trio run, on a clock that rules move."""

from contextlib import asynccontextmanager

import pytest
import trio
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, invariant, rule, run_state_machine_as_test

from trioqueue import State, TaskSet
from trioqueue.testing import LawBroken, TrioMachine, ledger_of, open_test_queue

tasks = TaskSet()


@tasks.task(limit=2)
async def nap(seconds):
    await trio.sleep(seconds)


@tasks.task(timeout=2)
async def endless():
    await trio.sleep_forever()


@pytest.mark.race
class TestQueue:
    """A queue is used in every order of a few rules, and the laws hold."""

    class Machine(TrioMachine):
        handles = Bundle("handles")

        @asynccontextmanager
        async def world(self):
            async with open_test_queue(tasks, workers=3, capacity=200) as self.queue:
                yield

        @rule(target=handles, seconds=st.integers(0, 3))
        def submit(self, seconds):
            return self.do(self.queue.submit, nap, seconds)

        @rule(target=handles)
        def submit_endless(self):
            return self.queue.submit_nowait(endless)

        @rule(handle=handles)
        def cancel(self, handle):
            self.do(handle.cancel)

        @rule(handle=handles)
        def wait_in_the_background(self, handle):
            self.start(handle.wait)

        @rule(seconds=st.sampled_from([0.5, 1, 5]))
        def wait(self, seconds):
            self.advance(seconds)

        @rule()
        def settle_down(self):
            self.settle()

        @invariant()
        def limits_hold(self):
            assert self.queue.statistics().running <= 3

    test_it = Machine.TestCase().runTest


class Simple(TrioMachine):
    @asynccontextmanager
    async def world(self):
        async with open_test_queue(tasks) as self.queue:
            yield

    @rule()
    def settle_down(self):
        self.settle()


@pytest.fixture
def machine():
    machine = Simple()
    yield machine
    machine.teardown()


def test_do_returns_what_is_returned_and_raises_what_is_raised(machine):
    async def double(n):
        await trio.lowlevel.checkpoint()
        if n is None:
            raise KeyError("none")
        return 2 * n

    assert machine.do(double, 4) == 8
    with pytest.raises(KeyError, match="none"):
        machine.do(double, None)


def test_time_stands_still_between_the_rules(machine):
    handle = machine.do(machine.queue.submit, nap, 3)
    machine.advance(2.9)
    assert handle.state is State.RUNNING
    machine.advance(0.2)
    assert handle.state is State.SUCCEEDED


def test_do_refuses_to_wait_for_a_time(machine):
    with pytest.raises(RuntimeError, match="start"):
        machine.do(trio.sleep, 1)


def test_what_is_started_can_be_cancelled(machine):
    ends = []

    async def wait():
        try:
            await trio.sleep_forever()
        finally:
            ends.append(True)

    scope = machine.start(wait)
    assert not ends
    scope.cancel()
    machine.settle()
    assert ends


def test_an_error_in_the_background_is_raised():
    machine = Simple()

    async def fail():
        raise KeyError("background")

    with pytest.raises(BaseExceptionGroup) as caught:  # noqa: ASYNC401 - of any depth
        machine.start(fail)
    assert caught.group_contains(KeyError, match="background")


def test_an_error_while_the_world_is_entered_is_raised():
    class Broken(Simple):
        @asynccontextmanager
        async def world(self):
            raise OSError("no world")
            yield

    with pytest.raises(OSError, match="no world"):
        Broken()


def test_the_laws_are_checked_when_the_world_is_left():
    class Breaking(Simple):
        @rule()
        def forget(self):
            self.do(self.queue.submit, nap, 0)
            entries = ledger_of(self.queue).history.entries
            entries[:] = [entry for entry in entries if type(entry).__name__ != "Told"]

    once = settings(max_examples=5, database=None, phases=[Phase.generate])
    with pytest.raises(LawBroken, match="no ghost"):
        run_state_machine_as_test(Breaking, settings=once)


def test_the_scheduler_is_as_before_afterwards():
    before = trio._core._run._r
    machine = Simple()
    assert trio._core._run._r is not before
    machine.teardown()
    assert trio._core._run._r is before
