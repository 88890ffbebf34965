"""`trioqueue publish`: what is accepted, what is printed, and what is refused."""

import re
import signal
import subprocess
from pathlib import Path

import pytest
import trio
import trio.testing

import trioqueue
from trioqueue.cli._publish import UNDER_WAY, submit_all

from .cli_terminal import in_terminal
from .command import MODULE, PATIENCE, environment, start
from .workers import JOBS, Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_it_prints_the_ids_one_per_line(site: Site):
    """As many as were asked for, each its own; nothing else is said to a pipe."""
    ids = site.publish("note", "--json", "[7]", "--count", "2500")
    assert len(set(ids)) == 2500
    assert site.counts() == {"ready": 2500}


@pytest.mark.parametrize("text", ["[7, 0]", '{"number": 7}', '{"seconds": 0.0, "number": 7}'])
def test_arguments_are_a_list_or_an_object(site: Site, text: str):
    """Positional or by their names, as the handler gets them."""
    site.publish("note", "--json", text)
    site.work()
    assert site.noted() == {7: 1}


@pytest.mark.main
def test_arguments_become_what_the_annotations_say(site: Site):
    """JSON has no dates; a handler that wants one gets one."""
    (site.path / "dates.py").write_text(DATES)
    done = site.here("publish", "dates:tasks", "tell", "--json", '["2026-02-28T12:00:00Z"]')
    assert done.returncode == 0
    done = site.command("run", "dates:tasks", "--burst")
    assert done.stdout == "2026 datetime\n"


DATES = """
import datetime, trioqueue
tasks = trioqueue.TaskSet()
@tasks.task
async def tell(when: datetime.datetime) -> None:
    print(when.year, type(when).__name__, flush=True)
"""


@pytest.mark.main
def test_the_options_reach_the_task(site: Site):
    """Queue, priority, delay: as ``queue.options`` has them."""
    site.publish("note", "--json", "[1]", "--queue", "mail", "--delay", "3600")
    for number, priority in (("2", "0"), ("3", "255")):
        site.publish("note", "--json", f"[{number}]", "--priority", priority)
    (lane, other) = site.status()["lanes"]
    assert (lane["queue"], lane["ready"]) == ("default", 2)
    assert (other["queue"], other["scheduled"]) == ("mail", 1)
    done = site.command("run", JOBS, "--burst", "--workers", "1", "--queue", "default")
    assert done.returncode == 0
    assert list(site.noted()) == [3, 2]


@pytest.mark.main
def test_ten_thousand_in_one_command(site: Site):
    """As a command of its own: each with its own id, in order of acceptance."""
    done = site.command("publish", JOBS, "note", "--json", "[7]", "--count", "10000")
    assert (done.returncode, done.stderr) == (0, "")
    ids = done.stdout.split()
    assert len(set(ids)) == 10_000
    assert ids == sorted(ids)
    assert site.counts() == {"ready": 10_000}


def test_an_id_is_accepted_once(site: Site):
    """So that publishing again after a doubt is safe."""
    assert site.publish("note", "--json", "[7]", "--id", "mine") == ["mine"]
    assert site.publish("note", "--json", "[7]", "--id", "mine") == ["mine"]
    assert site.counts() == {"ready": 1}


def test_a_key_is_held_once(site: Site):
    """The one that holds it is the answer."""
    first = site.publish("note", "--json", "[7]", "--key", "daily")
    assert site.publish("note", "--json", "[7]", "--key", "daily") == first
    assert site.counts() == {"ready": 1}


WRONG = {
    "no task": (["nothing"], ["no task named 'nothing'", "note"]),
    "a type": (["note", "--json", '["seven"]'], ["number", "int", "str"]),
    "a keyword": (["note", "--json", '{"number": 7, "x": 7}'], ["'x'"]),
    "too few": (["note"], ["number"]),
    "too many": (["note", "--json", "[1, 2, 3]"], ["too many"]),
    "no JSON": (["note", "--json", "[7"], ["--json is not JSON"]),
    "NaN": (["note", "--json", "[NaN]"], ["--json is not JSON"]),
    "a number": (["note", "--json", "7"], ["--json must be a list", "object"]),
    "a string": (["note", "--json", '"7"'], ["--json must be a list", "object"]),
    "a key for many": (["note", "--json", "[7]", "--key", "a", "--count", "2"], ["--count"]),
    "an id for many": (["note", "--json", "[7]", "--id", "a", "--count", "2"], ["--count"]),
    "none": (["note", "--json", "[7]", "--count", "0"], ["--count"]),
    "too urgent": (["note", "--json", "[7]", "--priority", "256"], ["--priority"]),
    "the past": (["note", "--json", "[7]", "--delay", "-1"], ["--delay"]),
    "no queue": (["note", "--json", "[7]", "--queue", ""], ["queue"]),
    "no name": ([], ["NAME"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_one_line_and_exit_2(site: Site, name: str):
    """It says what; nothing is accepted."""
    arguments, words = WRONG[name]
    done = site.here("publish", JOBS, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("trioqueue: ")
    for word in words:
        assert word in line


def test_without_a_broker_it_says_how_to_name_one(site: Site):
    """And makes no file."""
    done = site.here("publish", JOBS, "note", TRIOQUEUE_BROKER="")
    assert done.returncode == 2
    assert "TRIOQUEUE_BROKER" in done.stderr
    assert "--broker" in done.stderr
    assert list(site.path.iterdir()) == []


def test_the_flag_wins_over_the_environment(site: Site):
    """What is typed is nearer than what is set."""
    site.publish("note", "--json", "[7]", "--broker", "sqlite:///other.db")
    assert [path.name for path in site.path.glob("*.db")] == ["other.db"]


@pytest.mark.main
def test_a_terminal_gets_a_summary(site: Site):
    """How many, in how long; not into the ids, and not for one."""
    text = in_terminal(site, "publish", JOBS, "note", "--json", "[7]", "--count", "3")
    assert re.search(r"trioqueue: 3 tasks in [\d.]+ s", text)
    assert len(text.splitlines()) == 4
    text = in_terminal(site, "publish", JOBS, "note", "--json", "[7]")
    assert len(text.splitlines()) == 1


@pytest.mark.main
def test_a_reader_that_leaves_ends_it_quietly(site: Site):
    """`trioqueue publish --count 100000 | head -1`: no traceback; what was accepted is accepted."""
    arguments = ("publish", JOBS, "note", "--json", "[7]", "--count", "100000")
    with subprocess.Popen(
        [*MODULE, *arguments],
        env=environment(**site.variables),
        cwd=site.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
        assert process.wait(PATIENCE) == 141
    assert errors == ""
    assert 1_000 <= site.counts()["ready"] < 100_000


@pytest.mark.main
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_between_two_goes(site: Site, number: signal.Signals):
    """Every task that was accepted has its id in the output, and a line says how many there are."""
    count = 10_000_000
    arguments = ("publish", JOBS, "note", "--json", "[7]", "--count", str(count))
    with start(*MODULE, *arguments, cwd=site.path, **site.variables) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(number)
        output, errors = rest_of(process)
    ids = (first + output).split()
    assert site.counts() == {"ready": len(set(ids))}
    assert len(ids) == len(set(ids))
    said = f"interrupted ({number.name}): {len(ids):,} of {count:,} were accepted"
    assert (process.returncode, errors) == (128 + number, f"trioqueue: {said}\n")


async def test_a_signal_ends_it_while_there_is_no_room(
    autojump_clock: trio.testing.MockClock, capsys: pytest.CaptureFixture[str]
):
    """What waits for room is not waited for, beyond a moment; a second signal ends it at once."""
    tasks = trioqueue.TaskSet()
    ping = tasks.task(handler)
    for signals, seconds in ((1, UNDER_WAY), (2, 0.0)):
        async with trioqueue.open_queue(tasks, workers=1, capacity=3) as queue:
            codes: list[int] = []

            async def submit(queue: trioqueue.Queue, codes: list[int]) -> None:
                codes.append(await submit_all(queue.options(), ping.bind(), 9, 3))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(submit, queue, codes)
                await trio.testing.wait_all_tasks_blocked()
                began = trio.current_time()
                for _ in range(signals):
                    signal.raise_signal(signal.SIGINT)
                    await trio.testing.wait_all_tasks_blocked()
            assert trio.current_time() - began == pytest.approx(seconds)
            await queue.shutdown(grace=0)
        assert codes == [130]
        output, errors = capsys.readouterr()
        assert len(set(output.split())) == 3
        assert errors == "trioqueue: interrupted (SIGINT): 3 of 9 were accepted\n"


async def handler() -> None:
    """Makes no room."""
    await trio.sleep_forever()


def rest_of(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Output and errors to the end. (``communicate`` would lose what ``readline`` has buffered.)"""
    assert process.stdout is not None
    assert process.stderr is not None
    output, errors = process.stdout.read(), process.stderr.read()
    process.wait(PATIENCE)
    return output, errors


@pytest.mark.main
def test_without_any_output_it_still_publishes(site: Site):
    """The ids are said to nobody."""
    command = ["/bin/sh", "-c", 'exec "$@" >&-', "sh", *MODULE]
    done = subprocess.run(
        [*command, "publish", JOBS, "note", "--json", "[7]"],
        env=environment(**site.variables),
        cwd=site.path,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert site.counts() == {"ready": 1}
