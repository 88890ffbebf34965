"""How a worker process is asked to stop: by signals and by its supervisor."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest
import trio
import trio.testing

from trioqueue import Event, Outcome, OutcomeKind, State
from trioqueue.cli import _stop
from trioqueue.cli._stop import STOP_SIGNALS, Request, Stop
from trioqueue.cli._work import Tally

from .command import PATIENCE, environment


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """`Stop.begin` is for a process's whole life: this one goes on."""
    before = [(number, signal.getsignal(number)) for number in STOP_SIGNALS]
    yield
    for number, handler in before:
        signal.signal(number, handler)


@pytest.fixture
def stop(monkeypatch: pytest.MonkeyPatch) -> Stop:
    """With a limit that is never reached: its thread lives on, and would end the whole run."""
    for number in STOP_SIGNALS:  # under nohup a hang-up is ignored, and stays so
        signal.signal(number, signal.SIG_DFL)
    monkeypatch.setattr(_stop, "HARD_LIMIT", 1e6)
    made = Stop(1e6, lambda: "last words")
    made.begin()
    return made


@pytest.mark.parametrize("number", STOP_SIGNALS)
async def test_the_first_signal_leaves_the_grace_and_others_take_it(
    stop: Stop, number: signal.Signals
):
    """Whatever they are."""
    with stop.requests() as requests:
        signal.raise_signal(number)
        assert await requests.receive() == Request(number.name, now=False)
        signal.raise_signal(signal.SIGTERM)
        assert await requests.receive() == Request("SIGTERM", now=True)


async def test_a_signal_before_trio_listens_is_not_lost(stop: Stop):
    """It waits."""
    signal.raise_signal(signal.SIGTERM)
    with stop.requests() as requests:
        assert requests.receive_nowait() == Request("SIGTERM", now=False)


async def test_a_signal_when_trio_listens_no_more_does_no_harm(stop: Stop):
    """The process is ending already."""
    with stop.requests():
        pass
    signal.raise_signal(signal.SIGTERM)
    await trio.testing.wait_all_tasks_blocked()


def test_a_signal_after_trios_run_does_no_harm(stop: Stop):
    """Not even if the listener was left open."""

    async def listen() -> None:
        manager = stop.requests()
        manager.__enter__()
        left_open.append(manager)

    left_open: list[object] = []
    trio.run(listen)
    signal.raise_signal(signal.SIGTERM)


async def test_the_supervisors_words(stop: Stop):
    """A stop, a stop at once, and its end."""
    theirs, ours = os.pipe()
    stop.obey(theirs)
    assert not os.get_inheritable(theirs)
    with stop.requests() as requests:
        os.write(ours, b"sn")
        assert await requests.receive() == Request("the supervisor's word", now=False)
        assert await requests.receive() == Request("the supervisor's word", now=True)
        os.close(ours)
        assert await requests.receive() == Request("the supervisor is gone", now=False)
    os.close(theirs)


PROCESS = """
import os, signal, sys, threading, time
from trioqueue.cli import _stop
_stop.HARD_LIMIT = 0.01
stop = _stop.Stop(float(sys.argv[1]), lambda: "held: too long")
theirs, ours = os.pipe()
"""


def process(code: str, grace: float = 0.01) -> subprocess.CompletedProcess[str]:
    """A process of its own, since it is to end by force."""
    return subprocess.run(
        [sys.executable, "-c", PROCESS + textwrap.dedent(code), str(grace)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.main
@pytest.mark.parametrize(
    ("code", "grace"),
    [
        ("stop.begin(); signal.raise_signal(15); time.sleep(3600)", 0.01),
        ("stop.begin(); signal.raise_signal(2)\nwhile True: pass", 0.01),
        ("stop.begin(); signal.raise_signal(2); signal.raise_signal(15); time.sleep(3600)", 3600),
        ("stop.begin(); stop.obey(theirs); os.close(ours); time.sleep(3600)", 0.01),
        ("stop.begin(); stop.obey(theirs); os.write(ours, b'n'); time.sleep(3600)", 3600),
        ("threading.Thread(target=time.sleep, args=[3600]).start()\n"
         "stop.begin(); signal.raise_signal(15)", 0.01),
    ],
    ids=["sleep", "loop", "twice", "end of the supervisor", "its word", "a thread at the exit"],
)  # fmt: skip
def test_the_hard_limit_ends_what_blocks(code: str, grace: float):
    """Whatever the main thread does: exit 3, and the last words."""
    done = process(code, grace)
    assert done.returncode == 3
    assert done.stdout == ""
    assert done.stderr.endswith("held: too long\n")


@pytest.mark.main
@pytest.mark.parametrize("word", ["os.close(ours)", "os.write(ours, b's')", "os.write(ours, b'n')"])
def test_before_anything_has_begun_a_stop_is_an_exit(word: str):
    """While the user's module is imported: exit 0, and nothing to say."""
    done = process(f"stop.obey(theirs); {word}; time.sleep(3600)")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def event(name: str, task_id: str, state: State | None, kind: OutcomeKind | None = None) -> Event:
    outcome = None if kind is None else Outcome(kind)
    return Event(name, 0.0, task_id, "resize", "default", 1, 1, state, outcome)


def test_the_tally_counts_how_attempts_ended():
    """Those that had not begun are not told; what is held is known by its id."""
    tally = Tally()
    assert tally.describe() == "nothing was started"
    for number in range(7):
        tally(event("started", f"t{number}", State.RUNNING))
    tally(event("progressed", "t0", State.RUNNING))
    tally(event("succeeded", "t1", State.SUCCEEDED, OutcomeKind.RETURNED))
    tally(event("retried", "t2", State.SCHEDULED, OutcomeKind.ERROR))
    tally(event("died", "t3", State.DEAD, OutcomeKind.ERROR))
    tally(event("released", "t4", State.READY, OutcomeKind.INTERRUPTED))
    tally(event("released", "t5", State.READY, OutcomeKind.HANDED_BACK))
    assert tally.describe() == "1 succeeded, 1 failed, 1 died, 1 cut short"
    assert set(tally.held) == {"t0", "t6"}
    assert "2 unfinished: resize t0, resize t6)" in tally.last_words()


def test_the_last_words_are_few():
    """A process may hold hundreds."""
    tally = Tally()
    assert "no task was unfinished" in tally.last_words()
    for number in range(300):
        tally(event("started", f"t{number}", State.RUNNING))
    assert "300 unfinished: resize t0, resize t1," in tally.last_words()
    assert len(tally.last_words()) < 300
