"""Room for open tasks: a bound, and the submitters that wait for it, in order."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final, final

import trio

from .._errors import QueueClosed
from .._ki import protected

CLOSED: Final = "the queue is closed: it accepts no new tasks"


@final
class _Waiter:
    __slots__ = ("count", "event", "granted")

    def __init__(self, count: int) -> None:
        self.count = count
        self.granted = False
        self.event = trio.Event()


@final
@protected
class Room:
    """``capacity`` places. Whoever is let in holds its places already when it wakes.

    Strictly in order: a large request at the head is not overtaken by small ones behind it, or it
    might wait for ever. ``urgent`` (by task id) comes before all of them: each is called when there
    is a place for it, and takes it. While anything is urgent no place is free.
    """

    __slots__ = ("_on_empty", "_waiters", "capacity", "closed", "urgent", "used")

    def __init__(self, capacity: int, on_empty: Callable[[], object]) -> None:
        self.capacity: Final = capacity
        self._on_empty = on_empty
        self.used = 0
        self.closed = False
        self.urgent: OrderedDict[str, Callable[[], object]] = OrderedDict()
        self._waiters: deque[_Waiter] = deque()

    @property
    def waiting(self) -> int:
        """How many submitters wait."""
        return len(self._waiters)

    def largest_wait(self) -> int:
        """The most places that anybody in line waits for; 0 if nobody waits."""
        return max((waiter.count for waiter in self._waiters), default=0)

    def fits(self, count: int) -> bool:
        """Whether ``count`` places are free, for whoever does not have to queue."""
        return self.used + count <= self.capacity

    def take_nowait(self, count: int) -> None:
        """Take ``count`` places now, or raise `trio.WouldBlock` (others may be waiting already)."""
        if self._waiters or self.used + count > self.capacity:
            raise trio.WouldBlock
        self.used += count

    def give(self, count: int = 1) -> None:
        """Give places back, and let in those who wait for them."""
        self.used -= count
        if self._waiters or self.urgent:
            self._grant()
        if not self.used:
            self._on_empty()

    async def take(self, count: int) -> None:
        """Take ``count`` places, waiting for them. Raises `QueueClosed` if closed meanwhile.

        Cancelled: nothing is taken. (A waiter that was granted its places in the same instant in
        which it was cancelled gives them back.)
        """
        waiter = _Waiter(count)
        self._waiters.append(waiter)
        try:
            await waiter.event.wait()
        except BaseException:
            self._leave(waiter)
            raise
        if self.closed:
            self._leave(waiter)
            raise QueueClosed(CLOSED)

    def close(self) -> None:
        """Wake everybody who waits with `QueueClosed`."""
        self.closed = True
        for waiter in self._waiters:
            waiter.event.set()

    def _leave(self, waiter: _Waiter) -> None:
        if waiter.granted:
            self.give(waiter.count)
        else:
            self._waiters.remove(waiter)
            self._grant()  # the next one may be smaller

    def _grant(self) -> None:
        """Let in whoever is first in line, as long as there is room."""
        while self.urgent and self.fits(1):
            self.urgent.popitem(last=False)[1]()
        if self.closed:
            return
        while self._waiters and self.fits(self._waiters[0].count):
            waiter = self._waiters.popleft()
            self.used += waiter.count
            waiter.granted = True
            waiter.event.set()
