"""Ready tasks in lanes: one memory channel per queue, type and priority, served by rank.

A type has lanes of its own, so that one that is at its limit never stands in another's way. The
oldest task of each lane, its head, is held beside the channel (a channel has no peek), and a heap
of the lanes' heads finds the next task: higher priority first, then what a stop gave back, then the
order in which the tasks became ready.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection
from typing import Final, final

import trio

from .._broker import Admits
from .._ki import protected
from .._model import State, Task

_READY: Final = State.READY

#: Empty lanes are kept, since a new channel costs 4 us, unless there are more lanes than this.
_KEPT: Final = 64

#: (-priority, 0 if given back by a stop else 1, order of the head, lane); the order is unique.
_Rank = tuple[int, int, int, "Lane"]
_Key = tuple[str, str, int, int]


@final
@protected
class Lane:
    """Ready tasks of one queue, type and priority, in a memory channel with a fixed buffer."""

    __slots__ = (
        "_pop",
        "_push",
        "buffered",
        "head",
        "key",
        "level",
        "place",
        "pop",
        "queue",
        "type",
    )

    def __init__(self, key: _Key, buffer: int) -> None:
        self.key = key
        self.queue, self.type, self.level, self.place = key
        self.head: Task | None = None
        self.buffered = 0
        self._push, self._pop = trio.open_memory_channel[Task](buffer)
        #: Remove and return the first buffered task. Count it off ``buffered`` oneself.
        self.pop = self._pop.receive_nowait

    def append(self, task: Task) -> None:
        """Put ``task`` behind the others. Never waits."""
        try:
            self._push.send_nowait(task)
        except trio.WouldBlock:
            self._compact()
            self._push.send_nowait(task)
        self.buffered += 1

    def _compact(self) -> None:
        """Drop the tasks that are ready no more (cancelled, expired) from a full buffer.

        The buffer is twice the capacity, and so at most half of it is live: a compaction is paid
        for by the many cancellations before it.
        """
        live = [
            task
            for task in (self._pop.receive_nowait() for _ in range(self.buffered))
            if task.state is _READY
        ]
        for task in live:
            self._push.send_nowait(task)
        self.buffered = len(live)

    def close(self) -> None:
        """Close both ends of the channel."""
        self._push.close()
        self._pop.close()


@final
@protected
class Lanes:
    """All lanes, and the heap that ranks them."""

    __slots__ = ("_buffer", "_heap", "_lanes", "_order")

    def __init__(self, capacity: int) -> None:
        self._buffer = 2 * capacity
        self._lanes: dict[_Key, Lane] = {}
        self._heap: list[_Rank] = []  # the lanes that have a head
        self._order = 0

    def count(self) -> int:
        """One number more, of those that put tasks in order."""
        self._order += 1
        return self._order

    def put(self, task: Task, *, front: bool = False) -> None:
        """Add a ready task: behind the others of its rank, or before all of its priority."""
        self._order = task.order = self._order + 1
        options = task.options
        key = (options.queue, task.type, -options.priority, 0 if front else 1)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(key, self._buffer)
        if lane.head is None:
            lane.head = task
            self._rank_the_only_one()
            heapq.heappush(self._heap, (lane.level, lane.place, task.order, lane))
        else:
            lane.append(task)

    def take(self, admits: Admits, paused: Collection[str]) -> Task | None:
        """Remove and return the first task of an admitted type in a queue that is not paused."""
        heap = self._heap
        passed: list[_Rank] | None = None
        found: Task | None = None
        while heap:
            lane = heap[0][3]
            task = lane.head
            assert task is not None
            ended = task.state is not _READY  # cancelled or expired: left here to be dropped
            if ended or (admits(lane.type) and (not paused or lane.queue not in paused)):
                if lane.buffered:
                    lane.buffered -= 1
                    lane.head = lane.pop()
                else:
                    lane.head = None
                if lane.head is None or len(heap) > 1:
                    self._rank_first(lane)
                if ended:
                    continue
                found = task
                break
            if passed is None:
                passed = []
            passed.append(heapq.heappop(heap))
        if passed:
            self._rank_the_only_one()
            for rank in passed:
                heapq.heappush(heap, rank)
        return found

    def queues(self) -> set[str]:
        """The names of the queues that have, or had, ready tasks."""
        return {lane.queue for lane in self._lanes.values()}

    def any(self, admits: Admits, paused: Collection[str]) -> bool:
        """Whether ``take`` would find a task. (A head that has ended meanwhile counts as one.)"""
        for rank in self._heap:
            lane = rank[3]
            if admits(lane.type) and (not paused or lane.queue not in paused):
                return True
        return False

    def _rank_the_only_one(self) -> None:
        """A lane alone in the heap is ranked anew only here, before company comes."""
        if len(self._heap) == 1:
            lane = self._heap[0][3]
            assert lane.head is not None
            self._heap[0] = (lane.level, lane.place, lane.head.order, lane)

    def _rank_first(self, lane: Lane) -> None:
        """The lane that ranked first has a new head, or none."""
        if lane.head is not None:
            heapq.heapreplace(self._heap, (lane.level, lane.place, lane.head.order, lane))
            return
        heapq.heappop(self._heap)
        if len(self._lanes) > _KEPT:
            # Priorities and queue names may come and go without end.
            del self._lanes[lane.key]
            lane.close()
