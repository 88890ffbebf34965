"""Cases of idempotency keys: held from acceptance to a terminal state, within a queue."""

from __future__ import annotations

from ... import KeyTaken, Move, State
from ._bench import Bench, raised
from ._case import case
from ._places import ENDED, LIVE, bring


@case(each=LIVE)
async def a_live_task_holds_its_key(bench: Bench, place: str) -> None:
    await bring(bench, "1", place, key="k")
    before = await bench.picture()
    (answer,) = await bench.publish("2", key="k")
    assert answer.id == "1"
    assert await bench.state("2") is None, "no new task"
    after = await bench.picture()
    assert after.pop("2") is None
    assert after == before


@case(each=ENDED)
async def a_task_that_has_ended_holds_no_key(bench: Bench, place: str) -> None:
    await bring(bench, "1", place, key="k")
    (answer,) = await bench.publish("2", key="k")
    assert (answer.id, answer.state) == ("2", State.READY)
    assert await bench.claimed() == ["2"]


@case()
async def a_key_is_unique_within_its_queue_only(bench: Bench) -> None:
    await bench.publish("1", key="k")
    (other,) = await bench.publish("2", key="k", queue="mail")
    assert other.id == "2"
    assert (await bench.counts()).submitted == 2


@case()
async def a_key_is_no_id(bench: Bench) -> None:
    await bench.publish("1", key="2")
    await bench.publish("2", key="1")
    assert await bench.claimed() == ["1", "2"]


@case()
async def tasks_without_a_key_are_all_different(bench: Bench) -> None:
    await bench.publish("1", "2", "3")
    assert await bench.claimed() == ["1", "2", "3"]


@case()
async def the_empty_key_is_a_key(bench: Bench) -> None:
    await bench.publish("1", key="")
    (answer,) = await bench.publish("2", key="")
    assert answer.id == "1"


@case()
async def a_replayed_task_holds_its_key_again(bench: Bench) -> None:
    await bench.dead("1", key="k")
    await bench.inspector.replay("1")
    (answer,) = await bench.publish("2", key="k")
    assert answer.id == "1"


@case()
async def a_replay_onto_a_key_that_is_held_is_refused(bench: Bench) -> None:
    await bench.dead("1", key="k")
    await bench.publish("2", key="k")
    before = await bench.picture()
    await raised(KeyTaken, bench.inspector.replay, "1")
    assert await bench.picture() == before
    await bench.end(await bench.take("2"), Move.SUCCEEDED)
    await bench.inspector.replay("1")
    assert await bench.claimed() == ["1"]
