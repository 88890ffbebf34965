"""Telling a broker elsewhere how attempts ended: whatever has finished, in one go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, final

import trio

from ._broker import RemoteBroker
from ._events import logger
from ._ki import protected
from ._model import Lease, Move, Settlement, Task
from ._patience import patiently

#: Settlements in one call: what one transaction does without holding up everybody else.
BATCH: Final = 1_000


@final
@protected
class Committer:
    """Settles in batches, in order, until the broker has answered for each.

    A worker does not wait for it: its next task begins while the last one is being settled.
    ``on_dead(task)`` is called for each task whose dead letter is stored.
    """

    def __init__(self, broker: RemoteBroker, on_dead: Callable[[Task], object]) -> None:
        self._broker = broker
        self._on_dead = on_dead
        self._waiting: list[Settlement] = []
        self._under_way: list[Settlement] = []
        self._wanted = trio.Event()
        self._answered = trio.Event()
        self._over = False

    def add(self, settlement: Settlement) -> None:
        """An attempt has ended; the broker is told as soon as may be."""
        self._waiting.append(settlement)
        self._wanted.set()

    def unsettled(self) -> Sequence[Settlement]:
        """What the broker has not answered yet."""
        return (*self._under_way, *self._waiting)

    def leases(self) -> Sequence[Lease]:
        """The leases of what the broker has not answered yet: they must be kept alive so long."""
        return [settlement.lease for settlement in self.unsettled()]

    async def flush(self) -> None:
        """Wait until the broker has answered for everything, or `run` has ended."""
        while not self._over and self.unsettled():
            await self._answered.wait()

    async def run(self) -> None:
        """Settle until cancelled. Cancelled in a call: applied or not, and never reported."""
        try:
            while True:
                await self._wanted.wait()
                self._under_way, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
                answers = await patiently(lambda: self._broker.settle(self._under_way))
                batch, self._under_way = self._under_way, []
                self._conclude(batch, answers)
                if not self._waiting:
                    self._wanted = trio.Event()
                self._tell()
        finally:
            self._over = True
            self._tell()

    def _tell(self) -> None:
        self._answered.set()
        self._answered = trio.Event()

    def _conclude(self, batch: Sequence[Settlement], answers: Sequence[bool]) -> None:
        for settlement, kept in zip(batch, answers, strict=True):
            task = settlement.lease.task
            if not kept:
                logger.warning(
                    "%r ended with %r after its lease was lost: nothing was written",
                    task,
                    settlement.outcome,
                    extra={"task_id": task.id, "task_type": task.type},
                )
            elif settlement.move is Move.DIED:
                self._on_dead(task)
