"""Running an async function as a test: on a virtual clock, by a schedule that can be repeated."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from typing import Any, TypeVar

import trio
import trio.testing

from ._schedule import chosen, seeded

R = TypeVar("R")


def run(
    async_fn: Callable[..., Awaitable[R]],
    *args: Any,
    clock: trio.abc.Clock | None = None,
    seed: int | str | None = 0,
    schedule: Sequence[int] | None = None,
    instruments: Sequence[trio.abc.Instrument] = (),
) -> R:
    """Like ``trio.run``, but on a clock that jumps, so that nothing ever really sleeps.

    ::

        def test_retries():
            async def main():
                async with open_test_queue(tasks) as queue:
                    handle = await queue.submit(flaky)
                    assert await handle.result() == 42  # an hour of backoff takes no time

            run(main)

    ``clock``: another one, such as ``trio.testing.MockClock()`` moved by hand. ``seed``: of Trio's
    scheduler; ``None`` leaves it as it is. ``schedule``: choices drawn from `schedules`, instead.
    Handlers that are plain functions run inline: virtual time does not wait for threads.
    """
    with ExitStack() as stack:
        if schedule is not None:
            instruments = [*instruments, stack.enter_context(chosen(schedule))]
        elif seed is not None:
            stack.enter_context(seeded(seed))
        return trio.run(
            async_fn,
            *args,
            clock=trio.testing.MockClock(autojump_threshold=0) if clock is None else clock,
            instruments=instruments,
        )
