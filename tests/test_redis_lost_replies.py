"""Replies that get lost: the call is asked for again, and does nothing a second time."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tests.redis_audit import audit
from tests.redis_broker import a_task, ids_of, line_of, open_virtual, room
from tests.redis_server import Redis
from trioqueue import BrokerUnavailable, Event, Move
from trioqueue.brokers._redis import RedisBroker
from trioqueue.brokers._redis_calls import CLAIM
from trioqueue.brokers._redis_line import Arg
from trioqueue.testing.conformance._bench import verdict


class Told:
    """The names of what a broker tells, and of which task."""

    def __init__(self, broker: RedisBroker) -> None:
        self.events: list[tuple[str, str]] = []
        broker.events.add(self._hear)

    def _hear(self, event: Event) -> None:
        self.events.append((str(event.name), event.task_id))

    def take(self) -> list[tuple[str, str]]:
        told, self.events = self.events, []
        return told


@asynccontextmanager
async def opened(
    server: Redis, name: str, **options: float
) -> AsyncGenerator[tuple[RedisBroker, Told]]:
    async with open_virtual(server, name, lease=options.get("lease", 10.0)) as broker:
        yield broker, Told(broker)
    audit(server, name)


async def test_publish(redis_server: Redis, redis_queue: str, autojump_clock: MockClock) -> None:
    """The answers are the same: for what was accepted, for what was there, for what came twice."""
    async with opened(redis_server, redis_queue) as (broker, told):
        await broker.publish([a_task("old", key="k")])
        told.take()
        line_of(broker).repeat_next()
        tasks = [
            a_task("1"),
            a_task("2", key="k"),
            a_task("1"),
            a_task("2"),
            a_task("3", delay=5.0, payload=b"x" * 1_000),
        ]
        there = await broker.publish(tasks)
        assert [task.id for task in there] == ["1", "old", "1", "2", "3"]
        assert there[0] is there[2] is tasks[0]
        assert told.take() == [("submitted", "1"), ("submitted", "2"), ("delayed", "3")]
        assert (await broker.counts()).submitted == 4
        assert await ids_of(broker.claim(room(), 9)) == ["old", "1", "2"]


async def test_publish_while_others_work(
    redis_server: Redis, redis_queue: str, autojump_clock: MockClock
) -> None:
    """Between the two runs somebody takes the task: it is said to be accepted all the same."""
    async with opened(redis_server, redis_queue) as (broker, told):
        async with open_virtual(redis_server, redis_queue) as other:
            taken: list[Any] = []

            def take() -> None:
                args = (*head_of(other), 1, 9, 1, "type", 9, -1, -1)
                taken.extend(line_of(other).run_now(CLAIM, args)[1])

            line_of(broker).repeat_next()
            line_of(broker).between = take
            task = a_task("1")
            assert await broker.publish([task]) == [task]
            assert [row[0] for row in taken] == [b"1"]
            assert told.take() == [("submitted", "1")]
        await broker.publish([a_task("2")])


def head_of(broker: RedisBroker) -> tuple[Arg, ...]:
    return broker._setting.head(observed=False, cluster=False)


async def test_claim(redis_server: Redis, redis_queue: str, autojump_clock: MockClock) -> None:
    """The very same leases, each once; none is left with nobody."""
    async with opened(redis_server, redis_queue) as (broker, told):
        await broker.publish([a_task(str(number)) for number in range(4)])
        told.take()
        line_of(broker).repeat_next()
        leases = await broker.claim(room(), 2)
        assert [(lease.task.id, lease.token) for lease in leases] == [("0", 1), ("1", 1)]
        assert told.take() == [("started", "0"), ("started", "1")]
        counts = await broker.counts()
        assert (counts.ready, counts.running) == (2, 2)
        assert await ids_of(broker.claim(room(), 9)) == ["2", "3"]


async def test_claim_that_gave_up(
    redis_server: Redis, redis_queue: str, autojump_clock: MockClock
) -> None:
    """The next one is answered with what it took: nothing waits for a lease to end."""
    async with opened(redis_server, redis_queue) as (broker, _):
        await broker.publish([a_task(str(number)) for number in range(4)])
        await trio.testing.wait_all_tasks_blocked()
        line_of(broker).fail_next(after=True)
        with pytest.raises(BrokerUnavailable):
            await broker.claim(room(), 2)
        assert (await broker.counts()).running == 2
        assert await ids_of(broker.claim(room(), 2)) == ["0", "1"]
        assert (await broker.counts()).running == 2
        assert await ids_of(broker.claim(room(), 9)) == ["2", "3"]


@pytest.mark.parametrize(
    "move", [Move.SUCCEEDED, Move.DIED, Move.RETRIED, Move.RELEASED, Move.SNOOZED, Move.CANCELLED]
)
async def test_settle(
    redis_server: Redis, redis_queue: str, move: Move, autojump_clock: MockClock
) -> None:
    """Done, once, and told of once; with others at work in between as well."""
    async with (
        opened(redis_server, redis_queue) as (broker, told),
        open_virtual(redis_server, redis_queue) as other,
    ):
        await broker.publish([a_task("1"), a_task("2")])
        leases = await broker.claim(room(), 2)
        told.take()
        line_of(broker).repeat_next()
        assert await broker.settle([verdict(leases[0], move, 0.0)]) == [True]
        after = [(str(move), "1")]
        if move in {Move.RETRIED, Move.SNOOZED}:
            after.append(("due", "1"))
        assert told.take() == after
        counts = await broker.counts()
        assert (counts.moves[move], counts.running) == (1, 1)
        await trio.testing.wait_all_tasks_blocked()
        line_of(broker).fail_next(after=True)
        end = verdict(leases[1], move, 0.0)
        with pytest.raises(BrokerUnavailable):
            await broker.settle([end])
        for lease in await other.claim(room(), 9):
            await other.settle([verdict(lease, Move.SUCCEEDED)])
        assert await broker.settle([end]) == [True]
        assert await broker.settle([verdict(leases[1], Move.DIED)]) == [False]
        assert (await broker.counts()).moves[move] in {2, 4}


async def test_renew(redis_server: Redis, redis_queue: str, autojump_clock: MockClock) -> None:
    async with opened(redis_server, redis_queue) as (broker, _):
        await broker.publish([a_task("1"), a_task("2")])
        one, two = await broker.claim(room(), 2)
        await broker.settle([verdict(two, Move.RETRIED, 50.0)])
        await trio.sleep(5)
        line_of(broker).repeat_next()
        assert await broker.renew([one, two]) == [two]
        await trio.sleep(6)
        assert (await broker.counts()).running == 1


async def test_cancel_of_what_waits(
    redis_server: Redis, redis_queue: str, autojump_clock: MockClock
) -> None:
    async with opened(redis_server, redis_queue) as (broker, told):
        await broker.publish([a_task("1")])
        told.take()
        line_of(broker).repeat_next()
        assert await broker.cancel("1") is True
        assert told.take() == [("cancelled", "1")]
        assert await broker.cancel("1") is False


async def test_cancel_of_what_runs(
    redis_server: Redis, redis_queue: str, autojump_clock: MockClock
) -> None:
    async with opened(redis_server, redis_queue) as (broker, told):
        await broker.publish([a_task("1")])
        [lease] = await broker.claim(room(), 1)
        told.take()
        line_of(broker).repeat_next()
        assert await broker.cancel("1") is True
        assert told.take() == [("cancel_requested", "1")]
        assert lease.cancel_requested


async def test_pause_and_resume(
    redis_server: Redis, redis_queue: str, autojump_clock: MockClock
) -> None:
    async with opened(redis_server, redis_queue) as (broker, _):
        await broker.publish([a_task("1")])
        line_of(broker).repeat_next()
        await broker.pause("default")
        assert await broker.paused() == (False, ["default"])
        line_of(broker).repeat_next()
        await broker.resume("default")
        assert await broker.paused() == (False, [])


@pytest.mark.parametrize("verb", ["run_now", "revoke", "replay", "purge"])
async def test_what_is_not_asked_for_again_by_itself(
    redis_server: Redis, redis_queue: str, verb: str, autojump_clock: MockClock
) -> None:
    """Whoever has called hears that it is not known, and can look."""
    async with opened(redis_server, redis_queue) as (broker, _):
        await broker.publish([a_task("1", delay=9.0 if verb == "run_now" else 0.0)])
        leases = await broker.claim(room(), 1)
        for lease in leases if verb in {"replay", "purge"} else ():
            await broker.settle([verdict(lease, Move.DIED)])
        await trio.testing.wait_all_tasks_blocked()
        line_of(broker).fail_next(after=True)
        with pytest.raises(BrokerUnavailable):
            await getattr(broker, verb)("1")
        moves = (await broker.counts()).moves
        done = {"revoke": Move.LOST, "replay": Move.REPLAYED, "purge": Move.PURGED}
        done["run_now"] = Move.DUE
        assert moves[done[verb]] == 1


async def test_who_waits_asks_again(
    redis_server: Redis, redis_queue: str, autojump_clock: MockClock
) -> None:
    """For ready tasks, for an end, for all to be over."""
    async with opened(redis_server, redis_queue) as (broker, _):
        line_of(broker).repeat_next()
        [task] = await broker.publish([a_task("1")])
        line_of(broker).repeat_next()
        await broker.wait_ready(["type"])
        [lease] = await broker.claim(room(), 1)
        line_of(broker).repeat_next(3)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(broker.wait_settled, task)
            nursery.start_soon(broker.wait_drained, ["type"], None)
            nursery.start_soon(broker.wait_ready, ["type"])
            await trio.sleep(1)
            await broker.settle([verdict(lease, Move.SUCCEEDED)])
            await trio.sleep(1)
            await broker.publish([a_task("2")])


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("verb", ["publish", "claim", "renew", "settle", "cancel", "pause"])
async def test_a_call_that_failed_can_be_made_again(
    redis_server: Redis, redis_queue: str, verb: str, after: bool, autojump_clock: MockClock
) -> None:
    """Whether or not it was carried out, the second one does the rest of it."""
    async with opened(redis_server, redis_queue) as (broker, _):
        await broker.publish([a_task("1"), a_task("2")])
        [lease] = await broker.claim(room(), 1)
        end = verdict(lease, Move.SUCCEEDED)
        calls = {
            "publish": lambda: broker.publish([a_task("3")]),
            "claim": lambda: broker.claim(room(), 1),
            "renew": lambda: broker.renew([lease]),
            "settle": lambda: broker.settle([end]),
            "cancel": lambda: broker.cancel("1"),
            "pause": lambda: broker.pause(),
        }
        await trio.testing.wait_all_tasks_blocked()
        line_of(broker).fail_next(after=after)
        with pytest.raises(BrokerUnavailable):
            await calls[verb]()
        await calls[verb]()
        counts = await broker.counts()
        assert counts.submitted == 2 + (verb == "publish")
        assert counts.moves[Move.STARTED] == 1 + (verb == "claim")
        assert counts.succeeded == (verb == "settle")
