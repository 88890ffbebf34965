"""Thousands of tasks that fail in every way, under fire: each ends once, and the numbers add up."""

import logging

import pytest
from trio.testing import MockClock

from tests.conftest import SEED
from tests.contract import opened
from tests.simulation import Simulation
from trioqueue import open_queue
from trioqueue.testing import open_test_queue

pytestmark = pytest.mark.main  # thousands of tasks in each


@pytest.fixture(autouse=True)
def _quiet_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@pytest.mark.race
@pytest.mark.parametrize("seed", range(5))
async def test_every_law_holds_for_some_hundred_tasks(seed: int, autojump_clock: MockClock) -> None:
    """The ledger of `trioqueue.testing` looks at each step, and so does the simulation."""
    simulation = Simulation(seed, 300)
    await simulation.run(open_test_queue, capacity=10 + seed, dead_capacity=20)


@pytest.mark.race
@pytest.mark.parametrize("grace", [0, 1])
@pytest.mark.parametrize("seed", range(3))
async def test_a_shutdown_amid_failures_loses_nothing(
    seed: int, grace: float, autojump_clock: MockClock
) -> None:
    simulation = Simulation(seed, 200)
    await simulation.run(open_test_queue, capacity=20, grace=grace)


@pytest.mark.race
@pytest.mark.parametrize("seed", [1, 2, f"drawn {SEED}"])
async def test_thousands_of_tasks_end_once_each(seed: int | str, autojump_clock: MockClock) -> None:
    simulation = Simulation(seed, 3_000)
    await simulation.run(opened, capacity=40, dead_capacity=100)
    assert min(simulation.given_up, len(simulation.asked)) > 50


@pytest.mark.main
async def test_a_hundred_thousand_tasks_end_once_each(autojump_clock: MockClock) -> None:
    simulation = Simulation(7, 120_000)
    await simulation.run(open_queue, pause=0.02, capacity=200, dead_capacity=1_000)
    assert len(simulation.handles) > 100_000
    assert len(simulation.asked) > 1_000
