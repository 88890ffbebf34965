"""Cases of the fence: only the holder of the current lease changes a task."""

from __future__ import annotations

from ... import Move, State
from ..._model import Lease
from ._bench import ENDS_OF_A_LEASE, Bench, verdict
from ._case import case
from ._places import ENDED, bring


@case(each=ENDS_OF_A_LEASE)
async def a_zombie_cannot_settle_what_somebody_else_runs(bench: Bench, move: Move) -> None:
    """The lease was revoked and the task claimed anew: the old holder's verdict is void."""
    old = await bench.running("1")
    assert await bench.inspector.revoke("1")
    new = await bench.take("1")
    before = await bench.picture()
    assert await bench.settle(verdict(old, move, bench.seconds(9))) == [False]
    assert await bench.picture() == before
    await bench.end(new, Move.SUCCEEDED)
    assert await bench.settle(verdict(old, move)) == [False], "nor when it has ended"
    assert await bench.state("1") is State.SUCCEEDED


@case(each=[Move.RELEASED, Move.RETRIED, Move.SNOOZED])
async def a_lease_that_was_given_back_is_worth_nothing(bench: Bench, move: Move) -> None:
    """Before the task is claimed again, and after."""
    old = await bench.running("1")
    await bench.end(old, move)
    assert await bench.settle(verdict(old, Move.SUCCEEDED)) == [False]
    new = await bench.take("1")
    assert await bench.settle(verdict(old, Move.SUCCEEDED)) == [False]
    assert await bench.state("1") is State.RUNNING
    await bench.end(new, Move.SUCCEEDED)


@case()
async def a_revoked_lease_is_worth_nothing(bench: Bench) -> None:
    old = await bench.running("1")
    assert await bench.inspector.revoke("1")
    for move in ENDS_OF_A_LEASE:
        assert await bench.settle(verdict(old, move)) == [False]
    assert await bench.state("1") is State.READY
    assert (await bench.get("1")).failures == 0


@case()
async def a_replay_does_not_bring_an_old_lease_back_to_life(bench: Bench) -> None:
    old = await bench.running("1")
    await bench.end(old, Move.DIED)
    await bench.inspector.replay("1")
    assert await bench.settle(verdict(old, Move.SUCCEEDED)) == [False]
    await bench.take("1")
    assert await bench.settle(verdict(old, Move.SUCCEEDED)) == [False]
    assert await bench.state("1") is State.RUNNING


@case(each=[-1, 1, 1_000])
async def a_forged_token_opens_nothing(bench: Bench, difference: int) -> None:
    lease = await bench.running("1")
    forged = Lease(lease.task, lease.token + difference, lease.started_at)
    before = await bench.picture()
    for move in ENDS_OF_A_LEASE:
        assert await bench.settle(verdict(forged, move)) == [False]
    assert [each.token for each in await bench.broker.renew([forged])] == [forged.token]
    assert await bench.picture() == before
    await bench.end(lease, Move.SUCCEEDED)


@case()
async def a_lease_on_a_task_that_waits_is_worth_nothing(bench: Bench) -> None:
    """Also one with the token that the task will have next."""
    (task,) = await bench.publish("1")
    for token in (0, 1):
        assert await bench.settle(verdict(Lease(task, token, 0.0), Move.SUCCEEDED)) == [False]
    assert await bench.claimed() == ["1"]


@case()
async def a_lease_on_a_task_that_never_was_is_worth_nothing(bench: Bench) -> None:
    lease = Lease(bench.task("never"), 1, 0.0)
    for move in ENDS_OF_A_LEASE:
        assert await bench.settle(verdict(lease, move)) == [False]
    assert (await bench.counts()).submitted == 0


@case(each=ENDED)
async def what_has_ended_is_changed_by_no_lease(bench: Bench, place: str) -> None:
    await bring(bench, "1", place)
    task = await bench.get("1")
    ended_by = task.deliveries or None  # that one could be a repeat
    before = await bench.picture()
    for token in range(4):
        for move in ENDS_OF_A_LEASE:
            if token != ended_by:
                assert await bench.settle(verdict(Lease(task, token, 0.0), move)) == [False]
    assert await bench.picture() == before
