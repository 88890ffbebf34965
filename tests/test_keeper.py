"""Renewing leases: a broker that is away for a while costs no lease that could be kept."""

from collections.abc import Collection
from typing import cast

import trio
from trio.testing import MockClock

from trioqueue import Lease, Options, RemoteBroker, Task, WorkerRecord
from trioqueue._keeper import Keeper

LEASE = 30.0
RECORD = WorkerRecord("w", "here", 1, 1, ("work",), None, 0.0)


class Away:
    """A broker that is not there from 1 to 21: whoever has asked by then hears of it at 21."""

    lease = LEASE

    def __init__(self) -> None:
        self.renewed: list[float] = []

    def lease_time(self) -> float:
        return trio.current_time()

    async def register(self, worker: WorkerRecord) -> None:
        await self._answer()

    async def renew(self, leases: Collection[Lease]) -> Collection[Lease]:
        sent = trio.current_time()
        await self._answer()
        self.renewed.append(trio.current_time())
        for lease in leases:
            lease.expires = sent + LEASE
        return []

    async def _answer(self) -> None:
        await trio.sleep_until(21.0 if 1.0 <= trio.current_time() < 21.0 else 0.0)


def held(expires: float) -> Lease:
    lease = Lease(Task("a", "work", (), {}, Options()), 1, 0.0)
    lease.expires = expires
    return lease


async def test_a_lease_that_lasts_longer_than_the_broker_is_away_is_kept(autojump_clock: MockClock):
    broker, lost = Away(), list[Lease]()
    keeper = Keeper(cast("RemoteBroker", broker), RECORD, list, lost.append)
    await trio.sleep(1.0)
    keeper.hold(held(LEASE))
    with trio.move_on_after(99.0):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keeper.renew)
            nursery.start_soon(keeper.watch)
    assert broker.renewed
    assert lost == []
