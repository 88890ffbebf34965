"""Where a scenario is played and struck: its files, its probe, its clocks, its way to a broker."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from ... import RemoteBroker
from . import _records as r
from ._watched import WatchedBroker
from ._witness import Witness, boottime

#: The ways in which a process ends itself: no clean-up of Python's, or none at all.
WAYS: Final = ("exit", "kill")

#: The exit code of a process that struck itself.
STRUCK: Final = 86


class Strike(NamedTuple):
    """Die in the ``passage``-th passage (from 1) of ``point``, in one of the ``WAYS``."""

    point: str
    passage: int
    way: str

    def __str__(self) -> str:
        return f"{self.point} #{self.passage} ({self.way})"


class Probe:
    """What a broker calls at each of its points: counts, and at the one that was chosen, ends."""

    def __init__(self, strike: Strike | None, last_words: Callable[[str], None]) -> None:
        self.passages: Counter[str] = Counter()
        self._strike = strike
        self._last_words = last_words
        self._lock = threading.Lock()  # points are in the broker's thread and in Trio's

    def __call__(self, point: str) -> None:
        with self._lock:
            self.passages[point] += 1
            if self._strike and self._strike[:2] == (point, self.passages[point]):
                self._die(self._strike.way)

    def _die(self, way: str) -> None:
        self._last_words(way)
        if way == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(STRUCK)


class Site:
    """What a scenario of `crash_everywhere` is handed.

    ``path``: of the store, in a directory of its own. ``probe``: to be given to the broker, and to
    be called by the scenario at points of its own. ``lease``: how long one lasts, in seconds.
    ``witness``: who writes down what happens. ``ahead``: by how many seconds the clocks are ahead
    of the machine's.
    """

    def __init__(
        self,
        directory: Path,
        file: int,
        process: str,
        opener: Opener,
        lease: float,
        strike: Strike | None = None,
        ahead: float = 0.0,
    ) -> None:
        self.path = directory / "store"
        self.lease = lease
        self.ahead = ahead
        self.witness = Witness(file, process, self.lease_clock)
        self.probe = Probe(strike, self._last_words)
        self._opener = opener

    def open_broker(self, **options: Any) -> AbstractAsyncContextManager[RemoteBroker]:
        """A broker on the store, under the eyes of the witness. ``options``: the opener's."""
        return self._open(options)

    @asynccontextmanager
    async def _open(self, options: dict[str, Any]) -> AsyncGenerator[RemoteBroker]:
        async with self._opener(self, **options) as inner:
            yield WatchedBroker(inner, self.witness).broker

    def advance(self, seconds: float) -> None:
        """Let time pass, for the broker and for the witness."""
        self.ahead += seconds

    def lease_clock(self) -> float:
        """Seconds on the boot-time clock, ahead by what is said to have passed."""
        return boottime() + self.ahead

    def wall_clock(self) -> float:
        """Unix time, ahead by what is said to have passed."""
        return time.time() + self.ahead

    def _last_words(self, way: str) -> None:
        self.witness.write(r.Killed(self.witness.now(), self.witness.process, way))


#: Opens a broker on a site's store, by its probe and its clocks.
Opener: TypeAlias = Callable[..., AbstractAsyncContextManager[RemoteBroker]]
#: What is played on a site: a scenario, or the drain after it.
Scene: TypeAlias = Callable[[Site], Awaitable[None]]


@asynccontextmanager
async def open_sqlite(site: Site, **options: Any) -> AsyncGenerator[RemoteBroker]:
    """The opener of SQLite brokers. ``options``: those of ``open_sqlite_broker``."""
    from ...brokers._sqlite import open_sqlite_broker

    options = {"lease": site.lease, **options}
    async with open_sqlite_broker(
        site.path,
        probe=site.probe,
        lease_clock=site.lease_clock,
        wall_clock=site.wall_clock,
        **options,
    ) as broker:
        yield broker
