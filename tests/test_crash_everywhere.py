"""A process that dies at any point of the SQLite broker loses nothing, and doubles nothing."""

import inspect
from collections.abc import Callable

import pytest

from tests import crash_mutants, crash_scenarios
from trioqueue import RemoteBroker
from trioqueue.brokers._sqlite_jobs import PROBES
from trioqueue.testing.chaos import BrokenByCrash, Through, WatchedBroker, crash_everywhere
from trioqueue.testing.chaos._through import MEMBERS


def name(function: object) -> str:
    return getattr(function, "__name__", repr(function))


@pytest.mark.main
@pytest.mark.parametrize("scenario", crash_scenarios.RAW, ids=name)
def test_a_death_at_any_point_breaks_no_law(scenario, capsys: pytest.CaptureFixture[str]):
    """At the first passage of each. (All of them, and by both ways to die, in the long tier.)"""
    report = crash_everywhere(scenario, most=1, ways=["kill"])
    with capsys.disabled():
        print(f"\n{report}")
    # What the clock brings about is not in every play.
    assert report.deaths.total() > 0.8 * len(report.passages)


@pytest.mark.main
def test_a_death_in_the_middle_of_the_real_workers_breaks_no_law():
    report = crash_everywhere(
        crash_scenarios.queue, drain=crash_scenarios.drain_queue, most=1, ways=["exit"]
    )
    assert report.deaths.total() > 0.8 * len(report.passages)


@pytest.mark.long
@pytest.mark.parametrize("scenario", crash_scenarios.RAW, ids=name)
def test_a_death_at_any_passage_of_any_point_breaks_no_law(scenario):
    """All of them, by both ways to die."""
    report = crash_everywhere(scenario)
    print(report)
    assert report.deaths.total() > 0.8 * len(report.passages)


@pytest.mark.long
def test_a_death_at_any_passage_of_the_real_workers_breaks_no_law():
    report = crash_everywhere(crash_scenarios.queue, drain=crash_scenarios.drain_queue)
    print(report)
    assert report.deaths.total() > 0.8 * len(report.passages)


@pytest.mark.main
def test_the_scenarios_pass_every_point():
    passed: set[str] = set()
    for scenario in (*crash_scenarios.RAW, crash_scenarios.queue):
        passed |= set(crash_everywhere(scenario, points=()).passages)
    assert passed == set(PROBES)


@pytest.mark.main
@pytest.mark.parametrize(
    ("mutant", "scenario", "rule"),
    [
        (crash_mutants.SaysYesTooSoon, crash_scenarios.submits, "lost"),
        (crash_mutants.RefusesWhatItKeeps, crash_scenarios.refused, "ghost"),
        (crash_mutants.SettlesFirst, crash_scenarios.twice, "lost"),
        (crash_mutants.SettlesNothing, crash_scenarios.twice, "resurrected"),
        (crash_mutants.RenewsNothing, crash_scenarios.leases, "duplicated"),
        (crash_mutants.HasNoFence, crash_scenarios.leases, "unfenced"),
    ],
    ids=name,
)
def test_a_broken_broker_is_found_out(mutant: type[Through], scenario, rule: str):
    with pytest.raises(BrokenByCrash) as caught:
        crash_everywhere(scenario, opener=mutant.open, most=1, ways=["kill"], stop_after=1)
    assert f"{rule}: " in str(caught.value)


def takes(verb: Callable[..., object]) -> list[tuple[object, ...]]:
    parameters = inspect.signature(verb).parameters.values()
    return [(each.name, each.kind, each.default) for each in parameters]


@pytest.mark.parametrize("kind", [WatchedBroker, *crash_mutants.Mutant.__subclasses__()], ids=name)
def test_what_stands_before_a_broker_speaks_as_brokers_do(kind: type[Through]):
    """It is a `RemoteBroker`, and takes for each verb what that takes."""
    verbs = [name for name in vars(kind) if not name.startswith("_") and name != "open"]
    assert verbs
    for verb in verbs:
        assert takes(getattr(kind, verb)) == takes(getattr(RemoteBroker, verb)), verb
    assert issubclass(kind, Through)
    assert all(hasattr(kind, member) for member in MEMBERS)


@pytest.mark.main
def test_a_scenario_that_fails_by_itself_is_told():
    with pytest.raises(RuntimeError, match=r"(?s)play of broken fails.*no such verb"):
        crash_everywhere(crash_scenarios.broken)


def test_what_no_other_process_finds_is_refused():
    async def inner(site):
        raise NotImplementedError

    with pytest.raises(ValueError, match="must be a module's function"):
        crash_everywhere(inner)
