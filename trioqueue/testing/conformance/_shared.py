"""Cases of a store that several openings share: what one does, the others see and are bound by."""

from __future__ import annotations

import trio

from ... import Move, QueuePaused, RemoteBroker, State
from ._bench import Bench, raised, verdict
from ._case import Has, case
from ._places import ENDED, LIVE, bring


@case(Has.SHARED)
async def what_one_publishes_the_other_claims(bench: Bench) -> None:
    async with bench.another() as other:
        await bench.publish("1", "2", payload=b"\x00x")
        found = await bench.claim(broker=other)
        assert [(lease.task.id, lease.task.payload) for lease in found] == [
            ("1", b"\x00x"),
            ("2", b"\x00x"),
        ]
        assert await bench.claimed() == []


@case(Has.SHARED)
async def each_opening_has_its_own_identity(bench: Bench) -> None:
    async with bench.another() as other:
        assert bench.broker.identity
        assert other.identity != bench.broker.identity


@case(Has.SHARED)
async def two_openings_never_claim_the_same(bench: Bench) -> None:
    ids = [str(n) for n in range(40)]
    await bench.publish(*ids)
    taken: list[str] = []

    async def claim(broker: RemoteBroker) -> None:
        for _ in ids:
            taken.extend(await bench.claimed(3, broker=broker))

    async with bench.another() as other, trio.open_nursery() as nursery:
        for broker in (bench.broker, other, bench.broker, other):
            nursery.start_soon(claim, broker)
    assert sorted(taken) == sorted(ids)


@case(Has.SHARED)
async def two_openings_publish_the_same_once(bench: Bench) -> None:
    async with bench.another() as other, trio.open_nursery() as nursery:
        for broker in (bench.broker, other):
            nursery.start_soon(broker.publish, [bench.task(str(n), key=str(n)) for n in range(9)])
    assert (await bench.counts()).submitted == 9
    assert await bench.claimed() == [str(n) for n in range(9)]


@case(Has.SHARED)
async def a_publish_here_wakes_who_waits_there(bench: Bench) -> None:
    async with bench.another() as other, bench.wakes(other.wait_ready):
        await bench.publish("1")


@case(Has.SHARED)
async def a_resume_here_wakes_who_waits_there(bench: Bench) -> None:
    await bench.publish("1")
    await bench.inspector.pause()
    async with bench.another() as other, bench.wakes(other.wait_ready):
        await bench.inspector.resume()


@case(Has.SHARED)
async def what_one_gives_back_wakes_the_other(bench: Bench) -> None:
    lease = await bench.running("1")
    async with bench.another() as other, bench.wakes(other.wait_ready):
        await bench.end(lease, Move.RELEASED)


@case(Has.SHARED)
async def what_is_due_wakes_who_has_not_published_it(bench: Bench) -> None:
    async with bench.another() as other:
        passed = bench.stopwatch()
        await bench.publish("1", delay=4)
        await other.wait_ready()
        assert bench.about(passed(), 4)


@case(Has.SHARED, each=[Move.SUCCEEDED, Move.DIED])
async def an_end_here_is_heard_of_there(bench: Bench, move: Move) -> None:
    """Whoever submitted it in another process gets the result."""
    async with bench.another() as other:
        (task,) = await other.publish([bench.task("1")])
        lease = await bench.take("1")
        async with bench.wakes(other.wait_settled, task):
            await bench.end(lease, move, result=b"[7]")
        assert task.outcome is not None
        assert task.outcome.value == (b"[7]" if move is Move.SUCCEEDED else None)
        assert (task.outcome.error is not None) is (move is Move.DIED)


@case(Has.SHARED)
async def a_cancellation_there_reaches_who_runs_it_here(bench: Bench) -> None:
    """Without waiting for the next renewal to be asked for... or by it, at the latest."""
    heard: list[str] = []
    bench.broker.watch(lambda lease: heard.append(lease.task.id), None)
    lease = await bench.running("1")
    async with bench.another() as other:
        assert await other.cancel("1")
        await bench.broker.renew([lease])
    assert lease.cancel_requested
    assert heard == ["1"]


@case(Has.SHARED)
async def a_pause_there_stops_claims_here(bench: Bench) -> None:
    await bench.publish("x", queue="x")
    await bench.publish("y", queue="y")
    async with bench.another() as other:
        await other.pause("x")
        assert await bench.inspector.paused() == (False, ["x"])
        assert await bench.claimed() == ["y"]
        await raised(QueuePaused, bench.inspector.is_drained, ["type"], None)
        await other.resume("x")
        assert await bench.claimed() == ["x"]


@case(Has.SHARED)
async def the_fence_holds_between_openings(bench: Bench) -> None:
    async with bench.another() as other:
        old = await bench.running("1")
        assert await other.revoke("1")
        (new,) = await bench.claim(broker=other)
        assert await bench.settle(verdict(old, Move.SUCCEEDED)) == [False]
        assert list(await bench.broker.renew([old])) == [old]
        assert list(await other.settle([verdict(new, Move.SUCCEEDED)])) == [True]


@case(Has.SHARED)
async def dead_letters_are_operated_from_anywhere(bench: Bench) -> None:
    await bench.dead("1", "2", "3")
    async with bench.another() as other:
        assert [letter.id for letter in await other.dead_letters()] == ["1", "2", "3"]
        await other.replay("2")
        await other.purge("3")
        assert await bench.claimed() == ["2"]
        assert [letter.id for letter in await bench.inspector.dead_letters()] == ["1"]


@case(Has.SHARED)
async def all_openings_count_the_same(bench: Bench) -> None:
    async with bench.another() as other:
        await bench.dead("1")
        await other.publish([bench.task("2")])
        await bench.running("3", queue="x", priority=200)
        assert await other.counts() == await bench.inspector.counts()
        here, there = await bench.inspector.lanes(), await other.lanes()
        assert [lane[:-1] for lane in there] == [lane[:-1] for lane in here]


@case(Has.SHARED, Has.WORKERS)
async def a_worker_is_seen_from_another_opening(bench: Bench) -> None:
    from ._records import _worker

    await bench.broker.register(_worker("w"))
    async with bench.another() as other:
        assert [record.id for record in await other.workers()] == ["w"]


@case(Has.SHARED)
async def a_drain_there_waits_for_what_runs_here(bench: Bench) -> None:
    lease = await bench.running("1")
    async with bench.another() as other:
        assert await other.is_drained(["type"], None) is False
        async with bench.wakes(other.wait_drained, ["type"], None):
            await bench.end(lease, Move.SUCCEEDED)


@case(Has.SHARED)
async def whoever_goes_leaves_the_others_alone(bench: Bench) -> None:
    async with bench.another() as other:
        await other.publish([bench.task("1")])
    await bench.end(await bench.take("1"), Move.SUCCEEDED)
    await bench.publish("2")
    assert await bench.claimed() == ["2"]


# --- opened again ---------------------------------------------------------------------------------


@case(Has.SHARED, each={**LIVE, **ENDED})
async def what_was_stored_is_there_when_it_is_opened_again(bench: Bench, place: str) -> None:
    await bring(bench, "1", place, key="k", payload=b"\xff")
    before = await bench.picture()
    await bench.reopen()
    assert await bench.picture() == before
    task = await bench.get("1")
    assert task.options.key == "k"
    if place not in ENDED:
        assert task.payload == b"\xff"
        assert [task.id for task in await bench.publish("2", key="k")] == ["1"]


@case(Has.SHARED)
async def who_held_a_lease_may_settle_by_another_opening(bench: Bench) -> None:
    """As a process does that has lost its connection: the token is what counts."""
    lease = await bench.running("1")
    await bench.reopen()
    await bench.end(lease, Move.SUCCEEDED)


@case(Has.SHARED)
async def a_settlement_may_be_repeated_by_another_opening(bench: Bench) -> None:
    """Also by one that has not seen the first: same answer, no second effect."""
    settlement = await bench.end(await bench.running("1"), Move.RETRIED, delay=9)
    before = await bench.picture()
    async with bench.another() as other:
        assert list(await other.settle([settlement])) == [True]
    assert await bench.picture() == before


@case(Has.SHARED, Has.LEASES)
async def what_a_dead_process_held_goes_to_another(bench: Bench) -> None:
    lease = await bench.running("1")
    await bench.reopen()
    await bench.promptly(bench.broker.wait_ready, units=2 * bench.lease)
    new = await bench.take("1")
    assert new.token > lease.token
    assert (await bench.get("1")).trace().losses == 1


@case(Has.SHARED)
async def a_pause_outlasts_the_opening(bench: Bench) -> None:
    await bench.inspector.pause("x")
    await bench.publish("1", queue="x")
    await bench.reopen()
    assert await bench.inspector.paused() == (False, ["x"])
    assert await bench.claimed() == []
    await bench.inspector.pause()
    await bench.reopen()
    assert (await bench.inspector.paused())[0] is True


@case(Has.SHARED)
async def what_became_due_while_it_was_closed_is_ready(bench: Bench) -> None:
    await bench.publish("1", delay=2)
    await bench.publish("2", expires=2)
    await bench.publish("3")
    await bench.reopen()
    await bench.sleep(3)
    await bench.reopen()
    assert sorted(await bench.claimed()) == ["1", "3"]
    assert await bench.state("2") is State.EXPIRED


@case(Has.SHARED)
async def the_order_outlasts_the_opening(bench: Bench) -> None:
    back = await bench.running("back")
    await bench.publish("1", "2")
    await bench.publish("high", priority=255)
    await bench.end(back, Move.RELEASED)
    await bench.reopen()
    await bench.publish("3")
    assert await bench.claimed() == ["high", "back", "1", "2", "3"]
