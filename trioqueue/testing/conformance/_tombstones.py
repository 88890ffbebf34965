"""Cases of tombstones: an id that has ended answers, instead of running again."""

from __future__ import annotations

import trio

from ... import Move, State, UnknownTask
from ._bench import Bench, raised, verdict
from ._case import Has, case
from ._places import ENDED, LATER, LIVE, bring


@case(each=LIVE)
async def the_id_of_a_live_task_answers_with_it(bench: Bench, place: str) -> None:
    await bring(bench, "1", place)
    before = await bench.picture()
    (again,) = await bench.publish("1", payload=b"other")
    assert (again.id, again.state) == ("1", LIVE[place])
    assert await bench.picture() == before
    assert (await bench.get("1")).payload != b"other"


@case(each=ENDED)
async def the_id_of_an_ended_task_answers_with_its_end(bench: Bench, place: str) -> None:
    """It does not run again: a submit that was repeated late has no second effect."""
    await bring(bench, "1", place)
    before = await bench.picture()
    (again,) = await bench.publish("1")
    assert (again.id, again.state) == ("1", ENDED[place])
    assert again.outcome is not None
    assert await bench.picture() == before
    await bench.sleep(LATER + 1)
    assert await bench.claimed() == []


@case(each=ENDED)
async def the_end_of_a_task_is_known_for_a_while(bench: Bench, place: str) -> None:
    await bring(bench, "1", place)
    await bench.sleep(LATER)
    task = await bench.get("1")
    assert task.state is ENDED[place]
    assert task.outcome is not None


@case(Has.FORGETS, each=[place for place in ENDED if place not in {"died", "purged"}])
async def what_has_ended_is_forgotten_at_last(bench: Bench, place: str) -> None:
    """Every verb then answers as for a task that never was."""
    await bring(bench, "1", place)
    (task,) = await bench.publish("1")
    lease = bench.held.get("1")
    await bench.suite.forget(bench)
    assert await bench.inspector.get("1") is None
    assert await bench.inspector.cancel("1") is False
    assert await bench.inspector.revoke("1") is False
    await raised(UnknownTask, bench.inspector.replay, "1")
    await raised(UnknownTask, bench.inspector.purge, "1")
    await raised(UnknownTask, bench.inspector.history, "1")
    if lease is not None:
        assert await bench.settle(verdict(lease, Move.DIED)) == [False]
        assert list(await bench.broker.renew([lease])) == [lease]
    assert task.state is ENDED[place]


@case(Has.FORGETS)
async def a_forgotten_id_is_a_new_task(bench: Bench) -> None:
    await bench.end(await bench.running("1", type="old"), Move.SUCCEEDED)
    await bench.suite.forget(bench)
    bench.forget_events()
    (again,) = await bench.publish("1", type="new")
    assert (again.type, again.state) == ("new", State.READY)
    assert await bench.claimed(room={"new": 1, "old": 1}) == ["1"]


@case(Has.FORGETS)
async def a_late_settle_after_the_id_was_used_again_is_refused(bench: Bench) -> None:
    """The fence grows through the reuse of an id as well, or tells the two apart in its own way."""
    old = await bench.running("1")
    await bench.end(old, Move.SUCCEEDED)
    await bench.suite.forget(bench)
    bench.forget_events()
    new = await bench.running("1")
    assert await bench.settle(verdict(old, Move.DIED)) == [False]
    assert await bench.state("1") is State.RUNNING
    await bench.end(new, Move.SUCCEEDED)


@case(Has.FORGETS)
async def open_tasks_and_dead_letters_are_not_forgotten(bench: Bench) -> None:
    lease = await bench.running("running")
    await bench.dead("dead")
    await bench.publish("ready")
    await bench.suite.forget(bench)
    assert await bench.state("ready") is State.READY
    assert await bench.state("dead") is State.DEAD
    assert [letter.id for letter in await bench.inspector.dead_letters()] == ["dead"]
    if Has.LEASES not in bench.suite.has:
        await bench.end(lease, Move.SUCCEEDED)
    assert (await bench.counts()).dead == 1


@case(Has.FORGETS)
async def the_counts_remember_what_was_forgotten(bench: Bench) -> None:
    await bench.end(await bench.running("1"), Move.SUCCEEDED)
    before = await bench.counts()
    await bench.suite.forget(bench)
    after = await bench.counts()
    assert after.succeeded >= before.succeeded
    assert after.submitted >= before.submitted


@case(Has.RETENTION)
async def a_result_is_dropped_before_the_end_is_forgotten(bench: Bench) -> None:
    """Whoever asks then is told so: that it succeeded is known, with what is not."""
    await bench.end(await bench.running("1"), Move.SUCCEEDED, result=b"[1]")
    await trio.sleep(bench.suite.retention / 2)
    outcome = (await bench.get("1")).outcome
    assert outcome is not None
    assert (outcome.value, outcome.stored) == (b"[1]", True)
    await trio.sleep(bench.suite.retention)
    task = await bench.get("1")
    assert task.state is State.SUCCEEDED
    assert task.outcome is not None
    assert (task.outcome.value, task.outcome.stored) == (None, False)
    assert [task.state for task in await bench.publish("1")] == [State.SUCCEEDED]
