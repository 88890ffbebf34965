"""Cases of ``settle``: every move that ends a lease, once, repeated, too late, and in batches."""

from __future__ import annotations

from typing import Final, NamedTuple

from ... import Move, OutcomeKind, State
from ..._model import Outcome, Settlement
from ._bench import ENDS_OF_A_LEASE, Bench, verdict
from ._case import case


class After(NamedTuple):
    """What a task is after the first attempt was settled by a move, with a delay."""

    state: State
    failures: int = 0
    interruptions: int = 0
    snoozes: int = 0
    errors: int = 0


#: The rows of the life cycle that begin in ``running``.
AFTER: Final = {
    Move.SUCCEEDED: After(State.SUCCEEDED),
    Move.RETRIED: After(State.SCHEDULED, failures=1, errors=1),
    Move.DIED: After(State.DEAD, failures=1, errors=1),
    Move.SNOOZED: After(State.SCHEDULED, snoozes=1),
    Move.RELEASED: After(State.READY, interruptions=1),
    Move.CANCELLED: After(State.CANCELLED),
}


async def seen(bench: Bench, task_id: str) -> After:
    """The same of a task as it is now."""
    task = await bench.get(task_id)
    assert task.state is not None
    trail = task.trace()
    return After(task.state, task.failures, trail.interruptions, trail.snoozes, len(trail.errors))


@case(each=ENDS_OF_A_LEASE)
async def a_move_counts_what_is_its_own(bench: Bench, move: Move) -> None:
    """Failures, interruptions, snoozes, losses and deliveries are kept apart."""
    lease = await bench.running("1")
    await bench.end(lease, move, delay=9)
    assert await seen(bench, "1") == AFTER[move]
    task = await bench.get("1")
    assert (task.deliveries, task.trace().losses) == (1, 0)
    counts = await bench.counts()
    assert getattr(counts, AFTER[move].state) == 1
    assert counts.running == 0


@case(each=ENDS_OF_A_LEASE)
async def a_settlement_repeated_is_true_again_without_a_second_effect(
    bench: Bench, move: Move
) -> None:
    settlement = await bench.end(await bench.running("1"), move, delay=9)
    before = await bench.picture()
    events = len(bench.events)
    for _ in range(2):
        assert await bench.settle(settlement) == [True]
    assert await bench.picture() == before
    assert len(bench.events) == events


@case(each=ENDS_OF_A_LEASE)
async def a_second_verdict_on_the_same_lease_is_refused(bench: Bench, move: Move) -> None:
    """Whatever it says, and also if it says the same as the first."""
    lease = await bench.running("1")
    await bench.end(lease, move, delay=9)
    before = await bench.picture()
    for other in ENDS_OF_A_LEASE:
        if other is not move:
            assert await bench.settle(verdict(lease, other)) == [False]
    assert await bench.picture() == before


@case()
async def settling_nothing_answers_nothing(bench: Bench) -> None:
    assert await bench.settle() == []


@case()
async def a_batch_is_answered_one_by_one(bench: Bench) -> None:
    """A lease that was lost does not spoil those beside it."""
    await bench.publish("1", "2", "3")
    one, two, three = await bench.claim()
    assert await bench.inspector.revoke("2")
    answers = await bench.settle(
        verdict(one, Move.SUCCEEDED), verdict(two, Move.DIED), verdict(three, Move.RETRIED)
    )
    assert answers == [True, False, True]
    assert await bench.states("12") == [State.SUCCEEDED, State.READY]
    assert (await bench.get("3")).failures == 1


@case()
async def a_batch_with_every_move_makes_each(bench: Bench) -> None:
    await bench.publish(*map(str, ENDS_OF_A_LEASE))
    leases = await bench.claim()
    answers = await bench.settle(
        *(
            verdict(lease, move, bench.seconds(9))
            for lease, move in zip(leases, ENDS_OF_A_LEASE, strict=True)
        )
    )
    assert answers == [True] * len(ENDS_OF_A_LEASE)
    for move in ENDS_OF_A_LEASE:
        assert await seen(bench, move) == AFTER[move]


@case()
async def a_batch_may_hold_the_same_lease_twice(bench: Bench) -> None:
    """The first counts; the very same again is a repeat, another one is refused."""
    first = verdict(await bench.running("1"), Move.RETRIED, bench.seconds(9))
    other = verdict(first.lease, Move.DIED)
    assert await bench.settle(first, first, other) == [True, True, False]
    assert await seen(bench, "1") == AFTER[Move.RETRIED]


@case(each=[Move.RETRIED, Move.SNOOZED])
async def what_comes_again_without_a_delay_is_ready_at_once(bench: Bench, move: Move) -> None:
    await bench.end(await bench.running("1"), move, delay=0)
    assert await bench.state("1") is State.READY
    assert await bench.claimed() == ["1"]


@case(each=[Move.RETRIED, Move.SNOOZED])
async def what_comes_again_later_is_not_ready_before(bench: Bench, move: Move) -> None:
    await bench.end(await bench.running("1"), move, delay=4)
    assert await bench.state("1") is State.SCHEDULED
    await bench.sleep(1)
    assert await bench.claimed() == []
    await bench.sleep(4)
    assert await bench.claimed() == ["1"]


@case()
async def what_was_claimed_and_not_started_is_given_back_uncounted(bench: Bench) -> None:
    """A stop releases it: no interruption, since no attempt was cut short."""
    lease = await bench.running("1")
    await bench.publish("2")
    settlement = Settlement(lease, Move.RELEASED, Outcome(OutcomeKind.HANDED_BACK))
    assert await bench.settle(settlement) == [True]
    assert await seen(bench, "1") == After(State.READY)
    assert await bench.claimed() == ["1", "2"]


@case()
async def a_retry_is_the_next_attempt(bench: Bench) -> None:
    await bench.publish("1")
    for attempt in (1, 2, 3):
        lease = await bench.take("1")
        assert (lease.task.attempt, lease.task.failures) == (attempt, attempt - 1)
        await bench.end(lease, Move.RETRIED)


@case(each=[Move.RELEASED, Move.SNOOZED])
async def what_is_not_the_tasks_fault_uses_no_attempt(bench: Bench, move: Move) -> None:
    await bench.publish("1")
    for _ in range(12):
        await bench.end(await bench.take("1"), move)
    assert (await bench.take("1")).task.attempt == 1


@case()
async def the_payload_comes_with_every_attempt(bench: Bench) -> None:
    await bench.publish("1", payload=b"\x00every\xff")
    for move in (Move.RETRIED, Move.RELEASED, Move.SNOOZED, Move.DIED):
        lease = await bench.take("1")
        assert lease.task.payload == b"\x00every\xff"
        await bench.end(lease, move)
    await bench.inspector.replay("1")
    assert (await bench.take("1")).task.payload == b"\x00every\xff"


@case()
async def the_counts_tell_how_often_each_move_happened(bench: Bench) -> None:
    await bench.publish("1")
    moves = (Move.RETRIED, Move.RETRIED, Move.RELEASED, Move.SNOOZED, Move.DIED)
    for move in moves:
        await bench.end(await bench.take("1"), move)
    counted = (await bench.counts()).moves
    assert {move: counted.get(move, 0) for move in ENDS_OF_A_LEASE} == {
        move: moves.count(move) for move in ENDS_OF_A_LEASE
    }
