"""A durable queue, cancelled at every step: claimed, running, settling, released, stopping."""

import logging
from collections.abc import Iterator

import pytest

from tests import durable_scenarios
from tests.conftest import SEED
from tests.redis_server import Redis
from tests.redis_stores import on_server
from trioqueue.testing import cancel_everywhere

every_scenario = pytest.mark.parametrize(
    "scenario", durable_scenarios.ALL, ids=lambda scenario: scenario.__name__
)
#: Not with two openings: of those who wait, the server calls one at random, each time another.
every_scenario_of_one = pytest.mark.parametrize(
    "scenario",
    [one for one in durable_scenarios.ALL if one is not durable_scenarios.a_limit_of_two_queues],
    ids=lambda scenario: scenario.__name__,
)
in_files = pytest.mark.usefixtures("_quiet_log")
on_redis = pytest.mark.usefixtures("_on_redis", "_quiet_log")
#: Whether a script may have been run though its caller was cancelled.
prompt_or_late = pytest.mark.parametrize("late", [False, True], ids=["prompt", "late"])


@pytest.fixture
def _quiet_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@pytest.fixture
def _on_redis(redis_server: Redis, late: bool) -> Iterator[None]:
    with durable_scenarios.stored_in(on_server(redis_server, late=late)):
        yield


@in_files
@every_scenario
def test_a_strike_at_every_71st_moment_breaks_no_law(scenario):
    assert cancel_everywhere(scenario, every=71).plays > 3


@pytest.mark.main
@pytest.mark.race
@in_files
@every_scenario
def test_strikes_in_a_drawn_schedule_break_no_law(scenario):
    cancel_everywhere(scenario, every=17, seeds=[f"drawn {SEED}"])


@pytest.mark.long
@in_files
@every_scenario
def test_a_strike_at_every_moment_of_two_schedules_breaks_no_law(scenario):
    cancel_everywhere(scenario, seeds=range(2))


@prompt_or_late
@on_redis
@every_scenario_of_one
def test_a_strike_at_every_197th_moment_on_redis_breaks_no_law(scenario):
    assert cancel_everywhere(scenario, every=197).plays > 1


@pytest.mark.main
@pytest.mark.race
@prompt_or_late
@on_redis
@every_scenario_of_one
def test_strikes_in_a_drawn_schedule_on_redis_break_no_law(scenario):
    cancel_everywhere(scenario, every=37, seeds=[f"drawn {SEED}"])


@pytest.mark.long
@prompt_or_late
@on_redis
@every_scenario_of_one
def test_a_strike_at_every_moment_of_two_schedules_on_redis_breaks_no_law(scenario):
    cancel_everywhere(scenario, seeds=range(2))
