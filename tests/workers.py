"""Worker processes under test: started, read line by line, signalled; and the file they work on."""

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from unittest.mock import patch

import pytest
import trio

import trioqueue
from trioqueue.cli._app import run as run_here

from . import cli_jobs
from .command import MODULE, PATIENCE, run, start

JOBS = "tests.cli_jobs:tasks"
#: Soon noticed when a worker is killed, and long enough for a machine that has other work to do.
LEASE = 3


class Site:
    """A directory with a broker's file and a ledger in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ledger = path / "ledger"
        self.variables = {
            "TRIOQUEUE_BROKER": f"sqlite:///jobs.db?lease={LEASE}",
            "LEDGER": str(self.ledger),
        }

    def command(self, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """``trioqueue ARGUMENTS``, here, to its end."""
        return run(*arguments, cwd=self.path, **(self.variables | changes))

    def here(self, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """The same in this process: a tenth of the time. Not for what works or is signalled."""
        output, errors = io.StringIO(), io.StringIO()
        with (
            contextlib.chdir(self.path),
            patch.dict(os.environ, self.variables | changes),
            patch.object(sys, "path", list(sys.path)),
            patch.object(sys, "stdin", io.StringIO()),
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(errors),
        ):
            code = run_here(arguments)
        return subprocess.CompletedProcess(arguments, code, output.getvalue(), errors.getvalue())

    def publish(self, name: str, *arguments: str) -> list[str]:
        """Publish, and the ids."""
        done = self.here("publish", JOBS, name, *arguments)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.split()

    def work(self, workers: int = 4) -> None:
        """Work in this process until nothing is open."""

        async def burst() -> None:
            async with trioqueue.open_queue(
                cli_jobs.tasks, broker=self.variables["TRIOQUEUE_BROKER"], workers=workers
            ) as queue:
                await queue.drain()

        with contextlib.chdir(self.path), patch.dict(os.environ, self.variables):
            trio.run(burst)

    def counts(self) -> dict[str, int]:
        """Where the tasks are, without the places where none is; and that the sum is right."""
        counts = self.status()["counts"]
        places = {
            name: number
            for name, number in counts.items()
            if name not in {"submitted", "moves", "capacity", "waiting_submitters"}
        }
        assert counts["submitted"] == sum(places.values())
        return {name: number for name, number in places.items() if number}

    def status(self) -> dict[str, Any]:
        """What ``status --json`` says."""
        done = self.here("status", "--json")
        assert (done.returncode, done.stderr) == (0, "")
        seen: dict[str, Any] = json.loads(done.stdout)
        return seen

    def moves(self, name: str) -> int:
        """How often something happened."""
        number: int = self.status()["counts"]["moves"][name]
        return number

    def noted(self) -> Counter[int]:
        """How often each number is in the ledger."""
        return Counter(int(line.split()[0]) for line in self.ledger.read_text().splitlines())

    @contextmanager
    def workers(self, *arguments: str, jobs: str = JOBS, **changes: str) -> Iterator["Workers"]:
        """``trioqueue run ARGUMENTS``, here, for as long as the block lasts."""
        variables = self.variables | changes
        with start(*MODULE, "run", jobs, *arguments, cwd=self.path, **variables) as process:
            try:
                yield Workers(process)
            finally:
                process.kill()


class Workers:
    """``trioqueue run``, as it runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.output = self.errors = ""

    def until_told(self, pattern: str) -> re.Match[str]:
        """Read standard output, where handlers tell, up to a line that matches."""
        assert self.process.stdout is not None
        text, found = self._read(self.process.stdout, pattern)
        self.output += text
        return found

    def until_logged(self, pattern: str) -> re.Match[str]:
        """Read the log up to a line that matches."""
        assert self.process.stderr is not None
        text, found = self._read(self.process.stderr, pattern)
        self.errors += text
        return found

    @staticmethod
    def _read(stream: Any, pattern: str) -> tuple[str, re.Match[str]]:
        lines = ""
        for line in stream:
            lines += line
            found = re.search(pattern, line)
            if found is not None:
                return lines, found
        pytest.fail(f"the output ended before {pattern!r}: {lines}")

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the command."""
        self.process.send_signal(number)

    def end(self) -> int:
        """Wait for its end, and everybody's who has its output open; returns the exit code."""
        # Not by `communicate`, which does not see what was read ahead with the last line.
        rest: dict[str, str] = {}

        def read(name: str, stream: IO[str]) -> None:
            rest[name] = stream.read()

        streams = {"output": self.process.stdout, "errors": self.process.stderr}
        threads = [
            threading.Thread(target=read, args=item, daemon=True) for item in streams.items()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "somebody has the output open still"
        self.output += rest["output"]
        self.errors += rest["errors"]
        return self.process.wait(PATIENCE)


def is_alive(pid: int) -> bool:
    """Whether there is such a process, not counting one that nobody has waited for."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def kill(pid: int) -> None:
    """SIGKILL."""
    os.kill(pid, signal.SIGKILL)
