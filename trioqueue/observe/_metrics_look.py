"""What a broker shows at scrape time, as metrics. The same from every process that asks it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from .._broker import Counts, Inspector, LaneCounts, WorkerRecord
from .._model import Move
from ._metrics_cells import OTHER
from ._metrics_names import PREFIX, SEEN


class Look(NamedTuple):
    """One look at a broker. (The parts are of slightly different instants, on a busy one.)"""

    counts: Counts
    lanes: Sequence[LaneCounts]
    all_paused: bool
    paused: Sequence[str]
    workers: Sequence[WorkerRecord]


async def look(inspector: Inspector) -> Look:
    """Look once."""
    counts = await inspector.counts()
    lanes = await inspector.lanes()
    everything, queues = await inspector.paused()
    return Look(counts, lanes, everything, queues, await inspector.workers())


def describe(seen: Look | None, known: Iterable[tuple[str, str]], most: int) -> Iterator[Metric]:
    """The metrics of a look, or that there is none.

    ``known``: lanes, as queue and type, that are to be shown when they are empty as well. ``most``:
    how many lanes and queues are named.
    """
    yield _gauge("broker_up", float(seen is not None))
    if seen is None:
        return
    live = [worker for worker in seen.workers if worker.live]
    there = {(lane.queue, lane.type) for lane in seen.lanes}
    empty = [
        LaneCounts(*lane, 0, 0, 0, seen.all_paused or lane[0] in seen.paused, None)
        for lane in known
        if lane not in there
    ]
    seen = seen._replace(lanes=[*seen.lanes, *empty])
    yield from _describe_lanes(bound(seen.lanes, most), live)
    yield from _describe_pauses(seen, most)
    yield _gauge("dead_letters", seen.counts.dead)
    if seen.counts.capacity is not None:
        yield _gauge("capacity", seen.counts.capacity)
    yield _gauge("waiting_submitters", seen.counts.waiting_submitters)
    yield from _describe_workers(live)
    yield _describe_moves(seen.counts)


def bound(lanes: Sequence[LaneCounts], most: int) -> Sequence[LaneCounts]:
    """At most so many, the fullest by their own names, the others together under another."""
    if len(lanes) <= most:
        return lanes
    ranked = sorted(lanes, key=_weight)
    split = len(ranked) - most + 1
    rest, kept = ranked[:split], ranked[split:]
    oldest = max((lane.oldest for lane in rest if lane.oldest is not None), default=None)
    together = LaneCounts(
        OTHER,
        OTHER,
        sum(lane.scheduled for lane in rest),
        sum(lane.ready for lane in rest),
        sum(lane.running for lane in rest),
        all(lane.paused for lane in rest),
        oldest,
    )
    return [*kept, together]


def _weight(lane: LaneCounts) -> tuple[bool, int]:
    """A lane that has the name of the others together must be one of them."""
    return OTHER not in (lane.queue, lane.type), lane.scheduled + lane.ready + lane.running


def serves(worker: WorkerRecord, lane: LaneCounts) -> bool:
    """Whether a worker process takes tasks of this type from this queue."""
    return lane.type in worker.types and (worker.queues is None or lane.queue in worker.queues)


def _describe_lanes(
    lanes: Iterable[LaneCounts], live: Sequence[WorkerRecord]
) -> Iterator[GaugeMetricFamily]:
    depth, oldest, unserved = map(
        _family, ("open_tasks", "oldest_ready_age_seconds", "unserved_tasks")
    )
    for lane in lanes:
        names = [_clean(lane.queue), _clean(lane.type)]
        for state in ("scheduled", "ready", "running"):
            depth.add_metric([*names, state], getattr(lane, state))
        oldest.add_metric(names, lane.oldest or 0.0)
        served = lane.type == OTHER or any(serves(worker, lane) for worker in live)
        unserved.add_metric(names, 0 if served else lane.ready)
    yield from (depth, oldest, unserved)


def _describe_pauses(seen: Look, most: int) -> Iterator[GaugeMetricFamily]:
    yield _gauge("paused", float(seen.all_paused))
    queues = sorted({*seen.paused, *(lane.queue for lane in seen.lanes)})
    paused = _family("queue_paused")
    for queue in queues[:most]:
        paused.add_metric([_clean(queue)], float(seen.all_paused or queue in seen.paused))
    yield paused


def _describe_workers(live: Sequence[WorkerRecord]) -> Iterator[GaugeMetricFamily]:
    yield _gauge("worker_processes", len(live))
    yield _gauge("worker_slots", sum(worker.workers for worker in live))
    yield _gauge("worker_running", sum(worker.running for worker in live))
    yield _gauge("worker_heartbeat_age_seconds", max((worker.seen for worker in live), default=0.0))


def _describe_moves(counts: Counts) -> CounterMetricFamily:
    family = CounterMetricFamily(f"{PREFIX}broker_moves", *_words("broker_moves"))
    for move in Move:
        family.add_metric([move.value], counts.moves.get(move, 0))
    return family


def _words(name: str) -> tuple[str, None, Sequence[str]]:
    help_, labels = SEEN[name]
    return help_, None, labels


def _family(name: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, *_words(name))


def _gauge(name: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, SEEN[name][0], value)


def _clean(name: str) -> str:
    """A name that can be written; foreign brokers may have any."""
    return name.encode("utf-8", "replace").decode()
