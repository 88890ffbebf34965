"""A broker in a file does what a simple model of it says, however it is used, and whoever dies."""

import pytest
from hypothesis import settings

from tests.broker_machine import BrokerMachine


class TestBriefly(BrokerMachine.TestCase):  # type: ignore[misc, name-defined]
    """A few examples, in every run."""

    settings = settings(max_examples=8, stateful_step_count=25)


@pytest.mark.main
@pytest.mark.race
class TestBrokerMachine(BrokerMachine.TestCase):  # type: ignore[misc, name-defined]
    """See above."""
