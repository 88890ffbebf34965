"""A signal as the end of long work: it is cut short in order, and what was done is said."""

from __future__ import annotations

import signal
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, final

import trio

from ._text import complain

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@final
class Interrupt:
    """The signal that came, if one has."""

    def __init__(self) -> None:
        self.number: int | None = None

    def tell(self, rest: str) -> int:
        """Say that it came, and ``rest``; returns the exit code."""
        assert self.number is not None
        complain(f"interrupted ({signal.Signals(self.number).name}): {rest}")
        return 128 + self.number


@asynccontextmanager
async def interruptible(grace: float = 0.0) -> AsyncGenerator[Interrupt]:
    """SIGINT or SIGTERM cancels the block ``grace`` seconds later, and the block alone.

    No line of it is hit by a `KeyboardInterrupt`: what is between two checkpoints happens whole.
    Another signal cancels it at once.
    """
    interrupt = Interrupt()
    with trio.open_signal_receiver(*_SIGNALS) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_listen, signals, interrupt, nursery.cancel_scope, grace)
            yield interrupt
            nursery.cancel_scope.cancel()


async def _listen(
    signals: AsyncIterator[int], interrupt: Interrupt, scope: trio.CancelScope, grace: float
) -> None:
    async for number in signals:
        seconds = grace if interrupt.number is None else 0.0
        interrupt.number = number
        scope.deadline = trio.current_time() + seconds
