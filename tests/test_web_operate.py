"""What operators do by the page: one task, many dead letters, queues, submits; and the audit."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.redis_server import Redis
from tests.web_client import Page, open_page
from trioqueue import BrokerUnavailable, Queue, Retry, State, TaskSet, open_queue
from trioqueue.testing import failing

tasks = TaskSet(retry=Retry(attempts=1))
done: list[Any] = []


@tasks.task
async def wait(seconds: float, *, name: str = "x", tags: list[str] | None = None) -> None:
    done.append((seconds, name, tags))
    await trio.sleep(seconds)


@tasks.task(queue="mail")
async def send(to: str, number: int = 0) -> None:
    if to.startswith("nobody"):
        raise ConnectionError(f"no route to host {number}")


class Unreadable:
    pass


@tasks.task
async def odd(thing: Unreadable) -> None:
    pass


@pytest.fixture(autouse=True)
def _nothing_done():
    done.clear()


@asynccontextmanager
async def page_of(**options: Any) -> AsyncIterator[tuple[Queue, Page]]:
    async with open_queue(tasks, **options) as queue:
        async with open_page(queue) as page:
            yield queue, page
        await queue.shutdown(0)


async def kill(queue: Queue, count: int) -> list[str]:
    """So many dead letters."""
    ids = []
    for number in range(count):
        handle = await queue.submit(send, "nobody", number)
        await handle.wait()
        ids.append(handle.id)
    return ids


async def state_of(queue: Queue, task_id: str) -> State | None:
    task = await queue.inspector.get(task_id)
    return None if task is None else task.state


# --- one task ------------------------------------------------------------------------------------


async def test_a_task_is_cancelled_waiting_or_running(autojump_clock: MockClock):
    async with page_of() as (queue, page):
        running = await queue.submit(wait, 100)
        waiting = await queue.options(delay=100).submit(wait, 1)
        await trio.sleep(1)
        for handle in (running, waiting):
            assert await page.post("task/cancel", {"id": handle.id}) == {"done": True}
            await handle.wait()
            assert await state_of(queue, handle.id) is State.CANCELLED
        assert await page.post("task/cancel", {"id": running.id}) == {"done": False}
        assert await page.post("task/cancel", {"id": "nobody"}) == {"done": False}


async def test_a_scheduled_task_is_run_now(autojump_clock: MockClock):
    async with page_of() as (queue, page):
        later = await queue.options(delay=1000).submit(wait, 1)
        began = trio.current_time()
        assert await page.post("task/run", {"id": later.id}) == {"done": True}
        await later.result()
        assert trio.current_time() - began < 5
        assert await page.post("task/run", {"id": later.id}) == {"done": False}


async def test_a_dead_letter_is_replayed_or_purged(autojump_clock: MockClock):
    async with page_of() as (queue, page):
        first, second = await kill(queue, 2)
        assert await page.post("task/replay", {"id": first}) == {"done": True}
        assert await page.post("task/purge", {"id": second}) == {"done": True}
        await trio.sleep(1)
        counts = await queue.inspector.counts()
        assert (counts.dead, counts.purged) == (1, 1)
        for verb in ("replay", "purge"):
            await page.post(f"task/{verb}", {"id": second}, 404)
        await page.post("task/purge", {"id": 7}, 400)
        await page.post("task/purge", {}, 400)


@pytest.mark.parametrize(
    "task_id", ["..", ".", "a/b", "/", "%2e%2e", "?id=x", "#", "a b", "é" * 50]
)
async def test_a_task_may_have_any_name(task_id: str, autojump_clock: MockClock):
    """Paths would be folded by browsers and proxies: names travel in queries and bodies."""
    async with page_of() as (queue, page):
        await queue.options(id=task_id, delay=100).submit(wait, 1)
        assert (await page.get("task", id=task_id))["id"] == task_id
        assert await page.post("task/cancel", {"id": task_id}) == {"done": True}
        assert (await page.get("task", id=task_id))["state"] == "cancelled"


# --- many ----------------------------------------------------------------------------------------


async def test_dead_letters_are_purged_by_their_ids(autojump_clock: MockClock):
    async with page_of() as (queue, page):
        ids = await kill(queue, 3)
        answer = await page.post("dead/purge", {"ids": [*ids[:2], "nobody", ids[0]]})
        assert answer["done"] == 2
        assert [each["id"] for each in answer["refused"]] == ["nobody"]
        assert not answer["more"]
        assert queue.statistics().dead == 1


async def test_dead_letters_are_replayed_by_filter_as_many_as_were_seen(
    autojump_clock: MockClock,
):
    """What has died since the operator looked is not touched."""
    async with page_of() as (queue, page):
        await kill(queue, 3)
        seen = await page.get("dead", group="ConnectionError: no route to host #")
        wanted = {"group": "ConnectionError: no route to host #", "type": "send"}
        assert seen["total"] == 3
        for expected in (2, 4, None, True, "3"):
            body = {"filter": wanted, "expected": expected}
            assert (await page.post("dead/replay", body, 409))["total"] == 3
        assert queue.statistics().replayed == 0
        answer = await page.post("dead/replay", {"filter": wanted, "expected": 3})
        assert (answer["done"], answer["refused"], answer["more"]) == (3, [], False)
        assert queue.statistics().replayed == 3


async def test_many_more_than_the_queue_has_room_for_are_replayed(autojump_clock: MockClock):
    """In portions: room comes as they end."""
    async with page_of(workers=4, capacity=10) as (queue, page):
        await kill(queue, 120)
        answer = await page.post("dead/replay", {"filter": {}, "expected": 120})
        assert answer["done"] == 120
        await queue.drain()
        assert queue.statistics().dead == 120


async def test_a_replay_does_not_wait_for_room_for_ever(autojump_clock: MockClock):
    """Each that found none is told as refused, and is a dead letter still."""
    async with page_of(workers=1, capacity=1) as (queue, page):
        (first,) = await kill(queue, 1)
        running = await queue.submit(wait, 10_000)
        assert "no room" in (await page.post("task/replay", {"id": first}, 503))["error"]
        answer = await page.post("dead/replay", {"ids": [first]})
        assert answer["done"] == 0
        assert "no room" in answer["refused"][0]["error"]
        assert await state_of(queue, first) is State.DEAD
        await running.cancel()


async def test_what_takes_long_is_done_in_several_requests(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
):
    """After a while the answer says that there is more."""
    async with page_of() as (queue, page):
        await kill(queue, 250)
        purge = type(queue.inspector).purge

        async def slowly(inspector: Any, task_id: str) -> None:
            await trio.sleep(10)
            await purge(inspector, task_id)

        monkeypatch.setattr(type(queue.inspector), "purge", slowly)
        answer = await page.post("dead/purge", {"filter": {}, "expected": 250})
        assert (answer["done"], answer["more"]) == (200, True)
        answer = await page.post("dead/purge", {"filter": {}, "expected": 50})
        assert (answer["done"], answer["more"]) == (50, False)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"ids": ["a"], "filter": {}, "expected": 0},
        {"ids": "a"},
        {"ids": [1]},
        {"ids": [""]},
        {"filter": [], "expected": 0},
        {"filter": {"type": 1}, "expected": 0},
        {"filter": {"older_than": "1"}, "expected": 0},
        {"filter": {"older_than": -1}, "expected": 0},
        {"filter": {"before": True}, "expected": 0},
        {"filter": {"surprise": 1}, "expected": 0},
    ],
)
async def test_a_choice_that_cannot_be_is_refused(body: Any, autojump_clock: MockClock):
    async with page_of() as (queue, page):
        await kill(queue, 1)
        await page.post("dead/purge", body, 400)
        assert queue.statistics().dead == 1


async def test_a_broker_that_goes_away_in_the_middle_is_told(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
):
    async with page_of() as (queue, page):
        await kill(queue, 3)

        async def away(inspector: Any, task_id: str) -> None:
            await trio.lowlevel.checkpoint()
            raise BrokerUnavailable("the server is away")

        monkeypatch.setattr(type(queue.inspector), "purge", away)
        answer = await page.post("dead/purge", {"filter": {}, "expected": 3}, 503)
        assert answer == {"error": "the server is away"}


# --- queues --------------------------------------------------------------------------------------


async def test_queues_are_paused_and_resumed(autojump_clock: MockClock):
    async with page_of(queues=["default", "mail"]) as (queue, page):
        assert await page.post("queues/pause", {"queue": "mail"}) == {}
        handle = await queue.submit(send, "ann")
        await trio.sleep(5)
        assert await state_of(queue, handle.id) is State.READY
        assert (await page.get("overview"))["paused"] == {"all": False, "queues": ["mail"]}
        await page.post("queues/resume", {"queue": "mail"})
        await handle.result()
        await page.post("queues/pause", {"queue": None})
        assert (await page.get("lanes"))["paused"]["all"]
        await page.post("queues/resume", {"queue": None})
        for body in ({}, {"queue": ""}, {"queue": 7}):
            await page.post("queues/pause", body, 400)
        await page.post("queues/pause", {"queue": "misspelt"}, 422)


# --- submitting ----------------------------------------------------------------------------------


async def test_a_task_is_submitted_by_form(autojump_clock: MockClock):
    """JSON becomes what the handler's annotations say."""
    async with page_of() as (queue, page):
        body = {
            "type": "wait",
            "args": [1],
            "kwargs": {"name": "é", "tags": ["a"]},
            "options": {
                "id": "mine",
                "priority": 7,
                "delay": 2.5,
                "queue": "slow",
                "key": None,
                "headers": {"a": "b"},
            },
        }
        assert await page.post("submit", body) == {"id": "mine"}
        task = await queue.inspector.get("mine")
        assert task is not None
        assert (task.options.priority, task.options.delay, task.options.queue) == (7, 2.5, "slow")
        assert (await page.get("task", id="mine"))["headers"] == {"a": "b"}
        await trio.sleep(5)
        assert done == [(1.0, "é", ["a"])]
        assert type(done[0][0]) is float


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"type": "wait", "args": ["soon"]}, 422, "seconds"),
        ({"type": "wait", "args": [1], "kwargs": {"tags": ["a", 7]}}, 422, "$[1]"),
        ({"type": "wait", "args": [1, 2]}, 422, "too many positional arguments"),
        ({"type": "wait"}, 422, "missing"),
        ({"type": "wait", "args": [1], "kwargs": {"nmae": "x"}}, 422, "nmae"),
        ({"type": "wiat"}, 422, "wiat"),
        ({"type": None}, 400, "type"),
        ({"type": "wait", "args": {}}, 400, "args"),
        ({"type": "wait", "args": [1], "options": []}, 400, "options"),
        ({"type": "wait", "args": [1], "options": {"dealy": 1}}, 422, "dealy"),
        ({"type": "wait", "args": [1], "options": {"delay": "soon"}}, 422, "delay"),
        ({"type": "wait", "args": [1], "options": {"priority": 256}}, 422, "priority"),
        ({"type": "wait", "args": [1], "options": {"id": "a\nb"}}, 422, "id"),
        ({"type": "odd", "args": [1]}, 422, "odd"),
    ],
)
async def test_a_submit_that_cannot_be_says_what_is_wrong(
    body: Any, status: int, words: str, autojump_clock: MockClock
):
    """Before anything is accepted, in the words of `trioqueue publish`."""
    async with page_of() as (queue, page):
        assert words in (await page.post("submit", body, status))["error"]
        assert queue.statistics().submitted == 0
        types = {each["name"]: each for each in (await page.get("types"))["types"]}
        assert types["wait"]["submittable"]
        assert not types["odd"]["submittable"]
        assert "odd" in types["odd"]["why"]


async def test_a_submit_does_not_wait_for_room_for_ever(autojump_clock: MockClock):
    async with page_of(workers=1, capacity=1) as (queue, page):
        running = await queue.submit(wait, 10_000)
        error = await page.post("submit", {"type": "wait", "args": [1]}, 503)
        assert "full" in error["error"]
        assert queue.statistics().submitted == 1
        await running.cancel()


async def test_a_broker_with_its_tasks_is_submitted_to(tmp_path: Path):
    """Without workers; and nothing without the tasks."""
    import trioqueue

    async with trioqueue.open_sqlite_broker(tmp_path / "jobs.db") as broker:
        async with open_page(broker) as page:
            await page.post("submit", {"type": "wait", "args": [1]}, 409)
        async with open_page(broker, tasks=tasks_for_files) as page:
            answer = await page.post("submit", {"type": "store", "args": [1]})
            assert (await page.get("task", id=answer["id"]))["state"] == "ready"
            await page.post("submit", {"type": "store", "args": ["x"]}, 422)


tasks_for_files = TaskSet()


@tasks_for_files.task
async def store(number: int) -> None:
    pass


# --- on other brokers ----------------------------------------------------------------------------

shop = TaskSet(retry=Retry(attempts=1))


@shop.task
async def sell(number: int) -> None:
    if number < 100:
        raise ConnectionError(f"no route to host {number}")
    await trio.sleep_forever()


async def durable_story(broker: str) -> None:
    """The same operations, where others could have done them."""
    async with open_queue(shop, broker=broker, workers=2) as queue, open_page(queue) as page:
        letters = [await queue.submit(sell, number) for number in range(4)]
        for letter in letters:
            await letter.wait()
        running, later = (
            await queue.submit(sell, 100),
            await queue.options(delay=900).submit(sell, 1),
        )
        wanted = {"group": "ConnectionError: no route to host #"}
        await page.post("task/purge", {"id": letters[0].id})
        assert (await page.post("dead/purge", {"filter": wanted, "expected": 4}, 409))["total"] == 3
        await page.post("queues/pause", {"queue": None})
        answer = await page.post("dead/replay", {"filter": wanted, "expected": 3})
        assert (answer["done"], answer["refused"]) == (3, [])
        assert (await page.get("tasks", state="ready"))["searched"] == 3
        assert await page.post("task/run", {"id": later.id}) == {"done": True}
        assert (await page.get("task", id=later.id))["state"] == "ready"
        for handle in (running, later):
            assert await page.post("task/cancel", {"id": handle.id}) == {"done": True}
            await handle.wait()
            assert (await page.get("task", id=handle.id))["state"] == "cancelled"
        timeline = (await page.get("task", id=running.id))["timeline"]
        assert [entry["name"] for entry in timeline][-2:] == ["cancel_requested", "cancelled"]
        await page.post("queues/resume", {"queue": None})


async def test_operations_on_a_file(tmp_path: Path):
    await durable_story(f"sqlite:///{tmp_path}/jobs.db")


@pytest.mark.main
async def test_operations_on_redis(redis_server: Redis):
    await durable_story(redis_server.url("web-operate"))


# --- the audit -----------------------------------------------------------------------------------


async def test_everything_that_is_done_is_in_the_audit(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
):
    """Who, what, to which; one line each, whatever names have in them."""
    caplog.set_level(logging.INFO, "trioqueue.web.audit")

    async def hook(request: Any) -> str:
        await trio.lowlevel.checkpoint()
        return "ann\nroot: purge everything"

    async with open_queue(tasks) as queue:
        async with open_page(queue, auth=hook) as page:
            (first,) = await kill(queue, 1)
            await page.post("task/replay", {"id": first})
            await page.post("task/purge", {"id": "nobody"}, 404)
            await page.post("task/cancel", {"id": "x\r\n2026"})
            await page.post("dead/purge", {"filter": {"type": "send"}, "expected": 0}, 409)
            await page.post("dead/purge", {"filter": {"type": "wait"}, "expected": 0})
            await page.post("queues/pause", {"queue": "mail"})
            await page.post("submit", {"type": "wait", "args": [1]})
        await queue.shutdown(0)
    records = [record for record in caplog.records if record.name == "trioqueue.web.audit"]
    told = [(record.verb, record.target, record.done) for record in records]  # type: ignore[attr-defined]
    assert told[:3] == [
        ("replay", first, True),
        ("purge", "nobody", False),
        ("cancel", "x 2026", False),
    ]
    assert [(verb, did) for verb, _, did in told[-3:]] == [
        *(("purge", 0), ("pause", True), ("submit", True)),
    ]
    assert records[1].levelname == "WARNING"
    assert "no dead letter" in records[1].getMessage()
    assert all("\n" not in record.getMessage() for record in records)
    assert records[0].user == "ann root: purge everything"  # type: ignore[attr-defined]


async def test_what_the_broker_refuses_is_an_answer(autojump_clock: MockClock):
    async with page_of() as (queue, page):
        with failing(queue, "close", ValueError()):
            pass
        (first,) = await kill(queue, 1)
        queue.close()
        assert "closed" in (await page.post("task/replay", {"id": first}, 409))["error"]
        assert "closed" in (await page.post("submit", {"type": "wait", "args": [1]}, 409))["error"]
