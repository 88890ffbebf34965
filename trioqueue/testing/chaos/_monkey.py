"""The monkey: strikes the processes of a run and their store, by what it draws from a seed."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from math import inf
from typing import Final

from ._crew import Setup, supply, work
from ._herd import Herd, Process
from ._store import Live
from ._witness import Witness

#: How often each is drawn that is done to processes.
_MISCHIEF: Final = {"kill": 3.0, "stop": 4.0, "ask": 2.0}
_TICK: Final = 0.01


class Monkey:
    """Keeps the processes of a run alive, and strikes them. For a process without threads.

    ``done``: what it did, by kind. ``wrong``: processes that ended as they must not, in words.
    """

    def __init__(self, setup: Setup, live: Live, witness: Witness) -> None:
        self._setup = setup
        self._live = live
        self._herd = Herd(setup, live, witness)
        self._mischief = {**_MISCHIEF, **live.mischief}
        self.done: Counter[str] = self._herd.done
        self.wrong: list[str] = self._herd.wrong
        self._strikes = 0

    def run(self) -> None:
        """Start everything, do as much mischief as was asked for, and end everything in order."""
        setup = self._setup
        setup.store.preload()
        chance = random.Random(setup.seed)
        for slot, role in enumerate([work] * setup.workers + [supply] * setup.producers):
            self._herd.start(role, slot)
        try:
            self._rest(1.0)
            while self._strikes < setup.strikes:
                self._rest(chance.expovariate(1 / (0.15 * setup.lease)))
                self._strikes += self._strike(chance)
            self._rest(1.0)
            self._end()
        finally:
            for process in self._herd.crew.values():
                os.kill(process.pid, signal.SIGKILL)

    def _rest(self, seconds: float) -> None:
        """Let time pass; what has died is replaced, and what was struck goes on in its time."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(_TICK, left))
            self._live.look_after()
            self._herd.look_after()

    # --- mischief ------------------------------------------------------------------------------

    def _strike(self, chance: random.Random) -> bool:
        """Whether there was anything left to strike."""
        (kind,) = chance.choices(list(self._mischief), list(self._mischief.values()))
        process = self._pick(chance)
        if kind not in _MISCHIEF:
            if done := self._live.strike(kind, process.slot, chance):
                self.done[done] += 1
            return bool(done)
        if process.killed:
            return False
        if kind == "kill":
            self._herd.kill(process)
        elif kind == "ask" and not process.stopped and process.asked_at == inf:
            self._herd.ask(process)
        elif kind == "stop" and not process.stopped:
            self._herd.stop(process, self._setup.lease * chance.uniform(1.1, 2.5))
        else:
            return False
        return True

    def _pick(self, chance: random.Random) -> Process:
        """Mostly a worker: they have more to lose."""
        crew = list(self._herd.crew.values())
        return chance.choices(crew, [3 if each.role is work else 1 for each in crew])[0]

    # --- the end -------------------------------------------------------------------------------

    def _end(self) -> None:
        """Let all go on, and ask all to stop: producers first, so that nothing new comes."""
        self._live.calm()
        herd = self._herd
        for role in supply, work:
            for process in list(herd.crew.values()):
                if process.role is role:
                    if process.stopped:
                        herd.go_on(process)
                    if process.asked_at == inf and not process.killed:
                        herd.ask(process)
            while any(process.role is role for process in herd.crew.values()):
                time.sleep(_TICK)
                herd.look_after(replace=False)
