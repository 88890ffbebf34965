"""Cases of ``wait_ready``: it waits, it changes nothing, and it does not spin."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from ... import Move
from ._bench import Bench
from ._case import case

Change = Callable[[Bench], Awaitable[object]]


@case()
async def wait_ready_returns_at_once_while_something_is_ready(bench: Bench) -> None:
    await bench.publish("1")
    for _ in range(3):
        await bench.promptly(bench.broker.wait_ready)
    assert await bench.claimed() == ["1"]


@case()
async def wait_ready_waits_while_nothing_is(bench: Bench) -> None:
    """An empty broker, or one whose tasks run, have ended, or are due later."""
    await bench.waits(bench.broker.wait_ready)
    await bench.running("1")
    await bench.end(await bench.running("2"), Move.SUCCEEDED)
    await bench.publish("3", delay=50)
    await bench.waits(bench.broker.wait_ready)


@case()
async def wait_ready_changes_nothing(bench: Bench) -> None:
    await bench.running("1")
    await bench.publish("2", "3")
    before = await bench.picture()
    for _ in range(3):
        await bench.broker.wait_ready()
    assert await bench.picture() == before


async def publish(bench: Bench) -> None:
    """A new task."""
    await bench.publish("new")


async def replay(bench: Bench) -> None:
    """A dead letter comes back."""
    await bench.inspector.replay("dead")


async def release(bench: Bench) -> None:
    """A stop gives a task back."""
    await bench.end(bench.held["running"], Move.RELEASED)


async def retry(bench: Bench) -> None:
    """An attempt has failed, and the next is due at once."""
    await bench.end(bench.held["running"], Move.RETRIED)


async def revoke(bench: Bench) -> None:
    """A lease is lost."""
    assert await bench.inspector.revoke("running")


async def resume(bench: Bench) -> None:
    """A queue is served again."""
    await bench.inspector.resume("paused")


@case(each=[publish, replay, release, retry, revoke, resume])
async def wait_ready_wakes(bench: Bench, change: Change) -> None:
    await bench.dead("dead")
    await bench.running("running")
    await bench.inspector.pause("paused")
    await bench.publish("waiting", queue="paused")
    async with bench.wakes(bench.broker.wait_ready):
        await change(bench)
    assert len(await bench.claim()) == 1


@case()
async def wait_ready_wakes_when_everything_is_resumed(bench: Bench) -> None:
    await bench.inspector.pause()
    await bench.publish("1")
    async with bench.wakes(bench.broker.wait_ready):
        await bench.inspector.resume()
    assert await bench.claimed() == ["1"]


@case(each=[Move.RETRIED, Move.SNOOZED])
async def wait_ready_wakes_when_a_task_is_due_again(bench: Bench, move: Move) -> None:
    lease = await bench.running("1")
    passed = bench.stopwatch()
    await bench.end(lease, move, delay=4)
    await bench.broker.wait_ready()
    assert bench.about(passed(), 4)
    assert await bench.claimed() == ["1"]


@case()
async def wait_ready_wakes_early_for_a_task_that_is_due_earlier(bench: Bench) -> None:
    """Whoever waits for the next that is due hears of one that comes before it."""
    await bench.publish("late", delay=30)

    async def publish_soon() -> None:
        await bench.sleep(1)
        await bench.publish("soon", delay=2)

    passed = bench.stopwatch()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(publish_soon)
        await bench.broker.wait_ready()
        assert bench.about(passed(), 3)


@case()
async def wait_ready_waits_for_its_own_types(bench: Bench) -> None:
    """A task of a type that the worker does not have is nothing to it."""
    await bench.publish("1", type="foreign")
    await bench.waits(bench.broker.wait_ready, ["mine"])
    async with bench.wakes(bench.broker.wait_ready, ["mine", "other"]):
        await bench.publish("2", type="mine")
    await bench.promptly(bench.broker.wait_ready, ["foreign"])


@case()
async def wait_ready_waits_for_its_own_queues(bench: Bench) -> None:
    await bench.publish("1", queue="foreign")
    await bench.waits(bench.broker.wait_ready, None, ["mine"])
    async with bench.wakes(bench.broker.wait_ready, None, ["mine"]):
        await bench.publish("2", queue="mine")
    await bench.promptly(bench.broker.wait_ready, ["type"], ["foreign"])


@case()
async def wait_ready_waits_while_its_queue_is_paused(bench: Bench) -> None:
    await bench.publish("1", queue="x")
    await bench.inspector.pause("x")
    await bench.waits(bench.broker.wait_ready)
    await bench.publish("2", queue="y")
    await bench.promptly(bench.broker.wait_ready)


@case(each=["foreign_type", "foreign_queue", "paused", "delayed"])
async def wait_ready_does_not_spin(bench: Bench, cause: str) -> None:
    """In vain at most, not again and again for the same cause."""
    await bench.publish("1", type="foreign" if cause == "foreign_type" else "mine")
    if cause == "paused":
        await bench.inspector.pause()
    if cause == "delayed":
        await bench.end(await bench.take("1"), Move.SUCCEEDED)
        await bench.publish("2", type="mine", delay=20)
    queues = ["mine"] if cause == "foreign_queue" else None
    returned = 0
    with trio.move_on_after(bench.seconds(10)):
        while returned < 100:
            await bench.broker.wait_ready(["mine"], queues)
            returned += 1
    assert returned <= 2


@case()
async def everybody_who_waits_is_woken(bench: Bench) -> None:
    """The one who comes first takes it; the others wait again."""
    woken: list[int] = []

    async def wait(number: int) -> None:
        await bench.broker.wait_ready()
        woken.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(wait, number)
        await bench.sleep(1)
        await bench.publish("1")
        await bench.sleep(1)
        assert sorted(woken) == [0, 1, 2]


@case()
async def a_cancelled_wait_takes_nothing_from_the_others(bench: Bench) -> None:
    async with bench.wakes(bench.broker.wait_ready):
        await bench.waits(bench.broker.wait_ready)
        await bench.publish("1")
    assert await bench.claimed() == ["1"]
