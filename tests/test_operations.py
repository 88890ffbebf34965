"""Metrics and health over HTTP: what a scraper and a probe see, from the start to the stop."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx  # noqa: ASYNC127 - its successor does not know Trio
import pytest
import trio
import trio.testing

import trioqueue
from trioqueue import InvalidTask, TaskSet
from trioqueue.observe import Metrics
from trioqueue.testing import open_test_queue
from trioqueue.web import operations_app, operations_routes

tasks = TaskSet()


@tasks.task
async def work(seconds: float = 0.0) -> None:
    await trio.sleep(seconds)


@asynccontextmanager
async def client(source: Any, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(operations_app(source, **options))
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as made:
        yield made


async def ready(asked: httpx.AsyncClient) -> tuple[int, Any]:
    answer = await asked.get("/health/ready")
    return answer.status_code, answer.json()


WELL = (200, {"ready": True, "reasons": []})


async def test_a_queue_that_works_is_ready_and_live_and_tells_its_metrics(
    autojump_clock: trio.testing.MockClock,
):
    """A scrape asks the broker by itself; nothing of it is kept by a cache."""
    metrics = Metrics()
    async with (
        open_test_queue(tasks, workers=3, observers=[metrics]) as queue,
        client(queue, metrics=metrics) as asked,
    ):
        await queue.submit(work, 60)
        await trio.sleep(1)
        assert await ready(asked) == WELL
        live = await asked.get("/health/live")
        assert (live.status_code, live.json()) == (200, {"live": True, "reasons": []})
        told = await asked.get("/metrics")
    lane = '{queue="default",type="work"}'
    assert f"trioqueue_tasks_submitted_total{lane} 1.0" in told.text
    assert 'trioqueue_open_tasks{queue="default",state="running",type="work"} 1.0' in told.text
    for name, number in {"processes": 1, "slots": 3, "running": 1}.items():
        assert f"trioqueue_worker_{name} {number}.0" in told.text
    assert f"trioqueue_unserved_tasks{lane} 0.0" in told.text
    for answer in (told, live):
        assert answer.headers["cache-control"] == "no-store"


async def test_a_queue_that_stops_is_live_and_not_ready_and_still_tells_its_metrics(
    autojump_clock: trio.testing.MockClock,
):
    """For the whole grace."""
    metrics = Metrics()
    async with (
        open_test_queue(tasks, workers=1, observers=[metrics]) as queue,
        client(queue, metrics=metrics) as asked,
        trio.open_nursery() as nursery,
    ):
        await queue.submit(work, 5)
        await trio.sleep(1)
        nursery.start_soon(queue.shutdown, 60)
        await trio.sleep(1)
        assert await ready(asked) == (503, {"ready": False, "reasons": ["the queue is stopping"]})
        assert (await asked.get("/health/live")).status_code == 200
        told = (await asked.get("/metrics")).text
        assert 'open_tasks{queue="default",state="running",type="work"} 1.0' in told


class Broker:
    """An inspector that answers, hangs or fails."""

    mode = "answers"

    async def counts(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.mode == "hangs":
            await trio.sleep_forever()
        if self.mode == "fails":
            raise trioqueue.BrokerUnavailable("redis://ann:secret@host is away")


async def test_a_broker_that_does_not_answer_in_time_is_not_ready(
    autojump_clock: trio.testing.MockClock,
):
    """The reason is told without what only an operator may know; metrics are told all the same."""
    broker = Broker()
    async with client(broker, patience=3) as asked:
        assert await ready(asked) == WELL
        broker.mode = "fails"
        reason = "the broker fails: BrokerUnavailable"
        assert await ready(asked) == (503, {"ready": False, "reasons": [reason]})
        broker.mode = "hangs"
        began = trio.current_time()
        reason = "the broker has not answered for 3 s"
        assert await ready(asked) == (503, {"ready": False, "reasons": [reason]})
        assert trio.current_time() - began == pytest.approx(3)
        told = await asked.get("/metrics")
        assert (told.status_code, "trioqueue_broker_up 0.0" in told.text) == (200, True)
        assert (await asked.get("/health/live")).status_code == 200


async def test_a_queue_whose_workers_have_ended_is_neither(
    autojump_clock: trio.testing.MockClock,
):
    """A pool that ended by itself: the process has nothing left to do."""
    async with open_test_queue(tasks, workers=1) as queue:
        pass
    queue.pool.stopping = False
    async with client(queue) as asked:
        assert (await asked.get("/health/live")).status_code == 503
        assert (await ready(asked))[0] == 503


@pytest.mark.parametrize("path", ["/metrics", "/health/live", "/health/ready"])
async def test_only_looking_is_allowed(path: str, autojump_clock: trio.testing.MockClock):
    """GET and HEAD, and of HEAD the head alone."""
    async with open_test_queue(tasks) as queue, client(queue) as asked:
        head = await asked.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert int(head.headers["content-length"]) > 0
        for method in ("POST", "PUT", "DELETE"):
            assert (await asked.request(method, path)).status_code == 405


async def test_the_format_is_the_one_that_is_asked_for(autojump_clock: trio.testing.MockClock):
    async with open_test_queue(tasks) as queue, client(queue) as asked:
        plain = await asked.get("/metrics", headers={"accept": "*/*"})
        wanted = "application/openmetrics-text; version=1.0.0"
        openmetrics = await asked.get("/metrics", headers={"accept": wanted})
    assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert openmetrics.headers["content-type"].startswith(wanted)
    assert openmetrics.text.endswith("# EOF\n")


async def test_the_routes_can_be_mounted(autojump_clock: trio.testing.MockClock):
    """In an app that has others."""
    from starlette.applications import Starlette

    async with open_test_queue(tasks) as queue:
        transport = httpx.ASGITransport(Starlette(routes=operations_routes(queue)))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as asked:
            assert await ready(asked) == WELL


@pytest.mark.parametrize("patience", [0, -1, float("nan"), "2"])
async def test_a_patience_that_cannot_be_is_told(patience: Any):
    with pytest.raises(InvalidTask, match="patience"):
        operations_app(Broker(), patience=patience)  # type: ignore[arg-type]
