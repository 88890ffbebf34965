"""``run --listen``: addresses, and what several processes count in memory that outlives them."""

import logging
import mmap
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx  # noqa: ASYNC127 - its successor does not know Trio
import pytest
import trio
import trio.testing

import trioqueue
from trioqueue import Event, TaskSet
from trioqueue.cli import _counted
from trioqueue.cli._counted import FORM, SILENCE, Counted, new_memory, shared_cells
from trioqueue.cli._errors import Wrong, only
from trioqueue.cli._listen import CannotListen, Counting, OperatedWork, listening, parse_address
from trioqueue.observe import Metrics
from trioqueue.observe._metrics_cells import Cells, Form, add_up


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        (":9100", "127.0.0.1", 9100),
        ("0.0.0.0:0", "0.0.0.0", 0),
        ("[::1]:80", "::1", 80),
        ("metrics.local:65535", "metrics.local", 65535),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, host: str, port: int):
    assert parse_address(text) == (host, port)


@pytest.mark.parametrize(
    "text", ["", "9100", "host", "host:", ":x", "::1:80", ":65536", ":-1", ":١٢", "h:9 "]
)
def test_what_is_none_is_told(text: str):
    with pytest.raises(Wrong, match="--listen"):
        parse_address(text)


@pytest.mark.main
@pytest.mark.parametrize("extra", ["prometheus_client", "hypercorn", "starlette"])
def test_a_missing_extra_is_told_in_a_line(extra: str, tmp_path: Path):
    """And how to come by it."""
    from .command import run

    (tmp_path / f"{extra}.py").write_text(f"raise ModuleNotFoundError(name={extra!r})")
    (tmp_path / "jobs.py").write_text("import trioqueue\ntasks = trioqueue.TaskSet()\n")
    root = str(Path(trioqueue.__file__).parent.parent)
    done = run(
        *("run", "jobs:tasks", "--listen", ":0"),
        cwd=tmp_path,
        PYTHONPATH=f"{tmp_path}:{root}",
        TRIOQUEUE_BROKER="sqlite:///jobs.db",
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "pip install 'trioqueue[" in line


def event(name: str = "submitted", task_type: str = "a") -> Event:
    return Event(name, 1.0, "t", task_type, "q", 1, 1, None)


def submitted(metrics: Metrics, task_type: str = "a") -> float | None:
    lane = {"queue": "q", "type": task_type}
    return metrics.registry.get_sample_value("trioqueue_tasks_submitted_total", lane)


def counting(memory: int) -> Metrics:
    """What a worker process does with what it was handed down."""
    metrics = Metrics()
    metrics._count_in(shared_cells(os.dup(memory)))
    return metrics


def test_processes_are_added_up_and_a_successor_goes_on():
    """However the predecessor ended: nothing it did at its end matters."""
    counted = Counted("sqlite:///nowhere.db", 2)
    (_, (first,)), (arguments, (second,)) = counted.equip(1), counted.equip(2)
    assert arguments == ("--counting-in", str(second))
    one, two = counting(first), counting(second)
    assert submitted(counted.metrics) is None
    for metrics in (one, one, two):
        metrics(event())
    two(event(task_type="b"))
    assert (submitted(counted.metrics), submitted(counted.metrics, "b")) == (3, 1)
    successor = counting(first)
    assert submitted(counted.metrics) == 3
    successor(event())
    successor(event(task_type="c"))
    assert submitted(counted.metrics) == 4
    assert submitted(counted.metrics, "c") == 1


#: Counts ten thousand events in memory that it was handed down, says so, and waits for its end.
CHILD = """
import os, sys, time
from tests.test_cli_listen import counting, event
metrics = counting(int(sys.argv[1]))
for number in range(10_000):
    metrics(event(task_type=f"type {number % 150}"))
os.write(1, b"x")
time.sleep(3600)
"""


@pytest.mark.main
def test_a_process_that_was_killed_has_counted_what_it_did():
    """By SIGKILL: the reader sees every event that was finished."""
    memory = new_memory()
    root = Path(trioqueue.__file__).parent.parent
    command = [sys.executable, "-c", CHILD, str(memory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, pass_fds=[memory], cwd=root) as process:
        assert process.stdout is not None
        assert process.stdout.read(1) == b"x"
        process.kill()
    lanes = list(shared_cells(memory).lanes())
    assert len(lanes) == 150
    assert sum(lane.cells[0] for lane in lanes) == 10_000


def test_memory_of_another_form_is_not_misread():
    """Other buckets, or another release: begun anew by who counts, nothing for who reads."""
    raw = memoryview(mmap.mmap(-1, 2**20))
    old = Cells(Form((1.0,), (1.0,), 5), raw)
    old.find("a", "q")
    new = Cells(Form((1.0, 2.0), (1.0,), 5), raw)
    assert list(new.lanes()) == []
    assert list(old.lanes()) == []


def test_memory_that_is_too_small_is_refused():
    with pytest.raises(ValueError, match="bytes"):
        Cells(FORM, memoryview(bytearray(100)))


def test_lanes_are_added_by_name_and_not_by_place():
    form = Form((1.0,), (1.0,), 5)
    one, two = Cells(form), Cells(form)
    one.values[one.find("a", "q")] += 1
    two.values[two.find("b", "q")] += 2
    two.values[two.find("a", "q")] += 3
    assert [(lane.type, lane.cells[0]) for lane in add_up([one.lanes(), two.lanes()])] == [
        ("a", 4),
        ("b", 2),
    ]


class Supervised:
    """A supervisor, as far as it is asked."""

    def __init__(self, *pids: int | None) -> None:
        self.pids = list(pids)
        self.stopping = False

    def places(self) -> list[tuple[int, int | None]]:
        return list(enumerate(self.pids, 1))


class Answers:
    """A broker that answers."""

    async def counts(self) -> None:
        await trio.lowlevel.checkpoint()


async def test_all_processes_make_it_ready(monkeypatch: pytest.MonkeyPatch):
    """Each must be there, have begun, and show signs of life; the broker must answer."""
    counted = Counted("sqlite:///nowhere.db", 2)
    assert await counted.not_ready(1) == ["starting"]
    supervised: Any = Supervised(11, None)
    counted.watch(supervised)
    assert await counted.not_ready(1) == ["process 1 is starting", "process 2 is not there"]
    supervised.pids = [11, 12]
    cells = [shared_cells(os.dup(counted.equip(number)[1][0])) for number in (1, 2)]
    now = time.monotonic()
    cells[0].beat(11, now)
    cells[1].beat(99, now)  # its predecessor
    assert await counted.not_ready(1) == ["process 2 is starting"]
    cells[1].beat(12, now - SILENCE - 5)
    assert (await counted.not_ready(1))[0].startswith("process 2 was not heard of for 35 s")
    assert await counted.not_live() == ()
    cells[0].beat(11, now - SILENCE - 5)
    assert len(await counted.not_live()) == 2
    cells[0].beat(11, now)
    cells[1].beat(12, now)
    assert await counted.not_ready(1) == ["the broker fails: BrokerUnavailable"]
    monkeypatch.setattr(counted, "_inspector", Answers())
    assert await counted.not_ready(1) == ()
    cells[1].leave_off()
    assert await counted.not_ready(1) == ["process 2 is starting"]
    supervised.stopping = True
    assert await counted.not_ready(1) == ["stopping"]


async def test_a_broker_that_comes_late_is_looked_at_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """Until then the metrics do without it; that is told once."""
    monkeypatch.setattr(_counted, "AGAIN", 0.01)
    monkeypatch.setattr(_counted, "TRIALS", 2)
    monkeypatch.setattr("trioqueue.observe._metrics.FRESH", 0.0)
    path = tmp_path / "jobs.db"
    counted = Counted(f"sqlite:///{path}", 1)
    up = "trioqueue_broker_up"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(counted.keep_looking)
        await counted.look(counted.metrics, 1)
        assert counted.metrics.registry.get_sample_value(up) == 0
        with trio.fail_after(30):
            while "metrics do without the broker" not in caplog.text:  # noqa: ASYNC110 - polled
                await trio.sleep(0.01)
        async with trioqueue.open_sqlite_broker(path):
            with trio.fail_after(30):
                while not counted.metrics.registry.get_sample_value(up):
                    await trio.sleep(0.01)
                    await counted.look(counted.metrics, 1)
        nursery.cancel_scope.cancel()
    assert caplog.text.count("metrics do without the broker") == 1


async def test_work_tells_where_it_is(autojump_clock: trio.testing.MockClock):
    """Starting, ready, stopping."""
    work, metrics = OperatedWork(), Metrics()
    assert (await work.not_ready(1), await work.not_live()) == (["starting"], ())
    await work.look(metrics, 1)
    async with trioqueue.open_queue(TaskSet()) as queue:
        work.take(queue)
        assert (await work.not_ready(1), await work.not_live()) == ((), ())
        await work.look(metrics, 1)
        assert metrics.registry.get_sample_value("trioqueue_broker_up") == 1
        work.stopping = True
        assert await work.not_ready(1) == ["stopping"]


async def test_a_taken_address_is_an_error_of_one_line():
    async with listening(parse_address(":0"), OperatedWork(), Metrics()):
        listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
        port = listener.socket.getsockname()[1]
        with pytest.raises(BaseExceptionGroup) as caught:  # noqa: ASYNC401 - of any depth
            async with listening(parse_address(f":{port}"), OperatedWork(), Metrics()):
                pass
        await listener.aclose()
    error = only(caught.value)
    assert isinstance(error, CannotListen)
    assert f"cannot listen at 127.0.0.1:{port}: address already in use" in str(error)


async def test_a_fault_of_the_server_does_not_touch_the_work(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """It is logged, and there is no server any more."""

    async def serve(*_: Any, task_status: Any) -> None:
        task_status.started(["http://here"])
        await trio.lowlevel.checkpoint()
        raise KeyError("of the server")

    monkeypatch.setattr("trioqueue.web.serve", serve)
    async with listening(parse_address(":0"), OperatedWork(), Metrics()):
        await trio.testing.wait_all_tasks_blocked()
    assert "the work goes on" in caplog.text
    assert "of the server" in caplog.text


async def test_a_process_listens_while_it_works(caplog: pytest.LogCaptureFixture):
    """At the port that it tells, with a zero for each of its types before anything happens."""
    from prometheus_client import REGISTRY

    tasks = TaskSet()

    @tasks.task(queue="mail")
    async def resize() -> None: ...

    made = Counting(tasks, address=parse_address(":0"))
    try:
        with caplog.at_level(logging.INFO, "trioqueue.run"):
            async with made.running(), httpx.AsyncClient() as asked:
                found = re.search(r"http://127\.0\.0\.1:\d+", caplog.text)
                assert found
                assert (await asked.get(f"{found[0]}/health/ready")).status_code == 503
                async with trioqueue.open_queue(tasks, observers=[made.metrics]) as queue:
                    made.work.take(queue)
                    assert (await asked.get(f"{found[0]}/health/ready")).status_code == 200
                    text = (await asked.get(f"{found[0]}/metrics")).text
    finally:
        REGISTRY.unregister(made.metrics._collector)
    assert 'trioqueue_tasks_started_total{queue="mail",type="resize"} 0.0' in text
    assert "process_cpu_seconds_total" in text
