"""Task ids: sortable by time, unique without asking anybody."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

#: Hex digits after the time: random ones, drawn anew for each prefix, and then a count.
_RANDOM, _COUNTED = 15, 3
#: All counts, written out: an id is one concatenation.
_COUNTS = tuple(f"{count:0{_COUNTED}x}" for count in range(16**_COUNTED))


def new_id_source(random: Random, wall_clock: Callable[[], float]) -> Callable[[], str]:
    """A function that makes ids: 12 hex digits of Unix time in ms, 15 random ones, 3 that count.

    Sortable as text, strictly so within one source: when the clock is set back, or 4,096 ids fall
    into one millisecond, the time goes on by itself. Two sources meet if they share a millisecond
    and draw the same 60 bits. (The layout of a UUID of version 7 with a counter, RFC 9562 section
    6.2 method 1, without its fixed bits and dashes: 30 characters instead of 36, as millions may
    wait.)
    """
    ms = 0
    ends = 0.0  # of the millisecond
    prefix = ""
    count = 0

    def new_id() -> str:
        nonlocal ms, ends, prefix, count
        time = wall_clock()
        count += 1
        if time >= ends or count >= len(_COUNTS):
            ms = max(int(time * 1000), ms + 1)
            ends = (ms + 1) / 1000
            prefix = f"{ms:012x}{random.getrandbits(4 * _RANDOM):0{_RANDOM}x}"
            count = 0
        return prefix + _COUNTS[count]

    return new_id
