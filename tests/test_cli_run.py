"""`trioqueue run` as real processes: what it works, how it stops, and how it tells the truth."""

import json
import os
import pty
import re
import signal
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from .command import MODULE, PATIENCE, environment
from .workers import JOBS, Site, Workers, is_alive, kill

pytestmark = pytest.mark.network


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


# --- working -----------------------------------------------------------------------------------


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_burst_works_until_nothing_is_left(site: Site, processes: str):
    """Everything once, exit 0, and a few lines of log however many tasks there are."""
    site.publish("note", "--json", "[7]", "--count", "200")
    done = site.command("run", JOBS, "--burst", "--processes", processes)
    assert (done.returncode, done.stdout) == (0, "")
    assert site.noted() == {7: 200}
    assert site.counts() == {"succeeded": 200}
    assert "ended: " in done.stderr
    assert len(done.stderr.splitlines()) < 10


def test_verbose_tells_of_each_attempt(site: Site):
    """A line for each, with its id."""
    good = site.publish("note", "--json", "[7]")
    (bad,) = site.publish("fail")
    done = site.command("run", JOBS, "--burst", "--verbose")
    assert done.returncode == 0
    assert f"note {good[0]} succeeded" in done.stderr
    assert f"fail {bad} died on attempt 2: ValueError: bad" in done.stderr
    assert "1 succeeded, 1 failed, 1 died" in done.stderr


def test_a_burst_waits_for_what_is_due_later(site: Site):
    """Retries and delays are open, and not nothing."""
    site.publish("note", "--json", "[7]", "--delay", "0.5")
    assert site.command("run", JOBS, "--burst").returncode == 0
    assert site.noted() == {7: 1}


def test_only_the_queues_that_are_named_are_served(site: Site):
    """The others wait, for another process."""
    site.publish("note", "--json", "[7]")
    site.publish("send", "--count", "3")
    done = site.command("run", JOBS, "--burst", "--queue", "mail", "--queue", "more")
    assert done.returncode == 0
    assert done.stdout.count("sent to") == 3
    assert "queues: mail, more" in done.stderr
    assert site.counts() == {"ready": 1, "succeeded": 3}


def test_it_works_on_what_is_published_while_it_runs(site: Site):
    """Two programs on one file: who waits is woken."""
    with site.workers() as workers:
        workers.until_logged("started: ")
        site.publish("slow", "--json", "[0]")
        workers.until_told("slow ended")
        site.publish("send", "--json", '["ann"]')
        workers.until_told("sent to ann")
        workers.send(signal.SIGTERM)
        assert workers.end() == 0
    assert site.counts() == {"succeeded": 2}


@pytest.mark.parametrize("processes", ["1", "2"])
def test_check_starts_nothing(site: Site, processes: str):
    """It says whether it would start."""
    site.publish("note", "--json", "[7]")
    done = site.command("run", JOBS, "--check", "--processes", processes)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert site.counts() == {"ready": 1}


# --- stopping ----------------------------------------------------------------------------------


@pytest.mark.parametrize("processes", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_lets_running_tasks_end_and_starts_no_other(
    site: Site, number: signal.Signals, processes: str
):
    """Within the grace; what waits stays on the broker; exit 0."""
    site.publish("slow", "--json", "[1]", "--count", "10")
    with site.workers("--workers", "2", "--processes", processes) as workers:
        workers.until_told("slow began")
        workers.send(number)
        assert workers.end() == 0
    assert "cancelled" not in workers.output
    counts = site.counts()
    assert 1 <= counts["succeeded"] <= 4
    assert counts == {"succeeded": counts["succeeded"], "ready": 10 - counts["succeeded"]}
    assert "cut short" not in workers.errors
    assert f"stopping ({number.name})" in workers.errors


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_second_signal_cancels_and_gives_back(site: Site, processes: str):
    """At once: the handlers clean up, their tasks are ready again, no attempt is counted."""
    site.publish("slow", "--count", "2")
    with site.workers("--processes", processes) as workers:
        workers.until_told("slow began")
        workers.until_told("slow began")
        workers.send(signal.SIGTERM)
        workers.until_logged(r"stopping \(SIGTERM\)")
        workers.send(signal.SIGTERM)
        assert workers.end() == 0
    assert workers.output.count("slow was cancelled") == 2
    assert "stopping at once" in workers.errors
    assert site.counts() == {"ready": 2}
    assert sum(map(int, re.findall(r"ended: (\d) cut short", workers.errors))) == 2


@pytest.mark.parametrize("processes", ["1", "2"])
def test_what_does_not_end_within_the_grace_is_given_back(site: Site, processes: str):
    """The end of the grace does what a second signal would."""
    site.publish("slow", "--count", "2")
    with site.workers("--processes", processes, "--grace", "0.1") as workers:
        workers.until_told("slow began")
        workers.until_told("slow began")
        workers.send(signal.SIGTERM)
        assert workers.end() == 0
    assert workers.output.count("slow was cancelled") == 2
    assert site.counts() == {"ready": 2}


@pytest.mark.parametrize("processes", ["1", "2"])
def test_it_ends_by_force_at_the_hard_limit(tmp_path: Path, processes: str):
    """Handlers that block the event loop, a thread, or cancellation: exit 3, and which they are."""
    names = ("stuck", "thread", "shielded")
    sites = [Site(tmp_path / name) for name in names]
    with ExitStack() as stack:
        started: list[tuple[str, str, Workers]] = []
        for name, site in zip(names, sites, strict=True):  # they wait for their limits together
            site.path.mkdir()
            (task_id,) = site.publish(name)
            arguments = ("--processes", processes, "--grace", "0.1")
            workers = stack.enter_context(site.workers(*arguments))
            started.append((name, task_id, workers))
        for name, _, workers in started:
            pid = int(workers.until_told(f"{name} began (\\d+)")[1])
            workers.send(signal.SIGTERM)
            assert is_alive(pid)
        for name, task_id, workers in started:
            assert workers.end() == 3, workers.errors
            assert f"1 unfinished: {name} {task_id}" in workers.errors
    for site in sites:
        # Until its lease has expired: who looks then, sweeps.
        assert site.counts() in ({"running": 1}, {"ready": 1})


def test_a_signal_during_the_import_ends_it_at_once(site: Site):
    """Nothing has begun: there is nothing to be graceful about."""
    with site.workers(IMPORT="slow") as workers:
        workers.until_told("importing")
        workers.send(signal.SIGTERM)
        assert workers.end() == 143


def test_a_signal_while_the_workers_import_ends_them(site: Site):
    """A module that hangs in some process does not keep the supervisor from ending."""
    with site.workers("--processes", "2", IMPORT="slow") as workers:
        pid = int(workers.until_told(r"importing (\d+)")[1])  # the check
        workers.send(signal.SIGTERM)
        workers.end()
    wait_until_gone(pid)


def test_a_signal_to_the_whole_group_is_one_request(site: Site):
    """As some service managers do it: supervisor and workers get it, and the grace still counts."""
    site.publish("slow", "--json", "[1]", "--count", "4")
    with site.workers("--processes", "2", "--workers", "2") as workers:
        pids = {int(workers.until_logged(r"pid (\d+)")[1]) for _ in range(2)}
        for _ in range(4):
            workers.until_told("slow began")
        for pid in (*pids, workers.process.pid):
            os.kill(pid, signal.SIGTERM)
        assert workers.end() == 0
    assert workers.output.count("slow ended") == 4
    assert site.counts() == {"succeeded": 4}


def test_ctrl_c_in_a_terminal_reaches_the_workers_once(site: Site):
    """One key, one request: of the terminal's group is the supervisor alone."""
    site.publish("slow", "--json", "[1]", "--count", "2")
    master, slave = pty.openpty()
    opened = f'exec "$@" <{os.ttyname(slave)}'  # Ctrl-C reaches whose controlling terminal it is
    with subprocess.Popen(
        ["/bin/sh", "-c", opened, "sh", *MODULE, "run", JOBS, "--processes", "2"],
        env=environment(**site.variables),
        cwd=site.path,
        start_new_session=True,
        stdin=slave,
        stdout=slave,
        stderr=slave,
    ) as process:
        os.close(slave)
        text = read_terminal(master, "slow began", 2)
        os.write(master, b"\x03")
        text += read_terminal(master, "supervisor ended", 1)
        assert process.wait(PATIENCE) == 0
    os.close(master)
    assert text.count("slow ended") == 2
    assert text.count("stopping (SIGINT)") == 1
    assert "at once" not in text
    assert site.counts() == {"succeeded": 2}


def read_terminal(master: int, words: str, times: int) -> str:
    text = ""
    while text.count(words) < times:
        text += os.read(master, 65536).decode()
    return text


# --- what dies ---------------------------------------------------------------------------------


def test_a_worker_that_is_killed_is_replaced_and_nothing_is_lost(site: Site):
    """SIGKILL in the middle: another takes its place, and what it ran is run again."""
    for number in range(4):
        site.publish("note", "--json", f"[{number}, 0.02]", "--count", "100")
    with site.workers("--processes", "2", "--workers", "4", "--burst") as workers:
        victim = int(workers.until_logged(r"process 1 started: pid (\d+)")[1])
        workers.until_logged(rf"\[{victim}\]: started: ")
        wait_until_noted(site, victim)
        kill(victim)
        workers.until_logged(r"process 1 was killed by SIGKILL; another in 0\.5 s")
        assert workers.end() == 0
    assert site.counts() == {"succeeded": 400}
    noted = site.noted()
    assert all(noted[number] >= 100 for number in range(4))
    # What ran twice is what the victim ran: it had four workers, and each lost its lease.
    assert noted.total() - 400 <= min(4, site.moves("lost"))


def test_a_task_that_kills_its_process_is_survived(site: Site):
    """Twice; the third process runs it to its end."""
    site.publish("die", "--json", "[2]")
    done = site.command("run", JOBS, "--processes", "2", "--burst")
    assert done.returncode == 0
    assert done.stderr.count("was killed by SIGKILL") == 2
    assert site.counts() == {"succeeded": 1}
    assert site.moves("lost") == 2


def test_when_the_supervisor_is_killed_its_workers_stop(site: Site):
    """They see the end of the pipe, and stop as they would on a signal: with their grace."""
    site.publish("slow", "--json", "[1]", "--count", "2")
    with site.workers("--processes", "2", "--workers", "1") as workers:
        pids = [int(workers.until_told(r"slow began (\d+)")[1]) for _ in range(2)]
        kill(workers.process.pid)
        workers.end()  # when nobody has the output open any more
    assert workers.output.count("slow ended") == 2
    assert "the supervisor is gone" in workers.errors
    for pid in pids:
        wait_until_gone(pid)
    assert site.counts() == {"succeeded": 2}


def test_a_worker_that_is_stopped_by_itself_is_replaced(site: Site):
    """SIGTERM to one worker: it ends in peace, and another comes. (So workers can be renewed.)"""
    with site.workers("--processes", "2") as workers:
        pid = int(workers.until_logged(r"process 1 started: pid (\d+)")[1])
        workers.until_logged(rf"\[{pid}\]: started: ")
        os.kill(pid, signal.SIGTERM)
        workers.until_logged("process 1 ended with exit code 0; another in 0.5 s")
        workers.until_logged("process 1 started")
        workers.send(signal.SIGTERM)
        assert workers.end() == 0


# --- what is wrong -----------------------------------------------------------------------------

WRONG = {
    "no broker": (JOBS, {"TRIOQUEUE_BROKER": ""}, ["--broker", "TRIOQUEUE_BROKER"]),
    "memory": (JOBS, {"TRIOQUEUE_BROKER": "memory://"}, ["inside its program"]),
    "redis": (JOBS, {"TRIOQUEUE_BROKER": "redis://localhost?que=a"}, ["'que'", "queue, lease"]),
    "an option": (JOBS, {"TRIOQUEUE_BROKER": "sqlite:///x.db?leas=3"}, ["'leas'", "lease"]),
    "no module": ("nothing:tasks", {}, ["no module 'nothing'"]),
    "no attribute": ("tests.cli_jobs:task", {}, ["no 'task'", "tests.cli_jobs:tasks"]),
    "no task set": ("tests.cli_jobs:not_tasks", {}, ["no TaskSet but of type list"]),
    "an empty one": ("tests.cli_jobs:empty", {}, ["no task in it"]),
    "no colon": ("tests.cli_jobs", {}, ["MODULE:TASKS"]),
    "an import that fails": (JOBS, {"IMPORT": "fail"}, ["ValueError", "what a module may say"]),
    "an import that exits": (JOBS, {"IMPORT": "exit"}, ["SystemExit", "ends the program"]),
}


@pytest.mark.parametrize("processes", ["1", "2"])
@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_one_line_and_exit_2(site: Site, name: str, processes: str):
    """Before anything is started, and before there is a file."""
    jobs, variables, words = WRONG[name]
    done = site.command("run", jobs, "--processes", processes, **variables)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("trioqueue: ")
    for word in words:
        assert word in line
    assert os.listdir(site.path) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--workers", "0"], "--workers"),
        (["--processes", "0"], "--processes"),
        (["--grace", "-1"], "--grace"),
        (["--grace", "inf"], "--grace"),
        (["--queue", ""], "--queue"),
        (["--burts"], "--burst"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_flags_are_told(site: Site, arguments: list[str], words: str):
    """As in every command."""
    done = site.here("run", JOBS, *arguments)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert words in line


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_broker_that_cannot_be_used_is_one_line_and_exit_1(site: Site, processes: str):
    """Not a database: nobody starts processes over and over for that."""
    (site.path / "jobs.db").write_text("this is a letter to a friend\n" * 1_000)
    done = site.command("run", JOBS, "--processes", processes)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("trioqueue: ")
    assert "jobs.db" in line


def test_an_error_in_a_lifespan_is_told_whole(site: Site):
    """It is the user's: with its traceback, and exit 1."""
    (site.path / "lifes.py").write_text(LIFESPAN)
    done = site.command("run", "lifes:tasks")
    assert done.returncode == 1
    assert "lifes.py" in done.stderr
    assert "ConnectionRefusedError: no server here" in done.stderr


LIFESPAN = """
import contextlib, trioqueue

@contextlib.asynccontextmanager
async def lifespan():
    raise ConnectionRefusedError("no server here")
    yield

tasks = trioqueue.TaskSet(lifespan=lifespan)

@tasks.task
async def ping(): ...
"""


# --- output ------------------------------------------------------------------------------------


def test_the_log_of_the_users_own_program_is_left_alone(site: Site):
    """If the module configures logging, our lines go where it says."""
    (site.path / "logged.py").write_text(
        "import logging\n"
        "logging.basicConfig(format='MINE %(message)s', level=logging.INFO)\n"
        "from tests.cli_jobs import tasks\n"
    )
    done = site.command("run", "logged:tasks", "--burst")
    assert done.returncode == 0
    assert done.stderr.startswith("MINE started: ")


#: A module of its own: what its handler logs, by a logger that knows nothing of tasks.
LOGGING = """\
import logging
import trioqueue
tasks = trioqueue.TaskSet()
@tasks.task
async def hello(name: str) -> None:
    logging.getLogger("theirs").info("hello %s", name)
"""


@pytest.mark.parametrize("processes", ["1", "2"])
def test_lines_are_json_and_spans_are_made_if_asked_for(site: Site, processes: str):
    """In every process: each line an object, each line of a handler with its task."""
    (site.path / "hellos.py").write_text(LOGGING)
    (task_id,) = site.command(
        "publish", "hellos:tasks", "hello", "--json", '["ann"]'
    ).stdout.split()
    done = site.command(
        *("run", "hellos:tasks", "--burst", "--processes", processes),
        *("--log-format", "json", "--log-level", "info", "--tracing"),
        OTEL_TRACES_EXPORTER="console",
    )
    assert done.returncode == 0
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    (hello,) = [line for line in lines if line["logger"] == "theirs"]
    assert (hello["message"], hello["task_id"], hello["attempt"]) == ("hello ann", task_id, 1)
    assert all("task_id" not in line for line in lines if line is not hello)
    span = json.loads(done.stdout)
    assert span["name"] == "process default"
    assert span["attributes"]["messaging.message.id"] == task_id


def test_a_format_that_is_asked_for_replaces_that_of_the_module(site: Site):
    """On the console, once; a file of its own goes on."""
    (site.path / "hellos.py").write_text(
        f"{LOGGING}logging.basicConfig(format='MINE %(message)s', level=logging.INFO)\n"
        "logging.root.addHandler(logging.FileHandler('log'))\n"
    )
    done = site.command("run", "hellos:tasks", "--burst", "--log-format", "human")
    assert "INFO     trioqueue.run[" in done.stderr
    assert "MINE" not in done.stderr
    assert "ended: " in (site.path / "log").read_text()


def test_tracing_that_cannot_be_is_told_in_a_line(site: Site):
    """Without an exporter spans would go nowhere, in silence."""
    done = site.command("run", JOBS, "--burst", "--tracing", OTEL_TRACES_EXPORTER="nowhere")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "OTEL_TRACES_EXPORTER=nowhere is not installed" in done.stderr


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_reader_of_the_log_that_leaves_ends_nothing(site: Site, processes: str):
    """`trioqueue run ... 2>&1 | head -1`: the work goes on."""
    site.publish("note", "--json", "[7, 0.2]", "--count", "20")
    with site.workers("--burst", "--verbose", "--processes", processes) as workers:
        workers.until_logged("started: ")
        assert workers.process.stderr is not None
        workers.process.stderr.close()
        workers.process.stderr = None
        assert workers.process.wait(PATIENCE) == 0
    assert site.counts() == {"succeeded": 20}


def test_without_any_output_it_still_works(site: Site):
    """A service may run with everything closed."""
    site.publish("note", "--json", "[7]")
    command = ["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *MODULE, "run", JOBS, "--burst"]
    done = subprocess.run(
        command, env=environment(**site.variables), cwd=site.path, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0
    assert site.counts() == {"succeeded": 1}


# --- waiting -----------------------------------------------------------------------------------


def wait_until_gone(pid: int) -> None:
    """A process that was told to end may take a moment."""
    end = time.monotonic() + PATIENCE
    while is_alive(pid):
        assert time.monotonic() < end
        time.sleep(0.01)


def wait_until_noted(site: Site, pid: int) -> None:
    """Until the process has written into the ledger."""
    end = time.monotonic() + PATIENCE
    while not (site.ledger.exists() and f" {pid}\n" in site.ledger.read_text()):
        assert time.monotonic() < end
        time.sleep(0.01)
