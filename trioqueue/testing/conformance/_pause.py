"""Cases of ``pause`` and ``resume``: they stop claims, and nothing else."""

from __future__ import annotations

from ... import Move, State
from ._bench import Bench
from ._case import case


async def _publish_two_queues(bench: Bench) -> None:
    await bench.publish("x", queue="x")
    await bench.publish("y", queue="y")


@case()
async def a_paused_queue_is_passed_over(bench: Bench) -> None:
    await _publish_two_queues(bench)
    await bench.inspector.pause("x")
    assert await bench.claimed() == ["y"]
    assert await bench.claimed(queues=["x"]) == []
    await bench.inspector.resume("x")
    assert await bench.claimed() == ["x"]


@case()
async def when_all_are_paused_nothing_is_claimed(bench: Bench) -> None:
    await _publish_two_queues(bench)
    await bench.inspector.pause()
    assert await bench.claimed() == []
    assert await bench.claimed(queues=["x"]) == []
    await bench.inspector.resume()
    assert await bench.claimed() == ["x", "y"]


@case()
async def one_queue_resumed_is_paused_still_while_all_are(bench: Bench) -> None:
    await _publish_two_queues(bench)
    await bench.inspector.pause("x")
    await bench.inspector.pause()
    await bench.inspector.resume("x")
    assert await bench.claimed() == []
    await bench.inspector.resume()
    assert await bench.claimed() == ["x", "y"]


@case()
async def resuming_all_resumes_each(bench: Bench) -> None:
    await _publish_two_queues(bench)
    await bench.inspector.pause("x")
    await bench.inspector.resume()
    assert await bench.claimed() == ["x", "y"]


@case()
async def pausing_and_resuming_twice_is_once(bench: Bench) -> None:
    await _publish_two_queues(bench)
    for _ in range(2):
        await bench.inspector.pause("x")
    await bench.inspector.resume("x")
    await bench.inspector.resume("x")
    await bench.inspector.resume("never paused")
    assert await bench.claimed() == ["x", "y"]


@case()
async def paused_tells_what_is_paused(bench: Bench) -> None:
    async def told() -> tuple[bool, list[str]]:
        everything, queues = await bench.inspector.paused()
        return everything, sorted(queues)

    assert await told() == (False, [])
    await bench.inspector.pause("b")
    await bench.inspector.pause("a")
    assert await told() == (False, ["a", "b"])
    await bench.inspector.pause()
    assert (await told())[0] is True
    await bench.inspector.resume()
    assert await told() == (False, [])


@case()
async def a_pause_stops_claims_only(bench: Bench) -> None:
    """Publishing, settling, renewing, cancelling and falling due go on."""
    lease = await bench.running("1", queue="x")
    await bench.publish("cancelled", queue="x")
    await bench.inspector.pause("x")
    await bench.publish("2", queue="x")
    await bench.publish("3", queue="x", delay=2)
    assert list(await bench.broker.renew([lease])) == []
    assert await bench.inspector.cancel("cancelled")
    await bench.end(lease, Move.RELEASED)
    await bench.sleep(3)
    assert await bench.claimed() == []
    await bench.inspector.resume("x")
    assert await bench.claimed() == ["1", "2", "3"]


@case()
async def a_paused_queue_may_be_empty_or_unheard_of(bench: Bench) -> None:
    await bench.inspector.pause("later")
    await bench.publish("1", queue="later")
    assert await bench.claimed() == []
    assert await bench.state("1") is State.READY
    await bench.inspector.resume("later")
    assert await bench.claimed() == ["1"]


@case()
async def what_expires_in_a_paused_queue_expires(bench: Bench) -> None:
    await bench.inspector.pause()
    (task,) = await bench.publish("1", expires=2)
    await bench.promptly(bench.broker.wait_settled, task, units=30)
    assert await bench.state("1") is State.EXPIRED
    await bench.inspector.resume()
    assert await bench.claimed() == []
