"""Ending all that a store holds, as a clean worker would: the last act of every crash proof."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import trio

from ... import Lease, Move, Outcome, OutcomeKind, RemoteBroker, Settlement
from ._site import Site
from ._watched import at_work
from ._witness import Witness

#: Seconds that a drain may take before it counts as stuck.
PATIENCE: Final = 60.0
_AT_ONCE: Final = 100


async def drain_all(site: Site) -> None:
    """Open the store again, resume what is paused, and let every open task succeed.

    Raises `trio.TooSlowError` if it does not come to an end.
    """
    async with site.open_broker() as broker:
        await broker.resume()
        for queue in (await broker.paused())[1]:
            await broker.resume(queue)
        with trio.fail_after(PATIENCE):
            while room := await _room(broker):
                leases = await broker.claim(room, _AT_ONCE)
                await complete(broker, leases, site.witness)
                if not leases:
                    await trio.sleep(0.01)


async def _room(broker: RemoteBroker) -> Mapping[str, int]:
    """The types of the open tasks, with room for all of them."""
    return {lane.type: _AT_ONCE for lane in await broker.lanes()}


async def complete(broker: RemoteBroker, leases: Sequence[Lease], witness: Witness) -> None:
    """Run tasks to their success, for the witness: the work itself is nothing."""
    settlements: list[Settlement] = []
    for lease in leases:
        with at_work(witness, (lease.task.id, lease.token)):
            settlement = Settlement(lease, Move.SUCCEEDED, Outcome(OutcomeKind.RETURNED))
            settlement.result = b'{"token": %d}' % lease.token
            settlements.append(settlement)
    if settlements:
        await broker.settle(settlements)
