"""Bringing a task to each place of the life cycle, by the broker's own verbs."""

from __future__ import annotations

from typing import Any, Final

from ... import Move, State
from ._bench import Bench

#: Where a task is while it is open: word -> its state.
LIVE: Final = {
    "ready": State.READY,
    "scheduled": State.SCHEDULED,
    "running": State.RUNNING,
    "retried": State.SCHEDULED,
    "snoozed": State.SCHEDULED,
    "released": State.READY,
    "revoked": State.READY,
    "replayed": State.READY,
}
#: How a task ends: word -> its state.
ENDED: Final = {
    "succeeded": State.SUCCEEDED,
    "died": State.DEAD,
    "cancelled_waiting": State.CANCELLED,
    "cancelled_running": State.CANCELLED,
    "expired": State.EXPIRED,
    "purged": State.PURGED,
}
_MOVES: Final = {
    "died": Move.DIED,
    "purged": Move.DIED,
    "replayed": Move.DIED,
    "cancelled_running": Move.CANCELLED,
}
#: Units of time until what is scheduled is due.
LATER: Final = 20.0


async def bring(bench: Bench, task_id: str, to: str, **options: Any) -> None:
    """Bring a new task to where the word says: one of `LIVE` or `ENDED`."""
    if to == "scheduled":
        options["delay"] = LATER
    if to == "expired":
        options["expires"] = 1
    await bench.publish(task_id, **options)
    if to == "expired":
        await bench.sleep(2)
        await bench.claim()  # looks at the time, if nothing else has
    elif to == "cancelled_waiting":
        assert await bench.inspector.cancel(task_id)
    elif to not in {"ready", "scheduled"}:
        await _bring_running(bench, task_id, to)


async def _bring_running(bench: Bench, task_id: str, to: str) -> None:
    lease = await bench.take(task_id)
    if to == "cancelled_running":
        assert await bench.inspector.cancel(task_id)
    if to == "revoked":
        assert await bench.inspector.revoke(task_id)
    elif to != "running":
        await bench.end(lease, _MOVES.get(to) or Move(to), delay=LATER)
    if to == "purged":
        await bench.inspector.purge(task_id)
    elif to == "replayed":
        await bench.inspector.replay(task_id)
