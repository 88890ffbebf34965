"""The memory broker's verbs, driven directly: what each promises, repeated, late, after the end."""

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from tests.contract import a_task, check_places, end, take, take_all, verdict
from trioqueue import (
    Event,
    InvalidTask,
    Move,
    OutcomeKind,
    QueueClosed,
    State,
    TaskSet,
    open_memory_broker,
    open_queue,
)

ENDS_OF_A_LEASE = (
    Move.SUCCEEDED,
    Move.RETRIED,
    Move.DIED,
    Move.SNOOZED,
    Move.RELEASED,
    Move.CANCELLED,
)


# --- publish -------------------------------------------------------------------------------------


async def test_accepted_tasks_are_ready_in_order() -> None:
    async with open_memory_broker() as broker:
        tasks = [a_task(str(n)) for n in range(5)]
        assert await broker.publish(tasks[:3]) == tasks[:3]
        assert broker.publish_nowait(tasks[3:]) == tasks[3:]
        assert {task.state for task in tasks} == {State.READY}
        assert take_all(broker) == ["0", "1", "2", "3", "4"]


async def test_a_cancelled_publish_accepts_nothing() -> None:
    """It is a full checkpoint, and the effect comes after it."""
    async with open_memory_broker() as broker:
        with trio.CancelScope() as scope:
            scope.cancel()
            await broker.publish([a_task("ghost")])
        assert scope.cancelled_caught
        assert broker.get("ghost") is None
        check_places(broker)


@pytest.mark.parametrize("move", [None, *ENDS_OF_A_LEASE])
async def test_the_same_id_again_answers_instead_of_running_again(move: Move | None) -> None:
    """Whatever has become of the first: live, ended, or dead."""
    async with open_memory_broker(capacity=1) as broker:
        first = a_task("id")
        await broker.publish([first])
        if move is not None:
            end(broker, take(broker), move)
        submitted = broker.counts().submitted
        (again,) = await broker.publish([a_task("id")])
        assert again is first
        assert broker.counts().submitted == submitted == 1
        check_places(broker)


async def test_a_tombstone_is_kept_for_as_many_results_as_asked() -> None:
    async with open_memory_broker(results=2) as broker:
        for n in range(4):
            await broker.publish([a_task(str(n))])
            end(broker, take(broker), Move.SUCCEEDED)
        assert [broker.get(str(n)) is None for n in range(4)] == [True, True, False, False]
        (again,) = await broker.publish([a_task("0")])
        assert again.state is State.READY, "long forgotten: a new task"


async def test_a_key_holds_for_a_live_task_of_the_same_queue() -> None:
    async with open_memory_broker() as broker:
        first = a_task("1", key="k")
        await broker.publish([first])
        assert await broker.publish([a_task("2", key="k")]) == [first]
        (other,) = await broker.publish([a_task("3", key="k", queue="mail")])
        assert other.id == "3", "another queue is another scope"
        assert broker.counts().submitted == 2


@pytest.mark.parametrize("move", ENDS_OF_A_LEASE)
async def test_a_key_is_free_again_at_a_terminal_state_and_not_before(move: Move) -> None:
    async with open_memory_broker() as broker:
        first = a_task("1", key="k")
        await broker.publish([first])
        end(broker, take(broker), move, delay=5)
        (second,) = await broker.publish([a_task("2", key="k")])
        ended = move in {Move.SUCCEEDED, Move.DIED, Move.CANCELLED}
        assert (second is not first) is ended


async def test_a_batch_that_repeats_itself_takes_one_place() -> None:
    async with open_memory_broker(capacity=4) as broker:
        batch = [a_task("1", key="k"), a_task("2", key="k"), a_task("3"), a_task("3")]
        accepted = await broker.publish(batch)
        assert [task.id for task in accepted] == ["1", "1", "3", "3"]
        check_places(broker)
        await broker.publish([a_task("4"), a_task("5")])
        check_places(broker)


@pytest.mark.parametrize("delays", [(0, 5), (5, 0)])
async def test_a_batch_of_delayed_and_other_tasks_is_refused(delays: tuple[int, int]) -> None:
    """They belong into different rooms; nothing is taken from either."""
    async with open_memory_broker() as broker:
        batch = [a_task(str(n), delay=delay) for n, delay in enumerate(delays)]
        with pytest.raises(InvalidTask, match="delay"):
            await broker.publish(batch)
        assert broker.counts().submitted == 0
        check_places(broker)


async def test_an_error_of_the_block_arrives_bare() -> None:
    with pytest.raises(KeyError):
        async with open_memory_broker():
            raise KeyError("mine")


async def test_a_closed_broker_accepts_nothing() -> None:
    async with open_memory_broker() as broker:
        broker.close()
        with pytest.raises(QueueClosed):
            await broker.publish([a_task("1")])
        with pytest.raises(QueueClosed):
            broker.publish_nowait([a_task("1")])
        check_places(broker)


# --- claim ---------------------------------------------------------------------------------------


async def test_a_claim_is_a_new_token_each_time() -> None:
    async with open_memory_broker() as broker:
        await broker.publish([a_task("1")])
        for token in (1, 2, 3):
            lease = take(broker)
            assert (lease.token, lease.task.deliveries) == (token, token)
            assert lease.task.state is State.RUNNING
            end(broker, lease, Move.RELEASED)


async def test_a_claim_takes_what_is_admitted_and_no_more_than_asked() -> None:
    async with open_memory_broker() as broker:
        await broker.publish([a_task(f"{t}{n}", t) for n in range(3) for t in "ab"])
        leases = await broker.claim({"b": 9}, 2)
        assert [lease.task.id for lease in leases] == ["b0", "b1"]
        assert await broker.claim({}, 9) == []
        assert [lease.task.id for lease in await broker.claim({"a": 9, "b": 9}, 9)] == [
            *("a0", "a1", "a2", "b2")
        ]
        assert await broker.claim({"a": 9, "b": 9}, 9) == []


async def test_a_cancelled_claim_takes_nothing() -> None:
    async with open_memory_broker() as broker:
        await broker.publish([a_task("1")])
        with trio.CancelScope() as scope:
            scope.cancel()
            await broker.claim({"t": 1}, 1)
        assert scope.cancelled_caught
        assert take_all(broker) == ["1"]


async def test_wait_ready_waits_and_changes_nothing(autojump_clock: MockClock) -> None:
    async with open_memory_broker() as broker:
        await broker.publish([a_task("1", delay=5)])
        await broker.wait_ready()
        assert trio.current_time() == 5
        with assert_checkpoints():
            await broker.wait_ready()
        assert take_all(broker) == ["1"]
        with trio.move_on_after(9) as scope:
            await broker.wait_ready()
        assert scope.cancelled_caught


async def test_the_consumer_is_called_when_something_becomes_ready(
    autojump_clock: MockClock,
) -> None:
    calls: list[float] = []
    async with open_memory_broker() as broker:
        leave = broker.attach(lambda: calls.append(trio.current_time()), lambda _: None)
        with pytest.raises(InvalidTask, match="one broker for each queue"):
            broker.attach(lambda: None, lambda _: None)
        await broker.publish([a_task("1")])
        await broker.publish([a_task("2", delay=3)])
        end(broker, take(broker), Move.RETRIED, delay=1)
        calls.clear()
        await trio.sleep(4)
        assert calls == [1, 3]
        leave()
        await broker.publish([a_task("3")])
        assert calls == [1, 3]


# --- settle --------------------------------------------------------------------------------------


@pytest.mark.parametrize("move", ENDS_OF_A_LEASE)
async def test_a_settlement_takes_effect_once(move: Move) -> None:
    """Repeated it is True again; another one for the same lease is False, and told."""
    events: list[Event] = []
    async with open_memory_broker() as broker:
        broker.events.add(events.append)
        await broker.publish([a_task("1")])
        lease = take(broker)
        settlement = end(broker, lease, move, delay=5)
        state, counts, seen = lease.task.state, broker.counts(), len(events)
        failures = lease.task.failures
        assert await broker.settle([settlement]) == [True]
        assert len(events) == seen
        for other in ENDS_OF_A_LEASE:
            assert await broker.settle([verdict(lease, other)]) == [False]
        assert [event.name for event in events[seen:]] == ["refused"] * len(ENDS_OF_A_LEASE)
        assert (lease.task.state, broker.counts()) == (state, counts)
        assert lease.task.failures == failures


async def test_a_late_settle_after_redelivery_is_refused() -> None:
    """The old token changes nothing of the task that the new lease's holder runs."""
    async with open_memory_broker() as broker:
        await broker.publish([a_task("1")])
        old = take(broker)
        end(broker, old, Move.RELEASED)
        new = take(broker)
        assert not broker.settle_nowait(verdict(old, Move.SUCCEEDED), 0)
        assert new.task.state is State.RUNNING
        assert await broker.renew([old, new]) == [old]
        end(broker, new, Move.SUCCEEDED)
        assert await broker.renew([new]) == [new]


async def test_each_end_of_a_lease_counts_its_own() -> None:
    """failures, interruptions, snoozes and deliveries are kept apart."""
    async with open_memory_broker() as broker:
        await broker.publish([a_task("1")])
        for move in (Move.RETRIED, Move.RELEASED, Move.SNOOZED, Move.RELEASED, Move.RETRIED):
            end(broker, take(broker), move)
        lease = take(broker)
        trail = lease.task.trace()
        assert (lease.task.failures, lease.token) == (2, 6)
        assert (trail.interruptions, trail.snoozes, trail.losses) == (2, 1, 0)
        assert [error.attempt for error in trail.errors] == [1, 2]


async def test_success_forgets_the_arguments_and_a_dead_letter_keeps_them() -> None:
    async with open_memory_broker() as broker:
        await broker.publish([a_task("good"), a_task("bad")])
        good, bad = take(broker), take(broker)
        end(broker, good, Move.SUCCEEDED)
        end(broker, bad, Move.DIED)
        assert (good.task.args, dict(good.task.kwargs)) == ((), {})
        (letter,) = broker.dead_letters()
        assert (letter.id, letter.args, dict(letter.kwargs)) == ("bad", (1,), {"a": 2})
        assert letter.error is not None
        assert letter.error.message == "bad"


async def test_every_waiter_is_told_of_the_end() -> None:
    async with open_memory_broker() as broker, trio.open_nursery() as nursery:
        task = a_task("1")
        await broker.publish([task])
        for _ in range(3):
            nursery.start_soon(broker.wait_settled, task)
        with trio.CancelScope() as scope:
            scope.cancel()
            await broker.wait_settled(task)
        await wait_all_tasks_blocked()
        end(broker, take(broker), Move.SUCCEEDED)
        with assert_checkpoints():
            await broker.wait_settled(task)
        assert not broker._settled


# --- cancel --------------------------------------------------------------------------------------


@pytest.mark.parametrize("delay", [0.0, 5.0])
async def test_a_waiting_task_is_cancelled_at_once(delay: float) -> None:
    async with open_memory_broker(capacity=1, delayed_capacity=1) as broker:
        task = a_task("1", delay=delay)
        await broker.publish([task])
        assert broker.cancel("1")
        assert task.state is State.CANCELLED
        assert task.outcome is not None
        assert task.outcome.kind is OutcomeKind.CANCELLED
        check_places(broker)
        assert take_all(broker) == []
        assert not broker.cancel("1"), "too late"
        assert not broker.cancel("nobody")


async def test_a_running_tasks_holder_is_asked_once() -> None:
    asked: list[object] = []
    async with open_memory_broker() as broker:
        broker.attach(lambda: None, asked.append)
        await broker.publish([a_task("1")])
        lease = take(broker)
        assert broker.cancel("1")
        assert broker.cancel("1")
        assert asked == [lease]
        assert lease.cancel_requested
        assert lease.task.state is State.RUNNING, "until its holder settles"
        end(broker, lease, Move.CANCELLED)
        assert not broker.cancel("1")


async def test_a_revoked_lease_is_lost_and_the_task_goes_to_the_front() -> None:
    """Its holder is told at once, and may write nothing any more: losses+1, no failure."""
    asked: list[object] = []
    async with open_memory_broker() as broker:
        broker.attach(lambda: None, asked.append)
        await broker.publish([a_task("1"), a_task("2")])
        assert not broker.revoke("1"), "not running"
        old = take(broker)
        assert broker.revoke("1")
        assert (old.lost, asked) == (True, [old])
        assert not broker.settle_nowait(verdict(old, Move.SUCCEEDED), 0)
        assert await broker.renew([old]) == [old]
        check_places(broker)
        new = take(broker)
        assert (new.task.id, new.token, new.task.failures) == ("1", 2, 0)
        assert (new.task.trace().losses, new.task.trace().interruptions) == (1, 0)
        assert not broker.revoke("nobody")


async def test_the_pool_is_the_one_worker_there_is(autojump_clock: MockClock) -> None:
    """With what it runs at this instant."""
    local = TaskSet()

    @local.task
    async def work() -> None:
        await trio.sleep(5)

    broker_at = 1.7e9
    async with open_memory_broker(wall_clock=lambda: broker_at) as broker:
        assert broker.workers() == ()
        async with open_queue(local, workers=3, broker=broker) as queue:
            for _ in range(2):
                await queue.submit(work)
            await wait_all_tasks_blocked()
            (record,) = await queue.inspector.workers()
            assert (record.workers, record.running, record.live, record.seen) == (3, 2, True, 0.0)
            assert (record.types, record.queues, record.started_at) == (("work",), None, broker_at)
        assert broker.workers() == ()
