"""`trioqueue tasks` and `queues`: looking at tasks, cancelling, trying again, pausing."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from .workers import Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """With two ready, one delayed, one dead and one that succeeded."""
    made = Site(tmp_path)
    made.publish("send", "--json", '["ann"]', "--id", "s1")
    made.publish("fail", "--json", '["disk full"]', "--id", "d1")
    made.work()
    for number in ("7", "8"):
        made.publish("note", "--json", f"[{number}]", "--id", f"n{number}")
    made.publish("note", "--json", "[9]", "--delay", "3600", "--id", "n9", "--queue", "late")
    return made


def listed(site: Site, *filters: str) -> list[str]:
    done = site.here("tasks", "list", "--json", *filters)
    assert (done.returncode, done.stderr) == (0, "")
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return [row["id"] for row in rows]


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ((), ["n7", "n8", "n9"]),
        (("--newest",), ["n9", "n8", "n7"]),
        (("--limit", "1", "--newest"), ["n9"]),
        (("--state", "ready"), ["n7", "n8"]),
        (("--state", "dead"), ["d1"]),
        (("--state", "succeeded"), ["s1"]),
        (("--queue", "late"), ["n9"]),
        (("--type", "send"), []),
        (("--text", "[8]"), ["n8"]),
        (("--text", "N9"), ["n9"]),
        (("--text", "disk", "--state", "dead"), ["d1"]),
    ],
    ids=" ".join,
)
def test_list_takes_filters(site: Site, filters: tuple[str, ...], ids: list[str]):
    """Without a state, what is open; in order of acceptance, or the newest first."""
    assert listed(site, *filters) == ids


def test_a_list_is_a_table(site: Site):
    """With what one looks for, and with a word if there is more."""
    head, first, *rest = site.here("tasks", "list", "--limit", "1").stdout.splitlines()
    assert head.split()[:4] == ["id", "type", "queue", "state"]
    assert re.match(r"n7 +note +default +ready +[\d.]+ s ago +1  \(7\)$", first)
    assert rest == ["There are more than --limit 1."]
    assert site.here("tasks", "list", "--type", "send").stdout == "No such task.\n"


def test_show_shows_everything(site: Site):
    """Errors with tracebacks and what happened when; of an unknown id, a line and exit 1."""
    done = site.here("tasks", "show", "d1")
    assert (done.returncode, done.stderr) == (0, "")
    for words in ("Task d1", "state         dead", "('disk full')", "ValueError: disk full"):
        assert words in done.stdout
    assert "died, delivery 2" in done.stdout
    done = site.here("tasks", "show", "nobody", "s1", "--json")
    assert (done.returncode, done.stderr) == (1, "trioqueue: nobody: no such task\n")
    (task,) = json.loads(done.stdout)
    assert task["outcome"]["kind"] == "returned"
    assert [entry["name"] for entry in task["history"]] == ["submitted", "started", "succeeded"]


def test_cancel_takes_ids(site: Site):
    """What has ended, and what is none, is refused; the rest is done."""
    done = site.here("tasks", "cancel", "n7", "s1", "nobody")
    assert (done.returncode, done.stdout) == (1, "1 cancelled\n")
    assert done.stderr.splitlines() == [
        "trioqueue: nobody: no such task",
        "trioqueue: s1: it has ended: succeeded",
    ]
    assert listed(site) == ["n8", "n9"]


def test_cancel_takes_filters(site: Site):
    """All that they let through, and no other."""
    assert site.here("tasks", "cancel", "--all", "--text", "8").stdout == "1 cancelled\n"
    assert site.here("tasks", "cancel", "--all", "--state", "ready").stdout == "1 cancelled\n"
    assert listed(site) == ["n9"]
    assert site.here("tasks", "cancel", "--all").stdout == "1 cancelled\n"
    assert site.here("tasks", "cancel", "--all").stdout == "0 cancelled\n"


def test_many_are_cancelled_in_chunks(site: Site):
    """More than are fetched in one go."""
    site.publish("send", "--count", "1203")
    done = site.here("tasks", "cancel", "--all", "--type", "send", "--limit", "1200")
    assert (done.returncode, done.stdout) == (0, "1,200 cancelled\n")
    assert site.here("tasks", "cancel", "--all", "--type", "send").stdout == "3 cancelled\n"


def test_retry_runs_dead_and_scheduled_ones_now(site: Site):
    """A dead letter is replayed; what is due later is due now; the rest is refused."""
    done = site.here("tasks", "retry", "d1", "n9", "n7")
    assert (done.returncode, done.stdout) == (1, "1 made due now, 1 replayed\n")
    assert done.stderr == "trioqueue: n7: it is ready, and neither dead nor scheduled\n"
    assert site.counts() == {"ready": 4, "succeeded": 1}
    site.work()
    assert site.here("tasks", "retry", "--all", "--state", "dead").stdout == "1 replayed\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tasks", "cancel"], "give ids, or --all"),
        (["tasks", "cancel", "--state", "ready"], "add --all"),
        (["tasks", "cancel", "n7", "--all"], "not both"),
        (["tasks", "cancel", "--all", "--state", "dead"], "has ended"),
        (["tasks", "retry", "--all"], "--state dead or --state scheduled"),
        (["tasks", "show"], "give the id"),
        (["tasks", "list", "--state", "redy"], 'Did you mean "ready"?'),
        (["tasks", "lst"], 'Did you mean "list"?'),
        (["queues", "pause"], "or --all"),
        (["queues", "pause", "mail", "--all"], "not both"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_is_one_line_and_exit_2(site: Site, arguments: list[str], words: str):
    """And nothing is done."""
    done = site.here(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert words in line
    assert listed(site) == ["n7", "n8", "n9"]


# --- queues ------------------------------------------------------------------------------------


def test_queues_are_listed_with_their_types(site: Site):
    """Counts, the oldest age, pauses; a queue with several types has a line for each."""
    site.publish("send", "--queue", "default")
    text = site.here("queues", "list").stdout
    assert re.search(r"^default +\(all\) +3 +0 +0 +[\d.]+ s$", text, re.M)
    assert re.search(r"^ +note +2 +0 +0 ", text, re.M)
    assert re.search(r"^late +note +0 +0 +1 +-$", text, re.M)
    seen = json.loads(site.here("queues", "list", "--json").stdout)
    assert seen["all_paused"] is False
    assert [queue["queue"] for queue in seen["queues"]] == ["default", "late"]
    assert [each["type"] for each in seen["queues"][0]["types"]] == ["note", "send"]


def test_a_queue_is_paused_and_goes_on(site: Site):
    """By its name; a name that nobody uses is paused with a question."""
    done = site.here("queues", "pause", "default")
    assert (done.returncode, done.stdout, done.stderr) == (0, "default is paused\n", "")
    assert re.search(r"^default .* paused$", site.here("queues", "list").stdout, re.M)
    assert "is it a queue?" in site.here("queues", "pause", "defalt").stderr
    done = site.here("queues", "resume", "late", "default")
    assert (done.returncode, done.stdout) == (1, "default goes on\n")
    assert done.stderr == (
        "trioqueue: 'late' is not paused by itself (those that are: defalt, default)\n"
    )


def test_all_are_paused_and_go_on(site: Site):
    """Those that were paused by themselves too."""
    site.here("queues", "pause", "late")
    assert site.here("queues", "pause", "--all").stdout == "all queues are paused\n"
    assert site.here("queues", "list").stdout.startswith("Everything is paused.\n")
    assert site.here("queues", "resume", "--all").stdout == "all queues go on\n"
    assert "paused" not in site.here("queues", "list").stdout
