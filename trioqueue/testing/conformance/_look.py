"""Cases of looking: ``get``, ``tasks``, ``counts``, ``lanes``."""

from __future__ import annotations

from typing import Any

from ... import Move, State
from ._bench import OPEN, PLACES, Bench
from ._case import case
from ._places import ENDED, LIVE, bring


@case(each={**LIVE, **ENDED})
async def get_shows_a_task_where_it_is(bench: Bench, place: str) -> None:
    state = {**LIVE, **ENDED}[place]
    await bring(bench, "1", place, type="send", queue="mail")
    task = await bench.get("1")
    assert (task.type, task.options.queue, task.state) == ("send", "mail", state)
    assert (task.outcome is not None) is (place in ENDED)
    counts = await bench.counts()
    assert {name: getattr(counts, name) for name in PLACES} == {
        name: int(name == state) for name in PLACES
    }


@case()
async def an_unknown_id_is_nothing(bench: Bench) -> None:
    await bench.publish("1")
    for unknown in ("nobody", "", "1 ", "%"):
        assert await bench.inspector.get(unknown) is None


@case()
async def looking_changes_nothing(bench: Bench) -> None:
    await bench.dead("dead")
    await bench.running("running")
    await bench.publish("ready")
    before = await bench.picture()
    look = bench.inspector
    for _ in range(2):
        await look.tasks()
        await look.dead_letters()
        await look.lanes()
        await look.workers()
        await look.history("dead")
        await look.is_drained(["type"], None)
    assert await bench.picture() == before


# --- tasks ----------------------------------------------------------------------------------------


async def _ids(bench: Bench, state: State | None = None, **options: Any) -> list[str]:
    found = await bench.inspector.tasks(state, **options)
    return [task.id for task in found]


async def _one_of_each(bench: Bench) -> None:
    for place in (*ENDED, "scheduled", "running", "ready"):
        await bring(bench, place, place)


@case(each=State)
async def tasks_lists_those_of_one_state(bench: Bench, state: State) -> None:
    await _one_of_each(bench)
    wanted = [
        place
        for place, its in (*ENDED.items(), *LIVE.items())
        if its is state and (place in ENDED or place == its.value)
    ]
    assert sorted(await _ids(bench, state)) == sorted(wanted)


@case()
async def tasks_lists_the_open_ones_in_order_of_acceptance(bench: Bench) -> None:
    await _one_of_each(bench)
    assert await _ids(bench) == ["scheduled", "running", "ready"]


@case()
async def the_order_of_acceptance_outlasts_what_happens(bench: Bench) -> None:
    """Priorities, retries, releases and replays do not change when a task was accepted."""
    await bench.dead("0")
    await bench.publish("1")
    await bench.publish("2", priority=255)
    await bench.publish("3")
    two, one = await bench.claim(2)
    await bench.end(one, Move.RETRIED)
    await bench.end(two, Move.RELEASED)
    await bench.inspector.replay("0")
    assert await _ids(bench) == ["0", "1", "2", "3"]
    assert await _ids(bench, State.READY) == ["0", "1", "2", "3"]


@case()
async def the_ended_are_listed_in_order_of_acceptance_too(bench: Bench) -> None:
    await bench.publish("1", "2", "3")
    leases = await bench.claim()
    for lease in reversed(leases):
        await bench.end(lease, Move.SUCCEEDED)
        await bench.sleep(1)
    assert await _ids(bench, State.SUCCEEDED) == ["1", "2", "3"]


@case(each=(None, State.READY, State.SUCCEEDED))
async def the_newest_come_first_if_asked_for(bench: Bench, state: State | None) -> None:
    """And the limit counts from there, whenever they ended."""
    await bench.publish(*"1234", priority=7)
    await bench.publish("5", type="other", priority=9)
    if state is State.SUCCEEDED:
        for lease in reversed(await bench.claim()):
            await bench.end(lease, Move.SUCCEEDED)
    assert await _ids(bench, state, newest=True) == [*"54321"]
    assert await _ids(bench, state, newest=True, limit=2) == ["5", "4"]
    assert await _ids(bench, state, newest=True, limit=2, type="type") == ["4", "3"]
    assert await _ids(bench, state, newest=False, limit=2) == ["1", "2"]


@case()
async def tasks_are_found_by_type_and_queue(bench: Bench) -> None:
    for n, (kind, queue) in enumerate((("a", "x"), ("b", "x"), ("a", "y"), ("a", "x"))):
        await bench.publish(str(n), type=kind, queue=queue)
    await bench.claim(1, room={"a": 1})
    assert await _ids(bench, type="a") == ["0", "2", "3"]
    assert await _ids(bench, queue="x") == ["0", "1", "3"]
    assert await _ids(bench, type="a", queue="x") == ["0", "3"]
    assert await _ids(bench, State.READY, type="a", queue="x") == ["3"]
    assert await _ids(bench, type="nobody") == []


@case()
async def so_many_tasks_are_listed_as_asked(bench: Bench) -> None:
    await bench.publish(*(f"{n:03}" for n in range(120)))
    assert await _ids(bench, limit=2) == ["000", "001"]
    assert len(await _ids(bench)) == 100
    assert len(await _ids(bench, limit=500)) == 120
    assert await _ids(bench, State.READY, limit=1) == ["000"]


@case()
async def a_listed_task_is_whole(bench: Bench) -> None:
    await bench.publish("1", type="send", queue="mail", key="k", payload=b"x")
    await bench.end(await bench.take("1"), Move.RETRIED, delay=9)
    (task,) = await bench.inspector.tasks()
    assert (task.id, task.type, task.options.queue, task.options.key) == ("1", "send", "mail", "k")
    assert (task.payload, task.failures, task.deliveries) == (b"x", 1, 1)


# --- counts and lanes -----------------------------------------------------------------------------


@case()
async def an_empty_broker_counts_nothing(bench: Bench) -> None:
    counts = await bench.counts()
    assert counts.submitted == 0
    assert counts.waiting_submitters == 0
    assert not any(counts.moves.values())


@case()
async def the_counts_follow_every_step(bench: Bench) -> None:
    """(Their sum is looked at after every step of every case.)"""

    async def open_ones() -> tuple[int, ...]:
        counts = await bench.counts()
        return tuple(getattr(counts, state) for state in OPEN)

    await bench.publish("1", "2", delay=3)
    assert await open_ones() == (2, 0, 0)
    await bench.sleep(4)
    await bench.claim(1)
    assert await open_ones() == (0, 1, 1)
    await bench.end(bench.held["1"], Move.RETRIED, delay=9)
    assert await open_ones() == (1, 1, 0)
    await bench.inspector.cancel("1")
    await bench.end(await bench.take("2"), Move.SUCCEEDED)
    assert await open_ones() == (0, 0, 0)
    counts = await bench.counts()
    assert (counts.submitted, counts.cancelled, counts.succeeded) == (2, 1, 1)


@case()
async def lanes_show_the_open_tasks_by_queue_and_type(bench: Bench) -> None:
    """In alphabetical order, without those that hold nothing."""
    await bench.end(await bench.running("0", queue="gone"), Move.SUCCEEDED)
    for n, (queue, kind) in enumerate((("y", "a"), ("x", "b"), ("x", "a"), ("x", "a"), ("x", "a"))):
        await bench.publish(str(n + 1), queue=queue, type=kind, delay=50 if n == 4 else 0)
    await bench.claim(1, room={"a": 1}, queues=["x"])
    await bench.inspector.pause("y")
    lanes = await bench.inspector.lanes()
    assert [tuple(lane)[:6] for lane in lanes] == [
        ("x", "a", 1, 1, 1, False),
        ("x", "b", 0, 1, 0, False),
        ("y", "a", 0, 1, 0, True),
    ]
    await bench.inspector.pause()
    assert all(lane.paused for lane in await bench.inspector.lanes())


@case()
async def a_lane_tells_how_long_its_oldest_ready_task_has_waited(bench: Bench) -> None:
    await bench.publish("1")
    await bench.sleep(4)
    await bench.publish("2")
    (lane,) = await bench.inspector.lanes()
    assert bench.about(lane.oldest, 4)
    await bench.claim()
    (lane,) = await bench.inspector.lanes()
    assert lane.oldest is None, "none is ready"
