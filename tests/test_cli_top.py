"""`trioqueue top`: what it sees of a broker, and that its picture fits every terminal."""

import json
import os
import re
import signal
import struct
import termios
from collections.abc import Awaitable, Callable
from fcntl import ioctl
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from rich.cells import cell_len

import trioqueue
from trioqueue import BrokerUnavailable, Counts, ErrorRecord, Options, Retry, State, Task, TaskSet
from trioqueue._failures import Failure, group_failures
from trioqueue._rates import Rates
from trioqueue.cli import _top, _top_look
from trioqueue.cli._status import Seen
from trioqueue.cli._top_frame import View, curve, frame, per_second
from trioqueue.cli._top_look import Running, Snapshot, Watch, running_of
from trioqueue.cli._top_table import Column, Line, Section, crop, fit, share, table

from .test_cli_demo import terminal
from .test_cli_status import lane, worker
from .workers import Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


# --- tables --------------------------------------------------------------------------------------

COLUMNS = (Column("name", 3, 6), Column("n", 2, right=True), Column("error", 1, 8))


def plain(lines: list[Any]) -> list[str]:
    return [line.plain.rstrip() for line in lines]


def test_a_table_with_room_shows_everything():
    """Numbers to the right, and no cell is cut."""
    drawn = table(COLUMNS, [Line(("mail", "7", "ValueError: x")), Line(("n", "12", ""))], 80)
    assert plain(drawn) == ["name   n  error", "mail   7  ValueError: x", "n     12"]


def test_columns_shrink_then_go_by_rank():
    """A number is never cut: a part of it would be another number."""
    wide = [20, 9, 40]
    assert fit(COLUMNS, wide, 100) == {0: 20, 1: 9, 2: 40}
    assert fit(COLUMNS, wide, 53) == {0: 20, 1: 9, 2: 20}  # what matters less shrinks first
    assert fit(COLUMNS, wide, 27) == {0: 6, 1: 9, 2: 8}
    assert fit(COLUMNS, wide, 26) == {0: 15, 1: 9}
    assert fit(COLUMNS, wide, 16) == {0: 16}


def test_text_of_others_cannot_leave_its_cell():
    """Line breaks, escape codes, letters two cells wide."""
    drawn = table(COLUMNS, [Line(("a\nb\x1b[2J", "1", "漢字" * 20))], 30)
    assert plain(drawn)[1].startswith("a b?[2J  1  漢字漢字")
    assert max(cell_len(line) for line in plain(drawn)) <= 30


@pytest.mark.parametrize(
    ("text", "width", "cropped"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abcd.."),
        ("漢字漢字", 7, "漢字.."),
        ("abc", 2, "ab"),
    ],
)
def test_what_does_not_fit_is_cropped(text: str, width: int, cropped: str):
    """And one sees that it was."""
    assert crop(text, width) == cropped


def section(rows: int, total: int | None = None) -> Section:
    lines = [Line((f"row {n}", str(n), "")) for n in range(rows)]
    return Section(COLUMNS, lines, "none", rows if total is None else total)


def test_sections_share_the_height():
    """What the small ones do not need goes to the others; the last go when there is no room."""
    assert share(100, [section(3), section(0), section(10)]) == [4, 1, 11]
    assert share(21, [section(30), section(0), section(30), section(2)]) == [7, 1, 6, 3]
    assert share(12, [section(30), section(30), section(1)]) == [4, 3, 2]
    assert share(8, [section(30), section(30), section(1)]) == [3, 3, 0]
    assert share(3, [section(30), section(0)]) == [0, 1]
    assert share(0, [section(30)]) == [0]


def test_a_section_says_how_many_rows_it_does_not_show():
    """For want of room, or because not all were looked at."""
    assert plain(section(9).draw(40, 4)) == [
        "name   n  error",
        "row 0  0",
        "row 1  1",
        "... and 7 more",
    ]
    assert plain(section(2, 1_002).draw(40, 9))[-1] == "... and 1,000 more"
    assert plain(section(0).draw(40, 9)) == ["none"]


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (0, "0/s"),
        (0.004, "0.00/s"),
        (1.234, "1.23/s"),
        (12.34, "12.3/s"),
        (99.99, "100/s"),
        (4321, "4,321/s"),
    ],
)
def test_a_rate_has_three_digits(rate: float, words: str):
    """As one would say it."""
    assert per_second(rate) == words


def test_a_curve_shows_the_newest_values():
    """What is more than nothing is seen, and the highest is full."""
    assert curve([9, 0, 1, 50, 100], 4) == " ▁▄█"
    assert curve([0, 0], 4) == ""
    assert curve([], 4) == ""


# --- the picture ---------------------------------------------------------------------------------


def counts(**numbers: int) -> Counts:
    zeros: dict[str, Any] = dict.fromkeys(Counts._fields, 0)
    return Counts(**(zeros | numbers | {"moves": {}, "capacity": None}))


def snapshot(**changes: Any) -> Snapshot:
    """A busy broker, with names of every length."""
    seen = Seen(
        counts(ready=1_234_567, running=1_000, dead=17, scheduled=3, succeeded=9_999_999),
        [lane("resize"), lane("a_very_long_name_of_a_task_type" * 3, "mail" * 10, paused=True)],
        False,
        ("mail" * 10,),
        [worker("resize"), worker("x", live=False)],
    )
    error = ErrorRecord(3, "error", "ValueError", "no row 17\n" * 50, "")
    values: dict[str, Any] = {
        "at": 1e9,
        "seen": seen,
        "rates": Rates(10, 9, 8, 1, 0.5, 0.5, 60),
        "running": [
            Running(f"{n:030x}", "resize", "default", 1 + n % 2, 3.0, "w1", (n, 40) if n else None)
            for n in range(40)
        ],
        "failures": group_failures(
            Failure(f"id-{n}", f"type_{n}", error, 1e9 - n, State.DEAD) for n in range(20)
        ),
        "dead": {("default", "resize"): 17, ("gone", "old"): 2},
    }
    return Snapshot(**(values | changes))


def text(what: Snapshot, width: int = 120, height: int | None = None, **more: Any) -> str:
    return "\n".join(plain(frame(View("trioqueue top: URL", what, **more), width, height)))


@pytest.mark.parametrize("width", [*range(40, 81, 5), 100, 120, 200])
def test_the_picture_fits_the_terminal(width: int):
    """Whatever its size: exactly as many lines as there are, none wider."""
    view = View("trioqueue top: " + "long" * 40, snapshot(), keys="q quits", curve=[1.0, 2.0] * 200)
    for height in (1, 2, 5, 8, 12, 24, 50, 100):
        lines = frame(view, width, height)
        assert len(lines) == height
        assert max(cell_len(line.plain) for line in lines) <= width
        assert "q quits" in lines[-1].plain


def test_a_usual_terminal_shows_all_that_matters():
    """80 columns and 24 lines."""
    shown = text(snapshot(), 80, 24, keys="q quits")
    for words in (
        "1,234,567 waiting  1,000 running  17 dead",
        "8.00/s succeeded  1.00/s failed (11.1%)",
        "paused",
        "000000000000000000000000000001",
        "... and 997 more",
        "ValueError: no row #",
        "2/10",
    ):
        assert words in shown, shown


def test_a_wide_page_has_every_column():
    """Where the tasks run, how far they are, who is gone."""
    shown = text(snapshot(), 200)
    assert re.search(r"^default +resize +1 +3 +2 +17 +100 s$", shown, re.MULTILINE)
    assert re.search(r"^gone +old +2$", shown, re.MULTILINE)
    assert re.search(r"^ *3\.0 s +resize +0{29}1 +2 +2% +host:123 +default$", shown, re.MULTILINE)
    assert re.search(
        r"^ *0\.0 s ago +type_0 +1 +ValueError: no row # no .* 1 dead +id-0$", shown, re.MULTILINE
    )
    assert re.search(r"^ *3\.0 s ago +host +123 +2/10 .* all +resize$", shown, re.MULTILINE)
    assert re.search(r"^ +gone +host", shown, re.MULTILINE)
    assert "... and 960 more" in shown  # of a thousand that run, forty were looked at


def test_an_idle_broker_says_so():
    """No tables without rows."""
    idle = snapshot(
        seen=Seen(counts(), [], False, (), []), rates=None, running=[], failures=[], dead={}
    )
    shown = text(idle)
    for words in ("no task is open", "nothing has failed", "no worker process"):
        assert words in shown
    assert "after the second look" in shown


def test_tasks_that_nobody_takes_are_pointed_out():
    """And a queue that is paused is not blamed on the workers."""
    seen = Seen(counts(ready=1), [lane("resize"), lane("other", paused=True)], False, (), [])
    shown = text(snapshot(seen=seen))
    assert re.search(r"resize .* no live worker$", shown, re.MULTILINE)
    assert re.search(r"other .* paused$", shown, re.MULTILINE)


def test_a_notice_takes_the_place_of_the_keys():
    """And nothing seen yet is a picture too."""
    lines = frame(View("title", None, "no answer", "q quits"), 80, 4)
    assert plain(lines) == ["title", "", "", "no answer"]


# --- looking -------------------------------------------------------------------------------------

jobs = TaskSet(retry=Retry(attempts=2, initial=3600, maximum=3600))


@jobs.task
async def wait() -> None:
    await trio.sleep_forever()


@jobs.task(queue="mail")
async def fail(number: int) -> None:
    raise ValueError(f"no row {number}")


@jobs.task(retry=Retry(attempts=1))
async def die(number: int) -> None:
    raise ValueError(f"no row {number}")


class Looked:
    """An inspector that counts what it is asked, and can be made to fail."""

    def __init__(self, inspector: Any) -> None:
        self._inspector = inspector
        self.asked: list[str] = []
        self.away = False

    def __getattr__(self, name: str) -> Callable[..., Awaitable[object]]:
        async def ask(*args: object, **kwargs: object) -> object:
            self.asked.append(name)
            if self.away:
                raise BrokerUnavailable("away")
            return await getattr(self._inspector, name)(*args, **kwargs)

        return ask


async def test_a_look_brings_what_runs_what_fails_and_who_works(tmp_path: Path):
    """Of a real file; what the history says of an attempt is asked once."""
    url = f"sqlite:///{tmp_path}/jobs.db"
    async with trioqueue.open_queue(jobs, broker=url, workers=3) as queue:
        held = await queue.submit(wait)
        for number in (1, 2):
            await queue.submit(die, number)
        await queue.submit(fail, 3)
        inspector = Looked(queue.inspector)
        watch = Watch(inspector)  # type: ignore[arg-type]
        while True:
            seen = await watch.look()
            if seen.seen.counts.dead == 2 and seen.seen.counts.scheduled == 1:
                break
        (runs,) = seen.running
        assert (runs.id, runs.type, runs.attempt) == (held.id, "wait", 1)
        assert runs.worker == seen.seen.workers[0].id
        assert runs.running_for is not None
        assert [(group.type, group.error, group.count) for group in seen.failures].count(
            ("die", "ValueError: no row #", 2)
        ) == 1
        (mail,) = [group for group in seen.failures if group.type == "fail"]
        assert (mail.retrying, mail.state) == (1, State.SCHEDULED)
        assert mail.last_at is not None
        assert seen.dead == {("default", "die"): 2}
        assert seen.rates is None or seen.rates.span > 0
        inspector.asked.clear()
        again = await watch.look()
        assert "history" not in inspector.asked
        assert again.running[0].id == held.id
        assert again.rates is not None
        await held.cancel()
        for each in await queue.inspector.tasks(State.SCHEDULED):
            await queue.inspector.cancel(each.id)


async def test_of_many_dead_letters_the_newest_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """What failed first is old news."""
    monkeypatch.setattr(_top_look, "LETTERS", 2)
    url = f"sqlite:///{tmp_path}/jobs.db"
    async with trioqueue.open_queue(jobs, broker=url, workers=1) as queue:
        letters = [await queue.submit(die, number) for number in range(4)]
        await queue.drain()
        seen = await Watch(queue.inspector).look()
    assert [group.example_id for group in seen.failures] == [letters[-1].id]
    assert seen.dead == {("default", "die"): 2}


def test_what_runs_longest_comes_first():
    """As far as it is known; clocks that differ make nobody start in the future."""
    tasks = [Task(name, "wait", (), {}, Options()) for name in "abcd"]
    known = {
        (task.id, 0, None): (at, "w")
        for task, at in zip(tasks, (90.0, 50.0, 0.0, 120.0), strict=True)
    }
    made = running_of(tasks, known, 100.0)
    assert [(task.id, task.running_for) for task in made] == [
        ("b", 50.0),
        ("a", 10.0),
        ("c", None),
        ("d", 0.0),
    ]


# --- again and again -----------------------------------------------------------------------------


class Shown:
    """What is shown of a broker that is looked at again and again, on a virtual clock."""

    def __init__(self, inspector: Looked, picture: Any) -> None:
        self.inspector = inspector
        self.picture = picture

    def notice(self) -> str:
        return plain(frame(self.picture._view(), 100, 10))[-1]


@pytest.fixture
async def shown(nursery: trio.Nursery) -> Shown:
    """A picture that nobody draws, of a memory broker."""
    async with trioqueue.open_queue(jobs) as queue:
        inspector = Looked(queue.inspector)
    picture = _top._Picture("URL")
    nursery.start_soon(_top._Top(inspector, 1.0, picture)._look_on)  # type: ignore[arg-type]
    return Shown(inspector, picture)


async def test_a_broker_that_is_away_is_told_and_asked_again(
    shown: Shown, autojump_clock: trio.testing.MockClock
):
    """What was seen last stays there, and when the broker is back all is as before."""
    await trio.sleep(3.5)
    assert shown.notice() == "q quits, p pauses the display"
    shown.inspector.away = True
    await trio.sleep(3)
    assert shown.notice() == "no answer from the broker for 2.5 s: away"
    assert "0 succeeded" in plain(frame(shown.picture._view(), 100, 10))[1]
    await trio.sleep(60)
    assert shown.notice() == "no answer from the broker for 62 s: away"
    shown.inspector.away = False
    await trio.sleep(1)
    assert shown.notice() == "q quits, p pauses the display"


async def test_a_paused_display_stands_still(shown: Shown, autojump_clock: trio.testing.MockClock):
    """While the looking goes on, so that the rates are right afterwards."""
    await trio.sleep(1.5)
    shown.picture.paused = True
    before, looks = shown.picture._snapshot, len(shown.inspector.asked)
    await trio.sleep(3)
    assert shown.picture._snapshot is before
    assert len(shown.inspector.asked) > looks
    assert shown.notice() == "display paused: p goes on"
    shown.picture.paused = False
    await trio.sleep(1)
    assert shown.picture._snapshot is not before


async def test_without_a_terminal_there_is_a_line_of_json_for_each_look(
    autojump_clock: trio.testing.MockClock, capsys: pytest.CaptureFixture[str]
):
    """None while the broker is away, which is told once; a signal ends it, and the code says so."""
    async with trioqueue.open_queue(jobs) as queue:
        inspector = Looked(queue.inspector)
    codes: list[int] = []
    top = _top._Top(inspector, 1.0, None)  # type: ignore[arg-type]

    async def run() -> None:
        codes.append(await top.run())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await trio.sleep(2.5)
        inspector.away = True
        await trio.sleep(3)
        inspector.away = False
        await trio.sleep(1)
        signal.raise_signal(signal.SIGTERM)
    output, errors = capsys.readouterr()
    assert [json.loads(line)["counts"]["submitted"] for line in output.splitlines()] == [0] * 4
    assert errors == "trioqueue: the broker is away, trying again: away\n"
    assert codes == [143]


# --- the command ---------------------------------------------------------------------------------


def test_one_picture_of_a_file(site: Site):
    """Into a pipe: plain ASCII, and the broker's own numbers."""
    site.publish("note", "--json", "[7]", "--count", "3")
    site.publish("send", "--delay", "3600")
    done = site.here("top", "--interval", "0.1", COLUMNS="90")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()
    assert "3 waiting  0 running  0 dead  1 scheduled" in done.stdout
    assert re.search(r"^default +note +3 .* no live worker$", done.stdout, re.MULTILINE)
    assert max(map(len, done.stdout.splitlines())) <= 90


def test_one_document_of_a_file(site: Site):
    """What `status --json` has, and the rates, what runs, what failed."""
    site.publish("fail")
    site.work()
    done = site.here("top", "--once", "--json", "--interval", "0.1")
    assert (done.returncode, done.stderr) == (0, "")
    seen = json.loads(done.stdout)
    assert seen["counts"]["dead"] == 1
    assert seen["rates"]["succeeded"] == 0
    assert seen["rates"]["failure_rate"] is None
    (failure,) = seen["failures"]
    assert (failure["type"], failure["error"], failure["dead"]) == ("fail", "ValueError: bad", 1)
    assert set(site.status()) <= set(seen)


@pytest.mark.parametrize("interval", ["0", "0.01", "4000", "nan", "x"])
def test_an_interval_that_cannot_be_is_refused(site: Site, interval: str):
    """In one line."""
    done = site.here("top", "--interval", interval)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_who_only_looks_makes_no_file(site: Site):
    """A wrong path is told."""
    done = site.here("top", "--once")
    assert (done.returncode, done.stdout) == (1, "")
    assert list(site.path.iterdir()) == []


@pytest.mark.main
def test_keys_resizing_and_an_end_that_leaves_the_terminal_as_it_was(site: Site):
    """p pauses, another size is drawn at once, q ends it; the cursor and the old page are back."""
    site.publish("note", "--json", "[7]", "--count", "3")
    with terminal("top", cwd=site.path, **site.variables) as seen:
        before = termios.tcgetattr(seen.master)
        seen.read_until("3 waiting")
        seen.read_until("q quits")
        os.write(seen.master, b"p")
        seen.read_until("display paused")
        seen.text = ""
        ioctl(seen.master, termios.TIOCSWINSZ, struct.pack("HHHH", 12, 50, 0, 0))
        seen.read_until("display paused")
        last = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen.text.split("\x1b[H")[-1])
        assert max(map(len, last.split("\r\n"))) <= 50
        os.write(seen.master, b"q")
        assert seen.read_to_end() == 0
        assert seen.text.endswith("\x1b[?25h\x1b[?1049l")
        assert termios.tcgetattr(seen.master) == before


@pytest.mark.main
def test_ctrl_c_ends_it(site: Site):
    """As the signal that the key sends, with its exit code, and the cursor back."""
    site.publish("note", "--json", "[7]")
    with terminal("top", cwd=site.path, **site.variables) as seen:
        seen.read_until("1 waiting")
        os.write(seen.master, b"\x03")
        assert seen.read_to_end() == 130
        assert seen.text.endswith("\x1b[?25h\x1b[?1049l")
