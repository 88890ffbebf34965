"""The feed between workers and a broker elsewhere: leases kept, lost, released, settled in time."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.durable import LEASE, OnServer, Place, in_file, open_at
from trioqueue import (
    BrokerFailed,
    BrokerUnavailable,
    HandedBack,
    Queue,
    QueueClosed,
    State,
    TaskSet,
    current_task,
)
from trioqueue._model import Lease, Settlement

tasks = TaskSet()
log: list[Any] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    log.clear()


@pytest.fixture(params=["file", "redis"])
def path(request: pytest.FixtureRequest, tmp_path: Place) -> Place:
    if request.param == "file":
        return tmp_path / "jobs.db"
    server, queue = (request.getfixturevalue(name) for name in ("redis_server", "redis_queue"))
    return OnServer(server, queue)


@tasks.task
async def rest(seconds: float) -> str:
    log.append("began")
    try:
        await trio.sleep(seconds)
    except trio.Cancelled:
        log.append(("cancelled", trio.current_time()))
        raise
    log.append("ended")
    return "rested"


@tasks.task
async def quick(number: int) -> int:
    log.append(number)
    return number


@tasks.task(limit=1)
async def single(seconds: float) -> None:
    await trio.sleep(seconds)


@tasks.task
async def stubborn(seconds: float) -> str:
    with trio.CancelScope(shield=True):
        await trio.sleep(seconds)
    return "done"


def breaking(queue: Queue, verb: str, error: BaseException, *, until: float = float("inf")) -> None:
    """From now on the broker raises ``error`` from ``verb``, until a time on Trio's clock."""
    broker: Any = queue._broker.inspector
    method = getattr(broker, verb)

    async def fail(*args: Any, **kwargs: Any) -> Any:
        await trio.lowlevel.checkpoint()
        if trio.current_time() < until:
            raise error
        return await method(*args, **kwargs)

    vars(broker)[verb] = fail


AWAY = BrokerUnavailable("away")


async def test_a_lease_is_renewed_for_as_long_as_it_takes(
    path: Place, autojump_clock: MockClock
) -> None:
    async with in_file(path, tasks) as queue:
        assert await (await queue.submit(rest, 20 * LEASE)).result() == "rested"
        assert (await queue.inspector.counts()).moves["lost"] == 0  # type: ignore[index]


async def test_a_lease_that_cannot_be_renewed_ends_the_handler_in_time(
    path: Place, autojump_clock: MockClock
) -> None:
    """By the worker's own clock: nobody tells it."""
    async with in_file(path, tasks) as queue:
        handle = await queue.submit(rest, 1_000)
        await trio.sleep(1)
        breaking(queue, "renew", AWAY, until=50)
        await trio.sleep(LEASE)
        assert [one for one in log if isinstance(one, tuple)] == [("cancelled", log[1][1])]
        assert log[1][1] < LEASE, "before anybody else could have it"
        await trio.sleep(3 * LEASE)
        task = await queue.inspector.get(handle.id)
        assert task is not None
        assert (task.failures, task.trace().losses) == (0, task.deliveries - 1)
        await queue.shutdown(0)


async def test_a_settlement_waits_for_the_broker(path: Place, autojump_clock: MockClock) -> None:
    """And its lease is kept alive so long: nobody else may have the task meanwhile."""
    async with in_file(path, tasks) as queue:
        breaking(queue, "settle", AWAY, until=3 * LEASE)
        handle = await queue.submit(quick, 7)
        assert await handle.result() == 7
        assert trio.current_time() >= 3 * LEASE
        assert log == [7], "run once"


async def test_a_broker_that_is_away_stops_nothing(path: Place, autojump_clock: MockClock) -> None:
    """Claims and waits are repeated; a submit tells its caller."""
    async with in_file(path, tasks) as queue:
        await wait_all_tasks_blocked()
        breaking(queue, "claim", AWAY, until=30)
        handle = await queue.submit(quick, 1)
        breaking(queue, "publish", AWAY, until=30)
        with pytest.raises(BrokerUnavailable):
            await queue.submit(quick, 2)
        assert await handle.result() == 1
        assert trio.current_time() >= 30
    assert log == [1]


@pytest.mark.parametrize("verb", ["claim", "settle", "renew", "register", "wait_ready"])
async def test_a_broker_that_has_failed_crashes_the_block(
    path: Place, autojump_clock: MockClock, verb: str
) -> None:
    with pytest.raises(BrokerFailed, match="broken"):
        async with in_file(path, tasks) as queue:
            await queue.submit(rest, 1)
            await queue.submit(rest, 100)
            await wait_all_tasks_blocked()
            breaking(queue, verb, BrokerFailed("broken"))
            await queue.submit(rest, 1)
            await trio.sleep_forever()


async def test_leaving_waits_until_the_last_end_is_written(
    path: Place, autojump_clock: MockClock
) -> None:
    """On a disk that takes its time: or what has ended would run again."""
    async with in_file(path, tasks) as queue:
        handle = await queue.submit(rest, 1)
        await wait_all_tasks_blocked()
        broker: Any = queue._broker.inspector
        settle = broker.settle

        async def slowly(*args: Any) -> Sequence[bool]:
            await trio.sleep(2)
            answers: Sequence[bool] = await settle(*args)
            return answers

        vars(broker)["settle"] = slowly
    async with in_file(path, tasks, workers=0) as queue:
        task = await queue.inspector.get(handle.id)
        assert task is not None
        assert task.state is State.SUCCEEDED


async def test_a_stop_ends_though_the_broker_is_away(
    path: Place, autojump_clock: MockClock
) -> None:
    """What could not be settled is named, and runs again once its lease has expired."""
    async with in_file(path, tasks) as queue:
        handle = await queue.submit(rest, 100)
        await trio.sleep(1)
        for verb in ("settle", "renew", "claim", "register"):
            breaking(queue, verb, AWAY)
        await queue.shutdown(grace=2)
        assert trio.current_time() < 20
    async with in_file(path, tasks) as queue:
        assert await queue.handle(handle.id).result() == "rested"


async def test_what_has_not_started_is_released_at_once(
    path: Place, autojump_clock: MockClock
) -> None:
    """Claimed by a fetcher whose call was under way when the stop came: no interruption."""
    async with in_file(path, tasks, workers=2) as queue:
        await wait_all_tasks_blocked()  # the fetcher waits for something to claim
        broker: Any = queue._broker.inspector
        claim = broker.claim

        async def claim_and_stop(*args: Any) -> Sequence[Lease]:
            leases: Sequence[Lease] = await claim(*args)
            if leases:
                queue._broker.stop()
            return leases

        vars(broker)["claim"] = claim_and_stop
        handles = await queue.submit_many([quick.bind(n) for n in range(2)])
        await trio.sleep(1)
        for handle in handles:
            task = await queue.inspector.get(handle.id)
            assert task is not None
            assert (task.state, task.trace().interruptions) == (State.READY, 0)
        assert log == []


async def test_a_lost_lease_voids_the_attempt(path: Place, autojump_clock: MockClock) -> None:
    """Somebody else has it: the handler is cancelled, its end is written nowhere."""
    async with (
        in_file(path, tasks, workers=1) as queue,
        open_at(path, lease=1_000) as other,
    ):
        handle = await queue.submit(stubborn, 30)
        await trio.sleep(1)
        assert await other.revoke(handle.id)
        (lease,) = await other.claim({"stubborn": 1}, 1)
        await trio.sleep(60)
        task = await other.get(handle.id)
        assert task is not None
        assert (task.state, task.deliveries) == (State.RUNNING, 2)
        settlement = Settlement(lease, *_success())
        assert await other.settle([settlement]) == [True]
        with pytest.raises(Exception, match="succeeded"):
            await handle.result()


def _success() -> tuple[Any, Any]:
    from trioqueue import Move, Outcome, OutcomeKind

    outcome = Outcome(OutcomeKind.RETURNED)
    outcome.stored = False
    return Move.SUCCEEDED, outcome


async def test_a_claim_whose_answer_comes_too_late_is_not_begun(
    path: Place, autojump_clock: MockClock
) -> None:
    """By then somebody else may have it."""
    seen: list[int] = []
    own = TaskSet()

    @own.task
    async def look() -> None:
        seen.append(current_task().fencing_token[1])

    async with in_file(path, own, workers=1) as queue:
        await wait_all_tasks_blocked()
        broker: Any = queue._broker.inspector
        claim = broker.claim

        async def slowly(*args: Any) -> Sequence[Lease]:
            leases: Sequence[Lease] = await claim(*args)
            if leases and not seen:
                del vars(broker)["claim"]
                with trio.CancelScope(shield=True):
                    await trio.sleep(LEASE - 0.1)
            return leases

        vars(broker)["claim"] = slowly
        await (await queue.submit(look)).result()
        assert seen == [2]


async def test_what_returns_too_late_is_not_written(path: Place, autojump_clock: MockClock) -> None:
    """Between the end of what can be proven and the sweep: the broker would take it still."""
    async with in_file(path, tasks) as queue:
        handle = await queue.submit(stubborn, LEASE - 0.2)
        await trio.lowlevel.checkpoint()
        breaking(queue, "renew", AWAY, until=LEASE)
        await handle.result()
        task = await queue.inspector.get(handle.id)
        assert task is not None
        assert (task.deliveries, task.trace().losses) == (2, 1)


async def test_no_more_is_claimed_than_can_be_started(
    path: Place, autojump_clock: MockClock
) -> None:
    """What one process hoards, another one could have run."""
    async with in_file(path, tasks, workers=1), in_file(path, tasks, workers=1) as queue:
        for handle in await queue.submit_many([rest.bind(10), stubborn.bind(10)]):
            await handle.result()
        assert trio.current_time() == 10


async def test_room_that_comes_about_during_a_claim_is_used(
    path: Place, autojump_clock: MockClock
) -> None:
    """Of a type that the claim left out, by a worker that looked in vain meanwhile."""
    claimed, answer = trio.Event(), trio.Event()
    async with in_file(path, tasks) as queue:
        await queue.submit_many([single.bind(1), single.bind(1)])
        await wait_all_tasks_blocked()
        broker: Any = queue.inspector
        claim = broker.claim

        async def slow_claim(*args: Any) -> Any:
            claimed.set()
            await answer.wait()
            return await claim(*args)

        vars(broker)["claim"] = slow_claim
        handle = await queue.submit(quick, 7)
        await claimed.wait()
        assert await handle.cancel()
        await trio.sleep(2)
        answer.set()
        await queue.drain()
        assert trio.current_time() == 3


async def test_a_hard_stop_keeps_the_leases_until_the_last_handler_has_ended(
    path: Place, autojump_clock: MockClock
) -> None:
    with trio.move_on_after(1):
        async with in_file(path, tasks) as queue:
            handle = await queue.submit(stubborn, 5 * LEASE)
            await trio.sleep_forever()
    async with in_file(path, tasks, workers=0) as queue:
        task = await queue.inspector.get(handle.id)
        assert task is not None
        assert (task.state, task.deliveries) == (State.SUCCEEDED, 1)


async def test_whoever_waits_is_told_when_nobody_works_any_more(
    path: Place, autojump_clock: MockClock
) -> None:
    """The task stays on the broker; this program must come to its end."""
    async with in_file(path, tasks, workers=1) as queue, trio.open_nursery() as nursery:
        long = await queue.submit(rest, 3)
        waiting = await queue.submit(rest, 100)

        async def expect(wait: Callable[[], Awaitable[object]], error: type[Exception]) -> None:
            with pytest.raises(error, match="stays on the broker"):
                await wait()

        nursery.start_soon(expect, waiting.result, HandedBack)
        nursery.start_soon(expect, queue.drain, QueueClosed)
        await trio.sleep(1)
        await queue.shutdown(grace=10)
        assert trio.current_time() == 3
        assert await long.result() == "rested"
        with pytest.raises(HandedBack):
            await waiting.result()
        with pytest.raises(QueueClosed):
            await queue.drain()


async def test_a_handler_sees_its_fence_and_its_payload_once_decoded(
    path: Place, autojump_clock: MockClock
) -> None:
    seen: list[object] = []
    own = TaskSet()

    @own.task
    async def look(number: int, *, name: str = "x") -> None:
        seen.append((current_task().fencing_token, number, name))

    async with in_file(path, own) as queue:
        handle = await queue.submit(look, 1, name="y")
        await handle.wait()
        assert seen == [((handle.id, 1), 1, "y")]


async def test_a_payload_that_no_longer_fits_is_dead_and_kept(
    path: Place, autojump_clock: MockClock
) -> None:
    """A deploy has changed the handler: the raw bytes stay, and the others go on."""
    before, after = TaskSet(), TaskSet()

    @before.task(name="work")
    async def old(text: str) -> None: ...

    @after.task(name="work")
    async def new(number: int) -> int:
        return number

    async with in_file(path, before, workers=0) as queue:
        bad = await queue.submit(old, "four")
    async with in_file(path, after) as queue:
        good = await queue.submit(new, 4)
        assert await good.result() == 4
        outcome = await queue.handle(bad.id).wait()
        assert outcome.kind == "invalid"
        (letter,) = await queue.inspector.dead_letters()
        assert letter.payload == b'[["four"],{}]'
        assert letter.failures == 0
        assert "number" in str(letter.error)


async def test_types_that_nobody_here_knows_wait_and_are_named(
    path: Place, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    other = TaskSet()

    @other.task
    async def strange() -> None: ...

    async with in_file(path, other, workers=0) as producer:
        handle = await producer.submit(strange)
    async with in_file(path, tasks) as queue:
        await trio.sleep(3)
        task = await queue.inspector.get(handle.id)
        assert task is not None
        assert (task.state, task.deliveries) == (State.READY, 0)
        assert "'strange'" in caplog.text
    async with in_file(path, other) as queue:
        await queue.handle(handle.id).result()


async def test_workers_are_registered_and_say_goodbye(
    path: Place, autojump_clock: MockClock
) -> None:
    async with in_file(path, tasks, workers=3) as queue, open_at(path) as other:
        await queue.submit(rest, 100)
        await trio.sleep(LEASE)
        (worker,) = await other.workers()
        assert (worker.workers, worker.running, worker.live) == (3, 1, True)
        assert worker.types == ("quick", "rest", "single", "stubborn")
        await queue.shutdown(0)
    async with in_file(path, tasks, workers=0) as queue:
        assert not any(worker.live for worker in await queue.inspector.workers())
