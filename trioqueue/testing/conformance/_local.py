"""Cases of a broker in the same process: every verb at once, and the end of it all."""

from __future__ import annotations

import trio

from ... import Move, QueueClosed, QueuePaused, State
from ._bench import ENDS_OF_A_LEASE, Bench, raised, verdict
from ._case import Has, case


def _anything(_: str) -> bool:
    return True


def _only_b(name: str) -> bool:
    return name == "b"


@case(Has.LOCAL)
async def at_once_is_the_same_as_by_and_by(bench: Bench) -> None:
    broker = bench.local
    assert [task.id for task in broker.publish_nowait([bench.task("1"), bench.task("2")])] == [
        *("1", "2")
    ]
    assert broker.accept_nowait(bench.task("3")).id == "3"
    assert broker.accept_nowait(bench.task("1")).id == "1"
    found = [broker.claim_nowait(_anything, trio.current_time()).task.id for _ in range(3)]
    assert found == ["1", "2", "3"]
    assert broker.claim_nowait(_anything, trio.current_time()) is None
    assert await bench.claimed() == []


@case(Has.LOCAL)
async def a_claim_at_once_takes_admitted_types_only(bench: Bench) -> None:
    await bench.publish("1", type="a")
    await bench.publish("2", type="b")
    lease = bench.local.claim_nowait(_only_b, trio.current_time())
    assert lease.task.id == "2"
    assert bench.local.has_ready(_anything)
    assert not bench.local.has_ready(_only_b)


@case(Has.LOCAL, each=ENDS_OF_A_LEASE)
async def settling_at_once_is_fenced_and_repeatable_too(bench: Bench, move: Move) -> None:
    settlement = verdict(await bench.running("1"), move, bench.seconds(9))
    now = trio.current_time()
    assert bench.local.settle_nowait(settlement, now) is True
    before = await bench.picture()
    assert bench.local.settle_nowait(settlement, now) is True
    for other in ENDS_OF_A_LEASE:
        assert bench.local.settle_nowait(verdict(settlement.lease, other), now) is False
    assert await bench.picture() == before


@case(Has.LOCAL)
async def completing_at_once_is_a_success(bench: Bench) -> None:
    lease = await bench.running("1")
    outcome = verdict(lease, Move.SUCCEEDED).outcome
    now = trio.current_time()
    assert bench.local.complete_nowait(lease, outcome, now) is True
    assert bench.local.complete_nowait(lease, outcome, now) is True, "repeated"
    assert await bench.state("1") is State.SUCCEEDED
    assert (await bench.get("1")).outcome is outcome


@case(Has.LOCAL, Has.BOUNDED, capacity=1)
async def where_it_would_wait_it_says_so(bench: Bench) -> None:
    await bench.publish("1")
    try:
        bench.local.publish_nowait([bench.task("2")])
    except trio.WouldBlock:
        pass
    else:
        raise AssertionError("there is no room")
    assert await bench.state("2") is None


@case(Has.LOCAL)
async def a_closed_broker_goes_on_with_what_it_has(bench: Bench) -> None:
    await bench.dead("dead")
    await bench.publish("1")
    bench.local.close()
    bench.local.close()
    await raised(QueueClosed, bench.inspector.replay, "dead")
    await bench.end(await bench.take("1"), Move.RETRIED, delay=2)
    await bench.sleep(3)
    await bench.end(await bench.take("1"), Move.SUCCEEDED)
    await bench.promptly(bench.local.drain)


@case(Has.LOCAL)
async def a_stop_hands_back_what_waits_and_what_comes_back(bench: Bench) -> None:
    await bench.publish("succeeds", "retried", "released", "waits")
    await bench.publish("delayed", delay=9)
    leases = await bench.claim(3)
    bench.local.stop()
    assert await bench.states(["waits", "delayed"]) == [State.HANDED_BACK] * 2
    for lease, move in zip(leases, (Move.SUCCEEDED, Move.RETRIED, Move.RELEASED), strict=True):
        await bench.end(lease, move)
    assert await bench.claimed() == []
    counts = await bench.counts()
    assert (counts.succeeded, counts.handed_back) == (1, 4)
    handed_back = {record.id for record in bench.local.unfinished()}
    assert handed_back == {"waits", "delayed", "retried", "released"}
    await raised(QueueClosed, bench.publish, "late")


@case(Has.LOCAL)
async def a_stop_tells_everybody_who_waits(bench: Bench) -> None:
    (task,) = await bench.publish("1")
    async with bench.wakes(bench.local.wait_settled, task), bench.wakes(bench.local.drain):
        bench.local.stop()
    assert task.state is State.HANDED_BACK


@case(Has.LOCAL)
async def a_drain_of_a_paused_queue_raises(bench: Bench) -> None:
    await bench.inspector.pause()
    await bench.promptly(bench.local.drain)
    await bench.publish("1")
    await raised(QueuePaused, bench.local.drain)
