"""Options from the environment and from pyproject.toml: which wins, and mistakes."""

import json
import os
from pathlib import Path

import pytest

from trioqueue.cli._config_values import from_text, from_toml
from trioqueue.cli._errors import Wrong

from .workers import JOBS, Site

FILE = """
[project]
name = "theirs"
[tool.trioqueue]
broker = "sqlite:///jobs.db?lease=30"
tasks = "their_jobs:tasks"
[tool.trioqueue.publish]
count = 3
[tool.trioqueue.dead-list]
older_than = 3600
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Nothing in the environment, all in the file."""
    made = Site(tmp_path)
    del made.variables["TRIOQUEUE_BROKER"]
    monkeypatch.delenv("TRIOQUEUE_BROKER", raising=False)
    write(made, FILE)
    (tmp_path / "their_jobs.py").write_text(f"from {JOBS.partition(':')[0]} import tasks\n")
    return made


def write(site: Site, text: str) -> None:
    (site.path / "pyproject.toml").write_text(text, encoding="utf-8")


def accepted(site: Site, *arguments: str, **variables: str) -> int:
    done = site.here("publish", *arguments, **variables)
    assert (done.returncode, done.stderr) == (0, "")
    return len(done.stdout.splitlines())


def test_a_file_says_broker_tasks_and_options(site: Site):
    """So that nothing but the task is named on the command line."""
    assert accepted(site, "send") == 3
    assert site.counts() == {"ready": 3}


def test_what_is_nearer_wins(site: Site):
    """Argument, then environment, then file, then default; nothing in a variable is no value."""
    assert accepted(site, "send", TRIOQUEUE_PUBLISH_COUNT="2") == 2
    assert accepted(site, "send", "--count", "1", TRIOQUEUE_PUBLISH_COUNT="2") == 1
    assert accepted(site, "send", TRIOQUEUE_PUBLISH_COUNT="", TRIOQUEUE_BROKER="") == 3
    assert accepted(site, "send", TRIOQUEUE_BROKER="sqlite:///other.db") == 3
    assert {path.name for path in site.path.glob("*.db")} == {"jobs.db", "other.db"}
    variables = {"TRIOQUEUE_BROKER": "sqlite:///a.db", "TRIOQUEUE_PUBLISH_BROKER": "sqlite:///b.db"}
    assert accepted(site, "send", **variables) == 3
    assert (site.path / "b.db").exists()
    assert not (site.path / "a.db").exists()


@pytest.mark.parametrize(("value", "json_"), [("1", True), ("off", False)])
def test_a_flag_is_set_and_unset(site: Site, value: str, json_: bool):
    """An argument takes back what the environment says."""
    accepted(site, "send")
    text = site.here("status", TRIOQUEUE_STATUS_JSON=value).stdout
    assert text.startswith("{") is json_
    assert not site.here("status", "--json=false", TRIOQUEUE_STATUS_JSON=value).stdout.startswith(
        "{"
    )


def test_a_file_further_up_counts_and_its_paths_are_relative_to_it(site: Site):
    """The broker's file and the module are beside it, wherever one is."""
    below = site.path / "deep" / "down"
    below.mkdir(parents=True)
    there = Site(below)
    there.variables = {**site.variables}
    assert accepted(there, "send") == 3
    assert (site.path / "jobs.db").exists()
    assert list(below.iterdir()) == []


def test_one_positional_argument_is_the_name_two_are_tasks_and_name(site: Site):
    """By their number alone, so that nothing is guessed; what lacks is said."""
    assert accepted(site, "their_jobs:tasks", "send", "--count", "1") == 1
    done = site.here("publish", "their_jobs:tasks")
    assert done.returncode == 2
    assert "no task named 'their_jobs:tasks'" in done.stderr
    write(site, "")
    done = site.here("publish", "send", TRIOQUEUE_BROKER="sqlite:///jobs.db")
    assert done.returncode == 2
    assert "no MODULE:TASKS" in done.stderr
    assert "TRIOQUEUE_TASKS" in done.stderr
    assert accepted(site, "send", TRIOQUEUE_BROKER="sqlite:///j.db", TRIOQUEUE_TASKS=JOBS) == 1


def test_the_demo_counts_its_own_tasks(site: Site):
    """TRIOQUEUE_TASKS and tasks in the file name task sets, not numbers."""
    flags = ("--work", "0", "--failure-rate", "0")
    done = site.here("demo", *flags, TRIOQUEUE_TASKS="a:b", TRIOQUEUE_DEMO_TASKS="2")
    assert done.returncode == 0
    assert "2 succeeded" in done.stdout


MISTAKES = {
    "no TOML": ("[tool.trioqueue", ["is not TOML", "']'"]),
    "no table": ("[tool]\ntrioqueue = 3", ["[tool.trioqueue]", "must be a table"]),
    "a key": ("[tool.trioqueue]\nbrokr = 'x'", ["brokr in [tool.trioqueue]", "mean broker?"]),
    "a section": ("[tool.trioqueue.dead-lst]", ["[tool.trioqueue.dead-lst]", "mean dead-list?"]),
    "a group": ("[tool.trioqueue.dead.list]", ["[tool.trioqueue.dead]", "mean dead-"]),
    "an option": (
        "[tool.trioqueue.publish]\ncuont = 3",
        ["cuont in [tool.trioqueue.publish]", "mean count?"],
    ),
    "a number as text": ("[tool.trioqueue.publish]\ncount = '3'", ["count in", "a whole number"]),
    "a flag as number": ("[tool.trioqueue.publish]\ncount = true", ["a whole number, not true"]),
    "a bound": ("[tool.trioqueue.publish]\ncount = 0", ["count in [tool.trioqueue.publish]", ">="]),
    "a list": ("[tool.trioqueue]\nbroker = ['redis://:hush@h']", ["a string, not a list"]),
    "a URL": ("[tool.trioqueue]\nbroker = 'sqlite://j.db'", ["broker in", "three slashes"]),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_the_file_is_one_line(site: Site, name: str):
    """With the file, the key, and what is expected; no password."""
    text, words = MISTAKES[name]
    write(site, text)
    done = site.here("publish", JOBS, "send")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    for word in [str(site.path / "pyproject.toml"), *words]:
        assert word in line
    assert "hush" not in line


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("TRIOQUEUE_BROKR", "x", "Did you mean TRIOQUEUE_BROKER?"),
        ("TRIOQUEUE_PUBLISH_CUONT", "3", "Did you mean TRIOQUEUE_PUBLISH_COUNT?"),
        ("TRIOQUEUE_PUBLISH_COUNT", "many", 'TRIOQUEUE_PUBLISH_COUNT: "many"'),
        ("TRIOQUEUE_PUBLISH_COUNT", "0", "TRIOQUEUE_PUBLISH_COUNT"),
        ("TRIOQUEUE_BROKER", "sqlite://j.db", "TRIOQUEUE_BROKER: "),
    ],
)
def test_a_mistake_in_the_environment_is_one_line(
    site: Site, variable: str, value: str, words: str
):
    """With the variable, and what is meant."""
    done = site.here("publish", "send", **{variable: value})
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert words in line


@pytest.mark.parametrize(
    "name",
    ["TRIOQUEUE_PUBLISH_PORT", "TRIOQUEUE_PORT_80_TCP_ADDR", "TRIOQUEUE_SEED", "TRIOQUEUE_WEB_X"],
)
def test_variables_of_others_are_left_alone(site: Site, name: str):
    """Those that Kubernetes makes for a service of our name, of other programs and commands."""
    assert accepted(site, "send", **{name: "tcp://10.0.0.1:80"}) == 3


def test_a_file_of_another_user_above_is_not_heeded(site: Site, monkeypatch: pytest.MonkeyPatch):
    """Anybody can put one into /tmp, and the module that it names would be imported."""
    below = site.path / "mine"
    below.mkdir()
    there = Site(below)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    if site.path.stat().st_uid == 0:
        monkeypatch.setattr("trioqueue.cli._pyproject._TRUSTED", frozenset())
    done = there.here("status", TRIOQUEUE_BROKER="")
    assert done.returncode == 2
    first, second = done.stderr.splitlines()
    assert "belongs to another user" in first
    assert "no broker" in second


def test_values_of_a_list():
    """A list in a file, commas in a variable; one alone is a list too."""
    hint = tuple[str, ...]
    assert from_toml("p", ["a", "b"], hint) == ["a", "b"]
    assert from_toml("p", "a", hint) == ["a"]
    assert from_text("p", "a, b,", hint) == ["a", "b"]
    with pytest.raises(Wrong, match="a list, each a string"):
        from_toml("p", [1], hint)


@pytest.mark.network
def test_processes_have_the_settings_of_the_command(site: Site):
    """A child reads no settings: what its supervisor was told with arguments holds."""
    accepted(site, "note", "--json", "[7]")
    write(site, FILE + "[tool.trioqueue.run]\nworkers = 3\nqueue = ['nowhere']\n")
    below = site.path / "below"
    below.mkdir()
    there = Site(below)
    there.variables = {**site.variables}
    done = there.command("run", "--processes", "2", "--burst", "--queue", "default")
    assert done.returncode == 0
    assert "with 3 workers" in done.stderr
    assert "queues: default" in done.stderr
    assert json.loads(site.here("status", "--json").stdout)["counts"]["succeeded"] == 3
