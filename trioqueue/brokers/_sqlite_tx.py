"""One write transaction: its time, its numbers, and what it brings about for those who wait.

The numbers (how many tasks are where, in all and by lane) are gathered as differences and written
once, at the end, so that a group of a hundred jobs pays for them once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, final

from .._model import Move, Task
from ._sqlite_clocks import Clocks
from ._sqlite_db import Database, Execute, Row
from ._sqlite_rows import COLUMNS, snapshot
from ._sqlite_schema import DEAD, MOVES


class Setting(NamedTuple):
    """What a broker was opened with, as far as transactions need it. Durations in seconds."""

    identity: str
    clocks: Clocks
    lease: float
    margin: float  # by which the holder of a lease believes it to be shorter
    retention: float
    max_losses: int

    @property
    def tombstones(self) -> float:
        """How long an ended task is known by its id."""
        return max(self.retention, 86_400.0)


_ADD_NUMBERS: Final = (
    "UPDATE meta SET counter = ?, refused = refused + ?, scheduled = scheduled + ?, "
    "ready = ready + ?, running = running + ?, "
    + ", ".join(f"n_{move} = n_{move} + ?" for move in MOVES)
)
_ADD_TO_LANE: Final = (
    "UPDATE lanes SET scheduled = scheduled + ?, ready = ready + ?, running = running + ?, "
    "kept = kept + ? WHERE id = ?"
)
_OPEN_IN_LANE: Final = "SELECT scheduled + ready + running FROM lanes WHERE id = ?"
_DROP_LANES: Final = (
    "DELETE FROM lanes WHERE scheduled = 0 AND ready = 0 AND running = 0 AND kept = 0"
)
_FAR: Final = float("inf")
_BY_NOBODY: Final = " \n"


@final
class Tx:
    """A transaction that holds the write lock. ``now``: Unix time; ``lease_now``: lease clock."""

    def __init__(self, db: Database, setting: Setting) -> None:
        self.db = db
        self.execute: Execute = db.cursor().execute
        self.changes = db.changes
        self.setting = setting
        self.now = setting.clocks.wall()
        self.lease_now = setting.clocks.lease()
        row = self.execute("SELECT counter FROM meta").fetchone()
        assert row is not None
        self.counter: int = row[0]
        self._first_counter = self.counter
        self.refused = 0
        self._moves: dict[Move, int] = {}
        self._lanes: dict[int, list[int]] = {}  # {lane: differences of the four of `lanes`}
        self._places = [0, 0, 0, 0]  # the same of those that are written already, in all
        self._entries: dict[str, str] = {}  # how the lines of a move begin
        self._by_us = f" {setting.identity}\n"
        self._lane_ids: dict[tuple[str, str], int] = {}
        # For those who wait:
        self.made_ready = False
        self.ended: list[str] = []  # ids
        self.forgot = False  # tombstones were deleted
        self.freed = False  # fewer tasks of a lane are running
        self.emptied = False  # a lane has no open task any more
        self.more_waits = False  # a lane has more waiting tasks
        self.operated = False  # something was paused, resumed, or asked for
        self.next_due = _FAR  # Unix time of the first alarm that was set
        self.next_lease = _FAR  # the same on the lease clock
        #: {(seq, token): the outcome}: by which a repeat in the same group is told from a zombie
        self.settled: dict[tuple[int, int], object] = {}

    # --- numbers ----------------------------------------------------------------------------------

    def lane(self, queue: str, type_: str) -> int:
        """The lane's number; a new one if there is none yet."""
        found = self._lane_ids.get((queue, type_))
        if found is None:
            names = (queue, type_)
            find = "SELECT id FROM lanes WHERE queue = ? AND type = ?"
            row = self.execute(find, names).fetchone()
            if row is None:
                new = "INSERT INTO lanes (queue, type) VALUES (?, ?) RETURNING id"
                row = self.execute(new, names).fetchall()[0]
            found = self._lane_ids[names] = row[0]
        return found

    def count(self, move: Move, lane: int, before: int | None, after: int, number: int = 1) -> None:
        """Note that ``number`` tasks of a lane made a move, between these states."""
        self._moves[move] = self._moves.get(move, 0) + number
        self.shift(lane, before, after, number)

    def shift(self, lane: int, before: int | None, after: int | None, number: int = 1) -> None:
        """Note that tasks changed their place. ``None``: not accepted yet, or forgotten."""
        places = self._lanes.get(lane)
        if places is None:
            places = self._lanes[lane] = [0, 0, 0, 0]
        if before is not None:
            places[before if before < DEAD else DEAD] -= number
        if after is not None:
            places[after if after < DEAD else DEAD] += number

    def next_order(self) -> int:
        """The next number of the one count behind ``seq``, ``place`` and ``finish``."""
        self.counter += 1
        return self.counter

    def write_lanes(self) -> None:
        """Let queries of this transaction see in the lanes what it has moved so far."""
        for lane, places in self._lanes.items():
            if any(places):
                self.execute(_ADD_TO_LANE, (*places, lane))
                for index, difference in enumerate(places):
                    self._places[index] += difference
                self._note_waits(lane, places)
        self._lanes.clear()

    def _note_waits(self, lane: int, places: list[int]) -> None:
        """Whether those who wait for slots, or for the end of all, have to look."""
        scheduled, ready, running, _ = places
        if running < 0:
            self.freed = True
        if scheduled + ready > 0:
            self.more_waits = True
        elif scheduled + ready + running < 0:
            rows = self.execute(_OPEN_IN_LANE, (lane,)).fetchall()
            self.emptied |= rows == [(0,)]

    def write_numbers(self) -> None:
        """The last step before the commit."""
        self.write_lanes()
        if not (self._moves or self.forgot or self.refused or self.counter != self._first_counter):
            return
        scheduled, ready, running, _ = self._places
        if self.forgot:
            self.execute(_DROP_LANES)
        moves = self._moves
        self.execute(
            _ADD_NUMBERS,
            (
                *(self.counter, self.refused, scheduled, ready, running),
                *[moves.get(move, 0) for move in MOVES],
            ),
        )

    # --- what many moves need ---------------------------------------------------------------------

    def entry(self, name: str, delivery: int, *, by_worker: bool) -> str:
        """A line of a task's history. See `read_history`."""
        begin = self._entries.get(name)
        if begin is None:
            begin = self._entries[name] = f"{name} {self.now:.3f} "
        return f"{begin}{delivery}{self._by_us if by_worker else _BY_NOBODY}"

    @property
    def keep_since(self) -> float:
        """Results that ended before are no longer kept."""
        return self.now - self.setting.retention

    def find(self, condition: str, *values: Any) -> Task | None:
        """The first task for which a condition over t holds."""
        rows = self.select(condition, *values)
        return snapshot(rows[0], self.keep_since) if rows else None

    def select(self, condition: str, *values: Any) -> list[Row]:
        """The rows for which a condition over t holds, for `snapshot`."""
        sql = f"SELECT {COLUMNS} FROM tasks t JOIN lanes l ON l.id = t.lane WHERE {condition}"
        return self.execute(sql, values).fetchall()


#: One job's part of a transaction. What it returns is handed to the Trio thread after the commit.
Run = Callable[[Tx], Any]
