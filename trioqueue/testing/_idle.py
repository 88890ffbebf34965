"""Waiting until a queue has nothing to do, without sleeping."""

from __future__ import annotations

import math

import trio
import trio.testing

from .. import Event, Queue
from ._numbers import statistics_of
from ._script import blocked_in


async def run_until_idle(queue: Queue) -> None:
    """Let the queue work until it has nothing to do: nothing runs, nothing is due later. ::

        async with open_test_queue(tasks) as queue:
            await queue.submit(resize, "cat.png")
            await run_until_idle(queue)
            assert queue.statistics().succeeded == 1

    Retries and delays are waited for, which takes no time on the virtual clock of `run`. What
    cannot go on by itself is not: handlers that wait at a gate (`blocks`), tasks of a paused queue,
    a program in which nobody waits for a time. A checkpoint; cancelled: changes nothing.
    """
    stirred = trio.Event()

    def stir(_event: Event) -> None:
        stirred.set()

    forget = queue.observe(stir)
    try:
        while True:
            await trio.testing.wait_all_tasks_blocked()
            numbers = statistics_of(queue)
            if numbers is None:
                msg = "run_until_idle needs a queue in memory, or in a file on the virtual clock"
                raise TypeError(msg)
            # What is ready and was not taken now will not be: it is paused, or has no room.
            busy = numbers.running - blocked_in(queue) + numbers.scheduled
            ahead = trio.lowlevel.current_statistics().seconds_to_next_deadline
            if not busy or ahead == math.inf:
                return
            stirred = trio.Event()
            with trio.move_on_after(ahead):
                await stirred.wait()
    finally:
        forget()
