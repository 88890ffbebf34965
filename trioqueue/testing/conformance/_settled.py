"""Cases of ``wait_settled``: whoever waits for a task hears of its end, whatever that is."""

from __future__ import annotations

import trio

from ... import Move, State, UnknownTask
from ._bench import Bench, raised
from ._case import Has, case
from ._places import ENDED, LIVE, bring


@case(each=ENDED)
async def who_comes_after_the_end_does_not_wait(bench: Bench, place: str) -> None:
    await bring(bench, "1", place)
    task = await bench.get("1")
    await bench.promptly(bench.broker.wait_settled, task)
    assert task.state is ENDED[place]
    assert task.outcome is not None


@case(each=LIVE)
async def who_comes_before_the_end_waits(bench: Bench, place: str) -> None:
    await bring(bench, "1", place)
    await bench.waits(bench.broker.wait_settled, await bench.get("1"))
    assert await bench.state("1") is LIVE[place]


@case(each=[Move.SUCCEEDED, Move.DIED, Move.CANCELLED])
async def who_waits_hears_of_the_end_of_an_attempt(bench: Bench, move: Move) -> None:
    (task,) = await bench.publish("1")
    lease = await bench.take("1")
    async with bench.wakes(bench.broker.wait_settled, task):
        await bench.end(lease, move)
    assert task.state is {Move.SUCCEEDED: State.SUCCEEDED, Move.DIED: State.DEAD}.get(
        move, State.CANCELLED
    )
    assert task.outcome is not None


@case()
async def who_waits_hears_of_a_cancellation(bench: Bench) -> None:
    (task,) = await bench.publish("1")
    async with bench.wakes(bench.broker.wait_settled, task):
        await bench.inspector.cancel("1")
    assert task.state is State.CANCELLED


@case()
async def who_waits_hears_of_an_expiry(bench: Bench) -> None:
    """Although nobody claims: the clock is enough for this one."""
    (task,) = await bench.publish("1", expires=5)
    await bench.promptly(bench.broker.wait_settled, task, units=30)
    assert task.state is State.EXPIRED


@case()
async def who_waits_hears_of_the_last_loss(bench: Bench) -> None:
    (task,) = await bench.publish("1")
    for _ in range(bench.suite.max_losses):
        await bench.take("1")
        await bench.inspector.revoke("1")
    await bench.take("1")
    async with bench.wakes(bench.broker.wait_settled, task):
        await bench.inspector.revoke("1")
    assert task.state is State.DEAD


@case()
async def who_waits_sleeps_through_retries(bench: Bench) -> None:
    (task,) = await bench.publish("1")
    lease = await bench.take("1")
    async with bench.wakes(bench.broker.wait_settled, task):
        for move in (Move.RETRIED, Move.RELEASED, Move.SNOOZED):
            await bench.end(lease, move)
            lease = await bench.take("1")
        await bench.end(lease, Move.SUCCEEDED)
    assert task.state is State.SUCCEEDED


@case()
async def everybody_who_waits_for_a_task_hears_of_its_end(bench: Bench) -> None:
    (task,) = await bench.publish("1")
    lease = await bench.take("1")
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(bench.broker.wait_settled, task)
        await bench.waits(bench.broker.wait_settled, task)
        await bench.end(lease, Move.SUCCEEDED)
        await bench.promptly(bench.broker.wait_settled, task)


@case()
async def who_waits_for_one_does_not_hear_of_others(bench: Bench) -> None:
    one, _two = await bench.publish("1", "2")
    leases = await bench.claim()
    async with bench.wakes(bench.broker.wait_settled, one):
        await bench.end(leases[1], Move.SUCCEEDED)
        await bench.waits(bench.broker.wait_settled, one)
        await bench.end(leases[0], Move.SUCCEEDED)


@case()
async def nobody_waits_for_a_task_that_never_was(bench: Bench) -> None:
    task = bench.task("never")
    error = await raised(UnknownTask, bench.promptly, bench.broker.wait_settled, task)
    assert error.task_id == "never"


@case()
async def a_replayed_task_is_waited_for_again(bench: Bench) -> None:
    await bench.dead("1")
    await bench.inspector.replay("1")
    task = await bench.get("1")
    await bench.waits(bench.broker.wait_settled, task)
    lease = await bench.take("1")
    async with bench.wakes(bench.broker.wait_settled, task):
        await bench.end(lease, Move.SUCCEEDED)


@case(Has.REMOTE, each=ENDED)
async def an_id_alone_is_enough_to_wait(bench: Bench, place: str) -> None:
    """As another process has it: what it lacks is filled in."""
    await bring(bench, "1", place, type="send", queue="mail")
    task = bench.task("1", "", payload=None)
    await bench.promptly(bench.broker.wait_settled, task)
    assert (task.state, task.type, task.options.queue) == (ENDED[place], "send", "mail")
    assert task.outcome is not None
