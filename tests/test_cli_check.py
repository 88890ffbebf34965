"""`trioqueue check`: lines for people, JSON for programs, an exit code; no password in any."""

import json
from pathlib import Path

import pytest

from trioqueue.brokers._findings import Finding, fine, problem, warn
from trioqueue.cli._check import as_json, describe

from .workers import Site

FINDINGS = [
    fine("version", "Valkey 9.1.2"),
    warn("persistence", "a crash\nloses all", "CONFIG SET appendonly yes"),
    problem("eviction", "allkeys-lru", "noeviction"),
]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_lines_have_a_level_a_name_and_an_advice():
    """One line for each, its advice below, and the sum at the end."""
    assert list(describe("redis://host:6379/0", FINDINGS)) == [
        "redis://host:6379/0",
        "OK       version      Valkey 9.1.2",
        "WARNING  persistence  a crash loses all",
        "                      -> CONFIG SET appendonly yes",
        "PROBLEM  eviction     allkeys-lru",
        "                      -> noeviction",
        "1 problem, 1 warning",
    ]


@pytest.mark.parametrize(
    ("findings", "level", "last"),
    [
        (FINDINGS[:1], "ok", "no problems, no warnings"),
        (FINDINGS[:2] * 2, "warning", "no problems, 2 warnings"),
        (FINDINGS, "problem", "1 problem, 1 warning"),
    ],
)
def test_the_worst_level_is_that_of_all(findings: list[Finding], level: str, last: str):
    """In the JSON, and in the last line."""
    assert as_json("x", findings)["level"] == level
    assert list(describe("x", findings))[-1] == last


def test_a_good_file_is_exit_0(site: Site):
    """The URL comes as an argument, by name, or from the environment."""
    site.publish("note", "--json", "[7]")
    for arguments in ([], ["sqlite:///jobs.db"], ["--broker", "sqlite:///jobs.db"]):
        done = site.here("check", *arguments)
        assert (done.returncode, done.stderr) == (0, "")
        first, *lines, last = done.stdout.splitlines()
        assert first == "sqlite:///jobs.db"
        assert {line.split()[0] for line in lines} == {"OK"}
        assert last == "no problems, no warnings"
    assert site.counts() == {"ready": 1}


def test_a_problem_is_exit_1(site: Site):
    """A file that is not there, and stays so; the report is on standard output all the same."""
    done = site.here("check", "--json")
    assert (done.returncode, done.stderr) == (1, "")
    told = json.loads(done.stdout)
    assert (told["broker"], told["level"]) == ("sqlite:///jobs.db", "problem")
    (found,) = (finding for finding in told["findings"] if finding["level"] == "problem")
    assert found["name"] == "file"
    assert "is not there" in found["says"]
    assert not (site.path / "jobs.db").exists()


def test_a_wrong_url_is_exit_2(site: Site):
    """And nothing is reported."""
    done = site.here("check", "jobs.db")
    assert (done.returncode, done.stdout) == (2, "")
    assert "not a broker's URL" in done.stderr


#: Lines as one types them, each with a password in a place where it should or should not be.
SECRET = [
    ("status", "redis://ann:hush@host"),
    ("status", "--broker", "redsi://ann:hush@host"),
    ("status", "--broker", "ann:hush@host"),
    ("status", "--broker", "redis://ann:hush@ho st:x/y"),
    ("status", "--broker", "redis://ann:hu@hush@host:port"),
    ("status", "--broker", "redis://ann:hush/hush@host"),
    ("status", "--broker", "redis://:hush@host/0?password=hush"),
    ("status", "--broker", "redis://ann:hush@host\n"),
    ("check", "rediss://ann:hush@"),
    ("run", "redis://:hush@host", "--workers", "redis://:hush@host"),
    ("demo", "redis://:hush@host"),
    ("redis://:hush@host",),
]


@pytest.mark.parametrize("arguments", SECRET, ids=" ".join)
def test_no_password_is_shown(site: Site, arguments: tuple[str, ...]):
    """Whatever is wrong with the line, it says so without it."""
    done = site.here(*arguments)
    assert done.returncode == 2
    assert "trioqueue: " in done.stderr
    assert "hush" not in done.stdout + done.stderr
