"""The supervisor, with children of every temper: it keeps them, replaces them, and stops them."""

import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from trioqueue.cli import _supervisor
from trioqueue.cli._exits import FAILED, LEFT_RUNNING, OK, TERMINATED
from trioqueue.cli._supervisor import Renewals, Restarts, Supervisor, describe

from .command import environment

#: What every child does first: it says who it is, through a named pipe.
PROLOGUE = """
import os, signal, sys, time
pipe, reports = int(sys.argv[1]), os.open(os.environ["REPORTS"], os.O_WRONLY)
def report(*words):
    os.write(reports, (" ".join(map(str, (os.getpid(), *words))) + "\\n").encode())
report("up")
"""
#: Ends when it is told to, and says how it was told.
GOOD = "word = os.read(pipe, 1); report('told', word.decode() or 'end')"
PATIENT = "for _ in range(2): report('told', os.read(pipe, 1).decode() or 'end')"
DEAF = "signal.pause()"
#: Only so that a hang fails.
PATIENCE = 60.0

QUICK = Restarts(initial=0.001, maximum=0.008, settled=PATIENCE, patience=10**9)


class Reports:
    """What the children say, line by line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        # Read and write: so there is always a writer, and never an end.
        self._stream = trio.lowlevel.FdStream(os.open(path, os.O_RDWR | os.O_NONBLOCK))
        self._text = ""

    async def next(self) -> tuple[int, str]:
        """The next line: a process id, and words."""
        while "\n" not in self._text:
            with trio.fail_after(PATIENCE):
                self._text += (await self._stream.receive_some()).decode()
        line, _, self._text = self._text.partition("\n")
        pid, _, words = line.partition(" ")
        return int(pid), words

    async def until(self, words: str, times: int = 1) -> list[int]:
        """Read on until these words were said so often; by whom."""
        by: list[int] = []
        while len(by) < times:
            pid, said = await self.next()
            if said == words:
                by.append(pid)
        return by

    async def aclose(self) -> None:
        await self._stream.aclose()


@pytest.fixture
async def reports(tmp_path: Path) -> AsyncIterator[Reports]:
    made = Reports(tmp_path / "reports")
    yield made
    await made.aclose()


def supervisor(
    reports: Reports,
    child: str,
    count: int = 1,
    *,
    grace: float = PATIENCE,
    burst: bool = False,
    restarts: Restarts = QUICK,
    renewals: Renewals | None = None,
    **environment: str,
) -> Supervisor:
    return Supervisor(
        [sys.executable, "-S", "-c", PROLOGUE + child],
        count,
        grace,
        burst=burst,
        environment={"REPORTS": str(reports.path), **environment},
        restarts=restarts,
        renewals=renewals,
    )


class Running:
    """A supervisor that runs, and the exit code that it came to."""

    def __init__(self) -> None:
        self.code: int | None = None


@asynccontextmanager
async def running(supervised: Supervisor) -> AsyncIterator[Running]:
    """Leaving the block waits for its end."""
    state = Running()

    async def run() -> None:
        state.code = await supervised.run()

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            yield state


def alive(pid: int) -> bool:
    """Whether there is such a process; one that has ended has been waited for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_it_keeps_as_many_as_were_asked_for(reports: Reports):
    """Each in a session of its own, apart from our terminal; one signal stops them all."""
    async with running(supervisor(reports, GOOD, 3)) as state:
        pids = await reports.until("up", 3)
        assert len({os.getsid(pid) for pid in pids} | {os.getsid(0)}) == 4
        signal.raise_signal(signal.SIGTERM)
        assert sorted(await reports.until("told s", 3)) == sorted(pids)
    assert state.code == OK
    assert not any(map(alive, pids))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_every_signal_that_asks_for_a_stop_is_passed_on(
    reports: Reports, number: signal.Signals
):
    """Ctrl-C, a service manager, a terminal that was closed: all the same."""
    async with running(supervisor(reports, GOOD)) as state:
        await reports.until("up")
        signal.raise_signal(number)
        await reports.until("told s")
    assert state.code == OK


async def test_a_second_signal_takes_the_grace_away(reports: Reports):
    """The children hear of both, in order."""
    async with running(supervisor(reports, PATIENT, 2)) as state:
        await reports.until("up", 2)
        signal.raise_signal(signal.SIGINT)
        await reports.until("told s", 2)
        signal.raise_signal(signal.SIGINT)
        await reports.until("told n", 2)
    assert state.code == OK


async def test_what_was_killed_is_replaced(reports: Reports, caplog: pytest.LogCaptureFixture):
    """By another process, which is stopped like the first."""
    caplog.set_level(logging.INFO)
    async with running(supervisor(reports, GOOD, 2)) as state:
        first, second = await reports.until("up", 2)
        os.kill(first, signal.SIGKILL)
        (third,) = await reports.until("up")
        signal.raise_signal(signal.SIGTERM)
        assert sorted(await reports.until("told s", 2)) == sorted([second, third])
    assert state.code == OK
    assert "was killed by SIGKILL; another in 0.001 s" in caplog.text


async def test_restarts_wait_longer_and_longer(reports: Reports, caplog: pytest.LogCaptureFixture):
    """Doubled with each death up to the maximum."""
    async with running(supervisor(reports, "os.kill(os.getpid(), 9)")) as state:
        await reports.until("up", 6)
        signal.raise_signal(signal.SIGTERM)
    waits = [record.args[2] for record in caplog.records if record.msg.startswith("process %d %s")]  # type: ignore[index]
    assert waits[:5] == [0.001, 0.002, 0.004, 0.008, 0.008]
    assert state.code in {OK, FAILED}  # killed by itself after the stop, or never started again


@pytest.mark.parametrize("child", ["sys.exit(1)", "sys.exit(0)"])
async def test_the_wait_begins_anew_after_a_life(
    reports: Reports, caplog: pytest.LogCaptureFixture, child: str
):
    """One that has lived for a while, or has ended as it should, is soon replaced."""
    settled = 0.0 if "1" in child else float(PATIENCE)
    restarts = Restarts(initial=0.001, maximum=1, settled=settled, patience=10**9)
    async with running(supervisor(reports, child, restarts=restarts)):
        await reports.until("up", 4)
        signal.raise_signal(signal.SIGTERM)
    assert "another in 0.001 s" in caplog.text
    assert "another in 0.002 s" not in caplog.text


def test_the_waits_are_half_a_second_to_half_a_minute():
    """And no number of deaths is too many for the arithmetic."""
    waits = [Restarts().delay(deaths) for deaths in (1, 2, 3, 6, 7, 8, 10**9)]
    assert waits == [0.5, 1, 2, 16, 30, 30, 30]


async def test_it_gives_up_when_no_child_stays_alive(
    reports: Reports, caplog: pytest.LogCaptureFixture
):
    """Errors of every child's own, so many in a row: exit 1, for the service manager to see."""
    restarts = Restarts(initial=0.001, maximum=0.001, settled=PATIENCE, patience=3)
    async with running(supervisor(reports, "sys.exit(1)", 2, restarts=restarts)) as state:
        pass
    assert state.code == FAILED
    assert "giving up" in caplog.text


async def test_one_child_that_lives_is_a_reason_to_go_on(reports: Reports, tmp_path: Path):
    """Its siblings may die as often as they like."""
    child = f"""
try: os.mkdir({str(tmp_path / "first")!r})
except FileExistsError: sys.exit(1)
{GOOD}
"""
    restarts = Restarts(initial=0.001, maximum=0.001, settled=PATIENCE, patience=2)
    async with running(supervisor(reports, child, 2, restarts=restarts)):
        await reports.until("up", 10)
        signal.raise_signal(signal.SIGTERM)
        await reports.until("told s")


async def test_children_killed_from_outside_are_no_reason_to_give_up(reports: Reports):
    """A task that kills its process is dealt with by the broker, in time."""
    restarts = Restarts(initial=0.001, maximum=0.001, settled=PATIENCE, patience=2)
    async with running(supervisor(reports, "os.kill(os.getpid(), 9)", restarts=restarts)):
        await reports.until("up", 10)
        signal.raise_signal(signal.SIGTERM)


async def test_a_burst_ends_when_all_children_are_done(reports: Reports):
    """Nobody has to stop it."""
    async with running(supervisor(reports, "sys.exit(0)", 3, burst=True)) as state:
        await reports.until("up", 3)
    assert state.code == OK


async def test_in_a_burst_what_died_is_replaced_and_what_is_done_is_not(
    reports: Reports, tmp_path: Path
):
    """One dies once: four processes in all, and exit 0."""
    child = f"""
try: os.mkdir({str(tmp_path / "first")!r})
except FileExistsError: sys.exit(0)
os.kill(os.getpid(), 9)
"""
    async with running(supervisor(reports, child, 3, burst=True)) as state:
        await reports.until("up", 4)
    assert state.code == OK


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("sys.exit(0)", OK),
        (f"sys.exit({TERMINATED})", OK),
        ("os.kill(os.getpid(), 15)", OK),
        ("sys.exit(1)", FAILED),
        ("os.kill(os.getpid(), 9)", FAILED),
        (f"sys.exit({LEFT_RUNNING})", LEFT_RUNNING),
    ],
)
async def test_the_exit_code_tells_how_the_children_ended(reports: Reports, ending: str, code: int):
    """In a stop: one that fails, or leaves tasks running, is not passed over."""
    child = f"os.read(pipe, 1); {ending}"
    async with running(supervisor(reports, child)) as state:
        await reports.until("up")
        signal.raise_signal(signal.SIGTERM)
    assert state.code == code


async def test_the_worst_end_is_the_one_that_is_told(reports: Reports, tmp_path: Path):
    """One of three left tasks running."""
    child = f"""
os.read(pipe, 1)
try: os.mkdir({str(tmp_path / "first")!r})
except FileExistsError: sys.exit(1)
sys.exit({LEFT_RUNNING})
"""
    async with running(supervisor(reports, child, 3)) as state:
        await reports.until("up", 3)
        signal.raise_signal(signal.SIGTERM)
    assert state.code == LEFT_RUNNING


async def test_children_that_do_not_end_are_killed_at_the_hard_limit(
    reports: Reports, monkeypatch: pytest.MonkeyPatch
):
    """Grace, hard limit and margin over: SIGKILL, and an exit code of its own."""
    monkeypatch.setattr(_supervisor, "HARD_LIMIT", 0.01)
    monkeypatch.setattr(_supervisor, "MARGIN", 0.01)
    async with running(supervisor(reports, DEAF, 2, grace=0.02)) as state:
        pids = await reports.until("up", 2)
        signal.raise_signal(signal.SIGTERM)
    assert state.code == LEFT_RUNNING
    assert not any(map(alive, pids))


async def test_a_second_signal_brings_the_hard_limit_nearer(
    reports: Reports, monkeypatch: pytest.MonkeyPatch
):
    """The grace, which would have taken minutes, is over."""
    monkeypatch.setattr(_supervisor, "HARD_LIMIT", 0.01)
    monkeypatch.setattr(_supervisor, "MARGIN", 0.01)
    child = f"report('told', os.read(pipe, 1).decode()); {DEAF}"
    async with running(supervisor(reports, child)) as state:
        await reports.until("up")
        signal.raise_signal(signal.SIGTERM)
        await reports.until("told s")
        signal.raise_signal(signal.SIGTERM)
    assert state.code == LEFT_RUNNING


async def test_a_stop_does_not_wait_for_a_restart(reports: Reports):
    """What is dead and about to be replaced stays dead."""
    restarts = Restarts(initial=PATIENCE, maximum=PATIENCE)
    async with running(supervisor(reports, "sys.exit(1)", restarts=restarts)) as state:
        await reports.until("up")
        with trio.move_on_after(0.05):  # most probably it is waiting by then, and else no harm
            await trio.sleep_forever()
        signal.raise_signal(signal.SIGTERM)
    assert state.code in {OK, FAILED}


async def test_a_stop_before_the_children_are_up_reaches_them(reports: Reports):
    """What is said while they start waits in their pipes."""
    async with running(supervisor(reports, GOOD, 2)) as state:
        await trio.testing.wait_all_tasks_blocked()
        signal.raise_signal(signal.SIGTERM)
        await reports.until("told s", 2)
    assert state.code == OK


async def test_when_it_is_cancelled_the_children_see_the_end(reports: Reports):
    """Whatever ends the supervisor: no child holds the pipe of another."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisor(reports, GOOD, 3).run)
        pids = await reports.until("up", 3)
        nursery.cancel_scope.cancel()
    assert not any(map(alive, pids))
    assert sorted(await reports.until("told end", 3)) == sorted(pids)


async def test_when_it_is_cancelled_children_that_do_not_end_are_killed(
    reports: Reports, monkeypatch: pytest.MonkeyPatch
):
    """After the grace and the hard limit, as in a stop."""
    monkeypatch.setattr(_supervisor, "HARD_LIMIT", 0.01)
    monkeypatch.setattr(_supervisor, "MARGIN", 0.01)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisor(reports, DEAF, grace=0.01).run)
        (pid,) = await reports.until("up")
        nursery.cancel_scope.cancel()
    assert not alive(pid)


KILLED = """
import sys, trio
from trioqueue.cli._supervisor import Supervisor
sys.exit(trio.run(Supervisor([sys.executable, "-S", "-c", sys.argv[1]], 3, 60).run))
"""


async def test_when_it_is_killed_the_children_see_the_end(reports: Reports):
    """SIGKILL of the supervisor: each of them ends by itself."""
    command = [sys.executable, "-c", KILLED, PROLOGUE + GOOD]
    process = await trio.lowlevel.open_process(command, env=environment(REPORTS=str(reports.path)))
    pids = await reports.until("up", 3)
    process.kill()
    assert sorted(await reports.until("told end", 3)) == sorted(pids)
    assert await process.wait() == -signal.SIGKILL


async def test_a_sighup_that_is_ignored_stays_ignored(reports: Reports):
    """As ``nohup`` has it: a terminal that is closed ends nothing."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        async with running(supervisor(reports, GOOD)) as state:
            await reports.until("up")
            signal.raise_signal(signal.SIGHUP)
            await trio.testing.wait_all_tasks_blocked()
            assert state.code is None
            signal.raise_signal(signal.SIGTERM)
            assert (await reports.next())[1] == "told s"
    finally:
        signal.signal(signal.SIGHUP, before)


# --- renewals ----------------------------------------------------------------------------------


class Renewer:
    """Renews the children whenever a test says so."""

    def __init__(self) -> None:
        self._send, self._asked = trio.open_memory_channel[None](1)

    async def __call__(self, renew: Callable[[], None]) -> None:
        async for _ in self._asked:
            renew()

    async def renew(self) -> None:
        await self._send.send(None)
        await trio.testing.wait_all_tasks_blocked()


class Waits(logging.Handler):
    """Hears that a child has failed, and waits for a renewal."""

    def __init__(self) -> None:
        super().__init__()
        self._send, self.heard = trio.open_memory_channel[str](100)

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().endswith("ended with exit code 2; waiting for a change"):
            self._send.send_nowait(record.getMessage())


async def test_a_renewal_stops_every_process_and_starts_others(reports: Reports):
    """With the grace, and as often as there is something new; a stop is as ever."""
    renewer = Renewer()
    async with running(supervisor(reports, GOOD, 2, renewals=renewer)) as state:
        old = await reports.until("up", 2)
        for _ in range(2):
            await renewer.renew()
            assert sorted([(await reports.next()) for _ in range(2)]) == sorted(
                (pid, "told s") for pid in old
            )
            new = await reports.until("up", 2)
            assert not set(new) & set(old)
            assert not any(map(alive, old))
            old = new
        signal.raise_signal(signal.SIGTERM)
        await reports.until("told s", 2)
    assert state.code == OK


async def test_a_renewal_does_not_wait_for_a_restart(reports: Reports):
    """What is dead and about to be replaced is replaced at once, with the new code."""
    renewer, restarts = Renewer(), Restarts(initial=PATIENCE, maximum=PATIENCE)
    child = "os.kill(os.getpid(), 9)"
    async with running(supervisor(reports, child, restarts=restarts, renewals=renewer)):
        await reports.until("up")
        with trio.move_on_after(0.05):  # most probably it is waiting by then, and else no harm
            await trio.sleep_forever()
        await renewer.renew()
        await reports.until("up")
        signal.raise_signal(signal.SIGTERM)


async def test_what_fails_by_itself_waits_for_a_renewal(
    reports: Reports, caplog: pytest.LogCaptureFixture
):
    """The same code would fail again; and nobody gives up, however often it is wrong."""
    renewer, waits = Renewer(), Waits()
    _supervisor.logger.addHandler(waits)
    restarts = Restarts(initial=0.001, maximum=0.001, settled=PATIENCE, patience=2)
    child = "sys.exit(2)"
    async with running(supervisor(reports, child, restarts=restarts, renewals=renewer)) as state:
        for _ in range(4):
            await reports.until("up")
            await waits.heard.receive()
            await renewer.renew()
        signal.raise_signal(signal.SIGTERM)
    _supervisor.logger.removeHandler(waits)
    assert state.code in {OK, FAILED}  # the fifth may have been on its way
    assert "giving up" not in caplog.text


async def test_what_does_not_make_room_is_killed(
    reports: Reports, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """After the grace and the hard limit, as in a stop; the next one is there then."""
    monkeypatch.setattr(_supervisor, "HARD_LIMIT", 0.01)
    monkeypatch.setattr(_supervisor, "MARGIN", 0.01)
    renewer = Renewer()
    async with running(supervisor(reports, DEAF, grace=0.01, renewals=renewer)) as state:
        (old,) = await reports.until("up")
        await renewer.renew()
        (new,) = await reports.until("up")
        assert new != old
        assert not alive(old)
        signal.raise_signal(signal.SIGTERM)
    assert state.code == LEFT_RUNNING


async def test_a_renewal_in_a_stop_is_nothing(reports: Reports):
    """Whoever saves a file while all is ended does not keep it from ending."""
    renewer = Renewer()
    async with running(supervisor(reports, PATIENT, renewals=renewer)) as state:
        await reports.until("up")
        signal.raise_signal(signal.SIGTERM)
        await reports.until("told s")
        await renewer.renew()
        signal.raise_signal(signal.SIGTERM)
        assert (await reports.next())[1] == "told n"
    assert state.code == OK


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (3, "ended with exit code 3"),
        (-9, "was killed by SIGKILL"),
        (-40, "was killed by signal 40"),
    ],
)
def test_an_end_in_words(code: int, words: str):
    """As it is logged."""
    assert describe(code) == words
