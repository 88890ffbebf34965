"""Cases of ``claim``: which tasks it takes, in what order, and how many."""

from __future__ import annotations

import trio

from ... import Move, State
from ._bench import Bench
from ._case import case


@case()
async def a_claim_takes_in_the_order_of_acceptance(bench: Bench) -> None:
    await bench.publish("3", "1")
    await bench.publish("2")
    assert [await bench.claimed(1) for _ in range(4)] == [["3"], ["1"], ["2"], []]


@case()
async def a_claim_does_not_wait_for_work(bench: Bench) -> None:
    assert await bench.promptly(bench.claim) == []
    await bench.publish("1", delay=5)
    assert await bench.promptly(bench.claim) == []


@case()
async def a_claimed_task_runs_under_its_own_lease(bench: Bench) -> None:
    lease = await bench.running("1")
    assert (lease.token, lease.task.deliveries, lease.task.state) == (1, 1, State.RUNNING)
    assert not lease.cancel_requested
    assert not lease.lost
    assert lease.settled is None
    task = await bench.get("1")
    assert (task.state, task.deliveries, task.failures, task.attempt) == (State.RUNNING, 1, 0, 1)
    assert await bench.claimed() == [], "nobody else gets it"


@case()
async def a_higher_priority_comes_first(bench: Bench) -> None:
    """Strictly, over the whole range, whatever the types."""
    for n, priority in enumerate((100, 0, 255, 1, 254, 100, 255)):
        await bench.publish(f"{priority}.{n}", type=f"type{n % 2}", priority=priority)
    assert await bench.claimed() == ["255.2", "255.6", "254.4", "100.0", "100.5", "1.3", "0.1"]


@case()
async def a_later_task_of_a_higher_priority_overtakes(bench: Bench) -> None:
    await bench.publish("low", "low2", priority=1)
    assert await bench.claimed(1) == ["low"]
    await bench.publish("high", priority=2)
    assert await bench.claimed(1) == ["high"]
    assert await bench.claimed(1) == ["low2"]


@case(each=["released", "revoked"])
async def what_was_given_back_comes_first(bench: Bench, how: str) -> None:
    """Before all others of its priority, and after those of a higher one."""
    lease = await bench.running("back")
    await bench.publish("1", "2")
    await bench.publish("high", priority=200)
    if how == "released":
        await bench.end(lease, Move.RELEASED)
    else:
        assert await bench.inspector.revoke("back")
    await bench.publish("3")
    assert await bench.claimed() == ["high", "back", "1", "2", "3"]


@case(each=[Move.RETRIED, Move.SNOOZED])
async def what_is_tried_again_comes_last(bench: Bench, move: Move) -> None:
    """In the order in which tasks became ready."""
    lease = await bench.running("again")
    await bench.publish("1")
    await bench.end(lease, move)
    await bench.publish("2")
    assert await bench.claimed() == ["1", "again", "2"]


@case()
async def a_claim_takes_no_more_than_asked(bench: Bench) -> None:
    await bench.publish(*"12345")
    assert await bench.claimed(0) == []
    assert await bench.claimed(2) == ["1", "2"]
    assert await bench.claimed(9) == ["3", "4", "5"]


@case()
async def a_claim_takes_no_more_of_a_type_than_there_is_room_for(bench: Bench) -> None:
    """A type without room never stands in the way of the others."""
    for task_id in ("a1", "a2", "a3", "b1", "a4", "b2", "c1"):
        await bench.publish(task_id, type=task_id[0])
    assert await bench.claimed(9, room={"a": 2, "b": 1, "c": 0}) == ["a1", "a2", "b1"]
    assert await bench.claimed(9, room={"b": 5, "c": 5}) == ["b2", "c1"]
    assert await bench.claimed(1, room={"a": 5}) == ["a3"]
    assert await bench.claimed(9, room={}) == []


@case()
async def an_unknown_type_is_never_taken(bench: Bench) -> None:
    """It waits, whole, for a worker that has it, and does not hide what is behind it."""
    await bench.publish("1", type="unknown", priority=255)
    await bench.publish("2", type="known")
    assert await bench.claimed(9, room={"known": 9}) == ["2"]
    await bench.end(bench.held["2"], Move.SUCCEEDED)
    await bench.sleep(20)
    assert await bench.claimed(9, room={"known": 9}) == []
    task = await bench.get("1")
    assert (task.state, task.deliveries) == (State.READY, 0)
    assert await bench.claimed(9, room={"unknown": 1}) == ["1"]


@case()
async def a_claim_takes_from_its_queues_only(bench: Bench) -> None:
    for n, queue in enumerate(("x", "y", "z", "x")):
        await bench.publish(str(n), queue=queue)
    assert await bench.claimed(queues=["y"]) == ["1"]
    assert await bench.claimed(queues=["nobody's"]) == []
    assert await bench.claimed(queues=[]) == []
    assert await bench.claimed(queues=["z", "x"]) == ["0", "2", "3"]


@case()
async def types_and_queues_are_looked_at_together(bench: Bench) -> None:
    for n, (kind, queue) in enumerate((("a", "x"), ("a", "y"), ("b", "x"), ("b", "y"))):
        await bench.publish(str(n), type=kind, queue=queue)
    assert await bench.claimed(room={"a": 9}, queues=["y"]) == ["1"]
    assert await bench.claimed(room={"a": 9, "b": 9}, queues=["x"]) == ["0", "2"]


@case()
async def deliveries_only_grow(bench: Bench) -> None:
    """Through release, retry, snooze, a lost lease and a replay: each token is greater."""
    await bench.publish("1")
    tokens: list[int] = []
    for move in (Move.RELEASED, Move.RETRIED, Move.SNOOZED, None, Move.DIED):
        lease = await bench.take("1")
        tokens.append(lease.token)
        if move is None:
            await bench.inspector.revoke("1")
        else:
            await bench.end(lease, move)
    await bench.inspector.replay("1")
    tokens.append((await bench.take("1")).token)
    assert tokens == sorted(set(tokens))
    assert (await bench.get("1")).deliveries == tokens[-1]


@case()
async def two_who_claim_at_the_same_time_never_get_the_same(bench: Bench) -> None:
    ids = [str(n) for n in range(40)]
    await bench.publish(*ids)
    taken: list[str] = []

    async def claim() -> None:
        for _ in ids:
            taken.extend(await bench.claimed(3))

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(claim)
    assert sorted(taken) == sorted(ids)


@case()
async def a_claim_sees_what_ended_meanwhile(bench: Bench) -> None:
    """Cancelled or expired tasks leave no hole and no ghost."""
    await bench.publish("1", "2")
    await bench.publish("3", expires=1)
    await bench.publish("4")
    await bench.inspector.cancel("1")
    await bench.sleep(2)
    assert await bench.claimed(2) == ["2", "4"]
