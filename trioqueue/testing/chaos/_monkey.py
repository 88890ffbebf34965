"""The monkey: kills, stops and asks the processes of a run, by what it draws from a seed."""

from __future__ import annotations

import os
import random
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
from ._crew import Setup, heed_requests, preload, supply, work
from ._fork import fork, tail
from ._witness import Witness

#: How often each is drawn.
_MISCHIEF: Final = {"kill": 3, "stop": 4, "ask": 2}
#: Seconds that a process may take to end when it was asked to, beyond its grace.
_PATIENCE: Final = 30.0
_TICK: Final = 0.01

_Role = Callable[[Setup, str], Coroutine[Any, Any, None]]


def _live(role: _Role, setup: Setup, name: str) -> None:
    heed_requests()
    trio.run(role, setup, name)


@dataclass
class _Process:
    name: str
    pid: int
    role: _Role
    stopped_until: float = inf  # it is stopped, if this is not infinite
    asked_at: float = inf
    killed: bool = False

    @property
    def stopped(self) -> bool:
        return self.stopped_until < inf


@dataclass
class Monkey:
    """Keeps the processes of a run alive, and strikes them. For a process without threads.

    ``done``: what it did, by kind. ``wrong``: processes that ended as they must not, in words.
    """

    setup: Setup
    witness: Witness
    done: Counter[str] = field(default_factory=Counter[str])
    wrong: list[str] = field(default_factory=list[str])
    _crew: dict[int, _Process] = field(default_factory=dict[int, _Process])
    _started: int = 0

    def run(self) -> None:
        """Start everything, do as much mischief as was asked for, and end everything in order."""
        preload()
        chance = random.Random(self.setup.seed)
        for role, count in (work, self.setup.workers), (supply, self.setup.producers):
            for _ in range(count):
                self._start(role)
        try:
            self._rest(1.0)
            while self._strikes() < self.setup.strikes:
                self._rest(chance.expovariate(1 / (0.15 * self.setup.lease)))
                self._strike(chance)
            self._rest(1.0)
            self._end()
        finally:
            for process in self._crew.values():
                os.kill(process.pid, signal.SIGKILL)

    def _strikes(self) -> int:
        return sum(self.done[kind] for kind in _MISCHIEF)

    def _rest(self, seconds: float) -> None:
        """Let time pass; what has died is replaced, and what was stopped goes on in its time."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(_TICK, left))
            self._look_after()
            for process in list(self._crew.values()):
                if time.monotonic() > process.stopped_until:
                    self._go_on(process)

    # --- processes -----------------------------------------------------------------------------

    def _start(self, role: _Role) -> None:
        self._started += 1
        name = f"{role.__name__} {self._started}"
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        pid = fork(
            partial(_live, role, self.setup, name), self.setup.directory / name.replace(" ", "-")
        )
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        self._crew[pid] = _Process(name, pid, role)

    def _look_after(self, *, replace: bool = True) -> None:
        """Replace what has died; kill what does not end."""
        while self._crew:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            process = self._crew.pop(pid)
            code = os.waitstatus_to_exitcode(status)
            self.witness.write(r.Died(self.witness.now(), process.name, code))
            self._judge(process, code)
            if replace:
                self._start(process.role)
        for process in self._crew.values():
            late = time.monotonic() - process.asked_at - self.setup.grace
            if late > _PATIENCE and not process.killed:
                self.wrong.append(f"{process.name} did not end {_PATIENCE} s after its grace")
                self._kill(process)

    def _judge(self, process: _Process, code: int) -> None:
        expected = code == 0 and process.asked_at < inf
        if not process.killed and not expected:
            output = tail(self.setup.directory / process.name.replace(" ", "-"))
            self.wrong.append(f"{process.name} ended with {code}:\n{output}")

    # --- mischief ------------------------------------------------------------------------------

    def _strike(self, chance: random.Random) -> None:
        (kind,) = chance.choices(list(_MISCHIEF), list(_MISCHIEF.values()))
        process = self._pick(chance)
        if process.killed:
            return
        if kind == "kill":
            self._kill(process)
        elif kind == "ask" and not process.stopped and process.asked_at == inf:
            self._ask(process)
        elif kind == "stop" and not process.stopped:
            self._stop(process, self.setup.lease * chance.uniform(1.1, 2.5))

    def _pick(self, chance: random.Random) -> _Process:
        """Mostly a worker: they have more to lose."""
        crew = list(self._crew.values())
        return chance.choices(crew, [3 if each.role is work else 1 for each in crew])[0]

    def _kill(self, process: _Process) -> None:
        self.witness.write(r.Killed(self.witness.now(), process.name, "kill"))
        process.killed = True
        os.kill(process.pid, signal.SIGKILL)
        self.done["kill"] += 1

    def _ask(self, process: _Process) -> None:
        self.witness.write(r.Asked(self.witness.now(), process.name))
        process.asked_at = time.monotonic()
        os.kill(process.pid, signal.SIGTERM)
        self.done["ask"] += 1

    def _stop(self, process: _Process, seconds: float) -> None:
        self.witness.write(r.Stopped(self.witness.now(), process.name))
        process.stopped_until = time.monotonic() + seconds
        os.kill(process.pid, signal.SIGSTOP)
        self.done["stop"] += 1

    def _go_on(self, process: _Process) -> None:
        self.witness.write(r.Continued(self.witness.now(), process.name))
        process.stopped_until = inf
        os.kill(process.pid, signal.SIGCONT)
        self.done["continue"] += 1

    # --- the end -------------------------------------------------------------------------------

    def _end(self) -> None:
        """Let all go on, and ask all to stop: producers first, so that nothing new comes."""
        for role in supply, work:
            for process in list(self._crew.values()):
                if process.role is role:
                    if process.stopped:
                        self._go_on(process)
                    if process.asked_at == inf and not process.killed:
                        self._ask(process)
            while any(process.role is role for process in self._crew.values()):
                time.sleep(_TICK)
                self._look_after(replace=False)
