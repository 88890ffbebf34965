"""The front: a class that a third party derives from, and whose cases pytest collects."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar, Final

import trio
import trio.testing

from ..._model import MAX_LOSSES
from ._bench import Bench
from ._case import Case, Has, cases

#: Seconds after which a case that still waits is taken for one that waits for ever: on a virtual
#: clock, that of a queue, which does something every few seconds, and on a real one.
_FOR_EVER: Final = (1e7, 1e3, 120.0)


class BrokerConformance:
    """The conformance suite of brokers: derive from it, and pytest collects the cases. ::

        class TestMyBroker(BrokerConformance, has=REMOTE_BROKER):
            @pytest.fixture(autouse=True)
            def store(self, tmp_path):
                self.path = tmp_path / "tasks.db"

            def open_broker(self, **options):
                return open_my_broker(self.path, lease=10, **options)

    ``has``: what the broker has, see `Has`; a case that needs more is not there at all. Each case
    is a plain test function that starts its own Trio run, so it needs no plugin of pytest, and it
    opens its broker anew. A test of the same name in the class itself stands for the case.
    """

    #: What the broker was declared to have.
    has: ClassVar[frozenset[Has]] = frozenset()
    #: Trio's clock jumps when nothing can run. Not for a broker that waits for threads or sockets.
    virtual: ClassVar[bool] = True
    #: Seconds in the unit of time by which the cases count: on a real clock rather 0.05.
    unit: ClassVar[float] = 1.0
    #: How many leases a task may lose; one more makes it a dead letter.
    max_losses: ClassVar[int] = MAX_LOSSES
    #: Seconds for which results are kept (`Has.RETENTION`).
    retention: ClassVar[float] = 86_400.0

    def open_broker(self, **options: Any) -> AbstractAsyncContextManager[Any]:
        """The async context manager that yields the open broker.

        Called again within the same case, it opens the same store once more. ``options``: those of
        the broker's own that a case needs, ``capacity`` and ``dead_capacity`` (`Has.BOUNDED`), or
        none.
        """
        raise NotImplementedError

    def skip(self, seconds: float) -> None:
        """Let the clock of the leases jump, while no other time passes (`Has.SKIPS`)."""
        raise NotImplementedError

    async def forget(self, bench: Bench) -> None:
        """Make the open broker forget the tasks that have ended (`Has.FORGETS`)."""
        raise NotImplementedError

    def __init_subclass__(cls, *, has: Collection[Has] | None = None, **more: Any) -> None:
        super().__init_subclass__(**more)
        if has is None:
            return
        cls.has = frozenset(has)
        for each in cases(cls.has):
            name = f"test_{each.name}"
            if name not in vars(cls):
                setattr(cls, name, _method(each))

    def play(self, case: Case) -> None:
        """Play one case in a Trio run of its own. Raises what the case, or the broker, raises."""
        clock = trio.testing.MockClock(autojump_threshold=0) if self.virtual else None
        trio.run(self._play, case, clock=clock)

    async def _play(self, case: Case) -> None:
        idle, busy, real = _FOR_EVER
        patience = (busy if Has.QUEUES in case.needs else idle) if self.virtual else real
        with trio.fail_after(patience):
            async with Bench(self, case.options).opened() as bench:
                await case.play(bench)


def _method(case: Case) -> Callable[[BrokerConformance], None]:
    """A case as a method that pytest collects, and that it reports as the case's own function."""

    def test(self: BrokerConformance) -> None:
        self.play(case)

    test.__name__ = test.__qualname__ = f"test_{case.name}"
    test.__doc__ = case.function.__doc__
    vars(test)["__wrapped__"] = case.function
    vars(test)["__signature__"] = inspect.Signature(
        [inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    )
    return test
