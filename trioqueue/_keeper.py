"""Keeping leases: prolonged three times in each, and given up when they cannot be proven.

A worker that is cut off from its broker must not go on with what somebody else may have by now. It
judges by its own clock: a lease is good for ``lease`` seconds from before the claim or renewal that
succeeded was sent, less a margin. Nobody has to be asked for that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import final

import trio

from ._broker import RemoteBroker, WorkerRecord
from ._errors import BrokerUnavailable
from ._events import logger
from ._ki import protected
from ._model import Lease
from ._patience import patiently


@final
@protected
class Keeper:
    """The leases that are held: in hand or running.

    ``ending()``: those whose end the broker has not answered yet; they are prolonged as well.
    ``on_lost(lease)`` is called for each that is held no more.
    """

    def __init__(
        self,
        broker: RemoteBroker,
        record: WorkerRecord,
        ending: Callable[[], Sequence[Lease]],
        on_lost: Callable[[Lease], object],
    ) -> None:
        self._broker = broker
        self._record = record
        self._ending = ending
        self._on_lost = on_lost
        self._held: dict[Lease, None] = {}
        self._holding = trio.Event()

    def hold(self, lease: Lease) -> None:
        """Keep it from now on."""
        self._held[lease] = None
        self._holding.set()

    def let_go(self, lease: Lease) -> None:
        """Its attempt is over."""
        self._held.pop(lease, None)

    def held(self) -> Sequence[Lease]:
        """What is held, in order of the claims."""
        return list(self._held)

    def is_proven(self, lease: Lease) -> bool:
        """Whether nobody else can have it yet, by our own clock."""
        return self._broker.lease_time() < lease.expires

    def lose(self, lease: Lease, why: str) -> None:
        """It is void: whatever the attempt does now, nothing of it is written."""
        lease.lost = True
        self.let_go(lease)
        logger.warning(
            "%r lost its lease: %s",
            lease.task,
            why,
            extra={"task_id": lease.task.id, "task_type": lease.task.type},
        )
        self._on_lost(lease)

    # --- renewal ----------------------------------------------------------------------------------

    async def renew(self) -> None:
        """Prolong what is held, and show that this process is alive, until cancelled."""
        while True:
            began = trio.current_time()
            await patiently(self.register)
            # What that took, with a broker that was away, is part of the pause.
            await trio.sleep_until(began + self._broker.lease / 3)
            await patiently(self._renew_once)

    async def _renew_once(self) -> None:
        leases = [*self._held, *self._ending()]
        if leases:
            for lease in await self._broker.renew(leases):
                if lease in self._held:  # else it was settled meanwhile, and that answer counts
                    self.lose(lease, "the broker has given it to somebody else")

    async def register(self, *, live: bool = True) -> None:
        """Tell the broker of this process."""
        await self._broker.register(replace(self._record, running=len(self._held), live=live))

    async def say_goodbye(self) -> None:
        """Tell it that this process ends. If the broker is away, it will be missed in time."""
        with suppress(BrokerUnavailable):
            await self.register(live=False)

    # --- watching ---------------------------------------------------------------------------------

    async def watch(self) -> None:
        """Give up what cannot be proven any more, whether the broker is there or not."""
        while True:
            await self._holding.wait()
            self._give_up(lease for lease in self.held() if not self.is_proven(lease))
            if not self._held:
                self._holding = trio.Event()
                continue
            soonest = min(lease.expires for lease in self._held) - self._broker.lease_time()
            # At least four looks in each lease: Trio's clock may stand still while a machine
            # sleeps, and the lease's does not.
            await trio.sleep(min(max(soonest, 0.0), self._broker.lease / 4))

    def _give_up(self, leases: Iterable[Lease]) -> None:
        for lease in list(leases):
            self.lose(lease, "it could not be renewed in time")
