"""Every verb with an effect: how to bring about a moment for it, and how to call it there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from ... import Move
from ._bench import ENDS_OF_A_LEASE, Bench, verdict
from ._places import LATER

Call = Callable[[], Awaitable[object]]


class Verb(NamedTuple):
    """A verb, at a moment when it has something to do.

    ``prepare(bench, prefix)`` makes that moment with tasks whose ids begin with the prefix, in a
    queue of that name, and returns the call. ``undone``: cancelled, it has changed nothing, for
    certain; otherwise it has, or has not. ``unseen``: its effect cannot be seen from outside.
    """

    name: str
    prepare: Callable[[Bench, str], Awaitable[Call]]
    undone: bool = False
    unseen: bool = False


async def _publish(bench: Bench, prefix: str) -> Call:  # noqa: ASYNC124 - as the others
    tasks = [bench.task(f"{prefix}{n}", queue=prefix, key=f"{n}") for n in range(3)]
    return lambda: bench.broker.publish(tasks)


async def _claim(bench: Bench, prefix: str) -> Call:
    await bench.publish(f"{prefix}1", f"{prefix}2", queue=prefix)
    return lambda: bench.broker.claim({"type": 9}, 9, [prefix])


async def _renew(bench: Bench, prefix: str) -> Call:
    await bench.publish(f"{prefix}1", f"{prefix}2", queue=prefix)
    leases = await bench.claim(queues=[prefix])
    await bench.inspector.cancel(f"{prefix}1")
    return lambda: bench.broker.renew(leases)


def _settle_by(move: Move) -> Callable[[Bench, str], Awaitable[Call]]:
    async def prepare(bench: Bench, prefix: str) -> Call:
        await bench.publish(f"{prefix}1", f"{prefix}2", queue=prefix)
        delay = bench.seconds(LATER)
        leases = await bench.claim(queues=[prefix])
        settlements = [verdict(lease, move, delay) for lease in leases]
        return lambda: bench.broker.settle(settlements)

    return prepare


async def _cancel_waiting(bench: Bench, prefix: str) -> Call:
    await bench.publish(f"{prefix}1", queue=prefix)
    return lambda: bench.inspector.cancel(f"{prefix}1")


async def _cancel_running(bench: Bench, prefix: str) -> Call:
    await bench.publish(f"{prefix}1", queue=prefix)
    await bench.claim(queues=[prefix])
    return lambda: bench.inspector.cancel(f"{prefix}1")


async def _revoke(bench: Bench, prefix: str) -> Call:
    await bench.publish(f"{prefix}1", queue=prefix)
    await bench.claim(queues=[prefix])
    return lambda: bench.inspector.revoke(f"{prefix}1")


async def _run_now(bench: Bench, prefix: str) -> Call:
    await bench.publish(f"{prefix}1", queue=prefix, delay=LATER)
    return lambda: bench.inspector.run_now(f"{prefix}1")


async def _pause(bench: Bench, prefix: str) -> Call:  # noqa: ASYNC124 - as the others
    return lambda: bench.inspector.pause(prefix)


async def _resume(bench: Bench, prefix: str) -> Call:
    await bench.inspector.pause(prefix)
    return lambda: bench.inspector.resume(prefix)


async def _dead(bench: Bench, prefix: str) -> str:
    task_id = f"{prefix}1"
    await bench.publish(task_id, queue=prefix)
    (lease,) = await bench.claim(queues=[prefix])
    await bench.end(lease, Move.DIED)
    return task_id


async def _replay(bench: Bench, prefix: str) -> Call:
    task_id = await _dead(bench, prefix)
    return lambda: bench.inspector.replay(task_id)


async def _purge(bench: Bench, prefix: str) -> Call:
    task_id = await _dead(bench, prefix)
    return lambda: bench.inspector.purge(task_id)


VERBS: Final[tuple[Verb, ...]] = (
    Verb("publish", _publish, undone=True),
    Verb("claim", _claim, undone=True),
    Verb("renew", _renew, unseen=True),
    *(Verb(f"settle_{move}", _settle_by(move)) for move in ENDS_OF_A_LEASE),
    Verb("cancel_waiting", _cancel_waiting),
    Verb("cancel_running", _cancel_running, unseen=True),
    Verb("run_now", _run_now),
    Verb("revoke", _revoke),
    Verb("pause", _pause),
    Verb("resume", _resume),
    Verb("replay", _replay, undone=True),
    Verb("purge", _purge),
)


LOOKS: Final = (
    *("wait_ready", "wait_settled", "get", "tasks", "dead_letters", "counts", "lanes", "paused"),
    *("workers", "history", "is_drained"),
)


async def look_by(bench: Bench, name: str) -> Call:
    """Make a moment at which this verb, which only looks, answers at once; the call."""
    await bench.dead("dead")
    await bench.end(await bench.running("done"), Move.SUCCEEDED)
    await bench.running("running")
    await bench.publish("ready")
    await bench.publish("due later", delay=LATER)
    known = await bench.get("done")
    look = bench.inspector
    calls: dict[str, Call] = {
        "wait_ready": bench.broker.wait_ready,
        "wait_settled": lambda: bench.broker.wait_settled(known),
        "get": lambda: look.get("ready"),
        "tasks": look.tasks,
        "dead_letters": look.dead_letters,
        "counts": look.counts,
        "lanes": look.lanes,
        "paused": look.paused,
        "workers": look.workers,
        "history": lambda: look.history("ready"),
        "is_drained": lambda: look.is_drained(["type"], None),
    }
    return calls[name]
