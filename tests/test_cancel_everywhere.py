"""Nothing is lost, run twice, leaked or stuck, whatever is cancelled at whichever step.

The laws are checked after each play. What is struck: the program, the scope round the queue, each
submitter, each worker, each open task, leases; and the queue is closed and shut down.
"""

import logging

import pytest

from tests import scenarios
from tests.conftest import SEED
from trioqueue.testing import cancel_everywhere

every_scenario = pytest.mark.parametrize(
    "scenario", scenarios.ALL, ids=lambda scenario: scenario.__name__
)


@pytest.fixture(autouse=True)
def _quiet_log(caplog):
    # Evictions and the like are told thousands of times.
    caplog.set_level(logging.CRITICAL)


@every_scenario
def test_a_strike_at_every_29th_moment_breaks_no_law(scenario):
    assert cancel_everywhere(scenario, every=29).plays > 5


@pytest.mark.main
@every_scenario
def test_a_strike_at_every_fifth_moment_of_another_schedule_breaks_no_law(scenario):
    cancel_everywhere(scenario, every=5, seeds=["another"])


@pytest.mark.main
@pytest.mark.race
@every_scenario
def test_strikes_in_a_drawn_schedule_break_no_law(scenario):
    cancel_everywhere(scenario, every=11, seeds=[f"drawn {SEED}"])


@pytest.mark.long
@every_scenario
def test_a_strike_at_every_moment_of_three_schedules_breaks_no_law(scenario):
    cancel_everywhere(scenario, seeds=range(3))
