"""A durable broker does what a simple model of it says, however it is used, and whoever dies."""

import pytest
from hypothesis import Phase, settings

from tests.broker_redis_store import RedisStore
from tests.broker_stories import BrokerStories
from tests.redis_server import Redis

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


class RedisStories(BrokerStories):
    """The same on a server."""

    store_type = RedisStore


@pytest.fixture
def _on_server(redis_server: Redis) -> None:
    RedisStore.server = redis_server


on_server = pytest.mark.usefixtures("_on_server")


@on_server
class TestRedisBriefly(RedisStories.TestCase):  # type: ignore[misc, name-defined]
    """A few examples, in every run."""

    settings = settings(max_examples=8, stateful_step_count=25, phases=FINDING)


@pytest.mark.long
@on_server
class TestRedisAtLength(RedisStories.TestCase):  # type: ignore[misc, name-defined]
    """As many as it takes to find any of the bugs that were planted."""

    settings = settings(max_examples=400, stateful_step_count=40, phases=FINDING)


@pytest.mark.main
@pytest.mark.race
@on_server
class TestRedisMachine(RedisStories.TestCase):  # type: ignore[misc, name-defined]
    """See above."""
