"""`trioqueue dead`: dead letters are listed, shown whole, run again and thrown away."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from trioqueue import DeadLetter, ErrorRecord, HistoryEntry
from trioqueue.cli._dead_text import as_json, describe, describe_list

from .cli_terminal import in_terminal
from .workers import Site

LETTER = DeadLetter(
    id="d1",
    type="resize",
    queue="default",
    args=("cat.png",),
    kwargs={"width": 640},
    key="cat",
    failures=2,
    deliveries=3,
    errors=(
        ErrorRecord(1, "timeout", "TimeoutError", "", ""),
        ErrorRecord(2, "error", "OSError", "disk\nfull", "Traceback:\n  line 1\nOSError: disk"),
    ),
    died_at=1_000_000.0,
    payload=b'[["cat.png"],{"width":640}]',
)


# --- as text -----------------------------------------------------------------------------------


def test_a_list_has_a_line_for_each():
    """Id, type, when, how often it failed, and of what it died."""
    head, line = describe_list([LETTER], now=1_000_180.0)
    assert head.split() == ["id", "type", "queue", "died", "failures", "last", "error"]
    assert re.fullmatch(r"d1 +resize +default +3 min ago +2 +OSError: disk full", line)
    assert list(describe_list([], now=0.0)) == ["No dead letters."]


def test_one_is_shown_whole():
    """Its arguments as a call, every error with its traceback, and what happened when."""
    history = [HistoryEntry("started", 999_999.5, 3, "w1"), HistoryEntry("died", 1e6, 3, "")]
    text = "\n".join(describe(LETTER, history))
    for words in (
        "Dead letter d1",
        "arguments   ('cat.png', width=640)",
        "key         cat",
        "died        1970-01-12 13:46:40.000+00:00",
        "Attempt 1 (timeout): TimeoutError",
        "Attempt 2 (error): OSError: disk full",
        "      line 1",
        "1970-01-12 13:46:39.500+00:00  started, delivery 3, worker w1",
        "1970-01-12 13:46:40.000+00:00  died, delivery 3",
    ):
        assert words in text


def test_arguments_that_were_not_decoded_are_shown_as_they_are():
    """An operator sees the bytes."""
    raw = DeadLetter("d2", "t", "q", (), {}, None, 1, 1, (), 0.0, b"\xff[1")
    text = "\n".join(describe(raw, []))
    assert r"b'\xff[1' (not decoded)" in text
    assert as_json(raw)["payload"] == "\ufffd[1"


def test_json_has_the_records_own_names():
    """And can be written, whatever the arguments are."""
    letter = as_json(LETTER, [HistoryEntry("died", 1e6, 3, "")])
    assert json.loads(json.dumps(letter)) == letter
    assert letter["args"] == ["cat.png"]
    assert letter["errors"][1]["message"] == "disk\nfull"
    assert letter["history"] == [{"name": "died", "at": 1e6, "delivery": 3, "worker": ""}]
    strange = DeadLetter("d3", "t", "q", (object,), {}, None, 1, 1, (), 0.0)
    assert "object" in as_json(strange)["args"][0]


# --- for real ----------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """With three dead letters: two of disks, one of a network."""
    made = Site(tmp_path)
    for text in ("disk full", "disk gone", "network down"):
        made.publish("fail", "--json", f'["{text}"]')
    made.work()
    return made


def letters(site: Site, *filters: str) -> list[dict[str, Any]]:
    done = site.here("dead", "list", "--json", *filters)
    assert (done.returncode, done.stderr) == (0, "")
    listed: list[dict[str, Any]] = json.loads(done.stdout)
    return listed


def ids(site: Site, *filters: str) -> list[str]:
    """In the order of the errors: they died in any."""
    listed = letters(site, *filters)
    return [letter["id"] for letter in sorted(listed, key=lambda letter: str(letter["args"]))]


def test_list_takes_filters(site: Site):
    """Type, text of the last error, age, number."""
    found = letters(site, "--error", "disk")
    assert sorted(letter["args"] for letter in found) == [["disk full"], ["disk gone"]]
    assert found == sorted(found, key=lambda letter: float(letter["died_at"]))
    assert len(ids(site, "--error", "ValueError: network")) == 1
    assert ids(site, "--type", "note") == ids(site, "--older-than", "3600") == []
    done = site.here("dead", "list", "--limit", "2")
    assert done.stdout.count("ValueError: ") == 2
    assert "There are more than --limit 2." in done.stdout


def test_show_shows_the_traceback_and_the_history(site: Site):
    """Of one or of several; of one that is none it says so, and exits 1."""
    first, second, _ = ids(site)
    done = site.here("dead", "show", first, second)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("Dead letter ") == 2
    assert "cli_jobs.py" in done.stdout
    assert "died, delivery 2" in done.stdout
    done = site.here("dead", "show", "nobody", first, "--json")
    assert done.returncode == 1
    assert done.stderr == "trioqueue: no dead letter 'nobody'\n"
    (letter,) = json.loads(done.stdout)
    assert [entry["name"] for entry in letter["history"]][-1] == "died"


def test_replay_runs_them_again(site: Site):
    """By id, then all that a filter lets through: they get all their attempts again."""
    first, second, third = ids(site)
    done = site.here("dead", "replay", first)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1 replayed\n", "")
    assert ids(site) == [second, third]
    assert site.here("dead", "replay", "--all", "--error", "disk").stdout == "1 replayed\n"
    assert ids(site) == [third]
    assert site.counts() == {"ready": 2, "dead": 1}
    site.work()
    assert {letter["failures"] for letter in letters(site)} == {2}
    assert len(letters(site)) == 3


def test_purge_throws_them_away(site: Site):
    """For good, and counted as such."""
    first, _, _ = ids(site)
    assert site.here("dead", "purge", first).stdout == "1 purged\n"
    assert site.here("dead", "purge", "--all", "--limit", "1").stdout == "1 purged\n"
    assert site.here("dead", "purge", "--all").stdout == "1 purged\n"
    assert site.here("dead", "purge", "--all").stdout == "0 purged\n"
    assert site.counts() == {"purged": 3}


@pytest.mark.parametrize("verb", ["replay", "purge"])
def test_what_cannot_be_done_is_told_and_the_rest_is_done(site: Site, verb: str):
    """An id that is none: a line of its own, and exit 1."""
    first, *_ = ids(site)
    done = site.here("dead", verb, "nobody", first)
    assert done.returncode == 1
    assert done.stdout.startswith("1 ")
    (line,) = done.stderr.splitlines()
    assert "nobody" in line
    assert first not in ids(site)


def test_a_replay_onto_a_key_that_is_taken_is_refused(site: Site):
    """It stays a dead letter."""
    site.publish("fail", "--key", "daily")
    site.work()
    site.publish("note", "--json", "[7]", "--key", "daily", "--delay", "3600")
    done = site.here("dead", "replay", "--all")
    assert done.returncode == 1
    assert done.stdout == "3 replayed\n"
    assert "daily" in done.stderr
    assert site.counts()["dead"] == 1


@pytest.mark.main
def test_many_are_replayed_at_once(site: Site):
    """More than go into one round."""
    site.publish("fail", "--count", "250")
    site.work()
    assert site.here("dead", "replay", "--all").stdout == "253 replayed\n"
    assert site.counts() == {"ready": 253}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["replay"], "give ids, or --all"),
        (["purge"], "give ids, or --all"),
        (["purge", "--type", "fail"], "add --all"),
        (["purge", "x", "--all"], "not both"),
        (["replay", "x", "--error", "disk"], "not both"),
        (["show"], "give the id"),
        (["list", "--limit", "0"], "--limit"),
        (["list", "--older-than", "-1"], "--older-than"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_is_one_line_and_exit_2(site: Site, arguments: list[str], words: str):
    """And nothing is done."""
    done = site.here("dead", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert words in line
    assert len(ids(site)) == 3


@pytest.mark.main
@pytest.mark.parametrize(
    ("typed", "flags", "left"),
    [("n\n", (), 3), ("\n", (), 3), ("y\n", (), 0), ("", ("--yes",), 0)],
    ids=["no", "nothing", "yes", "--yes"],
)
def test_a_terminal_is_asked_first(site: Site, typed: str, flags: tuple[str, ...], left: int):
    """How many of what; anything but yes changes nothing."""
    text = in_terminal(site, "dead", "purge", "--all", *flags, typed=typed)
    assert ("purge 3 dead letters (3 fail)? [y/N]" in text) is not bool(flags)
    assert ("nothing was done" in text) is bool(left)
    assert len(ids(site)) == left
