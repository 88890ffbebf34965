"""Ctrl-C at any line of the library loses no task, leaks no token, and arrives as what it is."""

import logging

import pytest

from tests import scenarios
from trioqueue.testing import interrupt_everywhere

pytestmark = pytest.mark.main  # thousands of lines, each interrupted

every_scenario = pytest.mark.parametrize(
    "scenario", scenarios.ALL, ids=lambda scenario: scenario.__name__
)


@pytest.fixture(autouse=True)
def _quiet_log(caplog):
    caplog.set_level(logging.CRITICAL)


@every_scenario
def test_ctrl_c_at_every_31st_line_breaks_no_law(scenario):
    report = interrupt_everywhere(scenario, occurrences=1, every=31)
    assert report.plays > 10


@pytest.mark.main
@every_scenario
def test_ctrl_c_at_every_fourth_line_breaks_no_law(scenario):
    interrupt_everywhere(scenario, occurrences=1, every=4)


@pytest.mark.long
@every_scenario
def test_ctrl_c_at_every_line_breaks_no_law(scenario):
    interrupt_everywhere(scenario, occurrences=2)
