"""``trioqueue run``: worker processes, from the command line to their exit code."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import trio
from cyclopts import Parameter

from .. import TrioqueueError
from .._checks import check_name
from ..brokers._url import check_broker_url, open_broker_url
from ._broker import BrokerOption, broker_url
from ._errors import Wrong, only
from ._exits import FAILED, OK
from ._listen import Address, Counting, listening, parse_address
from ._load import load_tasks, look_in, places
from ._logs import LogFormat, LogLevel, LogLevelOption, log_to_stderr
from ._progress import shows_progress
from ._reload import Reload, directories_of
from ._stop import Stop
from ._supervisor import Supervisor
from ._tracing import open_tracing
from ._types import FLAG, SECONDS, within
from ._work import Tally, Work, WorkSettings

if TYPE_CHECKING:
    from ._counted import Counted

EPILOGUE: Final = """\
Examples:

  trioqueue run jobs:tasks --broker sqlite:///jobs.db\n
  trioqueue run jobs:tasks --broker sqlite:////var/lib/jobs.db --processes 4\n
  TRIOQUEUE_BROKER=sqlite:///jobs.db trioqueue run jobs:tasks --burst\n
  trioqueue run jobs:tasks --broker redis://host --listen :9100

Ctrl-C or SIGTERM stops it: running tasks may finish within the grace; once more cancels them.

Exit codes: 0 stopped or done, 1 failed, 2 wrong arguments or module, 3 ended by force.\
"""


async def _check(url: str) -> int:
    async with open_broker_url(url):
        return OK


@dataclass(frozen=True)
class _Run:
    """What the command line says."""

    target: str
    url: str
    workers: int
    processes: int
    grace: float
    burst: bool
    queues: tuple[str, ...]
    verbose: bool
    tracing: bool
    log_format: LogFormat | None
    log_level: LogLevel | None

    def command(self, *more: str) -> list[str]:
        """The command line of a child; the URL, which may hold a password, is in no argument."""
        flags = [flag for flag in ("burst", "verbose", "tracing") if getattr(self, flag)]
        logs = {"--log-format": self.log_format, "--log-level": self.log_level}
        return [
            *(sys.executable, "-m", "trioqueue", "run", self.target, "--processes", "1"),
            *("--workers", str(self.workers), "--grace", repr(self.grace)),
            *(word for name in self.queues for word in ("--queue", name)),
            *(word for place in places() for word in ("--look-in", place)),
            *(f"--{flag}" for flag in flags),
            *(word for name, value in logs.items() if value for word in (name, value)),
            *more,
        ]

    @property
    def environment(self) -> dict[str, str]:
        """What a child finds in its environment."""
        return {"TRIOQUEUE_BROKER": self.url}


def run(
    tasks: str,
    /,
    *,
    broker: BrokerOption = None,
    workers: Annotated[int, within(1, 10_000)] = 10,
    processes: Annotated[int, within(1, 1_000)] = 1,
    grace: Annotated[float, SECONDS] = 25.0,
    burst: Annotated[bool, FLAG] = False,
    queue: Annotated[tuple[str, ...], FLAG] = (),
    check: Annotated[bool, FLAG] = False,
    reload: Annotated[bool, FLAG] = False,
    reload_dir: Annotated[tuple[str, ...], FLAG] = (),
    listen: str | None = None,
    verbose: Annotated[bool, FLAG, Parameter(alias="-v")] = False,
    log_format: LogFormat | None = None,
    log_level: LogLevelOption = None,
    tracing: Annotated[bool, FLAG] = False,
    supervised_by: Annotated[int | None, Parameter(show=False), within(3)] = None,
    counting_in: Annotated[int | None, Parameter(show=False), within(3)] = None,
    look_in_: Annotated[tuple[str, ...], Parameter(name="--look-in", show=False), FLAG] = (),
) -> int:
    """Work on the tasks of a broker, until stopped or, with --burst, until nothing is left.

    Parameters
    ----------
    tasks
        MODULE:TASKS, where the TaskSet is, such as jobs:tasks.
    broker
        Where the tasks are kept, such as sqlite:///jobs.db or redis://host.
    workers
        How many tasks run at once in each process.
    processes
        How many processes. The dead are replaced.
    grace
        Seconds that running tasks get when the command is stopped. 5 s later it ends by force.
    burst
        End when no task of these types is open any more.
    queue
        Serve only this queue; may be given again for more.
    check
        Import the module, open the broker, and end: whether it would start.
    reload
        For development: restart the worker processes whenever a .py file of the module's package
        has changed. Running tasks get the grace.
    reload_dir
        Watch this directory instead, as with --reload; may be given again for more.
    listen
        HOST:PORT or :PORT (of 127.0.0.1): serve /metrics, /health/live and /health/ready there; of
        all processes together. Port 0 is any free one, which is told.
    verbose
        A line for each attempt.
    log_format
        How log lines are written to standard error: human unless your module has set logging up.
    log_level
        From which level on. INFO unless your module has set logging up.
    tracing
        OpenTelemetry: a span for each attempt, sent where the OTEL_* variables say.
    """
    stop = tally = None
    if supervised_by is not None:  # before anything else: from now on the supervisor is listened to
        tally = Tally()
        stop = Stop(grace, tally.last_words)
        stop.obey(supervised_by)
        look_in(*look_in_)
    wanted = _Run(
        tasks,
        broker_url(broker),
        workers,
        processes,
        grace,
        burst,
        queue,
        verbose,
        tracing,
        log_format,
        log_level,
    )
    check_broker_url(wanted.url)
    for name in queue:
        check_name("--queue", name)
    watched = _to_watch(tasks, reload_dir, burst=burst) if reload or reload_dir else []
    address = None if listen is None or supervised_by is not None else parse_address(listen)
    if processes > 1 or watched:
        return _supervise(wanted, check=check, watched=watched, address=address)
    task_set = load_tasks(tasks)
    log_to_stderr(log_format, log_level)
    instruments = (open_tracing(),) if tracing else ()  # after the module: it may set it up
    if check:
        return trio.run(_check, wanted.url)
    settings = WorkSettings(
        wanted.url,
        workers,
        grace,
        burst,
        queue or None,
        verbose,
        instruments,
        bar=burst and not verbose and supervised_by is None and shows_progress(),
    )
    if tally is None or stop is None:
        tally = Tally()
        stop = Stop(grace, tally.last_words)
    counting = None
    if address is not None or counting_in is not None:
        counting = Counting(task_set, address=address, memory=counting_in)
    stop.begin()
    return _run_until_ended(Work(settings, task_set, stop, tally, counting))


def _run_until_ended(work: Work) -> int:
    """An error of the user's own, in a lifespan, is more than one line can tell."""
    try:
        return trio.run(work.run)
    except (Exception, BaseExceptionGroup) as error:
        if isinstance(only(error), TrioqueueError):
            raise
        traceback.print_exception(only(error))
        return FAILED


def _to_watch(target: str, directories: Sequence[str], *, burst: bool) -> list[str]:
    """The directories of --reload; what is not there would never change."""
    if burst:
        raise Wrong("--burst ends when all is done, --reload never does: give one of them")
    for directory in directories:
        if not os.path.isdir(directory):
            msg = f"--reload-dir {directory} is no directory"
            raise Wrong(msg)
    return list(directories) or directories_of(target)


def _supervise(
    wanted: _Run, *, check: bool, watched: Sequence[str], address: Address | None
) -> int:
    """First see in a child whether one would start, then keep so many.

    Not if code is ``watched``: what is wrong with it today may be put right in a minute.
    """
    if os.name != "posix":
        msg = "--processes above 1, and --reload, need a POSIX system"
        raise Wrong(msg)
    if check or not watched:
        code = _check_in_child(wanted)
        if code != OK or check:
            return code
    log_to_stderr(wanted.log_format, wanted.log_level)
    counted = None
    if address is not None:
        from ._counted import Counted  # imports what --listen needs

        counted = Counted(wanted.url, wanted.processes)
    supervisor = Supervisor(
        wanted.command("--supervised-by"),
        wanted.processes,
        wanted.grace,
        burst=wanted.burst,
        # What is written within a second would be taken for what was compiled in that second.
        environment=wanted.environment | ({"PYTHONDONTWRITEBYTECODE": "1"} if watched else {}),
        renewals=Reload(watched).watch if watched else None,
        equip=None if counted is None else counted.equip,
    )
    if address is None or counted is None:
        return trio.run(supervisor.run)
    return trio.run(_supervise_and_tell, supervisor, address, counted)


async def _supervise_and_tell(supervisor: Supervisor, address: Address, counted: Counted) -> int:
    """Supervise, with metrics and health of all processes at one address."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(counted.keep_looking)
        async with listening(address, counted, counted.metrics):
            counted.watch(supervisor)
            code = await supervisor.run()
        nursery.cancel_scope.cancel(reason="no process is left")
    return code


def _check_in_child(wanted: _Run) -> int:
    """``--check`` in a process of its own: this one stays small, whatever the module imports."""
    theirs, ours = os.pipe()
    try:
        done = subprocess.run(
            wanted.command("--check", "--supervised-by", str(theirs)),
            stdin=subprocess.DEVNULL,
            env={**os.environ, **wanted.environment},
            start_new_session=True,  # a Ctrl-C is ours to tell
            pass_fds=[theirs],
            check=False,
        )
    finally:
        os.close(theirs)
        os.close(ours)
    return done.returncode
