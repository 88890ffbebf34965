"""Cases of draining: whether anything of some types is open, and waiting until it is not."""

from __future__ import annotations

from ... import Move, QueuePaused
from ._bench import Bench, raised
from ._case import Has, case
from ._places import ENDED, LIVE, bring


@case()
async def an_empty_broker_is_drained(bench: Bench) -> None:
    assert await bench.inspector.is_drained(["type"], None) is True
    assert await bench.inspector.is_drained([], None) is True


@case(each=LIVE)
async def an_open_task_is_in_the_way(bench: Bench, place: str) -> None:
    await bring(bench, "1", place)
    assert await bench.inspector.is_drained(["type"], None) is False
    assert await bench.inspector.is_drained(["type", "other"], ["default"]) is False


@case(each=ENDED)
async def an_ended_task_is_not(bench: Bench, place: str) -> None:
    await bring(bench, "1", place)
    assert await bench.inspector.is_drained(["type"], None) is True


@case()
async def other_types_and_queues_are_not_waited_for(bench: Bench) -> None:
    await bench.publish("1", type="mine", queue="x")
    drained = bench.inspector.is_drained
    assert await drained(["foreign"], None) is True
    assert await drained(["mine"], ["y"]) is True
    assert await drained([], None) is True
    assert await drained(["mine"], ["x", "y"]) is False


@case(each=["ready", "scheduled", "retried"])
async def a_paused_queue_with_tasks_would_be_waited_for_for_ever(bench: Bench, place: str) -> None:
    await bring(bench, "1", place, queue="x")
    await bench.inspector.pause("x")
    error = await raised(QueuePaused, bench.inspector.is_drained, ["type"], None)
    assert "x" in str(error)
    assert await bench.inspector.is_drained(["type"], ["y"]) is True
    await bench.inspector.resume("x")
    assert await bench.inspector.is_drained(["type"], None) is False


@case()
async def what_runs_in_a_paused_queue_may_be_waited_for(bench: Bench) -> None:
    lease = await bench.running("1")
    await bench.inspector.pause()
    assert await bench.inspector.is_drained(["type"], None) is False
    await bench.end(lease, Move.SUCCEEDED)
    assert await bench.inspector.is_drained(["type"], None) is True


@case(Has.REMOTE)
async def wait_drained_returns_when_nothing_is_open(bench: Bench) -> None:
    await bench.promptly(bench.broker.wait_drained, ["type"], None)
    lease = await bench.running("1")
    await bench.publish("foreign", type="foreign")
    async with bench.wakes(bench.broker.wait_drained, ["type"], None):
        await bench.end(lease, Move.SUCCEEDED)


@case(Has.REMOTE)
async def wait_drained_waits_for_retries_and_delays(bench: Bench) -> None:
    await bench.publish("1", delay=4)
    await bench.waits(bench.broker.wait_drained, ["type"], None)
    await bench.broker.wait_ready()
    await bench.end(await bench.take("1"), Move.RETRIED, delay=4)
    await bench.waits(bench.broker.wait_drained, ["type"], None)
    async with bench.wakes(bench.broker.wait_drained, ["type"], None):
        await bench.inspector.cancel("1")


@case(Has.REMOTE)
async def wait_drained_raises_for_a_paused_queue(bench: Bench) -> None:
    """At once, or as soon as it is paused."""
    await bench.publish("1", queue="x")
    errors: list[QueuePaused] = []

    async def drain() -> None:
        errors.append(await raised(QueuePaused, bench.broker.wait_drained, ["type"], None))

    async with bench.wakes(drain):
        await bench.inspector.pause("x")
    await bench.promptly(drain)
    assert len(errors) == 2
