"""Fleets of workers on one server: what they ask of it, and who is woken: those who are needed.

``python -m tests.fleet_simulation 1000`` prints the figures.
"""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import trio
import trio.testing

from tests.fleet_simulation import LEASE, POLL, Fleet, burst, idle, limited, one_task
from tests.redis_broker import open_virtual
from tests.redis_server import Redis
from trioqueue import Move
from trioqueue.testing.conformance._bench import verdict

SIZES = [
    pytest.param(30, marks=pytest.mark.main),
    pytest.param(1_000, marks=pytest.mark.long),
]


@pytest.fixture
def play() -> Callable[..., Any]:
    def run(scenario: Callable[..., Coroutine[Any, Any, Any]], *args: object) -> Any:
        clock = trio.testing.MockClock(autojump_threshold=0)
        return trio.run(scenario, *args, clock=clock)

    return run


@pytest.mark.parametrize("size", SIZES)
def test_an_idle_worker_looks_once_in_a_while(
    play: Callable[..., Any], redis_server: Redis, size: int
) -> None:
    calls, _ = play(idle, Fleet(redis_server, size))
    assert calls == pytest.approx(size / POLL, rel=0.1)


@pytest.mark.parametrize("size", SIZES)
def test_one_task_wakes_one_worker(
    play: Callable[..., Any], redis_server: Redis, size: int
) -> None:
    calls = play(one_task, Fleet(redis_server, size))
    assert calls["claim"] == 1
    assert calls.total() <= 8


@pytest.mark.parametrize("size", SIZES)
def test_a_burst_is_shared_by_all(play: Callable[..., Any], redis_server: Redis, size: int) -> None:
    fleet = Fleet(redis_server, size)
    took = play(burst, fleet, 10 * size)
    assert set(fleet.done.values()) == {10}
    assert took == pytest.approx(fleet.work, rel=0.2)
    assert fleet.in_vain == 0


@pytest.mark.parametrize("size", SIZES)
def test_a_limit_of_the_fleet_holds_and_wakes_few_in_vain(
    play: Callable[..., Any], redis_server: Redis, size: int
) -> None:
    fleet = Fleet(redis_server, size)
    play(limited, fleet, 4, 100)
    assert fleet.most_running == 4
    assert fleet.in_vain <= 2 * fleet.claims / 3


@pytest.mark.main
def test_when_a_part_of_the_fleet_dies_the_others_have_its_tasks_within_a_lease(
    play: Callable[..., Any], redis_server: Redis, redis_queue: str
) -> None:
    """The one that watched the clock for all is among the dead."""

    async def scenario() -> float:
        async with open_virtual(redis_server, redis_queue, lease=LEASE, poll=POLL) as survivor:
            fleet = Fleet(redis_server, 5, work=10 * LEASE, name=redis_queue)
            with trio.move_on_after(2):
                async with fleet.open():
                    await fleet.publish(50)
                    await trio.sleep_forever()
            died = trio.current_time()
            taken = 0
            while taken < 50:
                await survivor.wait_ready(["type"])
                leases = await survivor.claim({"type": 100}, 100)
                taken += len(leases)
                await survivor.settle([verdict(lease, Move.SUCCEEDED) for lease in leases])
            return trio.current_time() - died

    assert play(scenario) <= LEASE + 2 * POLL
