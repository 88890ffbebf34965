"""Fairness to the rest of the program: how long the pool may run before Trio gets its turn."""

from __future__ import annotations

from typing import Final, final

from ._ki import protected

#: Seconds that all workers together run before they let the rest of the program have its turn. Long
#: against a checkpoint (about 4 us), short against what a person or a socket notices. A budget for
#: each worker instead lets 64 workers with busy handlers block the program 64 times as long.
SLICE: Final = 0.000_5
#: Tasks in one slice; on a virtual clock, where no time passes, it is this that ends a slice.
TASKS: Final = 256


@final
@protected
class Turn:
    """A budget of time and tasks, shared by all workers. Begun anew by whoever comes back first."""

    __slots__ = ("ends", "left", "number", "resting")

    def __init__(self) -> None:
        self.ends = 0.0  # when the time is used up
        self.left = 0  # tasks that may still start
        self.number = 0
        self.resting = 0  # workers that have yielded and will be back in Trio's next pass

    def begin(self, now: float) -> None:
        """A new pass of Trio's scheduler: a new budget."""
        self.number += 1
        self.ends = now + SLICE
        self.left = TASKS
