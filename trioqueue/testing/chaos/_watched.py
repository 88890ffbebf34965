"""Under a witness's eyes: what a process asks of its broker, and what its handlers do."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import trio

from ... import KeyTaken, Lease, QueueClosed, RemoteBroker, Settlement, Task, current_task
from . import _records as r
from ._through import Through
from ._witness import Witness


class WatchedBroker(Through):
    """Writes down each call that matters: before it is made, and when it has been answered.

    ``certain``: a submit that was cancelled has accepted nothing. Over a network nobody knows.
    """

    def __init__(self, inner: RemoteBroker, witness: Witness, *, certain: bool = True) -> None:
        super().__init__(inner)
        self._witness = witness
        self._certain = (trio.Cancelled, QueueClosed) if certain else (QueueClosed,)
        self._unheard: float | None = None  # when the first of the claims without answer was begun

    def _stamp(self) -> tuple[float, str]:
        return self._witness.now(), self._witness.process

    def _until(self, lease: Lease) -> float:
        """When a lease expires, on the witness's clock."""
        return self._witness.now() + lease.expires - self.inner.lease_time()

    async def publish(
        self, tasks: Sequence[Task], closed: Callable[[], bool] | None = None
    ) -> Sequence[Task]:
        """See `Broker`."""
        ids = [task.id for task in tasks]
        self._witness.write(*(r.Submitting(*self._stamp(), each) for each in ids))
        try:
            there = await self.inner.publish(tasks, closed)
        except self._certain as error:
            # Nothing was accepted, says the contract. After any other error nobody knows.
            why = type(error).__name__
            self._witness.write(*(r.Refused(*self._stamp(), each, why) for each in ids))
            raise
        answers = zip(ids, (task.id for task in there), strict=True)
        self._witness.write(*(self._answer(*answer) for answer in answers))
        return there

    def _answer(self, asked: str, got: str) -> r.Record:
        if asked == got:
            return r.Accepted(*self._stamp(), asked)
        return r.Refused(*self._stamp(), asked, f"merged into {got}")

    async def claim(
        self, room: Mapping[str, int], most: int, queues: Collection[str] | None = None
    ) -> Sequence[Lease]:
        """See `Broker`."""
        since = self._witness.now()
        answered = False
        try:
            leases = await self.inner.claim(room, most, queues)
            answered = self._witness.now() < since + self.inner.lease / 4
        finally:
            if not answered:
                self._witness.write(r.Unheard(*self._stamp(), since))
                self._unheard = since if self._unheard is None else self._unheard
        # A broker may answer for the claims before this one as well.
        since = since if self._unheard is None else self._unheard
        self._unheard = None
        self._witness.write(
            *(
                r.Claimed(*self._stamp(), lease.task.id, lease.token, since, self._until(lease))
                for lease in leases
            )
        )
        return leases

    async def renew(self, leases: Collection[Lease]) -> Collection[Lease]:
        """See `Broker`."""
        keys = [(lease.task.id, lease.token) for lease in leases]
        self._witness.write(*(r.Renewing(*self._stamp(), *key) for key in keys))
        lost = await self.inner.renew(leases)
        records: list[r.Record] = []
        for lease in leases:
            key = (*self._stamp(), lease.task.id, lease.token)
            is_lost = any(each is lease for each in lost)
            records.append(r.Lost(*key) if is_lost else r.Renewed(*key, self._until(lease)))
        self._witness.write(*records)
        return lost

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[bool]:
        """See `Broker`."""
        asked = [(each.lease.task.id, each.lease.token, each.move) for each in settlements]
        stamp = self._stamp()
        self._witness.write(
            *(r.Settling(*stamp, task_id, token, move) for task_id, token, move in asked)
        )
        answers = await self.inner.settle(settlements)
        stamp = self._stamp()
        self._witness.write(
            *(
                r.Settled(*stamp, task_id, token, move, done)
                for (task_id, token, move), done in zip(asked, answers, strict=True)
            )
        )
        return answers

    # --- operators -----------------------------------------------------------------------------

    async def cancel(self, task_id: str) -> bool:
        """See `Inspector`."""
        with self._operation(task_id, "cancel") as tell:
            return tell(await self.inner.cancel(task_id))

    async def revoke(self, task_id: str) -> bool:
        """See `Inspector`."""
        with self._operation(task_id, "revoke") as tell:
            return tell(await self.inner.revoke(task_id))

    async def replay(self, task_id: str) -> Task:
        """See `Inspector`."""
        with self._operation(task_id, "replay") as tell:
            try:
                task = await self.inner.replay(task_id)
            except KeyTaken:
                tell(False)
                raise
            tell(True)
            return task

    async def purge(self, task_id: str) -> None:
        """See `Inspector`."""
        with self._operation(task_id, "purge") as tell:
            await self.inner.purge(task_id)
            tell(True)

    @contextmanager
    def _operation(self, task_id: str, verb: str) -> Generator[Callable[[bool], bool]]:
        def tell(done: bool) -> bool:
            self._witness.write(r.Operated(*self._stamp(), task_id, verb, done))
            return done

        self._witness.write(r.Operating(*self._stamp(), task_id, verb))
        yield tell


# --- handlers -----------------------------------------------------------------------------------


@contextmanager
def at_work(
    witness: Witness, key: tuple[str, int] | None = None, *, thread: bool = False
) -> Generator[Callable[[], None]]:
    """The body of a handler, from within, in Trio's thread or (``thread``) in another.

    Yields a function that writes down that the handler is at work still. ``key``: the fencing
    token, if it is not that of `current_task`.
    """
    task_id, token = current_task().fencing_token if key is None else key

    def note(kind: Callable[..., r.Record], *more: Any) -> None:
        witness.write(kind(witness.now(), witness.process, task_id, token, *more))

    note(r.Began, thread)
    how = "raised"
    try:
        yield lambda: note(r.Worked)
        how = "returned"
    except trio.Cancelled:
        how = "cancelled"
        raise
    finally:
        note(r.Ended, how)


@asynccontextmanager
async def beating(witness: Witness, every: float) -> AsyncGenerator[None]:
    """Write down every so many seconds that the Trio loop of this process runs."""

    async def beat() -> None:
        while True:
            witness.write(r.Beat(witness.now(), witness.process))
            await trio.sleep(every)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(beat)
        yield
        nursery.cancel_scope.cancel(reason="the process ends")
