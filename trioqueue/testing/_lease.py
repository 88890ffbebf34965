"""Losing a lease, as happens to a worker that is cut off from its broker for too long."""

from __future__ import annotations

from typing import Any

from .. import Handle, Queue


def lose_lease(handle: Handle[Any]) -> None:
    """Let a running task's lease be lost now, as if it had expired on the broker.

    The handler is cancelled at once and whatever it does then, nothing of it is written; the task
    is ready again, without a failure. ``RuntimeError`` if the task is not running. ::

        handle = await queue.submit(slow)
        await trio.testing.wait_all_tasks_blocked()
        lose_lease(handle)
        await handle.result()  # of the second delivery
    """
    lose_lease_of(handle._queue, handle.id)


def lose_lease_of(queue: Queue, task_id: str) -> None:
    """See `lose_lease`."""
    if not queue._at_hand("lose_lease()", "revoke(task_id)").revoke(task_id):
        msg = f"task {task_id} is not running: it has no lease to lose"
        raise RuntimeError(msg)
