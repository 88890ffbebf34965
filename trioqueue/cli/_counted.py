"""Metrics and health of several worker processes at one address: that of their supervisor.

Each place for a process has memory of its own, which the supervisor makes, hands down as an open
file without a name, and reads. So a count never goes back, however a process dies: its successor
has the same memory and goes on. Depth, age and workers are the broker's to tell, and are asked for
by the supervisor itself.
"""

from __future__ import annotations

import logging
import mmap
import os
import tempfile
import time
from collections.abc import Sequence
from itertools import count
from typing import Any, Final, cast, final

import trio

from .. import BrokerUnavailable, Inspector
from ..brokers._url import open_broker_url
from ..observe import Metrics
from ..observe._metrics import DURATION_BUCKETS, LANES, WAITING_BUCKETS
from ..observe._metrics_cells import Cells, Form, add_up
from ..web._operations import OperatedBroker
from ._supervisor import Supervisor

logger = logging.getLogger("trioqueue.run")

#: Of the histograms of all processes: they are added up.
FORM: Final = Form(tuple(map(float, WAITING_BUCKETS)), tuple(map(float, DURATION_BUCKETS)), LANES)

#: Seconds without a sign of life after which the event loop of a process must hang.
SILENCE: Final = 30.0
#: Seconds until the broker is tried again, and after how many trials in vain that is told: the
#: first worker may be about to make the file.
AGAIN: Final = 1.0
TRIALS: Final = 10


def shared_cells(memory: int) -> Cells:
    """The cells in memory that is known by its descriptor."""
    os.set_inheritable(memory, False)  # not for processes that handlers start
    mapped = mmap.mmap(memory, FORM.size)
    os.close(memory)
    return Cells(FORM, memoryview(mapped))


def new_memory() -> int:
    """The descriptor of zeroed memory that can be handed down."""
    if hasattr(os, "memfd_create"):
        memory = os.memfd_create("trioqueue-metrics")
    else:
        with tempfile.TemporaryFile() as file:
            memory = os.dup(file.fileno())
    os.truncate(memory, FORM.size)
    return memory


@final
class Counted:
    """See `Operated`: the processes of a supervisor, as one."""

    def __init__(self, broker: str, places: int) -> None:
        self._broker = broker
        self._memories = [new_memory() for _ in range(places)]
        self._cells = [shared_cells(os.dup(memory)) for memory in self._memories]
        self._inspector: Inspector = cast("Inspector", _Away())
        self._supervisor: Supervisor | None = None
        self.metrics: Final = Metrics()
        self.metrics._tell_of(lambda: add_up(cells.lanes() for cells in self._cells))

    def equip(self, number: int) -> tuple[Sequence[str], Sequence[int]]:
        """What the process of a place (from 1) gets: arguments, and descriptors."""
        memory = self._memories[number - 1]
        return ("--counting-in", str(memory)), (memory,)

    def watch(self, supervisor: Supervisor) -> None:
        """Whose processes they are."""
        self._supervisor = supervisor

    async def keep_looking(self) -> None:
        """Keep the broker open, to be looked at; it may be away when this begins."""
        for trial in count(1):
            try:
                async with open_broker_url(self._broker, create=False) as inspector:
                    self._inspector = inspector
                    await trio.sleep_forever()
            except* Exception as errors:
                if trial == TRIALS:
                    logger.warning("metrics do without the broker: %s", errors.exceptions[0])
            finally:
                self._inspector = cast("Inspector", _Away())
            await trio.sleep(AGAIN)

    async def not_live(self) -> Sequence[str]:
        """See `Operated`. One process that hangs is no reason to restart the others."""
        hanging = [why for why in self._silent() if "heard of" in why]
        return hanging if hanging and len(hanging) == len(self._cells) else ()

    async def not_ready(self, patience: float) -> Sequence[str]:
        """See `Operated`. Every process works, none hangs."""
        if self._supervisor is None:
            return ["starting"]
        if self._supervisor.stopping:
            return ["stopping"]
        silent = self._silent()
        return silent or await OperatedBroker(self._inspector).not_ready(patience)

    def _silent(self) -> Sequence[str]:
        """The processes that do not work, and why not."""
        reasons: list[str] = []
        if self._supervisor is None:
            return reasons
        now = time.monotonic()
        for number, pid in self._supervisor.places():
            heard = None if pid is None else self._cells[number - 1].heard_of(pid)
            if pid is None:
                reasons.append(f"process {number} is not there")
            elif heard is None:
                reasons.append(f"process {number} is starting")
            elif now - heard > SILENCE:
                reasons.append(f"process {number} was not heard of for {now - heard:.0f} s")
        return reasons

    async def look(self, metrics: Metrics, patience: float) -> None:
        """See `Operated`."""
        await OperatedBroker(self._inspector).look(metrics, patience)


class _Away:
    """Stands for a broker that could not be opened yet."""

    def __getattr__(self, name: str) -> Any:
        async def fail() -> None:
            await trio.lowlevel.checkpoint()
            raise BrokerUnavailable("it could not be opened yet")

        return fail
