"""`cancel_everywhere` and `interrupt_everywhere` find what is wrong, and say where."""

import random
import re

import pytest
import trio

from trioqueue import TaskSet, TrioqueueError
from trioqueue.testing import (
    BrokenByInterrupt,
    BrokenEverywhere,
    NotDeterministic,
    cancel_everywhere,
    interrupt_everywhere,
    open_test_queue,
    returns,
    script,
    target,
)

tasks = TaskSet()
job = tasks.task(name="job")(script(returns(after=0.5)))


async def sound():
    async with open_test_queue(tasks, workers=2) as queue:
        with target("submitter"):
            for _ in range(3):
                await queue.submit(job)


def test_a_sound_scenario_survives_and_the_report_counts():
    report = cancel_everywhere(sound)
    assert report.plays == sum(report.strikes.values()) > 100
    assert set(report.strikes) == {
        "program",
        "scope",
        "queue",
        "shutdown",
        "close",
        "worker",
        "task",
        "lease",
    }
    assert "sound" in str(report)


@pytest.mark.main
def test_kinds_every_and_seeds_choose():
    workers = cancel_everywhere(sound, kinds=["worker"])
    assert set(workers.strikes) == {"worker"}
    assert cancel_everywhere(sound, kinds=["worker"], every=3).plays == -(-workers.plays // 3)
    twice = cancel_everywhere(sound, kinds=["worker"], every=20, seeds=[1, 2])
    assert twice.seeds == 2


def test_a_failure_names_the_target_the_step_the_trio_task_and_the_line():
    async def fragile():
        async with open_test_queue(tasks) as queue:
            handle = None
            with target("submitter"):
                handle = await queue.submit(job)
            if handle is None:
                raise LookupError("lost in the middle")

    with pytest.raises(BrokenEverywhere) as caught:
        cancel_everywhere(fragile, kinds=["scope"])
    text = str(caught.value)
    assert re.search(r"struck 'scope submitter' (before|after) step \d+ \(\S+.* at \S+:\d+\)", text)
    assert "LookupError: lost in the middle" in text
    assert caught.value.report.failures


def test_a_scenario_that_hangs_when_struck_is_found():
    async def waits_for_ever():
        done = trio.Event()
        async with open_test_queue(tasks) as queue:
            with target("setter"):
                await queue.submit(job)
                done.set()
            await done.wait()

    with pytest.raises(BrokenEverywhere, match="hangs"):
        cancel_everywhere(waits_for_ever, kinds=["scope"])


def test_a_scenario_that_hangs_shielded_is_ended_all_the_same():
    async def shielded():
        done = trio.Event()
        async with open_test_queue(tasks):
            with target("setter"):
                await trio.lowlevel.checkpoint()
                done.set()
            with trio.CancelScope(shield=True):
                await done.wait()

    with pytest.raises(BrokenEverywhere, match="hangs"):
        cancel_everywhere(shielded, kinds=["scope"])


def test_a_scenario_that_spins_when_struck_is_ended():
    async def spinning():
        done = False
        async with open_test_queue(tasks):
            with target("setter"):
                await trio.lowlevel.checkpoint()
                done = True
            while not done:  # noqa: ASYNC110 - it is to spin
                await trio.lowlevel.checkpoint()

    with pytest.raises(BrokenEverywhere, match="spins"):
        cancel_everywhere(spinning, kinds=["scope"], stop_after=1)


def test_a_scenario_that_differs_from_play_to_play_is_refused():
    source = random.Random(1)

    async def moody():
        async with open_test_queue(tasks):
            for _ in range(source.randrange(50)):
                await trio.lowlevel.checkpoint()

    with pytest.raises(NotDeterministic, match=r"differ|moments"):
        cancel_everywhere(moody)


def test_the_undisturbed_error_comes_out_as_it_is():
    async def wrong():
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        cancel_everywhere(wrong)
    with pytest.raises(KeyError, match="mine"):
        interrupt_everywhere(wrong)


def test_an_undisturbed_hang_is_an_error():
    with pytest.raises(AssertionError, match="does not end"):
        cancel_everywhere(trio.sleep_forever)


def test_errors_of_the_library_are_what_one_expects_of_a_strike():
    async def lets_it_out():
        async with open_test_queue(tasks) as queue:
            handle = await queue.submit(job)
            await handle.result()

    cancel_everywhere(lets_it_out, kinds=["shutdown", "task"])


def test_targets_do_nothing_outside_of_a_play():
    async def main():
        with target("nothing"):
            await trio.lowlevel.checkpoint()

    trio.run(main)


def test_two_targets_of_one_name_are_told_apart():
    async def twins():
        async def twin():
            with target("twin"):
                await trio.sleep(1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(twin)
            nursery.start_soon(twin)

    assert cancel_everywhere(twins, kinds=["scope"]).plays > 4


@pytest.mark.main
def test_every_line_is_interrupted_and_most_are_protected():
    report = interrupt_everywhere(sound, occurrences=1)
    assert report.plays == report.lines > 300
    assert 0 < report.raised < report.plays / 2
    assert "sound" in str(report)


def test_every_execution_of_a_line_is_interrupted_on_demand():
    async def tiny():
        async with open_test_queue(tasks, workers=1):
            pass

    report = interrupt_everywhere(tiny, every=5)
    assert report.plays == -(-report.executed // 5)


def test_a_swallowed_interrupt_is_found():
    async def deaf():
        try:
            await sound()
        except KeyboardInterrupt:
            pass

    with pytest.raises(BrokenByInterrupt, match="swallowed"):
        interrupt_everywhere(deaf, occurrences=1, every=50)


def test_an_interrupt_that_comes_out_as_something_else_is_found():
    async def translating():
        try:
            await sound()
        except KeyboardInterrupt:
            raise TrioqueueError("stopped") from None

    with pytest.raises(BrokenByInterrupt, match=r"Ctrl-C at \S+\.py:\d+"):
        interrupt_everywhere(translating, occurrences=1, every=50)
