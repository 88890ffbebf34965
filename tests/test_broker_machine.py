"""A broker in a file does what a simple model of it says, however it is used, and whoever dies."""

import pytest
from hypothesis import Phase, settings

from tests.broker_stories import BrokerStories


class TestBriefly(BrokerStories.TestCase):  # type: ignore[misc, name-defined]
    """A few examples, in every run; what fails is made small by the other one."""

    settings = settings(
        max_examples=8, stateful_step_count=25, phases=[Phase.explicit, Phase.reuse, Phase.generate]
    )


@pytest.mark.main
@pytest.mark.race
class TestBrokerMachine(BrokerStories.TestCase):  # type: ignore[misc, name-defined]
    """See above."""
