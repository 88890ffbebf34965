"""A place that a supervisor keeps filled with a process, and when it fills it again."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from typing import final

import trio


@final
@dataclass(frozen=True)
class Restarts:
    """When a child that has died gets a successor.

    After ``initial`` seconds, doubled up to ``maximum`` with each death, until one has lived for
    ``settled`` seconds. When ``patience`` deaths in a row of every child were errors of its own
    (not signals), starting more of them is pointless: a minute and a half with these values.
    """

    initial: float = 0.5
    maximum: float = 30.0
    settled: float = 30.0
    patience: int = 8

    def delay(self, deaths: int) -> float:
        """Seconds to wait after the last of ``deaths`` (>= 1) in a row."""
        return min(self.maximum, self.initial * 2.0 ** min(deaths - 1, 64))


@dataclass
class Child:
    """A place for a process, and the process that has it."""

    number: int
    process: trio.Process | None = None
    pipe: int | None = None  # our end, while there is a process
    deaths: int = 0  # in a row, each soon after its start
    errors: int = 0  # those of them, in a row, that were exits with an error
    done: bool = False  # ended as it should, for good
    renewed: bool = False  # the process was asked to make room for another
    limit: trio.CancelScope = field(default_factory=trio.CancelScope)  # when it is killed for that

    def say(self, word: bytes) -> None:
        """Tell the process, if it is there to hear."""
        if self.pipe is not None:
            try:
                os.write(self.pipe, word)
            except BrokenPipeError:
                pass  # it has just ended, as it was to be asked

    def close(self) -> None:
        """Close our end of the pipe. To a process that still runs it says: stop."""
        if self.pipe is not None:
            os.close(self.pipe)
            self.pipe = None


def describe(code: int) -> str:
    """An exit code, as words."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:  # a signal without a name, such as one of the real-time ones
        return f"was killed by signal {-code}"
