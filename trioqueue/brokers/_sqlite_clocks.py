"""The two clocks of a SQLite broker, and how one boot of the machine is told from another.

Wall time is for what people mean (due, expires, ended). Leases expire by a clock that all processes
of one machine share and that nobody sets: the time since boot, sleep included.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from secrets import token_hex
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

import trio

from ._since_boot import since_boot

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
#: Each virtual clock is a boot of its own: its leases mean nothing in another run.
_virtual: WeakKeyDictionary[trio.abc.Clock, str] = WeakKeyDictionary()


class Clocks(NamedTuple):
    """``wall``: Unix time. ``lease``: what leases expire by. ``boot``: which zero that one has."""

    wall: Callable[[], float]
    lease: Callable[[], float]
    boot: str
    virtual: bool


def choose_clocks(
    wall: Callable[[], float], lease: Callable[[], float] | None, boot: str | None
) -> Clocks:
    """Those that were given, or else the machine's, or else those of this Trio run's virtual clock.

    The system's wall clock does not count as given on a virtual clock: its time does not jump.
    """
    virtual = _is_virtual()
    if virtual:
        clock = trio.lowlevel.current_clock()
        if wall is time.time:
            # From 1970 on: a float tells such times exactly, and those of today to 0.2 us only.
            wall = clock.current_time
        if lease is None:
            lease = clock.current_time
            boot = boot or _virtual.setdefault(clock, f"virtual {token_hex(8)}")
    return Clocks(wall, lease or since_boot, boot or _boot_id(), virtual)


def _is_virtual() -> bool:
    """Whether this run is on a `trio.testing.MockClock`, whose time does not wait for threads."""
    testing = sys.modules.get("trio.testing")
    return testing is not None and isinstance(trio.lowlevel.current_clock(), testing.MockClock)


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        # Coarse, as the wall clock is corrected now and then. Should two readings differ within one
        # boot, leases end too early, which the fence makes safe.
        return f"booted {round((time.time() - since_boot()) / 3600)}"
