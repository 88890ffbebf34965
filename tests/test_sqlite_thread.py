"""The thread: a group is one transaction, what has not begun can be withdrawn, closing ends it."""

import os
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import pytest
import trio
import trio.testing

from tests.sqlite_help import a_task, database, engine_of, outsider, take, verdict
from trioqueue import BrokerFailed, BrokerUnavailable, InvalidTask, Move, UnknownTask
from trioqueue._model import Lease
from trioqueue.brokers._sqlite import SqliteBroker, open_sqlite_broker
from trioqueue.brokers._sqlite_jobs import PROBES, VERBS

#: Seconds after which a test on a real clock has failed. None is waited for.
PATIENCE = 30.0


class Gate:
    """A probe that stops the broker's thread at one point, until it is opened."""

    def __init__(self, point: str) -> None:
        self.point = point
        self.reached = trio.Event()
        self.passed: Counter[str] = Counter()
        self._open = threading.Event()
        self._token = trio.lowlevel.current_trio_token()

    def __call__(self, point: str) -> None:
        self.passed[point] += 1
        if point == self.point and not self._open.is_set():
            self._token.run_sync_soon(self.reached.set)
            assert self._open.wait(PATIENCE)

    def open(self) -> None:
        self._open.set()


@asynccontextmanager
async def gated(path: Path, point: str, **options: Any) -> AsyncIterator[tuple[SqliteBroker, Gate]]:
    gate = Gate(point)
    try:
        async with open_sqlite_broker(path / "jobs.db", probe=gate, **options) as broker:
            try:
                yield broker, gate
            finally:
                gate.open()
    finally:
        gate.open()


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Any:
    yield
    left = [one for one in threading.enumerate() if one.name == "trioqueue sqlite"]
    assert not left


# --- groups ---------------------------------------------------------------------------------------


async def test_what_queues_up_while_a_transaction_runs_becomes_the_next_one(tmp_path: Path) -> None:
    commits = 0

    def count() -> bool:
        nonlocal commits
        commits += 1
        return False

    async with gated(tmp_path, "publish:before-commit") as (broker, gate):
        db = database(broker)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(broker.publish, [a_task("first")])
            await gate.reached.wait()
            for number in range(50):
                nursery.start_soon(broker.publish, [a_task(number)])
            await trio.testing.wait_all_tasks_blocked()
            db.set_commit_hook(count)
            gate.open()
        db.set_commit_hook(None)
        assert commits <= 2, "51 calls, and at most two transactions were not closed yet"
        assert (await broker.counts()).ready == 51
        assert gate.passed["publish:after-commit"] == 51, "each verb passes each point"


async def test_claims_of_one_group_share_the_slots(tmp_path: Path) -> None:
    """Each counts what the ones before it in the same transaction have taken."""
    async with gated(tmp_path, "publish:before-commit") as (broker, gate):
        broker.limit_fleet({"a": 3})
        taken: list[Lease] = []

        async def claim() -> None:
            taken.extend(await broker.claim({"a": 2}, 2))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(broker.publish, [a_task(number) for number in range(9)])
            await gate.reached.wait()
            for _ in range(4):
                nursery.start_soon(claim)
            await trio.testing.wait_all_tasks_blocked()
            gate.open()
        assert len(taken) == 3


async def test_a_job_that_fails_fails_alone(tmp_path: Path) -> None:
    """Its group is undone and done again one by one; the others are told of their success."""
    async with gated(tmp_path, "publish:before-commit") as (broker, gate):
        failed: list[BaseException] = []

        async def publish(task_id: str) -> None:
            try:
                await broker.publish([a_task(f"before {task_id}"), a_task(task_id)])
            except InvalidTask as error:
                failed.append(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(broker.publish, [a_task("first")])
            await gate.reached.wait()
            for task_id in ("1", "half of a pair: \ud800", "2"):
                nursery.start_soon(publish, task_id)
            await trio.testing.wait_all_tasks_blocked()
            gate.open()
        assert len(failed) == 1
        found = {task.id for task in await broker.tasks()}
        assert found == {"first", "1", "before 1", "2", "before 2"}, "all or nothing, each"
        assert (await broker.counts()).submitted == 5


async def test_an_answer_of_no_undoes_nobody(tmp_path: Path) -> None:
    """What a verb refuses by itself, it has refused before it wrote anything."""
    async with gated(tmp_path, "publish:before-commit") as (broker, gate):
        errors: list[UnknownTask] = []

        async def purge() -> None:
            try:
                await broker.purge("nobody")
            except UnknownTask as error:
                errors.append(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(broker.publish, [a_task("first")])
            await gate.reached.wait()
            nursery.start_soon(purge)
            nursery.start_soon(broker.publish, [a_task("second")])
            await trio.testing.wait_all_tasks_blocked()
            gate.open()
        assert [error.task_id for error in errors] == ["nobody"]
        assert (await broker.counts()).ready == 2
        assert gate.passed["purge:begun"] == 1


async def test_a_full_disk_refuses_what_is_large_and_keeps_what_is_small(tmp_path: Path) -> None:
    async with open_sqlite_broker(tmp_path / "jobs.db") as broker:
        await broker.publish([a_task("1")])
        (lease,) = await take(broker)
        db = database(broker)
        db.pragma("max_page_count", db.pragma("page_count") + 2)
        large = a_task("large")
        large.payload = b"x" * 100_000
        outcomes: list[object] = []

        async def publish() -> None:
            try:
                await broker.publish([large])
            except BrokerUnavailable as error:
                outcomes.append(str(error))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(publish)
            nursery.start_soon(broker.settle, [verdict(lease, Move.SUCCEEDED)])
        assert len(outcomes) == 1
        assert "free space" in str(outcomes[0])
        counts = await broker.counts()
        assert (counts.submitted, counts.succeeded) == (1, 1)
        db.pragma("max_page_count", 1_000_000)
        await broker.publish([large])
        assert (await broker.counts()).ready == 1


# --- cancelling -----------------------------------------------------------------------------------

Call = Callable[[SqliteBroker], Any]
CALLS: dict[str, Call] = {
    "publish": lambda broker: broker.publish([a_task("new")]),
    "claim": lambda broker: broker.claim({"a": 1}, 1),
    "cancel": lambda broker: broker.cancel("1"),
    "pause": lambda broker: broker.pause(),
}


@pytest.mark.parametrize("verb", CALLS)
async def test_a_call_that_has_not_begun_is_withdrawn(tmp_path: Path, verb: str) -> None:
    """While another program holds the lock nothing begins; cancelled then, nothing ever does."""
    path = tmp_path / "jobs.db"
    async with open_sqlite_broker(path) as broker:
        await broker.publish([a_task("1")])
        before = await broker.counts()
        with outsider(path) as other:
            other.execute("BEGIN IMMEDIATE")
            async with trio.open_nursery() as nursery:
                with trio.CancelScope() as scope:

                    async def cancel() -> None:
                        await trio.testing.wait_all_tasks_blocked(0.02)
                        scope.cancel()

                    nursery.start_soon(cancel)
                    await CALLS[verb](broker)
                assert scope.cancelled_caught
            other.execute("ROLLBACK")
        assert await broker.counts() == before
        assert (await broker.paused())[0] is False


@pytest.mark.parametrize("point", ["begun", "before-commit", "after-commit"])
@pytest.mark.parametrize("verb", CALLS)
async def test_a_call_that_has_begun_is_not_abandoned(
    tmp_path: Path, verb: str, point: str
) -> None:
    """Cancelled in the middle, it returns its answer; the cancellation comes at what follows."""
    async with gated(tmp_path, f"{verb}:{point}") as (broker, gate):
        if verb != "publish":
            await broker.publish([a_task("1")])
        answers: list[object] = []
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:

                async def cancel() -> None:
                    await gate.reached.wait()
                    scope.cancel()
                    await trio.testing.wait_all_tasks_blocked()
                    gate.open()

                nursery.start_soon(cancel)
                answers.append(await CALLS[verb](broker))
                assert scope.cancel_called
                await trio.lowlevel.checkpoint()
            assert scope.cancelled_caught
        assert len(answers) == 1


@pytest.mark.parametrize("verb", CALLS)
async def test_a_call_in_a_cancelled_scope_does_nothing(tmp_path: Path, verb: str) -> None:
    async with gated(tmp_path, "never") as (broker, gate):
        with trio.CancelScope() as scope:
            scope.cancel()
            await CALLS[verb](broker)
        assert scope.cancelled_caught
        await broker.counts()
        assert not gate.passed


async def test_a_thousand_waits_that_were_cancelled_leave_nothing_behind(tmp_path: Path) -> None:
    async with open_sqlite_broker(tmp_path / "jobs.db") as broker:
        task = a_task("1")
        await broker.publish([task])
        async with trio.open_nursery() as nursery:
            for _ in range(200):
                nursery.start_soon(broker.wait_settled, task)
                nursery.start_soon(broker.wait_ready, {"b"})
                nursery.start_soon(broker.wait_drained, {"a"}, None)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert engine_of(broker).waited_for
            nursery.cancel_scope.cancel()
        await broker.counts()  # after this, the thread has looked
        await broker.counts()
        assert not engine_of(broker).waited_for


# --- locked ---------------------------------------------------------------------------------------


async def test_a_lock_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with open_sqlite_broker(path) as broker:
        with outsider(path) as other:
            other.execute("BEGIN IMMEDIATE")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(broker.publish, [a_task("1")])
                await trio.testing.wait_all_tasks_blocked(0.05)
                assert (await broker.counts()).submitted == 0, "one may look all the same"
                other.execute("COMMIT")
        assert (await broker.counts()).submitted == 1


async def test_a_lock_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    """And the answer is exact: nothing was done, then or later."""
    path = tmp_path / "jobs.db"
    async with open_sqlite_broker(path, busy_timeout=0.1) as broker:
        with outsider(path) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(BrokerUnavailable, match=r"locked by another process for 0\.1 s"):
                await broker.publish([a_task("1")])
            other.execute("ROLLBACK")
        assert (await broker.counts()).submitted == 0
        await broker.publish([a_task("1")])


async def test_opening_waits_for_a_lock_and_not_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with open_sqlite_broker(path):
        pass
    with outsider(path) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BrokerUnavailable, match="locked"):
            async with open_sqlite_broker(path, busy_timeout=0.05):
                pytest.fail("it was opened")
        with trio.move_on_after(0.05) as scope:
            async with open_sqlite_broker(path):
                pytest.fail("it was opened")
        assert scope.cancelled_caught
        other.execute("ROLLBACK")
    async with open_sqlite_broker(path):
        pass


# --- closing --------------------------------------------------------------------------------------


async def test_closing_finishes_what_has_begun_and_fails_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    answers: dict[str, object] = {}

    async def call(name: str, function: Callable[[], Any]) -> None:
        try:
            answers[name] = await function()
        except BrokerFailed as error:
            answers[name] = str(error)

    gate = Gate("publish:begun")
    async with trio.open_nursery() as nursery, open_sqlite_broker(path, probe=gate) as broker:
        begun, late = a_task("begun"), a_task("late")
        nursery.start_soon(call, "begun", partial(broker.publish, [begun]))  # noqa: ASYNC111 - meant
        await gate.reached.wait()
        nursery.start_soon(call, "late", partial(broker.publish, [late]))  # noqa: ASYNC111 - meant
        nursery.start_soon(call, "ready", partial(broker.wait_ready, {"b"}))  # noqa: ASYNC111 - meant
        nursery.start_soon(call, "settled", partial(broker.wait_settled, begun))  # noqa: ASYNC111 - meant
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(_open_soon, gate)
    assert answers.pop("begun") == [begun]
    assert answers.keys() == {"late", "ready", "settled"}
    assert all("closed" in str(answer) for answer in answers.values())
    with outsider(path) as db:
        assert db.execute("SELECT id FROM tasks").fetchall() == [("begun",)]
    with pytest.raises(BrokerFailed, match="closed"):
        await broker.counts()


async def _open_soon(gate: Gate) -> None:
    await trio.testing.wait_all_tasks_blocked()
    gate.open()


async def test_closing_does_not_wait_for_somebody_elses_lock(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    failed: list[BaseException] = []

    async def publish(broker: SqliteBroker) -> None:
        try:
            await broker.publish([a_task("1")])
        except BrokerFailed as error:
            failed.append(error)

    with outsider(path) as other:
        async with trio.open_nursery() as nursery, open_sqlite_broker(path) as broker:
            other.execute("BEGIN IMMEDIATE")
            nursery.start_soon(publish, broker)  # noqa: ASYNC111 - meant
            await trio.testing.wait_all_tasks_blocked(0.02)
        assert len(failed) == 1
        other.execute("ROLLBACK")


async def test_a_block_that_raises_or_is_cancelled_closes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    with pytest.raises(ZeroDivisionError):
        async with open_sqlite_broker(path):
            raise ZeroDivisionError
    with trio.CancelScope() as scope:
        async with open_sqlite_broker(path):
            scope.cancel()
            await trio.sleep_forever()
    assert os.listdir(tmp_path) == ["jobs.db"], "the last one to close it copies the log"


async def test_a_bug_in_the_thread_is_everybodys_error_and_no_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_sqlite_broker(tmp_path / "jobs.db") as broker:

        def crash(*_: object) -> None:
            raise AssertionError("a bug")

        monkeypatch.setattr("trioqueue.brokers._sqlite_thread.poke_others", crash)
        with trio.fail_after(PATIENCE):
            with pytest.raises(AssertionError, match="a bug"):
                await broker.publish([a_task("1")])
            with pytest.raises(BrokerFailed):
                await broker.publish([a_task("2")])
    assert "has crashed" in caplog.text


# --- leases that Trio has not heard of yet --------------------------------------------------------


async def test_a_request_is_heard_though_trio_was_busy_when_the_task_was_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread must not fall asleep for lack of leases while one is on its way to Trio."""
    monkeypatch.setattr("trioqueue.brokers._sqlite_thread.poke_others", lambda *_: None)
    asked = trio.Event()
    async with gated(tmp_path, "claim:after-commit", lease=600) as (broker, gate):
        broker.watch(lambda _: asked.set(), None)
        await broker.publish([a_task("1")])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(take, broker)
            await gate.reached.wait()
            gate.open()
            time.sleep(0.3)  # noqa: ASYNC251 - a busy program: the thread goes on, and to sleep
        async with open_sqlite_broker(tmp_path / "jobs.db") as other:
            await other.cancel("1")
        with trio.fail_after(PATIENCE):
            await asked.wait()


# --- points ---------------------------------------------------------------------------------------


def test_every_verb_has_its_four_points() -> None:
    assert len(PROBES) == len(set(PROBES)) == 4 * len(VERBS)


async def test_a_broker_that_nobody_uses_does_nothing(tmp_path: Path) -> None:
    """No tick: not one statement, while no lease is held and nobody waits."""
    async with open_sqlite_broker(tmp_path / "jobs.db") as broker:
        await broker.publish([a_task("1")])
        db = database(broker)
        await broker.counts()
        before = db.status(apsw.SQLITE_DBSTATUS_CACHE_HIT)[0]
        await trio.sleep(0.2)  # noqa: ASYNC116 - there is nothing to wait for
        assert db.status(apsw.SQLITE_DBSTATUS_CACHE_HIT)[0] == before
