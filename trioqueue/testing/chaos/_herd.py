"""The processes of a run, kept alive: whoever dies is replaced, and takes over its place."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from math import inf
from typing import Any, Final

import trio

from . import _records as r
from ._crew import Setup, heed_requests
from ._fork import fork, tail
from ._store import Live
from ._witness import Witness

#: Seconds that a process may take to end when it was asked to, beyond its grace.
_PATIENCE: Final = 30.0

Role = Callable[[Setup, str, str], Coroutine[Any, Any, None]]


def _live(role: Role, setup: Setup, name: str, address: str) -> None:
    heed_requests()
    trio.run(role, setup, name, address)


@dataclass
class Process:
    """One start of one process. ``slot``: its place, which the one that replaces it has."""

    name: str
    pid: int
    role: Role
    slot: int
    stopped_until: float = inf  # it is stopped, if this is not infinite
    asked_at: float = inf
    killed: bool = False

    @property
    def stopped(self) -> bool:
        """Whether it is stopped."""
        return self.stopped_until < inf


@dataclass
class Herd:
    """For a process without threads: it forks. ``done`` and ``wrong``: see `Monkey`."""

    setup: Setup
    live: Live
    witness: Witness
    done: Counter[str] = field(default_factory=Counter[str])
    wrong: list[str] = field(default_factory=list[str])
    crew: dict[int, Process] = field(default_factory=dict[int, Process])
    _started: int = 0

    def start(self, role: Role, slot: int) -> None:
        """Start a process in a slot."""
        self._started += 1
        name = f"{role.__name__} {self._started}"
        self.live.occupied(slot, name)
        act = partial(_live, role, self.setup, name, self.live.address(slot))
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        pid = fork(act, self.setup.directory / name.replace(" ", "-"))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        self.crew[pid] = Process(name, pid, role, slot)

    def look_after(self, *, replace: bool = True) -> None:
        """Replace what has died; kill what does not end; let go on what was stopped long enough."""
        for process in list(self.crew.values()):
            self._bury(process, replace)
        for process in list(self.crew.values()):
            late = time.monotonic() - process.asked_at - self.setup.grace
            if late > _PATIENCE and not process.killed:
                self.wrong.append(f"{process.name} did not end {_PATIENCE} s after its grace")
                self.kill(process)
            if time.monotonic() > process.stopped_until:
                self.go_on(process)

    def _bury(self, process: Process, replace: bool) -> None:
        pid, status = os.waitpid(process.pid, os.WNOHANG)
        if not pid:
            return
        del self.crew[pid]
        code = os.waitstatus_to_exitcode(status)
        self.witness.write(r.Died(self.witness.now(), process.name, code))
        expected = code == 0 and process.asked_at < inf
        if not process.killed and not expected:
            output = tail(self.setup.directory / process.name.replace(" ", "-"))
            self.wrong.append(f"{process.name} ended with {code}:\n{output}")
        if replace:
            self.start(process.role, process.slot)

    # --- signals -------------------------------------------------------------------------------

    def kill(self, process: Process) -> None:
        """SIGKILL."""
        self.witness.write(r.Killed(self.witness.now(), process.name, "kill"))
        process.killed = True
        os.kill(process.pid, signal.SIGKILL)
        self.done["kill"] += 1

    def ask(self, process: Process) -> None:
        """SIGTERM: it has its grace."""
        self.witness.write(r.Asked(self.witness.now(), process.name))
        process.asked_at = time.monotonic()
        os.kill(process.pid, signal.SIGTERM)
        self.done["ask"] += 1

    def stop(self, process: Process, seconds: float) -> None:
        """SIGSTOP, for so long."""
        self.witness.write(r.Stopped(self.witness.now(), process.name))
        process.stopped_until = time.monotonic() + seconds
        os.kill(process.pid, signal.SIGSTOP)
        self.done["stop"] += 1

    def go_on(self, process: Process) -> None:
        """SIGCONT."""
        self.witness.write(r.Continued(self.witness.now(), process.name))
        process.stopped_until = inf
        os.kill(process.pid, signal.SIGCONT)
        self.done["continue"] += 1
