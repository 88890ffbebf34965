"""The memory broker's order, pauses and ends: what goes first, what waits, what is handed back."""

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from tests.contract import a_task, anything, capture, check_places, end, take, take_all, verdict
from trioqueue import MemoryBroker, Move, OutcomeKind, QueuePaused, State, open_memory_broker

# --- order ---------------------------------------------------------------------------------------


async def test_a_higher_priority_goes_first_strictly() -> None:
    async with open_memory_broker() as broker:
        for n, priority in enumerate([100, 0, 255, 100, 255, 101]):
            await broker.publish([a_task(str(n), priority=priority)])
        assert take_all(broker) == ["2", "4", "5", "0", "3", "1"]


async def test_acceptance_is_the_order_across_types_and_queues() -> None:
    async with open_memory_broker() as broker:
        ids = [str(n) for n in range(12)]
        for n, id in enumerate(ids):
            await broker.publish([a_task(id, "abc"[n % 3], queue="xy"[n % 2])])
        assert take_all(broker) == ids


async def test_what_was_given_back_goes_to_the_front_of_its_priority() -> None:
    async with open_memory_broker() as broker:
        await broker.publish([a_task("low", priority=1), a_task("1"), a_task("2"), a_task("3")])
        leases = [take(broker), take(broker)]
        for lease in leases:
            end(broker, lease, Move.RELEASED)
        await broker.publish([a_task("high", priority=200)])
        assert take_all(broker) == ["high", "1", "2", "3", "low"]


async def test_a_retry_goes_behind_what_became_ready_before_it() -> None:
    async with open_memory_broker() as broker:
        await broker.publish([a_task("1"), a_task("2")])
        end(broker, take(broker), Move.RETRIED)
        assert take_all(broker) == ["2", "1"]


async def test_a_type_at_its_limit_never_stands_in_anothers_way() -> None:
    """However many of it are in front; and it keeps its own place in the order."""
    async with open_memory_broker() as broker:
        await broker.publish([a_task(f"a{n}", "a") for n in range(50)])
        await broker.publish([a_task("b", "b"), a_task("a50", "a")])
        assert take(broker, lambda name: name != "a").task.id == "b"
        assert not broker.has_ready(lambda name: name != "a")
        assert take_all(broker) == [f"a{n}" for n in range(51)]


@pytest.mark.parametrize("admitted", ["a", "b", "ab", "c"])
async def test_a_claim_that_passes_over_a_lane_leaves_it_where_it_was(admitted: str) -> None:
    """The order of what is claimed later is the order of acceptance all the same."""
    async with open_memory_broker() as broker:
        ids = [f"{name}{n}" for n in range(4) for name in "abc"]
        await broker.publish([a_task(id, id[0]) for id in ids])
        for _ in range(3):
            ids.remove(take(broker, lambda name: name in admitted).task.id)
        assert take_all(broker) == ids


async def test_cancelled_tasks_in_a_lane_cost_nothing() -> None:
    """Ten times as many as there are places, behind one that waits: no overflow, no disorder."""
    async with open_memory_broker(capacity=4) as broker:
        await broker.publish([a_task("first")])
        for n in range(40):
            await broker.publish([a_task(str(n))])
            broker.cancel(str(n))
            check_places(broker)
        await broker.publish([a_task("second"), a_task("third")])
        assert take_all(broker) == ["first", "second", "third"]


async def test_a_lane_of_nothing_but_cancelled_tasks_is_empty() -> None:
    async with open_memory_broker() as broker:
        await broker.publish([a_task(str(n), "ab"[n % 2]) for n in range(6)])
        for n in range(6):
            broker.cancel(str(n))
        assert await broker.claim({"a": 9, "b": 9}, 9) == []
        assert not broker.has_ready(anything)
        await broker.publish([a_task("last")])
        assert take_all(broker) == ["last"]


async def test_alarms_that_were_cancelled_are_forgotten(autojump_clock: MockClock) -> None:
    async with open_memory_broker(capacity=5_000) as broker:
        for n in range(2_000):
            await broker.publish([a_task(str(n), delay=1_000 + n)])
            broker.cancel(str(n))
        assert len(broker._timer._heap) < 200
        await broker.publish([a_task("last", delay=5)])
        await broker.wait_ready()
        assert trio.current_time() == 5


# --- pause and drain -----------------------------------------------------------------------------


async def test_a_pause_stops_claims_only() -> None:
    async with open_memory_broker() as broker:
        await broker.publish([a_task("x", queue="x"), a_task("y", queue="y")])
        running = take(broker)
        broker.pause("x")
        end(broker, running, Move.RELEASED)
        await broker.publish([a_task("x2", queue="x")])
        assert take_all(broker) == ["y"]
        broker.pause()
        assert not broker.has_ready(anything)
        broker.resume("x")
        assert take_all(broker) == [], "all of them are paused"
        broker.resume()
        assert take_all(broker) == ["x", "x2"]


async def drain(broker: MemoryBroker, errors: list[object]) -> None:
    errors.append(await capture(broker.drain))


@pytest.mark.parametrize("delay", [0.0, 9.0])
async def test_draining_a_paused_queue_with_tasks_raises_at_once(delay: float) -> None:
    async with open_memory_broker() as broker:
        broker.pause("x")
        await broker.drain()
        await broker.publish([a_task("1", queue="x", delay=delay)])
        with pytest.raises(QueuePaused, match="'x'"):
            await broker.drain()
        broker.resume("x")
        broker.cancel("1")
        await broker.drain()


async def test_a_pause_ends_a_drain_that_waits() -> None:
    """So does a task that comes back into a paused queue."""
    async with open_memory_broker() as broker:
        for come_back in (False, True):
            errors: list[object] = []
            await broker.publish([a_task(f"{come_back}", queue="x")])
            lease = take(broker) if come_back else None
            async with trio.open_nursery() as nursery:
                nursery.start_soon(drain, broker, errors)
                await wait_all_tasks_blocked()
                broker.pause("x")
                await wait_all_tasks_blocked()
                if lease is not None:
                    assert errors == [], "it runs on: the drain may wait for it"
                    end(broker, lease, Move.RETRIED)
            assert [type(error) for error in errors] == [QueuePaused]
            broker.cancel(f"{come_back}")
            broker.resume("x")


async def test_a_submit_into_a_paused_queue_ends_a_drain_that_waits() -> None:
    async with open_memory_broker() as broker:
        errors: list[object] = []
        await broker.publish([a_task("running")])
        take(broker)
        broker.pause("x")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(drain, broker, errors)
            await wait_all_tasks_blocked()
            await broker.publish([a_task("1", queue="x")])
        assert [type(error) for error in errors] == [QueuePaused]


async def test_a_drain_waits_for_delays_and_retries(autojump_clock: MockClock) -> None:
    async with open_memory_broker() as broker, trio.open_nursery() as nursery:
        with assert_checkpoints():
            await broker.drain()
        await broker.publish([a_task("1", delay=5)])

        async def serve() -> None:
            for move in (Move.RETRIED, Move.SUCCEEDED):
                await broker.wait_ready()
                end(broker, take(broker), move, 7)

        nursery.start_soon(serve)
        await broker.drain()
        assert trio.current_time() == 12


# --- stopping ------------------------------------------------------------------------------------


async def test_a_stop_hands_back_what_waits_and_what_comes_back_later() -> None:
    async with open_memory_broker() as broker:
        await broker.publish([a_task(str(n), key=str(n)) for n in range(4)])
        await broker.publish([a_task("delayed", delay=9)])
        leases = [take(broker) for _ in range(3)]
        broker.stop()
        assert {task.id for task in broker.tasks()} == {"0", "1", "2"}
        moves = (Move.SUCCEEDED, Move.RETRIED, Move.RELEASED)
        for lease, move in zip(leases, moves, strict=True):
            end(broker, lease, move)
        found = {record.id: record for record in broker.unfinished()}
        assert set(found) == {"1", "2", "3", "delayed"}
        assert {record.state for record in found.values()} == {State.HANDED_BACK}
        assert (found["1"].attempt, found["2"].attempt) == (2, 1)
        assert (found["1"].interruptions, found["2"].interruptions) == (0, 1)
        assert (broker.counts().succeeded, broker.counts().handed_back) == (1, 4)
        outcomes = [task.outcome for id in found if (task := broker.get(id)) is not None]
        assert {o.kind for o in outcomes if o is not None} == {OutcomeKind.HANDED_BACK}
        assert take_all(broker) == []


async def test_a_stop_repeated_does_nothing_more() -> None:
    async with open_memory_broker() as broker:
        await broker.publish([a_task("1"), a_task("2")])
        lease = take(broker)
        broker.stop()
        broker.stop()
        broker.close()
        assert [record.id for record in broker.unfinished()] == ["1", "2"]
        assert broker.settle_nowait(verdict(lease, Move.SUCCEEDED), 0)
        await broker.drain()


async def test_a_stop_tells_everybody_who_waits() -> None:
    """For a task and for a drain: neither waits for ever."""
    task = a_task("1")
    async with open_memory_broker() as broker, trio.open_nursery() as nursery:
        await broker.publish([task])
        nursery.start_soon(broker.wait_settled, task)
        nursery.start_soon(broker.drain)
        await wait_all_tasks_blocked()
        broker.stop()
    assert task.state is State.HANDED_BACK
