"""Cases of what a broker notes for people: worker processes, and the history of a task."""

from __future__ import annotations

from typing import Any

from ... import Move, UnknownTask, WorkerRecord
from ._bench import Bench, raised
from ._case import Has, case


def _worker(id: str, **more: Any) -> WorkerRecord:
    fields: dict[str, Any] = {
        "host": "host",
        "pid": 7,
        "workers": 4,
        "types": ("a", "b"),
        "queues": None,
        "started_at": 1_000.0,
    }
    return WorkerRecord(id, **{**fields, **more})


@case()
async def no_worker_is_known_at_first(bench: Bench) -> None:
    assert list(await bench.inspector.workers()) == []


@case(Has.WORKERS)
async def a_worker_is_shown_as_it_registered_itself(bench: Bench) -> None:
    await bench.broker.register(_worker("w", queues=("x", "y"), running=3))
    (record,) = await bench.inspector.workers()
    assert (record.id, record.host, record.pid, record.workers) == ("w", "host", 7, 4)
    assert (record.types, record.queues) == (("a", "b"), ("x", "y"))
    assert (record.started_at, record.running, record.live) == (1_000.0, 3, True)
    assert bench.about(record.seen, 0)


@case(Has.WORKERS)
async def registering_again_is_a_sign_of_life(bench: Bench) -> None:
    await bench.broker.register(_worker("w"))
    await bench.sleep(2)
    (record,) = await bench.inspector.workers()
    assert bench.about(record.seen, 2)
    await bench.broker.register(_worker("w", running=2))
    (record,) = await bench.inspector.workers()
    assert (record.running, record.live) == (2, True)
    assert bench.about(record.seen, 0)


@case(Has.WORKERS, Has.LEASES)
async def a_worker_that_is_silent_for_a_lease_is_not_live(bench: Bench) -> None:
    await bench.broker.register(_worker("silent"))
    await bench.sleep(bench.lease * 0.8)
    await bench.broker.register(_worker("alive"))
    await bench.sleep(bench.lease * 0.4)
    live = {record.id: record.live for record in await bench.inspector.workers()}
    assert live.pop("alive") is True
    assert live.get("silent", False) is False


@case(Has.WORKERS)
async def a_worker_that_said_goodbye_is_not_live(bench: Bench) -> None:
    await bench.broker.register(_worker("w"))
    await bench.broker.register(_worker("other"))
    await bench.broker.register(_worker("w", live=False))
    live = {record.id: record.live for record in await bench.inspector.workers()}
    assert live["other"] is True
    assert live.get("w", False) is False


@case(Has.WORKERS)
async def the_longest_lived_worker_comes_first(bench: Bench) -> None:
    for name, start in (("b", 200.0), ("c", 300.0), ("a", 100.0)):
        await bench.broker.register(_worker(name, started_at=start))
    assert [record.id for record in await bench.inspector.workers()] == ["a", "b", "c"]


# --- history --------------------------------------------------------------------------------------


@case()
async def an_unknown_task_has_no_history(bench: Bench) -> None:
    error = await raised(UnknownTask, bench.inspector.history, "nobody")
    assert error.task_id == "nobody"


@case(Has.HISTORY)
async def the_history_tells_what_happened_oldest_first(bench: Bench) -> None:
    await bench.publish("1")
    await bench.end(await bench.take("1"), Move.RETRIED)
    lease = await bench.take("1")
    await bench.inspector.cancel("1")
    await bench.broker.renew([lease])
    await bench.end(lease, Move.RELEASED)
    await bench.take("1")
    await bench.inspector.revoke("1")
    await bench.end(await bench.take("1"), Move.DIED)
    await bench.inspector.replay("1")
    await bench.end(await bench.take("1"), Move.SUCCEEDED)
    entries = [e for e in await bench.inspector.history("1") if e.name != Move.DUE]
    assert [(str(e.name), e.delivery) for e in entries] == [
        *(("submitted", 0), ("started", 1), ("retried", 1), ("started", 2)),
        *(("cancel_requested", 2), ("released", 2), ("started", 3), ("lost", 3)),
        *(("started", 4), ("died", 4), ("replayed", 4), ("started", 5), ("succeeded", 5)),
    ]
    assert [e.at for e in entries] == sorted(e.at for e in entries)


@case(Has.HISTORY)
async def the_history_of_an_ended_task_is_kept_with_it(bench: Bench) -> None:
    await bench.publish("1")
    await bench.inspector.cancel("1")
    assert [str(e.name) for e in await bench.inspector.history("1")] == ["submitted", "cancelled"]


@case(Has.HISTORY)
async def the_history_is_of_this_task_alone(bench: Bench) -> None:
    await bench.publish("1", "2")
    await bench.claim(1)
    assert [str(e.name) for e in await bench.inspector.history("2")] == ["submitted"]


@case(Has.HISTORY)
async def the_history_has_a_bound(bench: Bench) -> None:
    """The last entries are kept: a task with ten thousand attempts must not grow with them."""
    await bench.publish("1")
    for _ in range(150):
        await bench.end(await bench.take("1"), Move.RELEASED)
    await bench.end(await bench.take("1"), Move.SUCCEEDED)
    entries = await bench.inspector.history("1")
    assert 2 <= len(entries) <= 200
    assert [str(e.name) for e in entries[-2:]] == ["started", "succeeded"]
