"""``queue.dead_letters``: looking at the tasks that failed for good, and running them again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, final

from ._backend import Backend
from ._errors import UnknownTask
from ._handle import Handle
from ._ki import protected
from ._letters import DeadLetter

if TYPE_CHECKING:
    from ._queue import Queue


@final
@protected
class DeadLetters:
    """The dead letters of a queue: tasks that failed for good, kept with their errors."""

    __slots__ = ("_backend", "_queue")

    def __init__(self, queue: Queue, backend: Backend) -> None:
        self._queue = queue
        self._backend = backend

    def __len__(self) -> int:
        return self._queue._at_hand("len(dead_letters)", "counts()").counts().dead

    def list(self, type: str | None = None) -> Sequence[DeadLetter]:
        """The dead letters, oldest first; those of one task type if named.

        In memory only: a `TypeError` elsewhere, see `Queue.inspector`.
        """
        return self._queue._at_hand("dead_letters.list()", "dead_letters()").dead_letters(type)

    async def replay(self, task_id: str) -> Handle[Any]:
        """Make a dead letter ready again under its own id, its failures forgotten.

        Waits for room like a submit. Raises `UnknownTask`, `KeyTaken` (a live task holds its key),
        `QueueClosed`; in a handler of this queue `WouldDeadlock`. Cancelled: it is a dead letter
        still.
        """
        return await self._queue._replay(task_id)

    async def replay_all(self, type: str | None = None) -> Sequence[Handle[Any]]:
        """Replay all dead letters that there are now, or those of one type, oldest first.

        One by one, waiting for room: cancelled, those not yet replayed are dead letters still. A
        letter that is gone by its turn (purged, evicted, replayed by another) is left out. Raises
        `KeyTaken` at the first letter whose key is taken, with the ones before it replayed.
        """
        handles: list[Handle[Any]] = []
        for letter in await self._backend.inspector.dead_letters(type):
            try:
                handles.append(await self.replay(letter.id))
            except UnknownTask:
                continue
        return handles

    def purge(self, task_id: str) -> None:
        """Throw one dead letter away. Raises `UnknownTask`. In memory only, like `list`."""
        self._queue._check_run()
        self._queue._at_hand("dead_letters.purge()", "purge(task_id)").purge(task_id)

    def purge_all(self, type: str | None = None) -> int:
        """Throw all dead letters away, or those of one type. Returns how many there were."""
        self._queue._check_run()
        purged = 0
        for letter in self.list(type):
            try:
                self.purge(letter.id)
            except UnknownTask:
                continue  # an observer was quicker
            purged += 1
        return purged
