"""A queue in a file, cancelled at every step: claimed, running, settling, released, stopping."""

import logging

import pytest

from tests import durable_scenarios
from tests.conftest import SEED
from trioqueue.testing import cancel_everywhere

every_scenario = pytest.mark.parametrize(
    "scenario", durable_scenarios.ALL, ids=lambda scenario: scenario.__name__
)


@pytest.fixture(autouse=True)
def _quiet_log(caplog):
    caplog.set_level(logging.CRITICAL)


@every_scenario
def test_a_strike_at_every_71st_moment_breaks_no_law(scenario):
    assert cancel_everywhere(scenario, every=71).plays > 3


@pytest.mark.main
@pytest.mark.race
@every_scenario
def test_strikes_in_a_drawn_schedule_break_no_law(scenario):
    cancel_everywhere(scenario, every=17, seeds=[f"drawn {SEED}"])


@pytest.mark.long
@every_scenario
def test_a_strike_at_every_moment_of_two_schedules_breaks_no_law(scenario):
    cancel_everywhere(scenario, seeds=range(2))
