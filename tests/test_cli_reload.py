"""`trioqueue run --reload`: what is watched, what is a change, and a worker that is renewed."""

import logging
import os
import re
import signal
import time
from pathlib import Path

import pytest
import trio
import trio.testing

from trioqueue.cli._errors import Wrong
from trioqueue.cli._reload import Reload, changes, directories_of, fault, scan

from .command import PATIENCE
from .workers import Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def write(path: Path, text: str = "x = 1\n") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


# --- what is watched -----------------------------------------------------------------------------


def test_python_files_are_watched_and_other_peoples_are_not(tmp_path: Path):
    """In every directory that is the user's own: no environment, nothing hidden, no cache."""
    mine = {write(tmp_path / name) for name in ("jobs.py", "app/mail.py", "app/deep/er.py")}
    for name in (
        "a.txt",
        ".git/hook.py",
        "__pycache__/jobs.py",
        "node_modules/x.py",
        "venv/lib/x.py",
    ):
        write(tmp_path / name)
    write(tmp_path / "venv/pyvenv.cfg")
    assert set(scan([str(tmp_path)])) == mine


def test_what_cannot_be_read_is_not_there(tmp_path: Path):
    """A link to nowhere, a directory that is gone."""
    (tmp_path / "dangling.py").symlink_to(tmp_path / "nowhere.py")
    assert scan([str(tmp_path), str(tmp_path / "gone")]) == {}


def test_a_change_is_a_new_file_one_that_is_gone_or_another_version(tmp_path: Path):
    """Also one of the same length; and one that was only read is none."""
    same, other, gone = (write(tmp_path / f"{name}.py") for name in ("same", "other", "gone"))
    before = scan([str(tmp_path)])
    Path(same).read_text()
    assert changes(before, scan([str(tmp_path)])) == set()
    os.utime(write(tmp_path / "other.py", "x = 2\n"), ns=(1, 1))
    os.unlink(gone)
    new = write(tmp_path / "new.py")
    assert changes(before, scan([str(tmp_path)])) == {other, gone, new}


@pytest.mark.parametrize(
    ("target", "where"),
    [("jobs:tasks", "."), ("app.mail:tasks", "app"), ("spaces.one.two:tasks", "spaces")],
)
def test_the_code_of_a_module_is_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, where: str
):
    """Or the directory that its file is in. Nothing is imported for it."""
    for name in ("jobs.py", "app/__init__.py", "app/mail.py", "spaces/one/two.py"):
        write(tmp_path / name, "raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    assert directories_of(target) == [os.path.normpath(tmp_path / where)]


@pytest.mark.parametrize("target", ["nowhere:tasks", "sys:tasks", "../x:tasks", ""])
def test_a_module_that_is_not_there_cannot_be_watched(target: str):
    """Nor one that is built in."""
    with pytest.raises(Wrong, match=r"give --reload-dir"):
        directories_of(target)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"x = 1", None),
        (b"'\\d'", None),  # a warning is none of our business
        (b"x = (", "line 1: '(' was never closed"),
        (b"if x:\npass", "line 2: expected an indented block after 'if' statement on line 1"),
        (b"x = '\xff'", "(unicode error)"),
        (b"x\0", "null bytes"),
    ],
)
def test_a_fault_is_told_in_a_line(tmp_path: Path, text: bytes, words: str | None):
    """Where, and what Python says."""
    (tmp_path / "jobs.py").write_bytes(text)
    told = fault(str(tmp_path / "jobs.py"))
    if words is None:
        assert told is None
    else:
        assert told is not None
        assert "jobs.py" in told
        assert words in told
        assert "\n" not in told
    assert fault(str(tmp_path / "gone.py")) is None


# --- the watch -----------------------------------------------------------------------------------


class Watched:
    """A directory that is watched, look by look: the clock only moves when a test says so."""

    def __init__(self, path: Path, clock: trio.testing.MockClock) -> None:
        self.path = path
        self._clock = clock
        self.renewals = 0

    def renew(self) -> None:
        self.renewals += 1

    async def look(self, times: int = 1) -> int:
        """Let it look; how often it has renewed in all."""
        for _ in range(times):
            looked = trio.Event()
            self._looked = looked
            self._clock.jump(1.0)
            await looked.wait()
            await trio.testing.wait_all_tasks_blocked(0.01)
        return self.renewals

    async def write(self, name: str, text: str) -> None:
        path = self.path / name
        before = path.stat().st_mtime_ns if path.exists() else 0
        path.write_text(text)
        os.utime(path, ns=(before + 10**9, before + 10**9))
        await trio.lowlevel.checkpoint()


@pytest.fixture
async def watched(
    tmp_path: Path,
    mock_clock: trio.testing.MockClock,
    nursery: trio.Nursery,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> Watched:
    caplog.set_level(logging.INFO)
    made = Watched(tmp_path, mock_clock)
    await made.write("jobs.py", "x = 1")
    reload = Reload([str(tmp_path)], 1.0)
    real, first = reload._scan, trio.Event()

    async def scan_and_tell() -> object:
        found = await real()
        first.set()
        if (looked := getattr(made, "_looked", None)) is not None:
            looked.set()
        return found

    monkeypatch.setattr(Reload, "_scan", lambda self: scan_and_tell())
    nursery.start_soon(reload.watch, made.renew)
    await first.wait()
    await trio.testing.wait_all_tasks_blocked(0.01)
    return made


async def test_a_change_renews_once_it_has_settled(
    watched: Watched, mock_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
):
    """Several files that are saved one after the other are one change."""
    assert await watched.look(3) == 0
    await watched.write("jobs.py", "x = 2")
    assert await watched.look() == 0
    await watched.write("more.py", "y = 2")
    assert await watched.look() == 0
    assert await watched.look() == 1
    assert await watched.look(3) == 1
    (line,) = [line for line in caplog.messages if line.endswith("restarting")]
    assert re.fullmatch(r"\S+jobs\.py, \S+more\.py changed: restarting", line)
    await watched.write("more.py", "y = 3")
    assert await watched.look(3) == 2
    assert re.fullmatch(r"\S+more\.py changed: restarting", caplog.messages[-1])


async def test_a_syntax_error_is_told_and_the_old_code_goes_on(
    watched: Watched, mock_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
):
    """Until every file is right again, not only the one that was saved last."""
    await watched.write("jobs.py", "x = (")
    assert await watched.look(3) == 0
    assert caplog.text.count("not restarted: ") == 1
    assert "jobs.py, line 1: '(' was never closed" in caplog.text
    await watched.write("more.py", "y = 2")
    assert await watched.look(3) == 0
    assert caplog.text.count("not restarted: ") == 2
    await watched.write("jobs.py", "x = 3")
    assert await watched.look(3) == 1


async def test_a_broken_file_that_is_deleted_is_put_right(
    watched: Watched, mock_clock: trio.testing.MockClock
):
    """What is not there has no fault."""
    await watched.write("more.py", "y = (")
    assert await watched.look(3) == 0
    (watched.path / "more.py").unlink()
    assert await watched.look(3) == 1


# --- the command ---------------------------------------------------------------------------------

JOBS = """
import os, trio
from trioqueue import TaskSet
tasks = TaskSet()

@tasks.task
async def tell() -> None:
    os.write(1, b"this is VERSION\\n")

@tasks.task
async def hold() -> None:
    os.write(1, b"holding\\n")
    await trio.sleep_forever()
"""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--reload", "--burst"), "--burst ends when all is done"),
        (("--reload-dir", "nowhere"), "--reload-dir nowhere is no directory"),
    ],
)
def test_what_cannot_be_is_refused(site: Site, arguments: tuple[str, ...], words: str):
    """In a line, before anything is started."""
    write(site.path / "jobs.py", JOBS)
    done = site.here("run", "jobs:tasks", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def publish(site: Site, name: str) -> None:
    done = site.command("publish", "jobs:tasks", name)
    assert done.returncode == 0, done.stderr


@pytest.mark.network
def test_new_code_works_on_and_no_task_is_lost(site: Site):
    """A held task is released with no attempt counted; broken code waits for the next change."""
    jobs = site.path / "jobs.py"
    write(jobs, JOBS.replace("VERSION", "one"))
    with site.workers("--reload", "--grace", "0", jobs="jobs:tasks") as workers:
        workers.until_logged("watching ")
        publish(site, "tell")
        workers.until_told("this is one")
        publish(site, "hold")
        workers.until_told("holding")
        write(jobs, JOBS.replace("VERSION", "two, which is longer"))
        workers.until_logged(r"jobs\.py changed: restarting")
        publish(site, "tell")
        told = {workers.until_told("this is two|holding").group() for _ in range(2)}
        assert told == {"this is two", "holding"}  # it runs again, with the new code
        write(jobs, "tasks = (")
        workers.until_logged(r"not restarted: jobs\.py, line 1")
        write(jobs, "raise ValueError('at the import, which no compiler sees')")
        workers.until_logged("changed: restarting")
        workers.until_logged("cannot be imported: ValueError")
        workers.until_logged("ended with exit code 2; waiting for a change")
        write(jobs, JOBS.replace("VERSION", "three"))
        workers.until_told("holding")
        publish(site, "tell")
        workers.until_told("this is three")
        workers.send(signal.SIGINT)
        assert workers.end() == 0
    assert site.counts() == {"succeeded": 3, "ready": 1}
    assert site.moves("lost") == 0
    assert site.moves("retried") == 0


@pytest.mark.network
def test_ctrl_c_twice_ends_it_while_it_restarts(site: Site):
    """A renewal that waits for its grace is no reason to wait."""
    jobs = site.path / "jobs.py"
    write(jobs, JOBS)
    with site.workers("--reload", "--grace", str(PATIENCE), jobs="jobs:tasks") as workers:
        workers.until_logged("watching ")
        publish(site, "hold")
        workers.until_told("holding")
        write(jobs, JOBS + "# another\n")
        workers.until_logged("nothing more is started, 1 running")
        began = time.monotonic()
        workers.send(signal.SIGINT)
        workers.until_logged(r"stopping \(SIGINT\)")
        workers.send(signal.SIGINT)
        assert workers.end() == 0
        assert time.monotonic() - began < PATIENCE
    assert site.counts() == {"ready": 1}
