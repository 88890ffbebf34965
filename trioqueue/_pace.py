"""How far to claim ahead: nothing for handlers that take their time, more and more for quick ones.

A claim has a price that does not depend on how many tasks it brings. Ten workers that are done with
theirs in a tenth of that would spend nine tenths of the time on it.
"""

from __future__ import annotations

from typing import Final, final

from ._ki import protected

#: Seconds within which all that was dealt must have been begun, for more to be claimed the next
#: time. Of handlers that take longer, the next one is claimed when a worker is free for it.
QUICK: Final = 0.02
#: Seconds after which what was claimed ahead, and no worker has begun, is given back: another
#: process may have a worker for it.
GIVE_BACK: Final = 0.05
#: At most so many ahead.
MOST: Final = 256


@final
@protected
class Pace:
    """Watches how soon what was dealt is begun. Times in seconds, on Trio's clock."""

    __slots__ = ("_begun", "_dealt_at")

    def __init__(self) -> None:
        self._begun = 0
        self._dealt_at = float("-inf")

    def deal(self, now: float) -> None:
        """Tasks were dealt to the workers."""
        self._begun = 0
        self._dealt_at = now

    def begin(self) -> None:
        """A worker has begun one of them."""
        self._begun += 1

    def ahead(self, now: float) -> int:
        """How many to claim on top of what idle workers can begin at once.

        Twice as many as were begun since the last deal, if that was a moment ago: so it takes a few
        claims to get there, and one slow task to get back.
        """
        return min(2 * self._begun, MOST) if now - self._dealt_at <= QUICK else 0
