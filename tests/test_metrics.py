"""Metrics: every event in its counter, histograms of waiting and running, a bound on all of it."""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

import trioqueue
from trioqueue import (
    Event,
    Inspector,
    InvalidTask,
    LaneCounts,
    Move,
    Outcome,
    OutcomeKind,
    Retry,
    TaskSet,
    WorkerRecord,
)
from trioqueue._events import REMARKS
from trioqueue.observe import Metrics
from trioqueue.observe._metrics_look import bound
from trioqueue.observe._metrics_names import (
    BUILD,
    COUNTED_AS,
    COUNTS,
    DURATION,
    FAILURE_KINDS,
    SEEN,
    WAITING,
)
from trioqueue.testing import open_test_queue


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """(name, labels) -> value, of what is told."""
    text = metrics.render()[0].decode()
    return {
        (sample.name.removeprefix("trioqueue_"), frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return samples(metrics)[name, frozenset(labels.items())]


LANE = {"queue": "mail", "type": "resize"}


def make_event(name: str, **changes: Any) -> Event:
    return Event(name, 1.0, "t1", "resize", "mail", 1, 1, None)._replace(**changes)


def nonzero(metrics: Metrics) -> dict[str, float]:
    """The counters of the lane that are not 0, by name and own label."""
    found = {}
    for (name, labels), number in samples(metrics).items():
        own = dict(labels)
        if number and own.pop("type", "") == "resize" and "le" not in own:
            del own["queue"]
            found["/".join([name, *own.values()])] = number
    return found


def test_every_event_is_counted_or_left_out_on_purpose():
    """A new move needs a decision."""
    known = {*COUNTED_AS, "released"}
    assert known <= {*Move, *REMARKS}
    assert {*Move, *REMARKS} - known == {"due", "progressed", "cancel_requested"}


@pytest.mark.parametrize("event", sorted(COUNTED_AS))
def test_an_event_is_one_in_its_counter_and_in_no_other(event: str):
    """(With no outcome: what that adds is told below.)"""
    metrics = Metrics()
    metrics(make_event(event))
    assert nonzero(metrics) == {f"{COUNTED_AS[event]}_total": 1}


@pytest.mark.parametrize("kind", FAILURE_KINDS)
@pytest.mark.parametrize(
    ("event", "also"), [("retried", "tasks_retried_total"), ("died", "tasks_dead_total")]
)
def test_a_failure_is_counted_by_its_kind(kind: str, event: str, also: str):
    """And its running time only if it ran."""
    metrics = Metrics()
    metrics(make_event(event, outcome=Outcome(OutcomeKind(kind), None, 0.5)))
    ran = {"task_duration_seconds_count": 1, "task_duration_seconds_sum": 0.5}
    if kind in {"invalid", "lost"}:
        ran = {}
    assert nonzero(metrics) == {also: 1, f"tasks_failed_total/{kind}": 1, **ran}


@pytest.mark.parametrize(
    ("kind", "reason", "runs"),
    [("interrupted", "interrupted", 1), ("handed_back", "not_started", 0)],
)
def test_a_release_is_counted_by_its_reason(kind: str, reason: str, runs: int):
    """What was claimed ahead and never started did not run."""
    metrics = Metrics()
    metrics(make_event("released", outcome=Outcome(OutcomeKind(kind), None, 0.5)))
    told = nonzero(metrics)
    assert told[f"tasks_released_total/{reason}"] == 1
    assert told.get("task_duration_seconds_count", 0) == runs


@pytest.mark.parametrize("event", ["purged", "evicted", "replayed"])
def test_the_running_time_of_a_dead_letter_counts_once(event: str):
    """Its outcome is told again with each of its later events."""
    metrics = Metrics()
    metrics(make_event(event, outcome=Outcome(OutcomeKind.ERROR, None, 0.5)))
    assert nonzero(metrics) == {f"{COUNTED_AS[event]}_total": 1}


@pytest.mark.parametrize(("duration", "runs"), [(0.0, 0), (0.5, 1)])
def test_a_task_cancelled_while_it_waited_did_not_run(duration: float, runs: int):
    metrics = Metrics()
    metrics(make_event("cancelled", outcome=Outcome(OutcomeKind.CANCELLED, None, duration)))
    assert nonzero(metrics).get("task_duration_seconds_count", 0) == runs


@pytest.mark.parametrize(
    ("seconds", "bucket"), [(0.0, "0.1"), (0.1, "0.1"), (0.11, "2.0"), (2.0, "2.0"), (9, "+Inf")]
)
@pytest.mark.parametrize("name", ["task_waiting_seconds", "task_duration_seconds"])
def test_a_time_is_in_its_bucket_and_in_all_above(seconds: float, bucket: str, name: str):
    """A bound belongs to its bucket; the last is without bound; sum and count are exact."""
    metrics = Metrics(waiting_buckets=[0.1, 2], duration_buckets=[0.1, 2])
    if name == "task_waiting_seconds":
        metrics(make_event("started", waited=seconds))
    else:
        metrics(make_event("succeeded", outcome=Outcome(OutcomeKind.RETURNED, None, seconds)))
    buckets = [value(metrics, f"{name}_bucket", le=le, **LANE) for le in ("0.1", "2.0", "+Inf")]
    assert buckets.index(1.0) == ("0.1", "2.0", "+Inf").index(bucket)
    assert all(below <= above for below, above in pairwise(buckets))
    assert value(metrics, f"{name}_sum", **LANE) == seconds
    assert value(metrics, f"{name}_count", **LANE) == 1


def test_only_the_first_start_waits():
    """A retry would count the backoff and the attempts before it."""
    metrics = Metrics()
    metrics(make_event("started", waited=2.0, delivery=2))
    assert nonzero(metrics) == {"tasks_started_total": 1}


def test_clocks_that_differ_make_no_negative_time():
    """The sum of a histogram must not go back."""
    metrics = Metrics()
    metrics(make_event("started", waited=-2.0))
    assert value(metrics, "task_waiting_seconds_sum", **LANE) == 0


async def test_a_life_is_counted_as_it_is(autojump_clock: trio.testing.MockClock):
    """A success, a retry, a death, a cancellation, on a real queue."""
    metrics = Metrics()
    tasks = TaskSet(retry=Retry(attempts=2, initial=0, maximum=0))

    @tasks.task
    async def good() -> None:
        await trio.sleep(2)

    @tasks.task(queue="mail")
    async def bad() -> None:
        raise ValueError

    async with open_test_queue(tasks, workers=1, observers=[metrics]) as queue:
        await queue.submit(good)
        await (await queue.submit(bad)).wait()
        await (await queue.options(delay=60).submit(good)).cancel()
        assert await metrics.look(queue.inspector)
    good_, bad_ = {"queue": "default", "type": "good"}, {"queue": "mail", "type": "bad"}
    assert value(metrics, "tasks_submitted_total", **good_) == 2
    assert value(metrics, "tasks_succeeded_total", **good_) == 1
    assert value(metrics, "tasks_cancelled_total", **good_) == 1
    assert value(metrics, "tasks_started_total", **bad_) == 2
    assert value(metrics, "tasks_failed_total", kind="error", **bad_) == 2
    assert value(metrics, "tasks_dead_total", **bad_) == 1
    assert value(metrics, "task_waiting_seconds_count", **bad_) == 1
    assert value(metrics, "task_duration_seconds_count", **bad_) == 2
    assert value(metrics, "task_duration_seconds_sum", **good_) == pytest.approx(2)
    assert value(metrics, "task_waiting_seconds_sum", **bad_) == pytest.approx(2)
    for move, number in {"submitted": 2, "delayed": 1, "started": 3, "died": 1}.items():
        assert value(metrics, "broker_moves_total", move=move) == number
    assert value(metrics, "dead_letters") == 1


async def test_a_look_shows_depth_age_pauses_and_workers(
    autojump_clock: trio.testing.MockClock,
):
    """Of the lanes that are known, empty ones included."""
    metrics = Metrics()
    metrics.declare("never", "other")
    tasks = TaskSet()

    @tasks.task(queue="mail")
    async def resize() -> None:
        await trio.sleep(60)

    async with open_test_queue(tasks, workers=1, observers=[metrics]) as queue:
        await queue.submit_many([resize.bind()] * 3)
        await queue.options(delay=90).submit(resize)
        await trio.sleep(20)
        queue.pause("mail")
        worker = WorkerRecord("w", "h", 1, 5, ("resize",), None, 0.0, 1, 3.0)
        looked: Any = With(queue.inspector, worker)
        assert await metrics.look(looked)
        queue.resume("mail")
    for state, number in {"scheduled": 1, "ready": 2, "running": 1}.items():
        assert value(metrics, "open_tasks", state=state, **LANE) == number
    assert value(metrics, "open_tasks", state="ready", queue="other", type="never") == 0
    assert value(metrics, "oldest_ready_age_seconds", **LANE) == pytest.approx(20)
    assert value(metrics, "oldest_ready_age_seconds", queue="other", type="never") == 0
    assert value(metrics, "unserved_tasks", **LANE) == 0
    assert (value(metrics, "queue_paused", queue="mail"), value(metrics, "paused")) == (1, 0)
    assert value(metrics, "queue_paused", queue="other") == 0
    assert value(metrics, "worker_processes") == 1
    assert value(metrics, "worker_slots") == 5
    assert value(metrics, "worker_running") == 1
    assert value(metrics, "worker_heartbeat_age_seconds") == 3
    assert value(metrics, "capacity") == 100
    assert value(metrics, "broker_up") == 1


@pytest.mark.parametrize(
    "changes", [{"live": False}, {"types": ("other",)}, {"queues": ("other",)}, None]
)
async def test_tasks_that_no_live_worker_takes_are_told(
    changes: dict[str, Any] | None, autojump_clock: trio.testing.MockClock
):
    """By its death, its types, its queues, or because there is none."""
    from dataclasses import replace

    metrics = Metrics()
    tasks = TaskSet()

    @tasks.task(queue="mail")
    async def resize() -> None: ...

    async with open_test_queue(tasks, workers=1) as queue:
        queue.pause()
        await queue.submit(resize)
        worker = WorkerRecord("w", "h", 1, 5, ("resize",), ("mail",), 0.0)
        workers = [] if changes is None else [replace(worker, **changes)]
        looked: Any = With(queue.inspector, *workers)
        await metrics.look(looked)
        queue.resume()
    assert value(metrics, "unserved_tasks", **LANE) == 1
    assert value(metrics, "worker_processes") == (0 if changes in (None, {"live": False}) else 1)


class With:
    """An inspector with other workers."""

    def __init__(self, inspector: Inspector, *workers: WorkerRecord) -> None:
        self._inspector = inspector
        self._workers = workers

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inspector, name)

    async def workers(self) -> Sequence[WorkerRecord]:
        return self._workers


class Broken:
    """An inspector of a broker that is away."""

    def __init__(self, *, hangs: bool = False) -> None:
        self.asked = 0
        self.hangs = hangs

    async def counts(self) -> Any:
        self.asked += 1
        await trio.lowlevel.checkpoint()
        if self.hangs:
            await trio.sleep_forever()
        raise trioqueue.BrokerUnavailable("no route to host")


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_broker_that_does_not_answer_is_told_and_costs_only_its_own(
    hangs: bool, autojump_clock: trio.testing.MockClock
):
    """The counters are there; what the broker would have said is not; it is asked once a second."""
    metrics, broken = Metrics(), Broken(hangs=hangs)
    metrics(make_event("submitted"))
    inspector: Any = broken
    assert not await metrics.look(inspector, patience=2)
    assert trio.current_time() == pytest.approx(2 if hangs else 0)
    assert value(metrics, "broker_up") == 0
    assert value(metrics, "tasks_submitted_total", **LANE) == 1
    assert not any(name == "open_tasks" for name, _ in samples(metrics))
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(metrics.look, inspector)
    asked = broken.asked
    await trio.sleep(1.1)
    await metrics.look(inspector)
    assert (asked, broken.asked) == (1, 2)
    metrics.forget()
    assert not any(name == "broker_up" for name, _ in samples(metrics))


def test_lanes_are_bounded():
    """What comes too late is counted all the same, under another name."""
    metrics = Metrics(lanes=3)
    for number in range(10):
        metrics(make_event("submitted", task_type=f"type {number}"))
        metrics(make_event("started", task_type=f"type {number}", waited=1.0))
    told = samples(metrics)
    submitted = {k: v for k, v in told.items() if k[0] == "tasks_submitted_total"}
    assert sorted(submitted.values()) == [1, 1, 8]
    other = {"queue": "_other", "type": "_other"}
    assert value(metrics, "tasks_submitted_total", **other) == 8
    assert value(metrics, "task_waiting_seconds_count", **other) == 8


@pytest.mark.parametrize("most", [1, 2, 3, 4])
def test_the_lanes_of_a_broker_are_bounded_too(most: int):
    """The fullest keep their names; nothing is lost from the sums."""
    lanes = [LaneCounts("q", f"t{n}", 1, n, 0, True, float(n) or None) for n in range(4)]
    kept = bound(lanes, most)
    assert len(kept) == most
    assert sum(lane.ready for lane in kept) == 6
    assert sum(lane.scheduled for lane in kept) == 4
    assert max(lane.oldest or 0 for lane in kept) == 3
    kept_names = [f"t{n}" for n in range(4)][len(lanes) - most + (most < 4) :]
    assert [lane.type for lane in kept] == [*kept_names, *["_other"][: most < 4]]


@pytest.mark.parametrize(
    "name", ['a"b\\c', "ü\n", "x" * 5_000, "ü" * 5_000, "\ud800", "a\0b", "_other", "{}"]
)
def test_a_name_may_be_anything(name: str):
    """It is escaped, and cut if it is endless; the exposition can be read."""
    metrics = Metrics()
    for _ in range(2):
        metrics(make_event("submitted", task_type=name, queue=name))
    told = [(dict(k[1]), v) for k, v in samples(metrics).items() if k[0] == "tasks_submitted_total"]
    ((labels, number),) = told
    assert number == 2
    assert len(labels["type"].encode()) <= 256
    assert labels["type"][:100] == name[:100] or "\0" in name or "\ud800" in name
    metrics.render("application/openmetrics-text; version=1.0.0")


def test_a_lane_can_be_declared():
    """So that its first task is an increase, and not a beginning."""
    metrics = Metrics()
    metrics.declare("resize", "mail")
    assert value(metrics, "tasks_submitted_total", **LANE) == 0
    with pytest.raises(InvalidTask):
        metrics.declare("")


def test_a_registry_of_ones_own_can_be_given():
    registry = CollectorRegistry()
    metrics = Metrics(registry=registry)
    metrics(make_event("submitted"))
    assert metrics.registry is registry
    assert registry.get_sample_value("trioqueue_tasks_submitted_total", LANE) == 1
    assert Metrics().registry is not registry


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text"),
        ("application/openmetrics-text; version=nonsense", "text/plain; version=0.0.4"),
        ("text/plain; version=\x00; q=x,,;;=", "text/plain; version=0.0.4"),
    ],
)
def test_the_format_is_the_one_that_is_asked_for(accept: str, content_type: str):
    """Whatever the header says, there is an answer."""
    text, told = Metrics().render(accept)
    assert told.startswith(content_type)
    assert (b"# EOF" in text) == ("openmetrics" in content_type)


@pytest.mark.parametrize(
    "wrong",
    [
        {"waiting_buckets": []},
        {"waiting_buckets": [1, 1]},
        {"duration_buckets": [2, 1]},
        {"duration_buckets": [0, 1]},
        {"duration_buckets": [1, float("inf")]},
        {"duration_buckets": ["soon"]},
        {"duration_buckets": 5},
        {"duration_buckets": range(1, 200)},
        {"lanes": 0},
    ],
)
def test_what_cannot_be_is_told(wrong: Any):
    with pytest.raises(InvalidTask):
        Metrics(**wrong)


def test_every_counter_has_a_help_text():
    assert all(count.help.endswith(".") for count in COUNTS)


def rows(page: str) -> dict[str, tuple[str, str]]:
    """Metric -> (labels, words), of the tables of a page."""
    found = re.findall(r"^\| `(trioqueue_\w+)` \|([^|]*)\| (.+) \|$", page, re.M)
    return {
        name: (", ".join(re.findall(r"`(\w+)`", labels)), words) for name, labels, words in found
    }


def test_the_page_has_every_metric_with_its_labels_and_its_help_text():
    """As they are told: nothing more, nothing less."""
    page = (Path(__file__).parent.parent / "docs" / "metrics.md").read_text("utf-8")
    wanted = {f"trioqueue_{count.name}_total": (count.label, count.help) for count in COUNTS}
    wanted |= {f"trioqueue_{name}": ("", help_) for name, help_ in (WAITING, DURATION)}
    wanted |= {
        f"trioqueue_{name}": (", ".join(labels), help_) for name, (help_, labels) in SEEN.items()
    }
    wanted["trioqueue_broker_moves_total"] = wanted.pop("trioqueue_broker_moves")
    wanted["trioqueue_build_info"] = ("version", BUILD[1])
    assert rows(page) == wanted
    assert all(f"`{kind}`" in page for kind in FAILURE_KINDS)
