"""Where metrics are counted: doubles in one piece of memory, one block for each lane.

A lane is a task type in a queue. Plain memory in one process; for several, memory that they share
with the one who reads it, so that what a process has counted outlives its death, and its successor
goes on from there. A double is written in one piece: a reader sees the old one or the new.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple, final

from ._metrics_names import COUNTS, FAILURE_KINDS, RELEASE_REASONS

#: What takes the place of the names of lanes for which there is no room.
OTHER: Final = "_other"

#: Bytes of a name that are kept: longer ones are of somebody who tries something.
_NAME: Final = 256
_SIZE: Final = 8  # of a double
_NAMES: Final = 2 * _NAME // _SIZE  # in doubles
#: In doubles: the form of what follows, the lanes in use, whose memory it is (the process id, once
#: it is ready), and when that was last seen alive.
_HEADER: Final = 8
_FORM, _USED, _READY, _BEAT = range(4)


def _count_cells() -> Iterator[tuple[str, str]]:
    for count in COUNTS:
        for value in count.values:
            yield count.name, value


#: (metric, value of its label) -> the cell of a block.
CELLS: Final = {cell: index for index, cell in enumerate(_count_cells())}
#: The same for what has no label, and for what has.
PLAIN: Final = {name: index for (name, value), index in CELLS.items() if not value}
FAILED: Final = {kind: CELLS["tasks_failed", kind] for kind in FAILURE_KINDS}
RELEASED: Final = {reason: CELLS["tasks_released", reason] for reason in RELEASE_REASONS}


class Form(NamedTuple):
    """How a block is laid out: the counts, then two histograms, each with its sum at the end."""

    waiting: tuple[float, ...]  # upper bounds, ascending, without infinity
    duration: tuple[float, ...]
    lanes: int

    @property
    def first_waiting(self) -> int:
        """The cell of the first bucket."""
        return len(CELLS)

    @property
    def first_duration(self) -> int:
        """The cell of the first bucket."""
        return self.first_waiting + len(self.waiting) + 2

    @property
    def cells(self) -> int:
        """How many a block has."""
        return self.first_duration + len(self.duration) + 2

    @property
    def size(self) -> int:
        """Bytes in all."""
        return (_HEADER + self.lanes * (_NAMES + self.cells)) * _SIZE

    @property
    def mark(self) -> float:
        """A number for what may not be mixed: other metrics, or other buckets."""
        return zlib.crc32(repr((list(CELLS), self)).encode()) + 1.0


class Lane(NamedTuple):
    """What was counted of one type in one queue."""

    type: str
    queue: str
    cells: Sequence[float]


@final
class Cells:
    """The memory, and the lanes in it. ``memory``: shared, or new if ``None``."""

    def __init__(self, form: Form, memory: memoryview | None = None) -> None:
        self.form: Final = form
        raw = memoryview(bytearray(form.size)) if memory is None else memory
        if len(raw) < form.size:
            msg = f"the memory has {len(raw)} bytes, and needs {form.size}"
            raise ValueError(msg)
        self._raw = raw[: form.size]
        self.values: Final = self._raw.cast("d")
        self._known: dict[tuple[str, str], int] = {}  # (type, queue) -> the first cell
        if self.values[_FORM] == form.mark:  # a predecessor's: go on
            for number, lane in enumerate(self.lanes()):
                self._known[lane.type, lane.queue] = self._first(number)
        else:
            self.values[_USED] = 0.0
            self.values[_FORM] = form.mark

    def _first(self, number: int) -> int:
        return _HEADER + number * (_NAMES + self.form.cells) + _NAMES

    def find(self, type: str, queue: str) -> int:
        """The first cell of a lane; the last one is for all that came too late."""
        first = self._known.get((type, queue))
        if first is not None:
            return first
        lane = (_fit(type), _fit(queue))
        first = self._known.get(lane)
        if first is None:
            used = int(self.values[_USED])
            if used >= self.form.lanes - 1:
                lane = (OTHER, OTHER)
                first = self._known.get(lane)
            if first is None:
                first = self._known[lane] = self._add(used, lane)
        return first

    def _add(self, number: int, lane: tuple[str, str]) -> int:
        first = self._first(number)
        start = (first - _NAMES) * _SIZE
        struct.pack_into(f"{_NAME}s{_NAME}s", self._raw, start, *(name.encode() for name in lane))
        self.values[_USED] = number + 1.0  # last: a reader finds what is complete
        return first

    def lanes(self) -> Iterator[Lane]:
        """What was counted so far."""
        if self.values[_FORM] != self.form.mark:
            return  # whoever is to count here has not begun
        for number in range(int(self.values[_USED])):
            first = self._first(number)
            start = (first - _NAMES) * _SIZE
            names = struct.unpack_from(f"{_NAME}s{_NAME}s", self._raw, start)
            type, queue = (name.rstrip(b"\0").decode() for name in names)
            yield Lane(type, queue, self.values[first : first + self.form.cells].tolist())

    def beat(self, pid: int, now: float) -> None:
        """A process says that it is ready and alive."""
        self.values[_BEAT] = now
        self.values[_READY] = float(pid)

    def heard_of(self, pid: int) -> float | None:
        """When this process was last heard of; ``None`` if it has not been ready yet."""
        return self.values[_BEAT] if self.values[_READY] == float(pid) else None

    def leave_off(self) -> None:
        """A process says that it is not ready any more."""
        self.values[_READY] = 0.0


def _fit(name: str) -> str:
    data = name.encode("utf-8", "replace").replace(b"\0", b"?")
    if len(data) <= _NAME:
        return data.decode()
    return data[: _NAME - 3].decode("utf-8", "ignore") + "..."


def add_up(parts: Iterable[Iterable[Lane]]) -> list[Lane]:
    """The lanes of several processes as one's."""
    sums: dict[tuple[str, str], list[float]] = {}
    for lanes in parts:
        for type, queue, cells in lanes:
            known = sums.get((type, queue))
            sums[type, queue] = (
                list(cells) if known is None else [a + b for a, b in zip(known, cells, strict=True)]
            )
    return [Lane(*names, cells) for names, cells in sorted(sums.items())]
