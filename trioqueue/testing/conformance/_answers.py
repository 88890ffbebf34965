"""Cells of the table: `Broker`, the verbs of workers and producers."""

from __future__ import annotations

from ... import Move, State, UnknownTask
from ..._model import Lease
from ._bench import Bench, raised, verdict
from ._cancelled import always_undone, done_or_not, only_looks
from ._case import Has
from ._places import LATER
from ._table import cell

# --- publish --------------------------------------------------------------------------------------


@cell("publish", "cancelled", "nothing was accepted", Has.UNDONE)
async def _(bench: Bench) -> None:
    await always_undone(bench, "publish")


@cell("publish", "repeated", "the tasks that are there; no new ones")
async def _(bench: Bench) -> None:
    tasks = [bench.task("1"), bench.task("2", key="k")]
    first = await bench.broker.publish(tasks)
    before = await bench.picture()
    again = await bench.broker.publish([bench.task("1", "other"), bench.task("2", key="k")])
    assert [task.id for task in again] == [task.id for task in first] == ["1", "2"]
    assert again[0].type == "type"
    assert await bench.picture() == before


@cell("publish", "late", "the task with its end; it does not run again")
async def _(bench: Bench) -> None:
    await bench.end(await bench.running("1"), Move.SUCCEEDED, result=b"[1]")
    (task,) = await bench.publish("1")
    assert task.state is State.SUCCEEDED
    assert task.outcome is not None
    assert task.outcome.value == b"[1]"
    assert await bench.claimed() == []


@cell("publish", "gone", "a new task", Has.FORGETS)
async def _(bench: Bench) -> None:
    await bench.end(await bench.running("1"), Move.SUCCEEDED)
    await bench.suite.forget(bench)
    bench.forget_events()
    await bench.publish("1")
    assert await bench.claimed() == ["1"]


# --- wait_ready and claim -------------------------------------------------------------------------


@cell("wait_ready", "cancelled", "nothing has changed")
async def _(bench: Bench) -> None:
    await only_looks(bench, "wait_ready")


@cell("wait_ready", "repeated", "at once again, while something is ready")
async def _(bench: Bench) -> None:
    await bench.publish("1")
    for _ in range(3):
        await bench.promptly(bench.broker.wait_ready)


@cell("wait_ready", "late", "waits again: somebody else was first")
async def _(bench: Bench) -> None:
    await bench.publish("1")
    await bench.broker.wait_ready()
    assert await bench.claimed() == ["1"]
    await bench.waits(bench.broker.wait_ready)


@cell("claim", "cancelled", "nothing was taken", Has.UNDONE)
async def _(bench: Bench) -> None:
    await always_undone(bench, "claim")


@cell("claim", "repeated", "others than before, or none")
async def _(bench: Bench) -> None:
    await bench.publish("1", "2")
    assert [await bench.claimed(1) for _ in range(3)] == [["1"], ["2"], []]


@cell("claim", "late", "none: taken, cancelled or expired meanwhile")
async def _(bench: Bench) -> None:
    await bench.publish("taken", "cancelled")
    await bench.publish("expired", expires=1)
    await bench.broker.wait_ready()
    await bench.claim(1)
    await bench.inspector.cancel("cancelled")
    await bench.sleep(2)
    assert await bench.claimed() == []


# --- renew and settle -----------------------------------------------------------------------------


@cell("renew", "cancelled", "prolonged, or not")
async def _(bench: Bench) -> None:
    await done_or_not(bench, "renew")


@cell("renew", "repeated", "the same")
async def _(bench: Bench) -> None:
    await bench.publish("1", "2")
    kept, lost = await bench.claim()
    await bench.inspector.revoke("2")
    for _ in range(3):
        assert list(await bench.broker.renew([kept, lost])) == [lost]


@cell("renew", "late", "the lease is among the lost")
async def _(bench: Bench) -> None:
    lease = await bench.running("1")
    await bench.end(lease, Move.SUCCEEDED)
    assert list(await bench.broker.renew([lease])) == [lease]


@cell("renew", "gone", "the lease is among the lost")
async def _(bench: Bench) -> None:
    lease = Lease(bench.task("never"), 1, 0.0)
    assert list(await bench.broker.renew([lease])) == [lease]


@cell("settle", "cancelled", "applied whole, or not")
async def _(bench: Bench) -> None:
    await done_or_not(bench, "settle_succeeded")


@cell("settle", "repeated", "`True` again; no second effect")
async def _(bench: Bench) -> None:
    settlement = await bench.end(await bench.running("1"), Move.RETRIED, delay=LATER)
    before = await bench.picture()
    assert await bench.settle(settlement) == [True]
    assert await bench.picture() == before


@cell("settle", "late", "`False`; nothing has changed")
async def _(bench: Bench) -> None:
    old = await bench.running("1")
    await bench.inspector.revoke("1")
    await bench.end(await bench.take("1"), Move.SUCCEEDED)
    before = await bench.picture()
    assert await bench.settle(verdict(old, Move.DIED)) == [False]
    assert await bench.picture() == before


@cell("settle", "gone", "`False`")
async def _(bench: Bench) -> None:
    lease = Lease(bench.task("never"), 1, 0.0)
    assert await bench.settle(verdict(lease, Move.SUCCEEDED)) == [False]
    assert await bench.inspector.get("never") is None


# --- wait_settled ---------------------------------------------------------------------------------


@cell("wait_settled", "cancelled", "nothing has changed")
async def _(bench: Bench) -> None:
    await only_looks(bench, "wait_settled")


@cell("wait_settled", "repeated", "at once")
async def _(bench: Bench) -> None:
    (task,) = await bench.publish("1")
    await bench.end(await bench.take("1"), Move.SUCCEEDED)
    for _ in range(3):
        await bench.promptly(bench.broker.wait_settled, task)
    assert task.state is State.SUCCEEDED


@cell("wait_settled", "late", "at once, with the end")
async def _(bench: Bench) -> None:
    (task,) = await bench.publish("1")
    await bench.inspector.cancel("1")
    await bench.sleep(20)
    await bench.promptly(bench.broker.wait_settled, task)
    assert task.state is State.CANCELLED


@cell("wait_settled", "gone", "`UnknownTask`")
async def _(bench: Bench) -> None:
    task = bench.task("never")
    await raised(UnknownTask, bench.promptly, bench.broker.wait_settled, task)
