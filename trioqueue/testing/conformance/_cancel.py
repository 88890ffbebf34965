"""Cases of ``cancel``: waiting, running, ended, unknown."""

from __future__ import annotations

from ... import Move, OutcomeKind, State
from ..._model import Outcome, Settlement
from ._bench import Bench
from ._case import Has, case
from ._places import ENDED, LATER, bring


@case(each=["ready", "scheduled", "retried", "snoozed", "released", "revoked", "replayed"])
async def a_waiting_task_is_cancelled_at_once(bench: Bench, place: str) -> None:
    await bring(bench, "1", place, key="k")
    (known,) = await bench.publish("1")
    assert await bench.inspector.cancel("1") is True
    task = await bench.get("1")
    assert task.state is State.CANCELLED
    assert task.outcome is not None
    assert task.outcome.kind is OutcomeKind.CANCELLED
    await bench.promptly(bench.broker.wait_settled, known)
    await bench.sleep(LATER + 1)
    assert await bench.claimed() == []
    assert (await bench.counts()).cancelled == 1
    assert [task.id for task in await bench.publish("2", key="k")] == ["2"], "its key is free"


@case()
async def a_running_tasks_holder_is_asked(bench: Bench) -> None:
    """It runs on until its holder settles; asking again is the same."""
    lease = await bench.running("1")
    for _ in range(2):
        assert await bench.inspector.cancel("1") is True
    assert await bench.state("1") is State.RUNNING
    assert list(await bench.broker.renew([lease])) == []
    assert lease.cancel_requested
    await bench.end(lease, Move.CANCELLED)
    assert await bench.state("1") is State.CANCELLED


@case()
async def a_value_that_was_returned_all_the_same_counts(bench: Bench) -> None:
    lease = await bench.running("1")
    await bench.inspector.cancel("1")
    outcome = Outcome(OutcomeKind.RETURNED, b"1", cancel_ignored=True)
    settlement = Settlement(lease, Move.SUCCEEDED, outcome)
    settlement.result = b"1"
    assert await bench.settle(settlement) == [True]
    assert await bench.state("1") is State.SUCCEEDED
    assert (await bench.counts()).cancelled == 0


@case(each=ENDED)
async def what_has_ended_is_not_cancelled_any_more(bench: Bench, place: str) -> None:
    await bring(bench, "1", place)
    before = await bench.picture()
    assert await bench.inspector.cancel("1") is False
    assert await bench.picture() == before


@case()
async def nobody_is_cancelled_for_an_unknown_id(bench: Bench) -> None:
    await bench.publish("1")
    assert await bench.inspector.cancel("nobody") is False
    assert await bench.state("1") is State.READY


@case()
async def cancelling_one_leaves_the_others(bench: Bench) -> None:
    await bench.publish("1", "2", "3")
    assert await bench.inspector.cancel("2")
    assert await bench.claimed() == ["1", "3"]


@case(Has.REMOTE)
async def who_watches_hears_of_a_cancellation(bench: Bench) -> None:
    """At the latest by the next renewal, with the flag set by then."""
    heard: list[tuple[str, bool]] = []
    bench.broker.watch(lambda lease: heard.append((lease.task.id, lease.cancel_requested)), None)
    await bench.publish("1", "2")
    leases = await bench.claim()
    await bench.inspector.cancel("2")
    await bench.broker.renew(leases)
    assert heard == [("2", True)]
    bench.broker.watch(None, None)
    await bench.inspector.cancel("1")
    await bench.broker.renew(leases)
    assert heard == [("2", True)], "nobody watches any more"
