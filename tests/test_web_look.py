"""The page's lists: what it says of queues, tasks, failures, dead letters, workers and types."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import trioqueue
from tests.redis_server import Redis
from tests.web_client import Page, open_page
from trioqueue import Queue, Retry, TaskSet, current_task, open_memory_broker, open_queue

tasks = TaskSet(retry=Retry(attempts=1))


@tasks.task(retry=Retry(attempts=3, initial=60, maximum=60))
async def resize(path: str, *, width: int = 300) -> str:
    """Make a picture smaller."""
    if path == "broken.png":
        raise ValueError(f"no picture 4711: {path}")
    return path.upper()


@tasks.task(queue="mail")
async def send(to: str, number: int = 0) -> None:
    if to.startswith("nobody"):
        raise ConnectionError(f"no route to host 10.0.0.{number}")


@tasks.task(timeout=100)
async def wait(name: str) -> None:
    current_task().progress(2, 5)
    await trio.sleep(50)


async def settle(queue: Queue, **wanted: int) -> None:
    """Wait until the counts say so."""
    while True:
        counts = await queue.inspector.counts()
        if all(getattr(counts, name) >= number for name, number in wanted.items()):
            return
        await trio.sleep(0.01)


@asynccontextmanager
async def in_memory(**options: Any) -> AsyncIterator[tuple[Queue, Page]]:
    """A queue in memory, on a wall clock that goes with the virtual one."""

    def wall_clock() -> float:
        return 1.7e9 + trio.current_time()

    async with (
        open_memory_broker(100, wall_clock=wall_clock) as broker,
        open_queue(tasks, broker=broker, **options) as queue,
    ):
        async with open_page(queue, wall_clock=wall_clock) as page:
            yield queue, page
        await queue.shutdown(0)


async def test_tasks_are_listed_newest_first_and_by_state_type_and_queue(
    autojump_clock: MockClock,
):
    async with in_memory() as (queue, page):
        first = await queue.submit(resize, "cat.png", width=640)
        await first.wait()
        await trio.sleep(1)
        second = await queue.options(delay=30).submit(send, "ann@example.org", number=3)
        answer = await page.get("tasks")
        assert [row["id"] for row in answer["tasks"]] == [second.id, first.id]
        assert [row["state"] for row in answer["tasks"]] == ["scheduled", "succeeded"]
        assert answer["tasks"][0]["args"] == ["'ann@example.org'"]
        assert answer["tasks"][0]["kwargs"] == {"number": "3"}
        assert [row["arguments_kept"] for row in answer["tasks"]] == [True, False]
        assert not answer["more"]
        for filters, found in (
            ({"state": "succeeded"}, [first.id]),
            ({"state": "open"}, [second.id]),
            ({"type": "send"}, [second.id]),
            ({"queue": "default"}, [first.id]),
            ({"queue": "default", "type": "send"}, []),
            ({"limit": 1}, [second.id]),
        ):
            answer = await page.get("tasks", **filters)
            assert [row["id"] for row in answer["tasks"]] == found, filters
        assert answer["more"]
        assert "state must be one of" in (await page.get("tasks", 400, state="lost"))["error"]


async def test_tasks_are_found_by_id_argument_and_error(autojump_clock: MockClock):
    async with in_memory() as (queue, page):
        await (await queue.submit(resize, "cat.png", width=640)).wait()
        broken = await queue.submit(resize, "broken.png")
        await settle(queue, scheduled=1)
        await queue.options(id="order-17", delay=9).submit(send, "ann@example.org", number=16)
        for text, found in (
            ("ORDER-17", ["order-17"]),
            (broken.id, [broken.id]),
            ("no picture 4711", [broken.id]),
            ("Ann@Example", ["order-17"]),
            ("number=16", ["order-17"]),
            ("number=17", []),
        ):
            answer = await page.get("tasks", text=text)
            assert [row["id"] for row in answer["tasks"]] == found, text
            assert answer["searched"] == 3


async def test_when_a_scheduled_task_is_due_is_told(autojump_clock: MockClock):
    """Of a delayed one, and of one that is tried again."""
    async with in_memory() as (queue, page):
        later = await queue.options(delay=30).submit(send, "ann@example.org")
        broken = await queue.submit(resize, "broken.png")
        await settle(queue, scheduled=2)
        now = (await page.get("overview"))["now"]
        rows = {row["id"]: row for row in (await page.get("tasks"))["tasks"]}
        assert rows[later.id]["due_at"] - now == pytest.approx(30, abs=2)
        assert rows[broken.id]["due_at"] - now == pytest.approx(60, abs=25)  # with jitter
        assert rows[broken.id]["error"] == "ValueError: no picture 4711: broken.png"
        assert rows[broken.id]["attempt"] == 2


async def test_a_running_task_tells_for_how_long_and_how_far(autojump_clock: MockClock):
    async with in_memory() as (queue, page):
        handle = await queue.submit(wait, "a")
        await trio.sleep(7)
        (row,) = (await page.get("tasks", state="running"))["tasks"]
        assert row["running_for"] == pytest.approx(7, abs=0.1)
        assert row["progress"] == {"done": 2, "total": 5}
        assert row["worker"] == "this process"
        assert ":" in row["worker_name"]
        await handle.cancel()


async def test_one_task_is_told_whole_with_what_happened_to_it(autojump_clock: MockClock):
    """In memory the broker notes nothing: the timeline is what was heard."""
    async with in_memory() as (queue, page):
        handle = await queue.options(key="k").submit(resize, "broken.png")
        await trio.sleep(400)
        task = await page.get("task", id=handle.id)
        assert task["state"] == "dead"
        assert task["attempt"] == 3
        assert task["key"] == "k"
        assert [error["attempt"] for error in task["errors"]] == [1, 2, 3]
        assert "raise ValueError" in task["errors"][0]["traceback"]
        assert task["outcome"]["kind"] == "error"
        assert task["can"] == {"cancel": False, "run": False, "replay": True, "purge": True}
        names = [(entry["name"], entry["delivery"]) for entry in task["timeline"]]
        assert names == [
            ("submitted", 0),
            *(("started", 1), ("retried", 1), ("due", 1)),
            *(("started", 2), ("retried", 2), ("due", 2)),
            *(("started", 3), ("died", 3)),
        ]
        assert task["timeline_complete"]
        assert "due in" in task["timeline"][2]["detail"]
        assert "no picture 4711" in task["timeline"][-1]["detail"]
        times = [entry["at"] for entry in task["timeline"]]
        assert times == sorted(times)
        await page.get("task", 404, id="nobody")
        await page.get("task", 404)


async def test_a_result_is_shown(autojump_clock: MockClock):
    async with in_memory() as (queue, page):
        handle = await queue.submit(resize, "cat.png")
        await handle.wait()
        assert (await page.get("task", id=handle.id))["result"] == "'CAT.PNG'"


async def test_a_late_settle_that_was_refused_is_in_the_timeline(autojump_clock: MockClock):
    """With the token that was too old, beside the newer one."""
    async with in_memory(workers=2) as (queue, page):
        handle = await queue.submit(wait, "a")
        await trio.sleep(1)
        await queue.inspector.revoke(handle.id)
        await trio.sleep(1)
        task = await page.get("task", id=handle.id)
        names = [(entry["name"], entry["delivery"]) for entry in task["timeline"]]
        assert ("lost", 1) in names
        assert ("started", 2) in names
        assert task["losses"] == 1
        await handle.cancel()


async def test_failures_are_grouped_by_type_and_error(autojump_clock: MockClock):
    """Numbers are folded; what is being tried again counts as well; the newest is first."""
    async with in_memory() as (queue, page):
        for number in range(3):
            await (await queue.submit(send, "nobody", number)).wait()
        await trio.sleep(1)
        await queue.submit(resize, "broken.png")
        await settle(queue, scheduled=1)
        answer = await page.get("failures")
        told = [(each["type"], each["error"], each["count"]) for each in answer["groups"]]
        assert told == [
            ("resize", "ValueError: no picture #: broken.png", 1),
            ("send", "ConnectionError: no route to host #", 3),
        ]
        assert [(each["dead"], each["retrying"]) for each in answer["groups"]] == [(0, 1), (3, 0)]
        assert not answer["more"]


async def test_dead_letters_are_listed_by_filter_newest_death_first(autojump_clock: MockClock):
    async with in_memory() as (queue, page):
        for number in range(4):
            await (await queue.submit(send, "nobody", number)).wait()
        answer = await page.get("dead", limit=3)
        assert [letter["args"][1] for letter in answer["letters"]] == ["3", "2", "1"]
        assert (answer["total"], answer["more"], answer["total_capped"]) == (4, True, False)
        for filters, total in (
            ({"error": "10.0.0.2"}, 1),
            ({"group": "ConnectionError: no route to host #"}, 4),
            ({"group": "ConnectionError: no route to host 1"}, 0),
            ({"type": "resize"}, 0),
            ({"older_than": 3600}, 0),
            ({"before": answer["now"] - 3600}, 0),
            ({"before": answer["now"] + 3600}, 4),
        ):
            assert (await page.get("dead", **filters))["total"] == total, filters


async def test_lanes_workers_and_types(autojump_clock: MockClock):
    async with in_memory(workers=3) as (queue, page):
        queue.pause("mail")
        await queue.submit(send, "ann@example.org")
        running = await queue.submit(wait, "a")
        await trio.sleep(5)
        answer = await page.get("lanes")
        assert [(lane["queue"], lane["type"]) for lane in answer["lanes"]] == [
            ("default", "wait"),
            ("mail", "send"),
        ]
        assert answer["lanes"][1]["paused"]
        assert answer["lanes"][1]["oldest"] == pytest.approx(5, abs=0.5)
        assert answer["paused"] == {"all": False, "queues": ["mail"]}
        (worker,) = (await page.get("workers"))["workers"]
        assert (worker["workers"], worker["running"], worker["live"]) == (3, 1, True)
        types = {each["name"]: each for each in (await page.get("types"))["types"]}
        assert types["send"]["queue"] == "mail"
        assert types["resize"]["doc"] == "Make a picture smaller."
        assert types["resize"]["attempts"] == 3
        assert types["resize"]["parameters"] == [
            {
                "name": "path",
                "annotation": "str",
                "default": None,
                "required": True,
                "kind": "positional_or_keyword",
            },
            {
                "name": "width",
                "annotation": "int",
                "default": "300",
                "required": False,
                "kind": "keyword_only",
            },
        ]
        await running.cancel()


async def test_parameters_that_cannot_be_are_refused(autojump_clock: MockClock):
    async with in_memory() as (_, page):
        for path, name, value in (
            ("tasks", "limit", "0"),
            ("tasks", "limit", "many"),
            ("tasks", "limit", "nan"),
            ("tasks", "text", "x" * 2_000),
            ("series", "window", "1e9"),
            ("dead", "older_than", "-1"),
        ):
            assert name in (await page.get(path, 400, **{name: value}))["error"]


# --- other brokers -------------------------------------------------------------------------------


async def durable_story(broker: str, kind: str) -> None:
    """What is different there: histories, workers with heartbeats, results as bytes."""
    async with open_queue(tasks, broker=broker, workers=2) as queue, open_page(queue) as page:
        good = await queue.submit(resize, "cat.png")
        await good.wait()
        dead = await queue.submit(send, "nobody", 3)
        await dead.wait()
        later = await queue.options(delay=600).submit(send, "ann@example.org")
        running = await queue.submit(wait, "a")
        await settle(queue, running=1)
        await page.post("queues/resume", {"queue": None})  # whoever does a thing sees it soon
        overview = await page.get("overview")
        while not (overview["counts"]["running"] and overview["workers"]["slots"]):
            await trio.sleep(0.05)
            overview = await page.get("overview")
        assert overview["broker"] == kind
        assert overview["counts"]["dead"] == 1
        assert overview["workers"]["slots"] == 2
        rows = {row["id"]: row for row in (await page.get("tasks"))["tasks"]}
        assert set(rows) == {good.id, dead.id, later.id, running.id}
        assert rows[later.id]["due_at"] - overview["now"] == pytest.approx(600, abs=60)
        assert rows[running.id]["running_for"] >= 0
        assert ":" in rows[running.id]["worker_name"]
        task = await page.get("task", id=good.id)
        assert task["result"] == '"CAT.PNG"'
        assert [entry["name"] for entry in task["timeline"]] == [
            "submitted",
            "started",
            "succeeded",
        ]
        assert task["timeline"][1]["worker_name"] == rows[running.id]["worker_name"]
        assert task["timeline_complete"]
        assert (await page.get("dead"))["total"] == 1
        assert (await page.get("task", id=dead.id))["errors"][0]["type"] == "ConnectionError"
        assert [row["id"] for row in (await page.get("tasks", text="nobody"))["tasks"]] == [dead.id]
        await running.cancel()


async def test_a_broker_in_a_file(tmp_path: Path):
    await durable_story(f"sqlite:///{tmp_path}/jobs.db", "sqlite")


@pytest.mark.main
async def test_a_broker_on_redis(redis_server: Redis):
    await durable_story(redis_server.url("web-look"), "redis")


async def test_a_broker_without_a_queue_is_looked_at(tmp_path: Path):
    """As the command line does: the types are known if they are given."""
    async with trioqueue.open_sqlite_broker(tmp_path / "jobs.db") as broker:
        async with open_page(broker) as page:
            assert (await page.get("types"))["types"] == []
            assert not (await page.get("session"))["can_submit"]
        opening: AbstractAsyncContextManager[Page] = open_page(broker, tasks=tasks)
        async with opening as page:
            assert [each["name"] for each in (await page.get("types"))["types"]] == [
                *("resize", "send", "wait"),
            ]
            assert (await page.get("workers"))["workers"] == []
