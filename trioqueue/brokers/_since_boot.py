"""The clock that leases are kept by: nobody sets it, and it goes on while the machine sleeps."""

from __future__ import annotations

import time
from typing import Final

_CLOCK: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def since_boot() -> float:
    """Seconds since boot, those asleep included where the system tells them."""
    return time.clock_gettime(_CLOCK)
