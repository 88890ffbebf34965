"""Cells of the table: `Inspector`, and what a `RemoteBroker` has on top."""

from __future__ import annotations

from ... import Move, State, UnknownTask, WorkerRecord
from ._bench import Bench, raised
from ._cancelled import always_undone, done_or_not, only_looks
from ._case import Has
from ._places import LATER
from ._table import cell

# --- looking --------------------------------------------------------------------------------------


@cell("get", "cancelled", "nothing has changed")
async def _(bench: Bench) -> None:
    await only_looks(bench, "get")


@cell("get", "repeated", "the task as it is then")
async def _(bench: Bench) -> None:
    await bench.publish("1")
    first = (await bench.get("1")).state
    await bench.take("1")
    assert (first, await bench.state("1")) == (State.READY, State.RUNNING)


@cell("get", "late", "the task with its end, for as long as results are kept")
async def _(bench: Bench) -> None:
    await bench.end(await bench.running("1"), Move.SUCCEEDED)
    await bench.sleep(20)
    assert await bench.state("1") is State.SUCCEEDED


@cell("get", "gone", "`None`")
async def _(bench: Bench) -> None:
    assert await bench.inspector.get("never") is None


@cell("tasks", "cancelled", "nothing has changed")
async def _(bench: Bench) -> None:
    await only_looks(bench, "tasks")


@cell("tasks", "gone", "left out", Has.FORGETS)
async def _(bench: Bench) -> None:
    await bench.end(await bench.running("1"), Move.SUCCEEDED)
    assert len(await bench.inspector.tasks(State.SUCCEEDED)) == 1
    await bench.suite.forget(bench)
    kept = await bench.inspector.tasks(State.SUCCEEDED, limit=10_000)
    assert "1" not in {task.id for task in kept}


@cell("history", "cancelled", "nothing has changed")
async def _(bench: Bench) -> None:
    await only_looks(bench, "history")


@cell("history", "gone", "`UnknownTask`")
async def _(bench: Bench) -> None:
    await raised(UnknownTask, bench.inspector.history, "never")


# --- cancel and revoke ----------------------------------------------------------------------------


@cell("cancel", "cancelled", "done, or not")
async def _(bench: Bench) -> None:
    await done_or_not(bench, "cancel_waiting")


@cell("cancel", "repeated", "`True` while it runs; `False` once it has ended")
async def _(bench: Bench) -> None:
    lease = await bench.running("1")
    assert [await bench.inspector.cancel("1") for _ in range(2)] == [True, True]
    await bench.end(lease, Move.CANCELLED)
    assert await bench.inspector.cancel("1") is False


@cell("cancel", "late", "`False`; the end stands")
async def _(bench: Bench) -> None:
    await bench.end(await bench.running("1"), Move.SUCCEEDED)
    assert await bench.inspector.cancel("1") is False
    assert await bench.state("1") is State.SUCCEEDED


@cell("cancel", "gone", "`False`")
async def _(bench: Bench) -> None:
    assert await bench.inspector.cancel("never") is False


@cell("run_now", "cancelled", "done, or not")
async def _(bench: Bench) -> None:
    await done_or_not(bench, "run_now")


@cell("run_now", "repeated", "`False`: it is due already")
async def _(bench: Bench) -> None:
    await bench.publish("1", delay=5)
    assert [await bench.inspector.run_now("1") for _ in range(2)] == [True, False]
    assert await bench.claimed() == ["1"]


@cell("run_now", "late", "`False`; the end stands")
async def _(bench: Bench) -> None:
    await bench.end(await bench.running("1"), Move.SUCCEEDED)
    assert await bench.inspector.run_now("1") is False
    assert await bench.state("1") is State.SUCCEEDED


@cell("run_now", "gone", "`False`")
async def _(bench: Bench) -> None:
    assert await bench.inspector.run_now("never") is False


@cell("revoke", "cancelled", "done, or not")
async def _(bench: Bench) -> None:
    await done_or_not(bench, "revoke")


@cell("revoke", "repeated", "`False`: one loss")
async def _(bench: Bench) -> None:
    await bench.running("1")
    assert [await bench.inspector.revoke("1") for _ in range(2)] == [True, False]
    assert (await bench.get("1")).trace().losses == 1


@cell("revoke", "late", "`False`; the end stands")
async def _(bench: Bench) -> None:
    await bench.end(await bench.running("1"), Move.SUCCEEDED)
    assert await bench.inspector.revoke("1") is False
    assert await bench.state("1") is State.SUCCEEDED


@cell("revoke", "gone", "`False`")
async def _(bench: Bench) -> None:
    assert await bench.inspector.revoke("never") is False


# --- pause and resume -----------------------------------------------------------------------------


@cell("pause", "cancelled", "done, or not")
async def _(bench: Bench) -> None:
    await done_or_not(bench, "pause")


@cell("pause", "repeated", "paused once: one ``resume`` undoes it")
async def _(bench: Bench) -> None:
    await bench.publish("1")
    await bench.inspector.pause("default")
    await bench.inspector.pause("default")
    await bench.inspector.resume("default")
    assert await bench.claimed() == ["1"]


@cell("resume", "cancelled", "done, or not")
async def _(bench: Bench) -> None:
    await done_or_not(bench, "resume")


@cell("resume", "repeated", "no second effect")
async def _(bench: Bench) -> None:
    await bench.inspector.resume()
    await bench.inspector.pause("x")
    await bench.inspector.resume("x")
    await bench.inspector.resume("x")
    assert await bench.inspector.paused() == (False, [])


# --- dead letters ---------------------------------------------------------------------------------


@cell("replay", "cancelled", "it is a dead letter still", Has.UNDONE)
async def _(bench: Bench) -> None:
    await always_undone(bench, "replay")


@cell("replay", "repeated", "`UnknownTask`: it lives")
async def _(bench: Bench) -> None:
    await bench.dead("1")
    await bench.inspector.replay("1")
    await raised(UnknownTask, bench.inspector.replay, "1")
    assert await bench.claimed() == ["1"]


@cell("replay", "late", "`UnknownTask`: it was purged")
async def _(bench: Bench) -> None:
    await bench.dead("1")
    await bench.inspector.purge("1")
    await raised(UnknownTask, bench.inspector.replay, "1")


@cell("replay", "gone", "`UnknownTask`")
async def _(bench: Bench) -> None:
    await raised(UnknownTask, bench.inspector.replay, "never")


@cell("purge", "cancelled", "done, or not")
async def _(bench: Bench) -> None:
    await done_or_not(bench, "purge")


@cell("purge", "repeated", "`UnknownTask`: it is no dead letter any more")
async def _(bench: Bench) -> None:
    await bench.dead("1")
    await bench.inspector.purge("1")
    await raised(UnknownTask, bench.inspector.purge, "1")
    assert (await bench.counts()).purged == 1


@cell("purge", "late", "`UnknownTask`: it lives")
async def _(bench: Bench) -> None:
    await bench.dead("1")
    await bench.inspector.replay("1")
    await raised(UnknownTask, bench.inspector.purge, "1")
    assert await bench.claimed() == ["1"]


@cell("purge", "gone", "`UnknownTask`")
async def _(bench: Bench) -> None:
    await raised(UnknownTask, bench.inspector.purge, "never")


# --- a broker elsewhere ---------------------------------------------------------------------------


@cell("wait_drained", "cancelled", "nothing has changed", Has.REMOTE)
async def _(bench: Bench) -> None:
    await bench.publish("1", delay=LATER)
    before = await bench.picture()
    await bench.waits(bench.broker.wait_drained, ["type"], None)
    assert await bench.picture() == before


@cell("wait_drained", "repeated", "at once, while nothing is open", Has.REMOTE)
async def _(bench: Bench) -> None:
    for _ in range(3):
        await bench.promptly(bench.broker.wait_drained, ["type"], None)


@cell("wait_drained", "late", "waits again: something was submitted meanwhile", Has.REMOTE)
async def _(bench: Bench) -> None:
    await bench.broker.wait_drained(["type"], None)
    await bench.publish("1")
    await bench.waits(bench.broker.wait_drained, ["type"], None)


@cell("register", "repeated", "a sign of life of the same worker", Has.WORKERS)
async def _(bench: Bench) -> None:
    worker = WorkerRecord("w", "host", 7, 4, ("type",), None, 1_000.0)
    for _ in range(3):
        await bench.broker.register(worker)
    assert [record.id for record in await bench.inspector.workers()] == ["w"]
