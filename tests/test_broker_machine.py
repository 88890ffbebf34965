"""A broker in a file does what a simple model of it says, however it is used, and whoever dies."""

import pytest
from hypothesis import Phase, settings

from tests.broker_stories import BrokerStories

#: Making a failing example small takes minutes, and is left to `TestBrokerMachine`.
FINDING = [Phase.explicit, Phase.reuse, Phase.generate]


class TestBriefly(BrokerStories.TestCase):  # type: ignore[misc, name-defined]
    """A few examples, in every run."""

    settings = settings(max_examples=8, stateful_step_count=25, phases=FINDING)


@pytest.mark.long
class TestAtLength(BrokerStories.TestCase):  # type: ignore[misc, name-defined]
    """As many as it takes to find any of the bugs that were planted."""

    settings = settings(max_examples=400, stateful_step_count=40, phases=FINDING)


@pytest.mark.main
@pytest.mark.race
class TestBrokerMachine(BrokerStories.TestCase):  # type: ignore[misc, name-defined]
    """See above."""
