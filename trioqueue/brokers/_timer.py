"""One timer for everything that is due later: a heap, and a Trio task that waits for its head."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from typing import Final, final

import trio

from .._ki import protected

#: Cancelled alarms stay in the heap until they come up, or outnumber the live ones by this many.
_SLACK: Final = 64

#: Alarms rung before the rest of the program has its turn: 10 us each, when many are due together.
_RUNG_AT_ONCE: Final = 50


@final
class _Alarm:
    """``task_id`` is None once the alarm was cancelled."""

    __slots__ = ("order", "task_id", "when")

    def __init__(self, when: float, order: int, task_id: str) -> None:
        self.when = when
        self.order = order
        self.task_id: str | None = task_id

    def __lt__(self, other: _Alarm) -> bool:
        return (self.when, self.order) < (other.when, other.order)


@final
@protected
class Timer:
    """At most one alarm per task id. ``run`` calls ``ring(task_id)`` when it is due, in order."""

    __slots__ = ("_alarms", "_heap", "_order", "_ring", "_sleep")

    def __init__(self, ring: Callable[[str], object]) -> None:
        self._ring = ring
        self._heap: list[_Alarm] = []
        self._alarms: dict[str, _Alarm] = {}
        self._order = 0
        self._sleep: trio.CancelScope | None = None

    def __contains__(self, task_id: object) -> bool:
        return task_id in self._alarms

    def set(self, task_id: str, when: float) -> None:
        """Ring for ``task_id`` at ``when``, on Trio's clock, instead of at any earlier setting."""
        self.cancel(task_id)
        self._order += 1
        alarm = self._alarms[task_id] = _Alarm(when, self._order, task_id)
        heapq.heappush(self._heap, alarm)
        if self._heap[0] is alarm and self._sleep is not None:
            self._sleep.deadline = when

    def cancel(self, task_id: str) -> None:
        """Forget the alarm of ``task_id``, if it has one."""
        alarm = self._alarms.pop(task_id, None)
        if alarm is not None:
            alarm.task_id = None
            if len(self._heap) > 2 * len(self._alarms) + _SLACK:
                self._heap = list(self._alarms.values())
                heapq.heapify(self._heap)

    async def run(self) -> None:
        """Sleep and ring until cancelled."""
        while True:
            while self._ring_due():  # noqa: ASYNC110 - a turn for others, not a wait
                await trio.lowlevel.checkpoint()
            deadline = self._heap[0].when if self._heap else math.inf
            with trio.CancelScope(deadline=deadline) as self._sleep:
                await trio.sleep_forever()
            self._sleep = None

    def _ring_due(self) -> bool:
        """Ring what is due, but not for long. Says whether there may be more."""
        now = trio.current_time()
        for _ in range(_RUNG_AT_ONCE):
            if not self._heap or self._heap[0].when > now:
                return False
            task_id = heapq.heappop(self._heap).task_id
            if task_id is not None:
                del self._alarms[task_id]
                self._ring(task_id)
        return True
