"""What a queue needs of a broker, wherever that is: one side for all, one more if it is local.

A broker in the same process is its own backend and offers every verb at once as well; for any other
``_remote`` is the backend. A queue on a local one offers as much itself (``submit_nowait``,
``statistics()``); on any other those say that they cannot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ._broker import Counts, Feed, Inspector
from ._deadlock import RoomWait
from ._events import Emitter
from ._letters import DeadLetter, Unfinished
from ._model import State, Task


class Backend(Protocol):
    """A queue's side of its broker."""

    @property
    def events(self) -> Emitter:
        """What happens to tasks, as far as this process is told."""
        ...

    @property
    def feed(self) -> Feed:
        """The workers' side."""
        ...

    @property
    def inspector(self) -> Inspector:
        """For looking and operating, on every broker alike."""
        ...

    async def publish(self, tasks: Sequence[Task]) -> Sequence[Task]:
        """See `Broker`. Raises `QueueClosed` after ``close``."""
        ...

    async def replay(self, task_id: str) -> Task:
        """See `Inspector`. Raises `QueueClosed` after ``close``."""
        ...

    async def wait_settled(self, task: Task) -> None:
        """See `Broker`. ``outcome.value`` is what the handler returned."""
        ...

    async def cancel_task(self, task_id: str) -> bool:
        """``cancel`` of the `Inspector`."""
        ...

    def find(self, task_id: str) -> Task | None:
        """The task of this id; elsewhere than in memory not looked up yet."""
        ...

    def close(self) -> None:
        """Refuse new tasks from now on; waiting submitters get `QueueClosed`."""
        ...

    def stop(self) -> None:
        """Close, and start nothing more: what waits is handed back, or stays on the broker."""
        ...

    async def drain(self) -> None:
        """Wait until no task of this queue is open. Raises `QueuePaused` if that cannot be."""
        ...

    async def finish(self) -> None:
        """Begin to leave: ``drain``, then ``close``; or, if others go on with it, claim no more."""
        ...

    async def flush(self) -> None:
        """Wait until it is known of every attempt that has ended here whether it counts."""
        ...

    def unfinished(self) -> Sequence[Unfinished]:
        """After a stop: what was accepted, or held here, and did not end."""
        ...


class LocalBackend(Backend, Protocol):
    """A broker in the same process: the same verbs, at once and without waiting.

    None of these is a checkpoint; each is atomic for Trio and for Ctrl-C.
    """

    def publish_nowait(self, tasks: Sequence[Task]) -> Sequence[Task]:
        """Like ``publish``; raises `trio.WouldBlock` instead of waiting."""
        ...

    def accept_nowait(self, task: Task) -> Task:
        """Like ``publish_nowait`` of one task, and quicker."""
        ...

    def replay_nowait(self, task_id: str) -> Task:
        """Like ``replay``; raises `trio.WouldBlock` instead of waiting."""
        ...

    def wait_for_room(self, tasks: Sequence[Task]) -> RoomWait:
        """What publishing ``tasks`` (none: replaying a dead letter) would wait for now."""
        ...

    def cancel(self, task_id: str) -> bool:
        """See `Inspector`."""
        ...

    def run_now(self, task_id: str) -> bool:
        """See `Inspector`."""
        ...

    def revoke(self, task_id: str) -> bool:
        """See `Inspector`."""
        ...

    def pause(self, queue: str | None = None) -> None:
        """See `Inspector`."""
        ...

    def resume(self, queue: str | None = None) -> None:
        """See `Inspector`."""
        ...

    def dead_letters(self, type: str | None = None) -> Sequence[DeadLetter]:
        """See `Inspector`."""
        ...

    def purge(self, task_id: str) -> None:
        """See `Inspector`."""
        ...

    def get(self, task_id: str) -> Task | None:
        """The task itself, not a picture of it."""
        ...

    def tasks(self, state: State | None = None) -> Sequence[Task]:
        """The open tasks, or those of one state among them."""
        ...

    def counts(self) -> Counts:
        """See `Inspector`."""
        ...
