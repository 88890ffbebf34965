"""Cases of ``run_now``: what is scheduled becomes due, by the way on which time would make it."""

from __future__ import annotations

import trio

from ... import Move, State
from ._bench import Bench
from ._case import Has, case
from ._places import ENDED, LATER, LIVE, bring

_SCHEDULED = tuple(place for place, state in LIVE.items() if state is State.SCHEDULED)
_OTHERS = tuple(place for place in (*LIVE, *ENDED) if place not in _SCHEDULED)


@case(each=_SCHEDULED)
async def a_scheduled_task_becomes_due_now(bench: Bench, place: str) -> None:
    """Once: when its time comes, nothing more happens."""
    await bring(bench, "1", place)
    async with bench.wakes(bench.broker.wait_ready):
        assert await bench.inspector.run_now("1") is True
    assert await bench.state("1") is State.READY
    assert bench.names("1")[-1] == "due"
    assert (await bench.counts()).moves[Move.DUE] == 1
    await bench.end(await bench.take("1"), Move.SUCCEEDED)
    await bench.sleep(LATER + 1)
    assert await bench.claimed() == []


@case(each=_OTHERS)
async def what_is_not_scheduled_is_left_alone(bench: Bench, place: str) -> None:
    await bring(bench, "1", place)
    before = await bench.picture()
    assert await bench.inspector.run_now("1") is False
    assert await bench.picture() == before


@case()
async def it_goes_behind_what_is_ready(bench: Bench) -> None:
    await bench.publish("0", delay=LATER)
    await bench.publish("1", "2")
    await bench.inspector.run_now("0")
    await bench.publish("3")
    assert await bench.claimed() == ["1", "2", "0", "3"]


@case()
async def a_paused_queue_stays_paused(bench: Bench) -> None:
    await bench.publish("1", delay=LATER)
    await bench.inspector.pause("default")
    assert await bench.inspector.run_now("1") is True
    assert await bench.claimed() == []
    await bench.inspector.resume("default")
    assert await bench.claimed() == ["1"]


@case()
async def what_was_made_due_still_expires(bench: Bench) -> None:
    await bench.publish("1", delay=4, expires=6)
    assert await bench.inspector.run_now("1") is True
    await bench.sleep(7)
    assert await bench.claimed() == []
    assert await bench.state("1") is State.EXPIRED


@case(Has.HISTORY)
async def its_history_says_that_it_is_due(bench: Bench) -> None:
    await bench.publish("1", delay=LATER)
    await bench.inspector.run_now("1")
    names = [entry.name for entry in await bench.inspector.history("1")]
    assert names == ["delayed", "due"]


@case(Has.BOUNDED, capacity=1)
async def without_room_it_waits_for_it_ahead_of_submitters(bench: Bench) -> None:
    await bench.publish("late", delay=LATER)
    lease = await bench.running("first")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.broker.publish, [bench.task("behind")])
        await bench.sleep()
        for _ in range(2):
            assert await bench.inspector.run_now("late") is True
        assert await bench.state("late") is State.SCHEDULED
        await bench.end(lease, Move.SUCCEEDED)
        assert await bench.state("late") is State.READY
        await bench.end(await bench.take("late"), Move.SUCCEEDED)
    assert await bench.claimed() == ["behind"]
