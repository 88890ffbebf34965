"""Who waits for ready tasks is called by message: one for each that is ready, and the right one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from tests.redis_audit import audit
from tests.redis_broker import a_task, line_of, open_virtual, room
from tests.redis_server import Redis
from trioqueue import Move
from trioqueue.brokers._redis import RedisBroker
from trioqueue.testing.conformance._bench import verdict


class Waiting:
    """Openings that wait, each for some types in some queues; who was called, in order."""

    def __init__(self, brokers: list[RedisBroker], nursery: trio.Nursery) -> None:
        self.brokers = brokers
        self.called: list[int] = []
        self._nursery = nursery

    async def wait(
        self,
        which: int,
        types: Collection[str] | None = ("type",),
        queues: Collection[str] | None = None,
    ) -> trio.CancelScope:
        scope = trio.CancelScope()

        async def wait() -> None:
            with scope:
                await self.brokers[which].wait_ready(types, queues)
                self.called.append(which)

        self._nursery.start_soon(wait)
        await trio.sleep(1)
        return scope


@asynccontextmanager
async def waiting(server: Redis, name: str, number: int) -> AsyncGenerator[Waiting]:
    async with AsyncExitStack() as stack:
        brokers = [
            await stack.enter_async_context(open_virtual(server, name)) for _ in range(number)
        ]
        async with trio.open_nursery() as nursery:
            yield Waiting(brokers, nursery)
            await trio.sleep(1)
            audit(server, name)
            nursery.cancel_scope.cancel()


async def test_one_task_wakes_one(
    redis_server: Redis, redis_queue: str, autojump_clock: MockClock
) -> None:
    async with waiting(redis_server, redis_queue, 4) as world:
        for number in (1, 2, 3):
            await world.wait(number)
        await world.brokers[0].publish([a_task("1")])
        await trio.sleep(1)
        assert len(world.called) == 1
        await world.brokers[0].publish([a_task("2")])
        await trio.sleep(1)
        assert len(set(world.called)) == 2


async def test_a_claim_that_leaves_something_wakes_the_next(
    redis_server: Redis, redis_queue: str, autojump_clock: MockClock
) -> None:
    """A chain: each that is called claims what it has room for, and that calls another one."""
    async with waiting(redis_server, redis_queue, 4) as world:
        for number in (1, 2, 3):
            await world.wait(number)
        await world.brokers[0].publish([a_task(str(n)) for n in range(3)])
        await trio.sleep(1)
        for length in (1, 2, 3):
            assert len(world.called) == length
            assert len(await world.brokers[world.called[-1]].claim(room(), 1)) == 1
            await trio.sleep(1)
        assert sorted(world.called) == [1, 2, 3]


async def test_who_waits_no_more_passes_it_on(
    redis_server: Redis, redis_queue: str, autojump_clock: MockClock
) -> None:
    async with waiting(redis_server, redis_queue, 3) as world:
        gone = await world.wait(1)
        gone.cancel()
        await trio.sleep(1)
        assert await stands(world.brokers[0]) == 1, "the server still thinks that it waits"
        await world.wait(2)
        for number in range(4):  # whom the server calls first is chance
            await world.brokers[0].publish([a_task(str(number))])
            await trio.sleep(1)
            assert world.called == [2]
            await world.brokers[2].claim(room(), 9)
            gone = await world.wait(1)
            world.called.clear()
            gone.cancel()
            await world.wait(2)


async def stands(broker: RedisBroker) -> int:
    line = line_of(broker)
    return int(line._server.call("HLEN", f"{line.prefix}:iw"))


async def test_the_dead_are_skipped(
    redis_server: Redis, redis_queue: str, autojump_clock: MockClock
) -> None:
    """Nobody hears what they are told: the next one is called."""
    async with waiting(redis_server, redis_queue, 2) as world:
        for _ in range(3):
            async with (
                open_virtual(redis_server, redis_queue) as dead,
                trio.open_nursery() as nursery,
            ):
                nursery.start_soon(dead.wait_ready, ["type"])
                await trio.sleep(1)
                nursery.cancel_scope.cancel()
        assert await stands(world.brokers[0]) == 3
        await world.wait(1)
        await world.brokers[0].publish([a_task("1")])
        await trio.sleep(1)
        assert world.called == [1]


@pytest.mark.parametrize(
    ("types", "queues", "is_called"),
    [
        (["type"], None, True),
        (["type", "other"], None, True),
        (["other"], None, False),
        (None, None, True),
        ([], None, False),
        (["type"], ["q"], True),
        (["type"], ["p"], False),
        (["type"], ["p", "q"], True),
        (None, ["q"], True),
        (None, ["p"], False),
        (None, [], False),
    ],
)
async def test_only_who_would_take_it_is_called(
    redis_server: Redis,
    redis_queue: str,
    types: list[str] | None,
    queues: list[str] | None,
    is_called: bool,
    autojump_clock: MockClock,
) -> None:
    async with waiting(redis_server, redis_queue, 2) as world:
        await world.wait(1, types, queues)
        await world.brokers[0].publish([a_task("1", queue="q")])
        await trio.sleep(1)
        assert world.called == [1] * is_called


async def test_nobody_is_called_for_what_is_paused(
    redis_server: Redis, redis_queue: str, autojump_clock: MockClock
) -> None:
    async with waiting(redis_server, redis_queue, 2) as world:
        await world.wait(1)
        await world.brokers[0].pause("default")
        await world.brokers[0].publish([a_task("1")])
        await trio.sleep(1)
        assert world.called == []
        await world.brokers[0].resume("default")
        await trio.sleep(1)
        assert world.called == [1]


@pytest.mark.parametrize("move", [Move.RELEASED, Move.RETRIED])
async def test_what_comes_back_wakes(
    redis_server: Redis, redis_queue: str, move: Move, autojump_clock: MockClock
) -> None:
    async with waiting(redis_server, redis_queue, 2) as world:
        await world.brokers[0].publish([a_task("1")])
        [lease] = await world.brokers[0].claim(room(), 1)
        await world.wait(1)
        await world.brokers[0].settle([verdict(lease, move, 0.0)])
        await trio.sleep(1)
        assert world.called == [1]


async def test_a_lost_message_is_made_up_for(
    redis_server: Redis, redis_queue: str, autojump_clock: MockClock
) -> None:
    """Within one poll, by whoever waits."""
    async with (
        open_virtual(redis_server, redis_queue) as broker,
        open_virtual(redis_server, redis_queue, poll=5.0) as other,
    ):
        line_of(other).deaf = True
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def _() -> None:
                    await trio.sleep(1)
                    await broker.publish([a_task("1")])

                await other.wait_ready(["type"])
                assert 1 < trio.current_time() <= 5.1
                scope.cancel()


async def test_whoever_waits_costs_nothing(
    redis_server: Redis, redis_queue: str, autojump_clock: MockClock
) -> None:
    """No script is run by who waits, but for the look by which it began."""
    async with waiting(redis_server, redis_queue, 2) as world:
        await world.wait(1)
        before = line_of(world.brokers[1]).runs.total()
        await trio.sleep(1_000)
        assert line_of(world.brokers[1]).runs.total() == before
