"""Brokers that are broken on purpose, each in one way, and what is to be found out about it."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager

from trioqueue import Lease, Move, Outcome, OutcomeKind, QueueClosed, RemoteBroker, Settlement, Task
from trioqueue.testing.chaos import Site, Through, open_sqlite


class Mutant(Through):
    """A broker with something wrong in front of one with nothing wrong."""

    @classmethod
    @asynccontextmanager
    async def open(cls, site: Site, **options: object) -> AsyncIterator[RemoteBroker]:
        async with open_sqlite(site, **options) as inner:
            yield cls(inner).broker


class SaysYesTooSoon(Mutant):
    """Accepts tasks in memory, and stores them when somebody asks for some."""

    def __init__(self, inner: RemoteBroker) -> None:
        super().__init__(inner)
        self._later: list[Task] = []

    async def publish(
        self, tasks: Sequence[Task], closed: Callable[[], bool] | None = None
    ) -> Sequence[Task]:
        self._later += tasks
        return tasks

    async def wait_ready(
        self, types: Collection[str] | None = None, queues: Collection[str] | None = None
    ) -> None:
        await self._store()
        await self.inner.wait_ready(types, queues)

    async def claim(
        self, room: Mapping[str, int], most: int, queues: Collection[str] | None = None
    ) -> Sequence[Lease]:
        await self._store()
        return await self.inner.claim(room, most, queues)

    async def _store(self) -> None:
        for task in self._later:
            await self.inner.publish([task])
        self._later.clear()


class RefusesWhatItKeeps(Mutant):
    """Stores tasks, and says that it did not."""

    async def publish(
        self, tasks: Sequence[Task], closed: Callable[[], bool] | None = None
    ) -> Sequence[Task]:
        await self.inner.publish(tasks, closed)
        raise QueueClosed


class SettlesFirst(Mutant):
    """Settles what is claimed before it has run, as brokers do that deliver at most once."""

    async def claim(
        self, room: Mapping[str, int], most: int, queues: Collection[str] | None = None
    ) -> Sequence[Lease]:
        leases = await self.inner.claim(room, most, queues)
        await self.inner.settle(
            [Settlement(each, Move.SUCCEEDED, Outcome(OutcomeKind.RETURNED)) for each in leases]
        )
        return leases

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[bool]:
        return [True] * len(settlements)

    async def renew(self, leases: Collection[Lease]) -> Collection[Lease]:
        return []


class SettlesNothing(Mutant):
    """Says that a success at the first delivery is kept, and forgets it."""

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[bool]:
        kept = [
            each for each in settlements if each.move is not Move.SUCCEEDED or each.lease.token > 1
        ]
        await self.inner.settle(kept)
        return [True] * len(settlements)


class RenewsNothing(Mutant):
    """Says that a lease is longer than it is."""

    async def renew(self, leases: Collection[Lease]) -> Collection[Lease]:
        for lease in leases:
            lease.expires = self.inner.lease_time() + self.inner.lease
        return []


class HasNoFence(Mutant):
    """Takes whoever settles for the one who holds the task now."""

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[bool]:
        return [(await self._settle(each)) for each in settlements]

    async def _settle(self, settlement: Settlement) -> bool:
        lease = settlement.lease
        task = await self.inner.get(lease.task.id)
        if task is not None and task.deliveries != lease.token:
            forged = Lease(lease.task, task.deliveries, lease.started_at)
            forged.expires = lease.expires
            copy = Settlement(
                forged, settlement.move, settlement.outcome, settlement.delay, settlement.failed
            )
            copy.result = settlement.result
            settlement = copy
        (done,) = await self.inner.settle([settlement])
        return done


class LimitsNothing(Mutant):
    """Lets each process count for itself how many tasks of a type may run at once."""

    def limit_fleet(self, limits: Mapping[str, int]) -> None:
        self.inner.limit_fleet({})
