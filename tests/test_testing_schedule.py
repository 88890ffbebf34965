"""Schedules: a list of choices decides who runs next, 0 is first come first served."""

import random

import pytest
import trio
from hypothesis import find, given
from hypothesis import strategies as st

from trioqueue import TaskSet
from trioqueue.testing import chosen, open_test_queue, run, schedules, seeded


def order(choices, children=3, rounds=2):
    seen = []

    async def child(n):
        for _ in range(rounds):
            await trio.lowlevel.checkpoint()
            seen.append(n)

    async def main():
        async with trio.open_nursery() as nursery:
            for n in range(children):
                nursery.start_soon(child, n)

    run(main, schedule=choices)
    return seen


def test_without_choices_it_is_first_come_first_served():
    assert order([]) == [0, 1, 2, 0, 1, 2]


def test_first_come_is_who_became_runnable_first_not_who_is_oldest():
    seen = []

    async def main():
        lots = [trio.Event() for _ in range(3)]

        async def child(n):
            await lots[n].wait()
            seen.append(n)

        async with trio.open_nursery() as nursery:
            for n in range(3):
                nursery.start_soon(child, n)
            await trio.testing.wait_all_tasks_blocked()
            for n in (2, 0, 1):
                lots[n].set()

    run(main, schedule=[])
    assert seen == [2, 0, 1]


def test_choices_are_modulo_what_is_runnable():
    first = next(n for n in range(20) if order([0] * n + [1]) != order([]))
    found = [order([0] * first + [choice]) for choice in range(6)]
    assert found[:3] == found[3:]
    assert len({tuple(one) for one in found}) == 3


def test_choices_reach_every_order():
    assert {tuple(order([a, b], rounds=1)) for a in range(4) for b in range(4)} != {(0, 1, 2)}
    found = {tuple(order([a, b, c, d], rounds=1)) for a, b, c, d in _quadruples()}
    assert len(found) == 6


def _quadruples():
    return [(a, b, c, d) for a in range(3) for b in range(2) for c in range(3) for d in range(2)]


@pytest.mark.race
def test_a_failing_order_shrinks_to_the_one_choice_that_matters():
    smallest = find(schedules(), lambda choices: order(choices)[0] == 1)
    assert sum(choice != 0 for choice in smallest) == 1


def test_the_scheduler_is_as_before_afterwards():
    module = trio._core._run
    before = module._r, module._ALLOW_DETERMINISTIC_SCHEDULING
    with pytest.raises(KeyError), chosen([1, 2]), seeded(3):
        assert module._r is not before[0]
        raise KeyError
    assert (module._r, module._ALLOW_DETERMINISTIC_SCHEDULING) == before


def test_it_counts_the_choices_there_were():
    with chosen([]) as schedule:
        trio.run(trio.lowlevel.checkpoint, instruments=[schedule])
    assert schedule.used >= 0


@pytest.mark.race
@given(
    choices=schedules(),
    jobs=st.lists(st.sampled_from(["quick", "slow", "capped", "failing"]), max_size=8),
    workers=st.integers(1, 3),
)
def test_no_schedule_breaks_a_law(choices, jobs, workers):
    tasks = TaskSet()

    @tasks.task
    async def quick():
        pass

    @tasks.task
    async def slow():
        await trio.sleep(1)

    @tasks.task(limit=1)
    async def capped():
        await trio.lowlevel.checkpoint()

    @tasks.task
    async def failing():
        await trio.lowlevel.checkpoint()
        raise ValueError

    async def main():
        async with open_test_queue(tasks, workers=workers, capacity=3) as queue:

            async def submit(mine):
                for name in mine:
                    await queue.submit(tasks[name])

            async with trio.open_nursery() as nursery:
                nursery.start_soon(submit, jobs[::2])
                nursery.start_soon(submit, jobs[1::2])

    run(main, schedule=choices)


@pytest.mark.race
def test_drawn_choices_explore_many_interleavings():
    seen = set()
    draw = random.Random(0)
    for _ in range(60):
        seen.add(tuple(order([draw.randrange(8) for _ in range(20)], children=4)))
    assert len(seen) > 50
