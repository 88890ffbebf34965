"""Limits in the whole fleet: queues on one file count together, and nobody hoards a slot."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.contract import opened
from tests.durable import LEASE, in_file
from tests.durable_scenarios import new_file
from trioqueue import (
    Discard,
    InvalidTask,
    Queue,
    QueueClosed,
    Retry,
    Snooze,
    State,
    TaskSet,
    current_task,
)
from trioqueue.testing import chosen, open_test_queue, schedules

ENDS = {"fails": OSError, "snoozes": lambda: Snooze(0.5), "is given up": Discard}


class Fleet:
    """Handlers that are counted while they run, whichever queue runs them."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.running = self.most = 0
        self.began: list[float] = []
        self.tasks = TaskSet(retry=Retry(attempts=2, initial=0.5, jitter=0))
        self.scarce = self.tasks.task(name="scarce", limit=limit, scope="fleet")(self._scarce)
        self.free = self.tasks.task(name="free")(self._free)

    async def _scarce(self, seconds: float, end: str = "returns") -> None:
        self.began.append(trio.current_time())
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await trio.sleep(seconds)
            if end in ENDS and current_task().deliveries == 1:
                raise ENDS[end]()
        finally:
            self.running -= 1

    async def _free(self, seconds: float, end: str = "returns") -> None:
        await trio.sleep(seconds)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


# --- where it is given ---------------------------------------------------------------------------


async def handler() -> None: ...


@pytest.mark.parametrize("scope", ["Fleet", "", None, 1, ["fleet"], trio.CapacityLimiter(1)])
def test_there_are_two_scopes(scope: Any) -> None:
    with pytest.raises(InvalidTask, match="'process' or 'fleet'"):
        TaskSet().task(limit=1, scope=scope)(handler)


def test_a_scope_needs_a_limit() -> None:
    with pytest.raises(InvalidTask, match="pass limit="):
        TaskSet().task(scope="fleet")(handler)
    with pytest.raises(InvalidTask, match="limit must be a whole number"):
        TaskSet().task(limit=trio.CapacityLimiter(1), scope="fleet")(handler)  # type: ignore[call-overload]


def test_a_limit_is_the_processs_own_unless_told_otherwise() -> None:
    tasks = TaskSet()
    assert tasks.task(name="1")(handler).scope == "process"
    assert tasks.task(name="2", limit=1)(handler).scope == "process"
    assert tasks.task(name="3", limit=1, scope="fleet")(handler).scope == "fleet"


async def test_in_memory_the_process_is_the_fleet(autojump_clock: MockClock) -> None:
    fleet = Fleet(2)
    async with opened(fleet.tasks, workers=5) as queue:
        await queue.submit_many([fleet.scarce.bind(1) for _ in range(6)])
        await queue.drain()
    assert (fleet.most, trio.current_time()) == (2, 3)


# --- counted together ----------------------------------------------------------------------------


async def test_two_queues_run_no_more_than_the_limit_together(
    path: Path, autojump_clock: MockClock
) -> None:
    """And no fewer: each slot is used again as soon as it is free, by whoever has a worker."""
    fleet = Fleet(3)
    async with in_file(path, fleet.tasks), in_file(path, fleet.tasks) as queue:
        await queue.submit_many([fleet.scarce.bind(1) for _ in range(9)])
        await queue.drain()
    assert (fleet.most, trio.current_time()) == (3, 3)


async def test_a_limit_of_the_process_is_not_the_fleets(
    path: Path, autojump_clock: MockClock
) -> None:
    tasks = TaskSet()

    @tasks.task(limit=1)
    async def single() -> None:
        await trio.sleep(1)

    async with in_file(path, tasks), in_file(path, tasks) as queue:
        await queue.submit_many([single.bind() for _ in range(4)])
        await queue.drain()
    assert trio.current_time() == 2


async def test_the_limit_holds_in_each_process_too(path: Path, autojump_clock: MockClock) -> None:
    """Whatever is claimed: its own tokens are taken as well."""
    fleet = Fleet(2)
    async with in_file(path, fleet.tasks, workers=6) as queue:
        await queue.submit_many([fleet.scarce.bind(1) for _ in range(4)])
        await queue.drain()
    assert (fleet.most, trio.current_time()) == (2, 2)


async def test_a_full_type_blocks_nobody_else(path: Path, autojump_clock: MockClock) -> None:
    """Neither where its slots are taken nor where there are none left, nor across queues."""
    fleet = Fleet(1)
    async with in_file(path, fleet.tasks) as one, in_file(path, fleet.tasks):
        await one.submit(fleet.scarce, 50)
        await wait_all_tasks_blocked()
        await one.options(priority=200).submit(fleet.scarce, 1)
        await one.options(queue="other").submit(fleet.scarce, 1)
        handles = await one.submit_many([fleet.free.bind(1) for _ in range(6)])
        for handle in handles:
            await handle.result()
        assert trio.current_time() == 2, "three workers for six"
        assert fleet.began == [0]
        await one.drain()
        assert fleet.began == [0, 50, 51]


async def test_a_process_that_dies_leaks_no_slot(path: Path, autojump_clock: MockClock) -> None:
    """It renews no more; when its leases have expired its slots are free."""
    fleet = Fleet(2)

    async def never(*_: Any) -> Any:
        await trio.sleep_forever()

    serving = in_file(path, fleet.tasks, queues=["default"])
    async with serving as queue, trio.open_nursery() as nursery:
        cut_off = trio.Event()
        nursery.start_soon(_work_until_cut_off, path, fleet, never, cut_off)
        await cut_off.wait()
        handle = await queue.submit(fleet.scarce, 1)
        await handle.result()
        assert LEASE < trio.current_time() < 2 * LEASE
        nursery.cancel_scope.cancel()


async def _work_until_cut_off(path: Path, fleet: Fleet, never: Any, done: trio.Event) -> None:
    """A queue that takes both slots, and is heard of no more."""
    async with in_file(path, fleet.tasks, queues=["lost"]) as queue:
        lost = queue.options(queue="lost")
        await lost.submit_many([fleet.scarce.bind(1_000) for _ in range(2)])
        await wait_all_tasks_blocked()
        assert fleet.running == 2
        broker: Any = queue.inspector
        vars(broker).update(renew=never, claim=never, register=never)
        done.set()
        await trio.sleep_forever()


# --- claiming ------------------------------------------------------------------------------------


def claims_of(queue: Queue, claims: list[tuple[int, Counter[str]]]) -> None:
    """Note each claim from now on: how many workers were idle, and what was taken."""
    broker: Any = queue.inspector
    claim = broker.claim

    async def claim_and_note(room: Any, most: int, queues: Any) -> Any:
        idle = queue.pool.free()
        leases = await claim(room, most, queues)
        claims.append((idle, Counter(lease.task.type for lease in leases)))
        return leases

    vars(broker)["claim"] = claim_and_note


async def test_nobody_claims_a_slot_ahead(path: Path, autojump_clock: MockClock) -> None:
    """Of quick handlers more is claimed than can be begun at once; of those with slots, not."""
    fleet = Fleet(50)
    claims: list[tuple[int, Counter[str]]] = []
    async with in_file(path, fleet.tasks, workers=2) as queue:
        claims_of(queue, claims)
        for _ in range(5):
            await queue.submit_many([fleet.free.bind(0) for _ in range(40)])
            await queue.submit_many([fleet.scarce.bind(0) for _ in range(4)])
        await queue.drain()
    assert max(taken["free"] - idle for idle, taken in claims) > 10, "quick ones are claimed ahead"
    assert max(taken["scarce"] - idle for idle, taken in claims) == 0
    assert max(taken["scarce"] for _, taken in claims) > 1, "those that idle workers can begin"


async def test_what_is_claimed_ahead_does_not_hide_that_a_type_has_room_again(
    path: Path, autojump_clock: MockClock
) -> None:
    fleet = Fleet(1)
    async with in_file(path, fleet.tasks, workers=2) as queue:
        await queue.submit_many([fleet.scarce.bind(1) for _ in range(3)])
        await queue.submit_many([fleet.free.bind(0) for _ in range(100)])
        await queue.drain()
    assert trio.current_time() == 3


async def test_the_laws_hold_with_limits_of_the_fleet(
    path: Path, autojump_clock: MockClock
) -> None:
    """What is claimed ahead passes over what has slots: that alone may change the order."""
    fleet = Fleet(2)
    async with open_test_queue(fleet.tasks, workers=3, broker=f"sqlite:///{path}") as queue:
        for _ in range(4):
            await queue.submit_many([fleet.free.bind(0) for _ in range(20)])
            await queue.submit_many([fleet.scarce.bind(0.1), fleet.scarce.bind(0)])
        await queue.drain()
    assert fleet.most == 2


# --- in any program ------------------------------------------------------------------------------

seconds = st.sampled_from([0.0, 0.001, 0.3, 1.0])
ends = st.sampled_from(["returns", *ENDS])
jobs = st.lists(st.tuples(st.sampled_from(["scarce", "scarce", "free"]), seconds, ends), max_size=9)
strikes = st.lists(
    st.tuples(seconds, st.sampled_from(["cancel", "strike", "pause", "stop"]), st.integers(0, 9)),
    max_size=6,
)


@pytest.mark.main
@pytest.mark.race
@given(
    limit=st.integers(1, 3),
    workers=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    jobs=jobs,
    strikes=strikes,
    choices=schedules(200),
)
def test_no_program_runs_more_than_the_limit(
    limit: int, workers: tuple[int, int], jobs: Any, strikes: Any, choices: list[int]
) -> None:
    """Cancelled by request or as a worker, paused, stopped with a grace or without: all ends."""

    async def program() -> None:
        fleet = Fleet(limit)
        with new_file() as file:
            async with in_file(Path(file), fleet.tasks, workers=workers[0]) as queue:
                ids: list[str] = []
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_beside, Path(file), fleet, workers[1], strikes, ids)
                    for kind, duration, end in jobs:
                        task_type = fleet.scarce if kind == "scarce" else fleet.free
                        ids.append((await queue.submit(task_type, duration, end)).id)
                        await trio.sleep(duration / 2)
                await queue.drain()
                for task_id in ids:
                    task = await queue.inspector.get(task_id)
                    assert task is not None
                    assert task.state in {State.SUCCEEDED, State.CANCELLED, State.DEAD}
        assert fleet.most <= limit

    with chosen(choices) as schedule:
        trio.run(program, clock=MockClock(autojump_threshold=0), instruments=[schedule])


async def _beside(path: Path, fleet: Fleet, workers: int, strikes: Any, ids: list[str]) -> None:
    """A second queue, to which all kinds of things happen."""
    try:
        async with in_file(path, fleet.tasks, workers=workers) as queue:
            for pause, what, number in strikes:
                await trio.sleep(pause)
                if what == "cancel" and ids:
                    await queue.inspector.cancel(ids[number % len(ids)])
                elif what == "strike":
                    alive = sorted(queue.pool._workers, key=lambda worker: worker.number)
                    alive[number % len(alive)].life.cancel()
                elif what == "pause":
                    await queue.inspector.pause("default")
                    await trio.sleep(0.2)
                    await queue.inspector.resume("default")
                elif what == "stop":
                    await queue.shutdown(number / 10)
                    break
    except QueueClosed:
        pass
