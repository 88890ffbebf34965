"""Which runnable Trio task runs next: by a seed, or by a list of choices that Hypothesis draws.

Trio shuffles the tasks that are runnable in one pass of its scheduler. Under Hypothesis it does so
by one seed for all examples, so that a property sees a single interleaving: draw `schedules`.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Generator, MutableSequence, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import trio
from trio._core import _run as scheduler

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

#: Choices are taken modulo the number of runnable tasks; more than these few are rarely runnable.
_MOST: Final = 7


@contextmanager
def seeded(seed: int | str) -> Generator[None]:
    """Let runs begun in the block schedule by ``seed``: the same seed, the same interleaving.

    ::

        with seeded(7):
            trio.run(main, clock=MockClock(autojump_threshold=0))
    """
    with _scheduling_by(random.Random(seed)):
        yield


@contextmanager
def chosen(choices: Sequence[int]) -> Generator[Schedule]:
    """Let the run begun in the block schedule by ``choices``: which runnable Trio task is next.

    0 is the one that has been runnable for longest, 1 the next, and so on; when the list is used
    up it is always 0. So a list of choices that fails shrinks towards first come, first served.
    Trio's own choice is only the order within one pass: nobody runs twice before all others have.
    """
    schedule = Schedule(choices)
    with _scheduling_by(_Source(schedule)):
        yield schedule


def schedules(max_size: int = 100) -> SearchStrategy[list[int]]:
    """A Hypothesis strategy of choices, for `chosen` and for ``run(..., schedule=choices)``.

    ::

        @given(choices=schedules())
        def test_it(choices):
            run(scenario, schedule=choices)

    Drawn up front, whole: drawing while Trio runs would crash the run when Hypothesis stops it.
    """
    from hypothesis import strategies as st

    return st.lists(st.integers(0, _MOST), max_size=max_size)


class Schedule(trio.abc.Instrument):
    """Who runs next.

    As an instrument of the run it also knows who has been runnable for how long; without, it goes
    by the age of the Trio tasks themselves. ``used``: how many choices there were to make.
    """

    def __init__(self, choices: Sequence[int]) -> None:
        self._choices = deque(choices)
        self._since: dict[trio.lowlevel.Task, int] = {}
        self._scheduled = 0
        self.used = 0

    def extend(self, choices: Sequence[int]) -> None:
        """Go on with ``choices`` when those before are used up."""
        self._choices.extend(choices)

    def task_scheduled(self, task: trio.lowlevel.Task) -> None:
        """Trio's hook: a Trio task became runnable."""
        self._scheduled += 1
        self._since[task] = self._scheduled

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        """Trio's hook: a Trio task is over."""
        self._since.pop(task, None)

    def shuffle(self, batch: MutableSequence[trio.lowlevel.Task]) -> None:
        """Order ``batch`` as chosen. (Trio runs it from its end.)"""
        waiting = sorted(batch, key=lambda task: self._since.get(task, 0))
        ordered: list[trio.lowlevel.Task] = []
        while len(waiting) > 1:
            self.used += 1
            choice = self._choices.popleft() if self._choices else 0
            ordered.append(waiting.pop(choice % len(waiting)))
        batch[:] = [*waiting, *reversed(ordered)]


class _Source(random.Random):
    """A source of randomness that shuffles by a schedule."""

    def __init__(self, schedule: Schedule) -> None:
        super().__init__(0)
        self._schedule = schedule

    def shuffle(self, x: MutableSequence[Any]) -> None:
        """Order ``x``, the Trio tasks that are runnable."""
        self._schedule.shuffle(x)


@contextmanager
def _scheduling_by(source: random.Random) -> Generator[None]:
    """Put ``source`` in the place of Trio's own; with the flag, Trio asks it alone."""
    module: Any = scheduler
    before = module._ALLOW_DETERMINISTIC_SCHEDULING, module._r
    module._ALLOW_DETERMINISTIC_SCHEDULING, module._r = True, source
    try:
        yield
    finally:
        module._ALLOW_DETERMINISTIC_SCHEDULING, module._r = before
