"""What samples for all together: curves, rates, streams of events, a broker that is away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.web_client import Stream, open_page
from trioqueue import (
    BrokerFailed,
    BrokerUnavailable,
    Counts,
    Move,
    Queue,
    Retry,
    TaskSet,
    open_queue,
)
from trioqueue.web._hub import HEARTBEAT, MOST
from trioqueue.web._recorder import Recorder
from trioqueue.web._series import RINGS, Series, Sizes, no_times

tasks = TaskSet(retry=Retry(attempts=2, initial=1, maximum=1))


@tasks.task
async def work(seconds: float, good: bool = True) -> None:
    await trio.sleep(seconds)
    if not good:
        raise ValueError("bad")


def wall_clock() -> float:
    return 1.7e9 + trio.current_time()


def counting(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each verb of the inspector is called from now on."""
    calls: Counter[str] = Counter()
    kind = type(queue.inspector)
    for verb in ("counts", "lanes", "paused", "tasks", "dead_letters", "workers"):
        monkeypatch.setattr(kind, verb, _counted(verb, getattr(kind, verb), calls))
    return calls


def _counted(verb: str, method: Callable[..., Any], calls: Counter[str]) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        calls[verb] += 1
        return await method(*args, **kwargs)

    return call


# --- curves and rates ----------------------------------------------------------------------------


async def test_the_curves_show_what_has_happened(autojump_clock: MockClock):
    """Counts at each second, rates between them, and the times of what ended in each."""
    async with open_queue(tasks, workers=1) as queue:
        async with open_page(queue, wall_clock=wall_clock) as page:
            await trio.sleep(2.4)  # nothing falls onto a second
            for _ in range(4):
                await queue.submit(work, 0.7)
            await trio.sleep(5)
            series = await page.get("series", window=60)
            overview = await page.get("overview")
        await queue.shutdown(0)
    assert series["step"] == 1
    steps = [after - before for before, after in zip(series["at"], series["at"][1:], strict=False)]
    assert steps == pytest.approx([1.0] * len(steps), abs=0.01)
    assert max(series["counts"]["running"]) == 1
    assert series["rates"]["submitted"][0] is None
    assert sum(series["rates"]["submitted"][1:]) == pytest.approx(4, abs=0.1)
    assert sum(series["rates"]["succeeded"][1:]) == pytest.approx(4, abs=0.1)
    assert series["rates"]["failed"][-1] == 0
    durations = [value for value in series["duration"]["p50"] if value is not None]
    assert durations == pytest.approx([0.7] * len(durations), rel=0.06)
    assert overview["duration"]["p50"] == pytest.approx(0.7, rel=0.06)
    assert overview["waiting"]["p95"] == pytest.approx(2.1, rel=0.06)
    assert overview["rates"]["succeeded"] == pytest.approx(4 / 7, rel=0.2)
    assert overview["failure_rate"] == 0


async def test_failures_and_retries_are_rates_as_well(autojump_clock: MockClock):
    async with open_queue(tasks) as queue:
        async with open_page(queue) as page:
            await queue.submit(work, 0.1, good=False)
            await trio.sleep(6)
            overview = await page.get("overview")
        await queue.shutdown(0)
    rates = overview["rates"]
    assert rates["failed"] == pytest.approx(2 * rates["dead"], abs=0.01)
    assert rates["retried"] == pytest.approx(rates["dead"], abs=0.01)
    assert rates["dead"] > 0
    assert overview["failure_rate"] == 1


async def test_how_long_tasks_wait_is_since_they_were_ready(autojump_clock: MockClock):
    """Not since they were accepted: a delay is no waiting, nor is the time until a retry."""
    async with open_queue(tasks) as queue:
        async with open_page(queue) as page:
            await queue.options(delay=30).submit(work, 0.1)
            await queue.submit(work, 0.1, good=False)
            await trio.sleep(40)
            overview = await page.get("overview")
        await queue.shutdown(0)
    assert overview["waiting"]["p95"] < 0.1


def sample(second: int, **moves: int) -> Counts:
    zeros = dict.fromkeys(Counts._fields, 0)
    given = {Move(name): number for name, number in moves.items()}
    return Counts(**(zeros | {"ready": second, "moves": given}))  # type: ignore[arg-type]


def test_a_day_of_samples_stays_small_and_reaches_back_a_day():
    """Ten minutes by the second, two hours by ten, the rest by the minute."""
    series = Series()
    for second in [*range(0, 82_000, 10), *range(82_000, 90_000)]:
        series.add(second, second, sample(second, succeeded=second * 3), no_times())
    for window, step in ((600, 1), (601, 10), (7_200, 10), (7_201, 60), (86_400, 60)):
        curve = series.window(window, 90_000)
        assert curve["step"] == step
        assert len(curve["at"]) == pytest.approx(window / step, abs=2)
        assert curve["at"][-1] >= 90_000 - 2 * step
        assert curve["rates"]["succeeded"][1:] == pytest.approx([3.0] * (len(curve["at"]) - 1))
    assert sum(len(ring._points) for ring in series._rings) == sum(size for _, size in RINGS)


def test_a_server_that_has_lost_its_data_has_no_negative_rates():
    series = Series()
    for second, succeeded in enumerate([10, 20, 0, 5]):
        series.add(second, second, sample(second, succeeded=succeeded), no_times())
    assert series.window(60, 4)["rates"]["succeeded"] == [None, 10.0, None, 5.0]


def test_quantiles_are_within_a_twentieth():
    sizes = Sizes()
    for number in range(1, 1001):
        sizes.add(number / 100)
    assert sizes.quantile(0.5) == pytest.approx(5, rel=0.06)
    assert sizes.quantile(0.95) == pytest.approx(9.5, rel=0.06)
    sizes.add(0.0)
    assert sizes.quantile(0.0001) == pytest.approx(1e-6, rel=0.2)
    assert Sizes().quantiles() is None


# --- what was heard ------------------------------------------------------------------------------


async def test_what_is_heard_of_tasks_is_bounded(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
):
    """In number and in length; and what was left out is said."""
    monkeypatch.setattr("trioqueue.web._recorder._TASKS", 10)
    async with open_queue(tasks) as queue:
        with Recorder(queue._broker.events) as recorder:
            handles = [await queue.submit(work, 0) for _ in range(30)]
            await queue.drain()
            await recorder.sort_out()
            assert len(recorder._timelines) == 10
            assert recorder.timeline(handles[0].id) is None
            last = recorder.timeline(handles[-1].id)
            assert last is not None
            assert last.whole
            later = await queue.options(delay=10).submit(work, 0)
            for _ in range(70_000):
                recorder.observe(_event(queue))
            await recorder.sort_out()
            assert len(recorder._facts) == 0
            lost = recorder.timeline(later.id)
            assert lost is None or not lost.whole
            await later.cancel()
        assert queue._broker.events.observers == ()


def _event(queue: Queue) -> Any:
    from trioqueue import Event

    return Event("progressed", 0.0, "x", "work", "default", 1, 1, None, progress=(1, 2))


async def test_a_timeline_of_thousands_keeps_its_beginning_and_its_end(
    autojump_clock: MockClock,
):
    retry = Retry(attempts=1000, initial=1, maximum=1)
    many = TaskSet(retry=retry)

    @many.task
    async def fail() -> None:
        raise ValueError("bad")

    async with open_queue(many) as queue:
        async with open_page(queue) as page:
            handle = await queue.submit(fail)
            await trio.sleep(200)
            task = await page.get("task", id=handle.id)
        await queue.shutdown(0)
    names = [entry["name"] for entry in task["timeline"]]
    assert len(names) == 100
    assert names[0] == "submitted"
    assert task["timeline"][-1]["delivery"] >= 100
    assert not task["timeline_complete"]


# --- one for all ---------------------------------------------------------------------------------


async def test_many_clients_do_not_multiply_the_calls_of_the_broker(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
):
    async with open_queue(tasks) as queue:
        async with open_page(queue) as page, trio.open_nursery() as nursery:
            calls = counting(queue, monkeypatch)
            streams = [Stream() for _ in range(50)]
            for stream in streams:
                nursery.start_soon(stream.run, page.app)
            await trio.sleep(10)
            assert calls["counts"] <= 12
            assert calls["lanes"] <= 6
            assert calls["paused"] <= 6
            calls.clear()

            async def look() -> None:
                for path in ("overview", "lanes", "tasks", "dead", "failures", "workers"):
                    await page.get(path)

            async with trio.open_nursery() as lookers:
                for _ in range(50):
                    lookers.start_soon(look)
            assert max(calls.values()) <= 7, calls  # five states of tasks, and the retried
            page.app.end_streams()
        await queue.shutdown(0)


async def test_without_anybody_who_looks_only_counters_are_read(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
):
    async with open_queue(tasks) as queue:
        async with open_page(queue):
            await trio.sleep(20)
            calls = counting(queue, monkeypatch)
            await trio.sleep(10)
            assert set(calls) == {"counts"}
            assert 9 <= calls["counts"] <= 11
        await queue.shutdown(0)


async def test_reads_that_are_expensive_are_made_rarely(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
):
    """They take a twentieth of the time at most, however often they are asked for."""
    async with open_queue(tasks) as queue:
        async with open_page(queue) as page:
            lanes = type(queue.inspector).lanes
            began: list[float] = []

            async def slowly(inspector: Any) -> Any:
                began.append(trio.current_time())
                await trio.sleep(2)
                return await lanes(inspector)

            monkeypatch.setattr(type(queue.inspector), "lanes", slowly)
            for _ in range(100):
                await page.get("lanes")
                await trio.sleep(1)
        await queue.shutdown(0)
    assert len(began) == 3


# --- streams -------------------------------------------------------------------------------------


async def test_a_stream_begins_at_once_and_goes_on_each_second(autojump_clock: MockClock):
    async with open_queue(tasks) as queue:
        async with open_page(queue, title="Mine") as page, trio.open_nursery() as nursery:
            stream = Stream()
            await trio.sleep(60.5)  # nobody looks meanwhile
            nursery.start_soon(stream.run, page.app)
            await trio.sleep(0.2)
            ((name, overview),) = stream.events
            assert overview["workers"]["slots"] == 10, "what nobody looked at is looked at first"
            assert (name, overview["title"]) == ("overview", "Mine")
            assert stream.headers["content-type"] == "text/event-stream"
            assert stream.headers["cache-control"] == "no-store"
            assert stream.headers["connection"] == "close"
            await trio.sleep(5)
            assert 5 <= len(stream.events) <= 7
            page.app.end_streams()
            await stream.ended.wait()
            assert stream.events[-1] == ("bye", {})
        await queue.shutdown(0)


async def test_leaving_the_block_ends_the_streams(autojump_clock: MockClock):
    """And refuses nobody who comes too late: they are told goodbye at once."""
    async with open_queue(tasks) as queue:
        async with trio.open_nursery() as nursery:
            async with open_page(queue) as page:
                streams = [Stream() for _ in range(3)]
                for stream in streams:
                    nursery.start_soon(stream.run, page.app)  # noqa: ASYNC111 - outlives it
                await trio.sleep(1)
            with trio.fail_after(1):
                for stream in streams:
                    await stream.ended.wait()
        late = Stream()
        await late.run(page.app)
        assert late.events == [("bye", {})]
        await queue.shutdown(0)


async def test_a_client_that_goes_is_forgotten(autojump_clock: MockClock):
    async with open_queue(tasks) as queue:
        async with open_page(queue) as page, trio.open_nursery() as nursery:
            stream = Stream()
            nursery.start_soon(stream.run, page.app)
            await trio.sleep(1)
            assert page.app._hub.streams == 1
            stream.leave()
            await stream.ended.wait()
            assert page.app._hub.streams == 0
        await queue.shutdown(0)


async def test_a_client_that_reads_slowly_gets_the_latest_and_holds_up_nobody(
    autojump_clock: MockClock,
):
    async with open_queue(tasks) as queue:
        async with open_page(queue, wall_clock=wall_clock) as page, trio.open_nursery() as nursery:
            slow, quick = Stream(), Stream()
            for stream in (slow, quick):
                nursery.start_soon(stream.run, page.app)
            await trio.sleep(1.5)
            slow.slow = trio.Event()
            await trio.sleep(30)
            heard = len(slow.events)
            assert len(quick.events) >= 30
            slow.slow.set()
            await slow.hear(heard + 2)
            behind = wall_clock() - slow.events[heard + 1][1]["now"]
            assert behind <= 1.5
            page.app.end_streams()
        await queue.shutdown(0)


async def test_a_stream_shows_that_it_is_there_if_nothing_happens(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("trioqueue.web._sampler.STEP", 1000.0)
    async with open_queue(tasks) as queue:
        async with open_page(queue) as page, trio.open_nursery() as nursery:
            stream = Stream()
            nursery.start_soon(stream.run, page.app)
            await trio.sleep(3.5 * HEARTBEAT)
            assert stream.comments == 3
            page.app.end_streams()
        await queue.shutdown(0)


async def test_there_are_only_so_many_streams(autojump_clock: MockClock):
    async with open_queue(tasks) as queue:
        async with open_page(queue) as page, trio.open_nursery() as nursery:
            for _ in range(MOST):
                nursery.start_soon(Stream().run, page.app)
            await wait_all_tasks_blocked()
            await page.get("events", 503)
            page.app.end_streams()
        await queue.shutdown(0)


# --- a broker that is away -----------------------------------------------------------------------


@pytest.mark.parametrize("error", [BrokerUnavailable("no server"), BrokerFailed("no file")])
async def test_a_broker_that_is_away_is_told_and_the_page_goes_on_when_it_is_back(
    error: Exception,
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    """Last known numbers meanwhile, 503 for what would need it; one line at each end of it."""
    async with open_queue(tasks) as queue:
        async with open_page(queue) as page, trio.open_nursery() as nursery:
            await (await queue.submit(work, 0)).wait()
            await trio.sleep(2)
            stream = Stream()
            nursery.start_soon(stream.run, page.app)
            with monkeypatch.context() as patch:
                calls = _fail_all(queue, error, patch)
                await trio.sleep(60)
                assert calls["counts"] <= 12  # it asks ever less often
                overview = await page.get("overview")
                assert overview["available"] is False
                assert overview["error"] == str(error)
                assert overview["counts"]["succeeded"] == 1
                assert stream.events[-1][1]["available"] is False
                for path in ("lanes", "tasks", "dead", "failures"):
                    assert await page.get(path, 503) == {"error": str(error)}
                await page.post("queues/pause", {"queue": None}, 503)
                await page.get("session")
            await trio.sleep(11)
            assert (await page.get("overview"))["available"]
            assert stream.events[-1][1]["error"] is None
            await page.get("lanes")
            page.app.end_streams()
        await queue.shutdown(0)
    lines = [record.getMessage() for record in caplog.records if record.name == "trioqueue.web"]
    assert len(lines) == 2
    assert str(error) in lines[0]


def _fail_all(queue: Queue, error: Exception, patch: pytest.MonkeyPatch) -> Counter[str]:
    calls: Counter[str] = Counter()

    async def away(*args: Any, **kwargs: Any) -> Any:
        await trio.lowlevel.checkpoint()
        raise error

    for verb in ("counts", "lanes", "paused", "tasks", "dead_letters", "get", "pause"):
        patch.setattr(type(queue.inspector), verb, _counted(verb, away, calls))
    return calls


async def test_a_broker_that_is_away_from_the_beginning_keeps_no_page_from_opening(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
):
    async with open_queue(tasks) as queue:
        with monkeypatch.context() as patch:
            _fail_all(queue, BrokerUnavailable("no server"), patch)
            async with open_page(queue) as page:
                assert not (await page.get("overview"))["available"]
                patch.undo()
                await trio.sleep(11)
                assert (await page.get("overview"))["available"]
        await queue.shutdown(0)


async def test_a_fault_of_ours_ends_the_block(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
):
    """Rather than leave a page that shows old numbers for ever."""
    async with open_queue(tasks) as queue:
        with pytest.raises(ZeroDivisionError):
            async with open_page(queue):
                _fail_all(queue, ZeroDivisionError(), monkeypatch)
                await trio.sleep(10)
        await queue.shutdown(0)
