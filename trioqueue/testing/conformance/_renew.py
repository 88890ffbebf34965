"""Cases of ``renew`` and of leases that expire."""

from __future__ import annotations

from ... import Move, State
from ..._model import Lease
from ._bench import ENDS_OF_A_LEASE, Bench, verdict
from ._case import Has, case
from ._places import ENDED, bring


@case()
async def renewing_what_one_holds_loses_nothing(bench: Bench) -> None:
    await bench.publish("1", "2")
    leases = await bench.claim()
    before = await bench.picture()
    assert list(await bench.broker.renew([])) == []
    for _ in range(3):
        assert list(await bench.broker.renew(leases)) == []
    assert await bench.picture() == before


@case()
async def renew_tells_which_leases_were_lost(bench: Bench) -> None:
    await bench.publish(*"1234")
    kept, revoked, settled, given_back = await bench.claim()
    await bench.inspector.revoke("2")
    await bench.end(settled, Move.SUCCEEDED)
    await bench.end(given_back, Move.RELEASED)
    lost = await bench.broker.renew([revoked, kept, given_back, settled])
    assert sorted(lease.task.id for lease in lost) == ["2", "3", "4"]
    assert all(lease in (revoked, settled, given_back) for lease in lost), "the very same leases"
    await bench.end(kept, Move.SUCCEEDED)


@case()
async def a_lease_is_lost_although_the_task_runs_again(bench: Bench) -> None:
    old = await bench.running("1")
    await bench.inspector.revoke("1")
    new = await bench.take("1")
    assert list(await bench.broker.renew([new, old])) == [old]


@case()
async def a_lease_on_a_task_that_never_was_is_lost(bench: Bench) -> None:
    lease = Lease(bench.task("never"), 1, 0.0)
    assert list(await bench.broker.renew([lease])) == [lease]


@case(each=ENDED)
async def a_lease_on_what_has_ended_is_lost(bench: Bench, place: str) -> None:
    await bring(bench, "1", place)
    lease = bench.held.get("1") or Lease(await bench.get("1"), 1, 0.0)
    assert list(await bench.broker.renew([lease])) == [lease]


@case()
async def renew_tells_what_is_to_be_cancelled(bench: Bench) -> None:
    await bench.publish("1", "2")
    one, two = await bench.claim()
    assert await bench.inspector.cancel("2")
    assert list(await bench.broker.renew([one, two])) == []
    assert (one.cancel_requested, two.cancel_requested) == (False, True)


# --- leases that expire ---------------------------------------------------------------------------


async def _hold(bench: Bench, lease: Lease, leases: int) -> None:
    """Renew as a worker does, for the time of so many leases."""
    for _ in range(3 * leases):
        await bench.sleep(bench.lease / 3)
        assert list(await bench.broker.renew([lease])) == []


@case(Has.LEASES)
async def a_lease_that_is_renewed_does_not_expire(bench: Bench) -> None:
    lease = await bench.running("1")
    await _hold(bench, lease, 4)
    task = await bench.get("1")
    assert (task.state, task.deliveries, task.trace().losses) == (State.RUNNING, 1, 0)
    await bench.end(lease, Move.SUCCEEDED)


@case(Has.LEASES)
async def a_lease_that_is_not_renewed_is_lost(bench: Bench) -> None:
    """The task is ready at the front, for nobody's fault; its old holder may write nothing."""
    old = await bench.running("1")
    await bench.publish("2")
    await bench.leases_expire()
    await bench.promptly(bench.broker.wait_ready)
    new = await bench.take("1")
    task = await bench.get("1")
    assert (task.trace().losses, task.trace().interruptions, task.failures) == (1, 0, 0)
    assert new.token > old.token
    assert await bench.settle(verdict(old, Move.SUCCEEDED)) == [False]
    assert list(await bench.broker.renew([old, new])) == [old]
    assert (await bench.counts()).moves.get(Move.LOST) == 1


@case(Has.LEASES)
async def a_worker_that_waits_is_woken_for_a_lost_lease(bench: Bench) -> None:
    """Within a lease and a sweep, which comes at least once a lease."""
    await bench.running("1")
    await bench.promptly(bench.broker.wait_ready, units=2 * bench.lease)
    assert await bench.claimed() == ["1"]


@case(Has.LEASES)
async def a_lease_tells_until_when_it_can_be_proven(bench: Bench) -> None:
    """On the clock of ``lease_time``; each renewal moves it on."""
    broker = bench.broker
    before = broker.lease_time()
    lease = await bench.running("1")
    assert before < lease.expires <= broker.lease_time() + broker.lease
    await bench.sleep(1)
    before = lease.expires
    await broker.renew([lease])
    assert before < lease.expires <= broker.lease_time() + broker.lease
    await bench.leases_expire()
    assert broker.lease_time() > lease.expires


@case(Has.LEASES)
async def only_what_was_not_renewed_is_lost(bench: Bench) -> None:
    await bench.publish("kept", "dropped")
    kept, dropped = await bench.claim()
    await _hold(bench, kept, 2)
    assert list(await bench.broker.renew([dropped])) == [dropped]
    assert await bench.claimed() == ["dropped"]
    await bench.end(kept, Move.SUCCEEDED)


@case(Has.SKIPS, each=ENDS_OF_A_LEASE)
async def the_clock_alone_takes_no_lease_away(bench: Bench, move: Move) -> None:
    """A sweep does: until it has come, whoever holds the lease may settle."""
    lease = await bench.running("1")
    await bench.skip()
    assert await bench.settle(verdict(lease, move, bench.seconds(9))) == [True]
    assert (await bench.get("1")).trace().losses == 0


@case(Has.SKIPS)
async def a_late_renewal_before_the_sweep_keeps_the_lease(bench: Bench) -> None:
    lease = await bench.running("1")
    await bench.skip()
    assert list(await bench.broker.renew([lease])) == []
    await bench.sleep(1)
    assert await bench.claimed() == []
    await bench.end(lease, Move.SUCCEEDED)


@case()
async def one_loss_too_many_makes_a_dead_letter(bench: Bench) -> None:
    """A task that kills its process again and again is stopped, and can be replayed."""
    await bench.publish("1", key="k")
    for n in range(bench.suite.max_losses):
        await bench.take("1")
        assert await bench.inspector.revoke("1")
        assert await bench.state("1") is State.READY, f"after {n + 1} losses"
    await bench.take("1")
    assert await bench.inspector.revoke("1")
    (letter,) = await bench.inspector.dead_letters()
    assert (letter.id, letter.failures) == ("1", 0)
    assert letter.error is not None
    assert "lost" in letter.error.message
    assert await bench.claimed() == []
    assert [task.id for task in await bench.publish("2", key="k")] == ["2"]
    await bench.end(await bench.take("2"), Move.SUCCEEDED)
    await bench.inspector.replay("1")
    assert await bench.claimed() == ["1"]


@case(Has.LEASES)
async def leases_that_expire_again_and_again_make_a_dead_letter(bench: Bench) -> None:
    await bench.publish("1")
    for _ in range(bench.suite.max_losses + 1):
        await bench.take("1")
        await bench.leases_expire()
    await bench.sleep(1)
    assert await bench.claimed() == []
    assert await bench.state("1") is State.DEAD
    task = await bench.get("1")
    assert task.trace().losses == bench.suite.max_losses + 1


# --- revoking -------------------------------------------------------------------------------------


@case()
async def a_revoked_task_is_ready_at_the_front(bench: Bench) -> None:
    """Counted as a loss, never as a failure or an interruption."""
    await bench.running("1")
    await bench.publish("2")
    assert await bench.inspector.revoke("1")
    trail = (await bench.get("1")).trace()
    assert (trail.losses, trail.interruptions, trail.errors) == (1, 0, ())
    counts = await bench.counts()
    assert (counts.ready, counts.running, counts.moves[Move.LOST]) == (2, 0, 1)
    assert await bench.claimed() == ["1", "2"]


@case(each=["ready", "scheduled", *ENDED])
async def what_does_not_run_has_no_lease_to_revoke(bench: Bench, place: str) -> None:
    await bring(bench, "1", place)
    before = await bench.picture()
    assert await bench.inspector.revoke("1") is False
    assert await bench.inspector.revoke("nobody") is False
    assert await bench.picture() == before


@case()
async def a_lease_is_revoked_once(bench: Bench) -> None:
    await bench.running("1")
    assert await bench.inspector.revoke("1")
    assert await bench.inspector.revoke("1") is False
    assert (await bench.get("1")).trace().losses == 1
