"""A process that dies before or after any call to the Redis server loses and doubles nothing."""

import inspect
from collections.abc import Callable

import pytest

from tests import crash_scenarios
from tests.crash_redis import CHANGING, PROBES, SERVER, drain_queue, drain_redis, open_redis
from tests.redis_server import Redis
from trioqueue.brokers import _redis_calls as calls
from trioqueue.brokers._redis_line import Script
from trioqueue.testing.chaos import CrashReport, Site, crash_everywhere

SCENARIOS = (*crash_scenarios.RAW, crash_scenarios.waits)
#: Those that make every call between them.
FEW = tuple(each for each in SCENARIOS if each.__name__ not in {"twice", "crowd"})


@pytest.fixture(autouse=True)
def server(redis_server: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SERVER, redis_server.url().partition("?")[0])


def crash(scenario: Callable[[Site], object], **options: object) -> CrashReport:
    drain = drain_queue if scenario is crash_scenarios.queue else drain_redis
    return crash_everywhere(scenario, opener=open_redis, drain=drain, **options)  # type: ignore[arg-type]


def name(function: Callable[..., object]) -> str:
    return function.__name__


@pytest.mark.main
def test_a_death_at_any_call_breaks_no_law(capsys: pytest.CaptureFixture[str]):
    """At the first of each kind. (All of them, and by both ways to die, in the long tier.)"""
    passed: set[str] = set()
    for scenario in FEW:
        report = crash(scenario, most=1, ways=["kill"])
        with capsys.disabled():
            print(f"\n{report}", end="")
        # What the clock brings about is not in every play.
        assert report.deaths.total() > 0.8 * len(report.passages)
        passed |= set(report.passages)
    assert passed == set(PROBES)


@pytest.mark.main
def test_a_death_of_the_real_workers_breaks_no_law():
    points = {"claim:replied", "settle:begun", "settle:replied"}
    report = crash(crash_scenarios.queue, most=1, ways=["kill"], points=points)
    assert report.deaths.total() == len(points)


@pytest.mark.long
@pytest.mark.parametrize("scenario", [*SCENARIOS, crash_scenarios.queue], ids=name)
def test_a_death_at_every_single_call_breaks_no_law(scenario):
    report = crash(scenario)
    print(report)
    assert report.deaths.total() > 0.8 * len(report.passages)


def test_every_script_that_changes_anything_is_a_place_to_die():
    """A new one has to be put here, or there."""
    scripts = {each.name for _, each in inspect.getmembers(calls) if isinstance(each, Script)}
    assert scripts - {"look", "tasks", "dead", "numbers", "lanes", "workers"} == set(CHANGING)
