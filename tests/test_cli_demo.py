"""`trioqueue demo` as a process: what it shows, that its numbers add up, that it always ends."""

import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import ioctl
from pathlib import Path

import pytest

from .command import MODULE, PATIENCE, environment, run, start, sums

pytestmark = pytest.mark.main  # real processes, half a second each

#: Ends soon, fails often enough, and is the same each time.
QUICK = ("demo", "30", "--work", "0", "--failure-rate", "0.5", "--seed", "3")
#: Never ends by itself: its tasks take an hour.
SLOW = ("demo", "20", "--work", "3600", "--seed", "3")


def test_it_shows_tasks_queued_worked_failing_retried_and_dead():
    """Every step of a task's life is there to be seen, and the dead letters at the end."""
    done = run(*QUICK)
    assert (done.returncode, done.stderr) == (0, "")
    for word in ("queued", "started", "succeeded in", "failed, again in", "dead after 3 attempts"):
        assert word in done.stdout
    numbers = sums(done.stdout)
    assert numbers["dead"] > 0
    head, _, tail = done.stdout.partition("\nDead letters: ")
    letters = re.findall(r"^  (\w+) +(task-\d+) +3  (\w+: .+)$", tail, re.MULTILINE)
    assert tail.startswith(f"{numbers['dead']} (")
    assert len(letters) == numbers["dead"]
    for _, task_id, error in letters:
        assert re.search(rf"{task_id} +dead after 3 attempts: {re.escape(error)}", head)


def test_a_task_that_is_too_slow_times_out():
    """One type is sometimes too slow for its timeout: that is a failure like any other."""
    done = run("demo", "40", "--work", "0", "--failure-rate", "1", "--seed", "3")
    assert re.search(r"fetch_page +task-\d+ +failed, again in .* TimeoutError", done.stdout)


def test_without_failures_nothing_fails():
    """--failure-rate 0 means that nothing fails, timeouts included."""
    done = run("demo", "20", "--work", "0", "--failure-rate", "0")
    assert sums(done.stdout) == {"submitted": 20, "succeeded": 20, "dead": 0}
    assert "failed" not in done.stdout
    assert "Dead letters: none" in done.stdout


def test_a_seed_repeats_the_failures_whatever_the_schedule():
    """The same seed brings the same dead letters, with three workers or with twenty."""
    few, many = (run(*QUICK, "--workers", workers).stdout for workers in ("3", "20"))
    dead = [set(re.findall(r"(task-\d+) +dead after", output)) for output in (few, many)]
    assert dead[0] == dead[1] != set()
    assert sums(few) == sums(many)


def test_many_tasks_are_summed_up():
    """Above 1,000 tasks there is a line for each second instead of one for each event."""
    done = run("demo", "2000", "--seed", "3")
    assert sums(done.stdout)["submitted"] == 2000
    assert "started" not in done.stdout
    assert "... and" in done.stdout
    assert len(done.stdout.splitlines()) < 100


@pytest.mark.main
def test_a_hundred_thousand_tasks():
    """TASKS=100000 works: the numbers add up, and nobody has to read 600,000 lines."""
    done = run("demo", "--seed", "3", TASKS="100000")
    assert (done.returncode, done.stderr) == (0, "")
    numbers = sums(done.stdout)
    assert numbers["submitted"] == 100_000
    assert numbers["dead"] > 0
    assert len(done.stdout.splitlines()) < 1_000


# --- stopping ----------------------------------------------------------------------------------


def read_until(process: subprocess.Popen[str], pattern: str) -> str:
    """The output up to the first line that matches."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if re.search(pattern, line):
            return "".join(lines)
    pytest.fail(f"the output ended before {pattern!r}: {lines}")


@contextmanager
def demo(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    with start(*MODULE, *arguments) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(
    "moment", ["trioqueue demo:", "task-20 +queued", "task-1 +started", "task-2 +started"]
)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_and_tells_what_is_unfinished(
    moment: str, number: signal.Signals, code: int
):
    """Two signals end it at any moment: exit 130 or 143, and nothing is left untold."""
    with demo(*SLOW) as process:
        output = read_until(process, moment)
        process.send_signal(number)
        output += read_until(process, "Once more ends them")
        process.send_signal(number)
        rest, errors = process.communicate(timeout=PATIENCE)
    output += rest
    assert (process.returncode, errors) == (code, "")
    assert f"{number.name}: ending at once" in output
    numbers = sums(output)
    assert numbers["submitted"] == numbers["handed back"] + numbers["dead"] + numbers["succeeded"]
    match = re.search(r"unfinished: (\d+) \((.*)\)\n  (task-\d+(?:, )?)+", output)
    assert match is not None
    assert int(match[1]) == numbers["handed back"]
    assert sum(int(n) for n in re.findall(r"(\d+) [a-z]", match[2])) == numbers["handed back"]


def test_running_tasks_are_told_apart_from_waiting_ones():
    """After a second Ctrl-C those that ran were cut short, the others had not started."""
    with demo(*SLOW) as process:
        output = read_until(process, r"task-3 +started")
        output += read_until(process, r"task-20 +queued")
        process.send_signal(signal.SIGINT)
        output += read_until(process, "Once more ends them")
        process.send_signal(signal.SIGINT)
        output += process.communicate(timeout=PATIENCE)[0]
    assert "unfinished: 20 (3 cut short while running, 17 not started)" in output


def test_running_tasks_may_end_after_one_ctrl_c():
    """One Ctrl-C lets what runs end: those succeed, the rest is handed back."""
    with demo("demo", "20", "--work", "1", "--failure-rate", "0") as process:
        output = read_until(process, r"task-3 +started")
        process.send_signal(signal.SIGINT)
        output += process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 130
    assert sums(output)["succeeded"] >= 3
    assert "cut short" not in output


@pytest.mark.main
def test_a_stop_while_submitting_says_what_was_never_submitted():
    """A full queue holds the submitter back: a stop tells how many tasks never came in."""
    with demo("demo", "3000", "--work", "3600") as process:
        output = read_until(process, r"9\d\d queued")
        process.send_signal(signal.SIGINT)
        output += read_until(process, "Once more ends them")
        process.send_signal(signal.SIGINT)
        output += process.communicate(timeout=PATIENCE)[0]
    never = re.search(r"Never submitted: ([\d,]+) of 3,000", output)
    assert never is not None
    assert int(never[1].replace(",", "")) + sums(output)["submitted"] == 3000


EARLY = """
import os, signal, sys
import trioqueue.cli

class Interrupter:
    def find_spec(name, path=None, target=None):
        if name == sys.argv[1]:
            os.kill(os.getpid(), int(sys.argv[2]))

sys.meta_path.insert(0, Interrupter)
try:
    trioqueue.cli.main()
finally:
    os.kill(os.getpid(), signal.SIGINT)
"""


@pytest.mark.parametrize("module", ["trioqueue.cli._app", "cyclopts", "rich.live"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_the_very_beginning_ends_it_cleanly(
    module: str, number: signal.Signals, code: int
):
    """While its modules are imported it ends as it does later; another signal does no harm."""
    with start(sys.executable, "-c", EARLY, module, str(int(number))) as process:
        output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == code
    assert output == ""
    assert errors in {"", "trioqueue: interrupted\n"}


# --- output ------------------------------------------------------------------------------------


@pytest.mark.parametrize("tasks", ["10", pytest.param("100000", marks=pytest.mark.main)])
def test_a_reader_that_leaves_ends_it_quietly(tasks: str):
    """`trioqueue demo | head -1`: no traceback, no complaint."""
    with demo("demo", tasks) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("trioqueue demo: ")
        process.stdout.close()
        assert process.stderr is not None
        errors = process.stderr.read()
        process.wait(PATIENCE)
    assert (process.returncode, errors) == (141, "")


def test_a_full_disk_is_told_in_one_line():
    """Output that cannot be written is a failure that must not pass for success."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*MODULE, *QUICK],
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "trioqueue: No space left on device\n")


def test_without_any_output_it_still_works():
    """A service may run with standard output closed."""
    command = ["/bin/sh", "-c", 'exec "$@" >&-', "sh", *MODULE, *QUICK]
    done = subprocess.run(
        command, env=environment(), capture_output=True, timeout=PATIENCE, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_pipe_gets_plain_lines_of_ascii():
    """No escape codes in a log file, not even where colour is asked for; nothing but ASCII."""
    done = run(*QUICK, FORCE_COLOR="1", LC_ALL="C", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert done.stdout.isascii()


@dataclass
class Terminal:
    process: subprocess.Popen[bytes]
    master: int
    text: str = ""

    def read(self) -> bool:
        """Read some more; ``False`` at the end."""
        try:
            data = os.read(self.master, 65536)
        except OSError:  # Linux: everybody has closed the other end
            return False
        self.text += data.decode()
        return bool(data)

    def read_until(self, words: str) -> None:
        while words not in self.text:
            assert self.read(), self.text

    def read_to_end(self) -> int:
        while self.read():
            pass
        return self.process.wait(PATIENCE)


@contextmanager
def terminal(*arguments: str, cwd: str | Path = "/", **changes: str) -> Iterator[Terminal]:
    """The command in a terminal of 80 columns and 24 lines, from which Ctrl-C can be typed."""
    master, slave = pty.openpty()
    ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    # Ctrl-C reaches the session whose controlling terminal this is: the first that it opens.
    opened = f'exec "$@" <{os.ttyname(slave)}'
    process = subprocess.Popen(
        ["/bin/sh", "-c", opened, "sh", *MODULE, *arguments],
        env=environment(**({"TERM": "xterm"} | changes)),
        cwd=cwd,
        start_new_session=True,
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    try:
        yield Terminal(process, master)
    finally:
        process.kill()
        process.wait()
        os.close(master)


@pytest.fixture(scope="module")
def seen_live() -> Terminal:
    """A whole run in a terminal, with failures."""
    with terminal("demo", "12", "--work", "0.2", "--seed", "3") as seen:
        assert seen.read_to_end() == 0
    return seen


def test_a_terminal_gets_a_live_picture(seen_live: Terminal):
    """Counts by type, what runs, the last events, drawn in place; then the report, cursor shown."""
    text = seen_live.text
    for words in ("trioqueue demo", "resize_image", "running now", "last events", "of 12"):
        assert words in text
    assert "\x1b[2K" in text  # lines are drawn again
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    assert sums(text)["submitted"] == 12


def test_the_picture_fits_a_terminal_of_80_columns_and_24_lines(seen_live: Terminal):
    """No line of a picture is wider than the terminal, and no picture is higher."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", seen_live.text.partition("Dead letters")[0])
    pictures = [re.sub(r"\x1b\[[?0-9]*\w", "", each) for each in text.split("trioqueue demo")[1:]]
    assert len(pictures) > 3
    for picture in pictures:
        lines = f"trioqueue demo{picture}".split("\r\n")
        assert len(lines) <= 24
        assert max(len(line.strip("\r")) for line in lines) <= 80


def test_ctrl_c_typed_into_a_terminal_ends_it():
    """Ctrl-C as a key, twice: the picture ends, the report follows, the cursor is back."""
    with terminal(*SLOW) as seen:
        seen.read_until("running now")
        os.write(seen.master, b"\x03")
        seen.read_until("nce more ends them")
        os.write(seen.master, b"\x03")
        code = seen.read_to_end()
    assert code == 130
    assert "cut short while running" in seen.text
    assert seen.text.rindex("\x1b[?25h") > seen.text.rindex("\x1b[?25l")
    assert sums(seen.text)["handed back"] > 0


def test_a_dumb_terminal_gets_lines():
    """A terminal that cannot move its cursor is treated like a pipe."""
    with terminal(*QUICK, TERM="dumb") as seen:
        assert seen.read_to_end() == 0
    assert "\x1b" not in seen.text
    assert "started" in seen.text
