"""A state machine for Hypothesis that drives Trio: its rules are steps of one Trio run.

Trio runs as a guest of the rules: it goes on when a rule lets it, and stands still between them.
Hypothesis' own machinery is used as it is.
"""

from __future__ import annotations

import queue
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from typing import Any, TypeVar

import outcome
import trio
import trio.testing
from hypothesis.stateful import RuleBasedStateMachine, initialize

from ._schedule import chosen, schedules

R = TypeVar("R")


class TrioMachine(RuleBasedStateMachine):
    """Base of a `RuleBasedStateMachine` whose rules act within a Trio run. ::

        class Shop(TrioMachine):
            @asynccontextmanager
            async def world(self):
                async with open_test_queue(tasks, workers=2) as self.queue:
                    yield

            @rule(n=st.integers(0, 9))
            def submit(self, n):
                self.do(self.queue.submit, resize, n)

            @rule()
            def wait(self):
                self.advance(1.0)

            @invariant()
            def adds_up(self):
                assert self.queue.statistics().running <= 2

        TestShop = Shop.TestCase

    ``world`` is entered before the first rule, and left after the last: with `open_test_queue` in
    it, that is where the laws are checked. Time is virtual and moves by `advance` alone, until the
    world is left. Hypothesis draws the interleaving too; it shrinks to first come, first served.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock = trio.testing.MockClock()
        self._calls: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._end: outcome.Outcome[None] | None = None
        self._ready = False
        self._stack = ExitStack()
        self._schedule = self._stack.enter_context(chosen(()))
        trio.lowlevel.start_guest_run(
            self._main,
            run_sync_soon_threadsafe=self._calls.put,
            done_callback=self._done,
            clock=self.clock,
            instruments=[self._schedule],
        )
        self._pump(lambda: self._ready)

    @initialize(choices=schedules())
    def draw_schedule(self, choices: list[int]) -> None:
        """Let Hypothesis draw which Trio task runs next, see `schedules`."""
        self._schedule.extend(choices)

    @asynccontextmanager
    async def world(self) -> AsyncGenerator[None]:
        """What surrounds the rules. Override it."""
        yield

    def do(self, async_fn: Callable[..., Awaitable[R]], *args: Any) -> R:
        """Call ``async_fn`` in the run, let Trio go on until all is blocked; return its result.

        For what returns without time passing, since nothing advances the clock meanwhile. What does
        not is cancelled, and `RuntimeError` raised: `start` it instead.
        """
        result: outcome.Outcome[R] | None = None
        scope = trio.CancelScope()

        async def call() -> None:
            nonlocal result
            with scope:
                try:
                    result = outcome.Value(await async_fn(*args))
                except Exception as error:
                    result = outcome.Error(error)
            if result is None:
                msg = f"{async_fn!r} waits for a time, or for another rule: start() it instead"
                result = outcome.Error(RuntimeError(msg))

        settled = False

        async def settle() -> None:
            nonlocal settled
            await trio.testing.wait_all_tasks_blocked()
            settled = True
            scope.cancel()

        self._nursery.start_soon(call)
        self._nursery.start_soon(settle)
        self._pump(lambda: settled and result is not None)
        assert result is not None
        return result.unwrap()

    def start(self, async_fn: Callable[..., Awaitable[object]], *args: Any) -> trio.CancelScope:
        """Call ``async_fn`` in the background, and let it go as far as it can. Cancel by the scope.

        An exception out of it ends the run, and is raised by the rule or the teardown that sees it.
        """
        scope = trio.CancelScope()

        async def call() -> None:
            with scope:
                await async_fn(*args)

        self._nursery.start_soon(call)
        self.settle()
        return scope

    def settle(self) -> None:
        """Let Trio go on until every Trio task is blocked."""
        self.do(trio.lowlevel.checkpoint)

    def advance(self, seconds: float) -> None:
        """Let virtual time pass, at once, and then let Trio `settle`."""
        self.clock.jump(seconds)
        self.settle()

    def teardown(self) -> None:
        """Leave the world. (Hypothesis' hook, after the last rule.)"""
        with self._stack:
            if self._end is None:
                self.clock.autojump_threshold = 0  # whatever the world waits for at its end comes
                self._over.set()
            self._pump(lambda: self._end is not None)

    async def _main(self) -> None:
        async with self.world(), trio.open_nursery() as self._nursery:
            self._over = trio.Event()
            self._ready = True
            await self._over.wait()
            self._nursery.cancel_scope.cancel()

    def _done(self, end: outcome.Outcome[None]) -> None:
        self._end = end

    def _pump(self, until: Callable[[], bool]) -> None:
        """Let Trio go on until something holds, or its run is over."""
        while not until() and self._end is None:
            self._calls.get()()
        if self._end is not None:
            self._stack.close()
            self._end.unwrap()
