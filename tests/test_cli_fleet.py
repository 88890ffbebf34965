"""Limits in the whole fleet, held by real processes: counted by what they write down."""

import signal
from pathlib import Path

import pytest

from .workers import Site, kill

pytestmark = pytest.mark.network

JOBS = "tests.cli_jobs:rare"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def publish(site: Site, *arguments: str) -> None:
    done = site.here("publish", JOBS, "scarce", *arguments)
    assert (done.returncode, done.stderr) == (0, "")


def test_processes_run_no_more_than_the_limit_together(site: Site):
    """Three of one worker each: it takes two of them to run two at once."""
    with site.workers("--processes", "3", "--workers", "1", jobs=JOBS) as workers:
        for _ in range(3):
            workers.until_logged("started: process")
        publish(site, "--json", "[0.02]", "--count", "60")
        for _ in range(60):
            workers.until_told("scarce began")
        workers.send(signal.SIGTERM)
        assert workers.end() == 0
    assert site.counts() == {"succeeded": 60}
    lines = [line.split() for line in site.ledger.read_text().splitlines()]
    running = most = 0  # the ledger is in the order in which it happened
    for what, _ in lines:
        running += 1 if what == "began" else -1
        most = max(most, running)
    assert (running, most, len(lines)) == (0, 2, 120)
    assert len({pid for _, pid in lines}) >= 2


def test_a_process_that_is_killed_leaks_no_slot(site: Site):
    """Another one, which waits for a slot, has both when the leases have run out."""
    publish(site, "--count", "4")
    with site.workers("--workers", "4", jobs=JOBS) as first:
        for _ in range(2):
            first.until_told("scarce began")
        with site.workers("--workers", "4", jobs=JOBS) as second:
            second.until_logged("started: ")
            kill(first.process.pid)
            for _ in range(2):
                second.until_told("scarce began")
            assert site.counts() == {"running": 2, "ready": 2}
            assert site.moves("lost") == 2
            second.send(signal.SIGTERM)
            second.until_logged("stopping")
            second.send(signal.SIGTERM)
            assert second.end() == 0
    assert len(site.ledger.read_text().splitlines()) == 6, "four beginnings, and two ends"
