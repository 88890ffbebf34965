"""Room for open tasks: a bound, and the submitters that wait for it, in order."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final, final

import trio

from .._errors import queue_closed
from .._ki import protected


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
    might wait for ever. What is urgent comes before all of them; while anything is, no place is
    free.
    """

    __slots__ = (
        "_on_empty",
        "_urgent",
        "_waiters",
        "capacity",
        "closed",
        "queued",
        "used",
        "wake_at",
    )

    def __init__(self, capacity: int, on_empty: Callable[[], object]) -> None:
        self.capacity: Final = capacity
        self.used = 0
        self.closed = False
        self.queued = False  # somebody is urgent or waits: whoever comes now is behind them
        #: When ``used`` has fallen to this, ``give`` has something to do: let in whoever is first
        #: in line, or say that all are gone.
        self.wake_at = 0
        self._on_empty = on_empty
        self._urgent: OrderedDict[str, Callable[[], object]] = OrderedDict()
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
        """Take ``count`` places now, or raise `trio.WouldBlock` (others may be in line already)."""
        if self.queued or self.used + count > self.capacity:
            raise trio.WouldBlock
        self.used += count

    def give(self, count: int = 1) -> None:
        """Give places back, and let in those who wait for them."""
        self.used -= count
        if self.used <= self.wake_at:
            self._grant()
            if not self.used:
                self._on_empty()

    def add_urgent(self, task_id: str, admit: Callable[[], object]) -> None:
        """Call ``admit``, which takes one place, as soon as there is one."""
        self._urgent[task_id] = admit
        self._line_changed()

    def drop_urgent(self, task_id: str) -> None:
        """It is urgent no more."""
        if self._urgent.pop(task_id, None) is not None:
            self._line_changed()

    def _line_changed(self) -> None:
        self.queued = bool(self._urgent or self._waiters)
        if self._urgent:
            self.wake_at = self.capacity - 1
        elif self._waiters and not self.closed:
            self.wake_at = max(0, self.capacity - self._waiters[0].count)
        else:
            self.wake_at = 0

    async def take(self, count: int) -> None:
        """Take ``count`` places, waiting for them. Raises `QueueClosed` if closed meanwhile.

        Cancelled: nothing is taken. (A waiter that was granted its places in the same instant in
        which it was cancelled gives them back.)
        """
        waiter = _Waiter(count)
        self._waiters.append(waiter)
        self._line_changed()
        try:
            await waiter.event.wait()
        except BaseException:
            self._leave(waiter)
            raise
        if self.closed:
            self._leave(waiter)
            raise queue_closed()

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
            self._line_changed()
            self._grant()  # the next one may be smaller

    def _grant(self) -> None:
        """Let in whoever is first in line, as long as there is room."""
        while self._urgent and self.fits(1):
            admit = self._urgent.popitem(last=False)[1]
            admit()
        while not self.closed and self._waiters and self.fits(self._waiters[0].count):
            waiter = self._waiters.popleft()
            self.used += waiter.count
            waiter.granted = True
            waiter.event.set()
        self._line_changed()
