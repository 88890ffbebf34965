"""`trioqueue status`: where the tasks are, who works, and which of them nobody works on."""

import re
from pathlib import Path

import pytest

from trioqueue import Counts, LaneCounts, WorkerRecord
from trioqueue.cli._status import Seen
from trioqueue.cli._text import duration, one_line, table

from .workers import Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def counts(**numbers: int) -> Counts:
    zeros = dict.fromkeys(Counts._fields, 0)
    return Counts(**(zeros | numbers | {"moves": {}, "capacity": None}))  # type: ignore[arg-type]


def worker(*types: str, queues: tuple[str, ...] | None = None, live: bool = True) -> WorkerRecord:
    return WorkerRecord("w1", "host", 123, 10, types, queues, 0.0, running=2, seen=3.0, live=live)


def lane(type: str, queue: str = "default", ready: int = 1, *, paused: bool = False) -> LaneCounts:
    return LaneCounts(queue, type, 2, ready, 3, paused, 100.0 if ready else None)


def seen(
    lanes: list[LaneCounts], workers: list[WorkerRecord], *, paused: bool = False, **numbers: int
) -> Seen:
    return Seen(counts(**numbers), lanes, paused, (), workers)


def text(what: Seen) -> str:
    return "\n".join(what.describe())


def test_it_shows_where_the_tasks_are():
    """Counts, lanes, workers; states that no task is in are left out if they are rare."""
    shown = text(
        seen([lane("resize")], [worker("resize")], submitted=1234, succeeded=1200, expired=3)
    )
    assert "1,234 submitted" in shown
    assert "1,200 succeeded" in shown
    assert "3 expired" in shown
    assert "handed back" not in shown
    assert re.search(r"^default +resize +1 +3 +2 +100 s$", shown, re.MULTILINE)
    assert re.search(r"^w1 +host +123 +10 +2 +3\.0 s ago +all +resize$", shown, re.MULTILINE)
    assert "No live worker" not in shown


def test_an_idle_broker_says_so():
    """Rather than show tables without rows."""
    shown = text(seen([], []))
    assert "No task is open." in shown
    assert "No worker process was heard of." in shown


def test_what_is_paused_is_marked():
    """One queue, or everything."""
    shown = text(seen([lane("resize", paused=True)], [worker("resize")], paused=True))
    assert re.search(r"resize .* paused$", shown, re.MULTILINE)
    assert "Everything is paused." in shown


@pytest.mark.parametrize(
    ("workers", "served"),
    [
        ([worker("resize")], True),
        ([worker("resize", queues=("default",))], True),
        ([worker("other"), worker("resize")], True),
        ([], False),
        ([worker("other")], False),
        ([worker("resize", queues=("mail",))], False),
        ([worker("resize", live=False)], False),
    ],
)
def test_ready_tasks_that_nobody_serves_are_pointed_out(workers: list[WorkerRecord], served: bool):
    """By no live process: an unknown type, another queue, or all are gone."""
    what = seen([lane("resize"), lane("later", ready=0)], workers)
    shown = text(what)
    assert ("No live worker takes 'resize' from queue 'default': 1 ready" in shown) is not served
    assert "later'" not in shown  # nothing is ready there
    assert [each["type"] for each in what.as_json()["unserved"]] == ([] if served else ["resize"])


def test_a_table_is_aligned():
    """Numbers to the right, None as a dash, and every cell on one line."""
    lines = list(table(("name", "n", "end"), [("a\nb", 1234, None), ("c", 5, "x")], right="n"))
    assert lines == ["name      n  end", "a b   1,234  -", "c         5  x"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (10, "10 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7199, "120 min"),
        (7200, "2 h"),
        (172800, "2 d"),
    ],
)
def test_a_duration_is_said_as_one_would(seconds: float, words: str):
    """Two digits or three, whatever its size."""
    assert duration(seconds) == words


def test_text_of_others_is_shown_on_one_line_and_without_escapes():
    """An error's text may hold anything."""
    assert one_line("a\nb\t\x1b[31mc") == "a b ?[31mc"
    assert one_line("x" * 300, 10) == "x" * 10 + "..."


# --- for real ----------------------------------------------------------------------------------


def test_status_of_a_file(site: Site):
    """Ready and scheduled tasks, and no worker."""
    site.publish("note", "--json", "[7]", "--count", "3")
    site.publish("send", "--delay", "3600")
    done = site.here("status")
    assert (done.returncode, done.stderr) == (0, "")
    assert "4 submitted: 1 scheduled, 3 ready, 0 running, 0 succeeded, 0 dead" in done.stdout
    assert re.search(r"^mail +send +0 +0 +1 +-$", done.stdout, re.MULTILINE)
    assert "No live worker takes 'note'" in done.stdout
    assert "takes 'send'" not in done.stdout


@pytest.mark.main
def test_status_while_workers_run(site: Site):
    """Their processes are there, with the age of their heartbeat; afterwards they are gone."""
    site.publish("slow")
    with site.workers("--workers", "3", "--grace", "0") as workers:
        workers.until_told("slow began")
        status = site.status()
        (record,) = status["workers"]
        assert record["pid"] == workers.process.pid
        assert record["workers"] == 3
        assert record["live"] is True
        assert "slow" in record["types"]
        assert [(each["type"], each["running"]) for each in status["lanes"]] == [("slow", 1)]
        assert status["unserved"] == []
        workers.process.terminate()
        assert workers.end() == 0
    (record,) = site.status()["workers"]
    assert record["live"] is False
    assert site.status()["unserved"] == [{"queue": "default", "type": "slow"}]


@pytest.mark.parametrize("command", [("status",), ("dead", "list"), ("dead", "show", "x")])
def test_who_only_looks_makes_no_file(site: Site, command: tuple[str, ...]):
    """A wrong path is told, and nothing lies there afterwards."""
    done = site.here(*command)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert "jobs.db" in line
    assert list(site.path.iterdir()) == []
