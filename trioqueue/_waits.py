"""Handlers that wait on their own queue, and the look at whether their waits can end."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import final

import trio

from ._deadlock import RoomWait, Snapshot, Target, Worker, stuck_workers
from ._errors import WouldDeadlock
from ._ki import protected
from ._model import Lease


@final
class _Wait:
    """A handler that waits on its own queue."""

    __slots__ = ("scope", "target", "worker")

    def __init__(self, worker: Worker, target: Target) -> None:
        self.worker = worker
        self.target = target
        self.scope = trio.CancelScope()


@final
@protected
class Waits:
    """The handlers of one pool that wait on its own queue.

    ``snapshot(waits)``: the pool as it is, given what each blocked worker waits for.
    """

    __slots__ = ("_snapshot", "_waits")

    def __init__(self, snapshot: Callable[[Mapping[Worker, Sequence[Target]]], Snapshot]) -> None:
        self._snapshot = snapshot
        self._waits: list[_Wait] = []

    def __len__(self) -> int:
        return len(self._waits)

    @contextmanager
    def blocking(self, lease: Lease, target: Target) -> Generator[None]:
        """A handler waits for ``target``, or gets `WouldDeadlock`: at once, or once it is so."""
        wait = _Wait(lease.holder, target)
        self._waits.append(wait)
        try:
            stuck = wait.worker in self._stuck()
            if not stuck:
                with wait.scope:
                    yield
                stuck = wait.scope.cancelled_caught
            if stuck:
                what = target.what if isinstance(target, RoomWait) else f"the result of {target!r}"
                msg = (
                    f"{lease.task!r} would wait for {what} for ever: everybody who could bring it "
                    "about waits as well"
                )
                raise WouldDeadlock(msg)
        finally:
            self._waits.remove(wait)

    def look(self) -> None:
        """If some wait for what can never come now, tell the last of them.

        A wait that was fine when it began can turn out hopeless: the place that it counted on went
        to somebody ahead in line whose task cannot run.
        """
        stuck = self._stuck()
        for wait in reversed(self._waits):
            if wait.worker in stuck:
                wait.scope.cancel(reason="this wait could never end")
                break

    def _stuck(self) -> set[Worker]:
        targets: dict[Worker, list[Target]] = {}
        for wait in self._waits:
            targets.setdefault(wait.worker, []).append(wait.target)
        return stuck_workers(self._snapshot(targets))
