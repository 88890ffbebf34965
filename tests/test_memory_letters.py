"""The memory broker's dead letters: replayed, purged, and evicted when there are too many."""

import logging

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.contract import a_task, capture, check_places, end, take, take_all, verdict
from trioqueue import Event, KeyTaken, Move, QueueClosed, State, UnknownTask, open_memory_broker


async def test_a_replayed_letter_begins_anew_with_a_growing_fence() -> None:
    async with open_memory_broker() as broker:
        await broker.publish([a_task("1", key="k")])
        end(broker, take(broker), Move.DIED)
        task = await broker.replay("1")
        assert (task.state, task.failures, task.outcome) == (State.READY, 0, None)
        assert broker.dead_letters() == []
        check_places(broker)
        assert await broker.publish([a_task("2", key="k")]) == [task], "it holds its key again"
        assert take(broker).token == 2


async def test_what_cannot_be_replayed_or_purged() -> None:
    async with open_memory_broker() as broker:
        await broker.publish([a_task("1", key="k"), a_task("live")])
        end(broker, take(broker), Move.DIED)
        for id in ("nobody", "live"):
            with pytest.raises(UnknownTask, match=id):
                await broker.replay(id)
            with pytest.raises(UnknownTask, match=id):
                broker.purge(id)
        await broker.publish([a_task("2", key="k")])
        with pytest.raises(KeyTaken, match="'k'"):
            await broker.replay("1")
        broker.close()
        with pytest.raises(QueueClosed):
            await broker.replay("1")
        assert [letter.id for letter in broker.dead_letters()] == ["1"]


async def test_a_replay_waits_for_room_like_a_submit() -> None:
    """Cancelled: a dead letter still. Purged while it waits: an error, and the place is free."""
    async with open_memory_broker(capacity=1) as broker:
        await broker.publish([a_task("1")])
        end(broker, take(broker), Move.DIED)
        await broker.publish([a_task("2")])
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(broker.replay, "1")
                await wait_all_tasks_blocked()
                assert broker.counts().waiting_submitters == 1
                scope.cancel()
        assert [letter.id for letter in broker.dead_letters()] == ["1"]
        errors: list[BaseException] = []

        async def replay() -> None:
            errors.append(await capture(broker.replay, "1"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(replay)
            await wait_all_tasks_blocked()
            broker.purge("1")
            broker.settle_nowait(verdict(take(broker), Move.SUCCEEDED), 0)
        assert [type(error) for error in errors] == [UnknownTask]
        check_places(broker)


async def test_a_purged_letter_leaves_a_tombstone() -> None:
    """Its id is not run again, as long as results are kept; so the fence never goes back."""
    async with open_memory_broker(results=1) as broker:
        task = a_task("1")
        await broker.publish([task])
        end(broker, take(broker), Move.DIED)
        broker.purge("1")
        assert broker.dead_letters() == []
        assert await broker.publish([a_task("1")]) == [task]
        assert (task.state, take_all(broker)) == (State.PURGED, [])


async def test_the_oldest_letter_makes_room(caplog: pytest.LogCaptureFixture) -> None:
    """Evicted: counted, logged, and told."""
    events: list[Event] = []
    async with open_memory_broker(dead_capacity=2) as broker:
        broker.events.add(events.append)
        with caplog.at_level(logging.WARNING, "trioqueue"):
            for n in range(3):
                await broker.publish([a_task(str(n))])
                end(broker, take(broker), Move.DIED)
        assert [letter.id for letter in broker.dead_letters()] == ["1", "2"]
        assert (broker.counts().dead, broker.counts().evicted) == (2, 1)
        assert [event.task_id for event in events if event.name == "evicted"] == ["0"]
        (record,) = caplog.records
        assert "0" in record.getMessage()
        assert "dead_capacity" in record.getMessage()


async def test_a_task_that_is_lost_again_and_again_is_stopped() -> None:
    """Ten leases may be lost; one more and it is dead, since it may be what kills its process."""
    async with open_memory_broker() as broker:
        task = a_task("1")
        await broker.publish([task])
        for losses in range(1, 11):
            take(broker)
            assert broker.revoke("1")
            assert (task.state, task.failures, task.trace().losses) == (State.READY, 0, losses)
        take(broker)
        assert broker.revoke("1")
        check_places(broker)
        (letter,) = broker.dead_letters()
        assert "lost 11 times" in str(letter.error)
        moves = broker.counts().moves
        assert (moves[Move.LOST], moves[Move.DIED]) == (10, 1)
        assert await broker.replay("1") is task
