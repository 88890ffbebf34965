"""Metrics for Prometheus: an observer that counts, and what it is asked for.

::

    metrics = Metrics()
    async with trioqueue.open_queue(tasks, observers=[metrics]) as queue:
        await metrics.look(queue.inspector)  # what only the broker knows
        text, content_type = metrics.render()

Counting is on the way of every task, so an event is a few additions to doubles in one piece of
memory, and not a call of the client library for each. That makes metrics of it when it is asked.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import metadata
from itertools import accumulate, pairwise
from typing import Final, final

import trio
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder
from prometheus_client.registry import Collector

from .._broker import Inspector
from .._checks import check_count, check_name
from .._errors import InvalidTask
from .._events import Event
from .._model import OutcomeKind
from ._metrics_cells import FAILED, PLAIN, RELEASED, Cells, Form, Lane
from ._metrics_look import Look, describe, look
from ._metrics_names import BUILD, COUNTED_AS, COUNTS, DURATION, PREFIX, WAITING

logger = logging.getLogger("trioqueue.metrics")

#: Seconds. From what an idle queue takes to what somebody should have been called for.
WAITING_BUCKETS: Final = (0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14400)
#: Seconds. From a handler that only looks at something to one that encodes a film.
DURATION_BUCKETS: Final = (0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 1800)
#: Types times queues that have metrics of their own: with 45 series each, 9,000 of them.
LANES: Final = 200
#: Seconds that a broker has for an answer: less than a scraper waits (10).
PATIENCE: Final = 2.0
#: Seconds for which a look is good enough for the next who ask.
FRESH: Final = 1.0

_AS: Final = {event: PLAIN[name] for event, name in COUNTED_AS.items()}
_GIVEN_BACK: Final = RELEASED["not_started"]
_INTERRUPTED: Final = RELEASED["interrupted"]
#: Events that end an attempt, unless its outcome is of one of these kinds: it had not begun then.
_ENDS: Final = frozenset({"succeeded", "retried", "died", "snoozed", "cancelled", "released"})
_NOT_RUN: Final = frozenset({OutcomeKind.HANDED_BACK, OutcomeKind.INVALID, OutcomeKind.LOST})


@final
class Metrics:
    """Counts what happens, and tells it in Prometheus' words. An observer of any number of queues.

    ``registry``: where the metrics are to be found; one of their own unless given, such as
    ``prometheus_client.REGISTRY``. ``waiting_buckets`` and ``duration_buckets``: upper bounds of
    the histograms, in seconds. ``lanes``: so many pairs of a type and a queue are told apart; what
    comes later is counted as type and queue ``_other``.

    Raises `InvalidTask` for what cannot be.
    """

    def __init__(
        self,
        *,
        registry: CollectorRegistry | None = None,
        waiting_buckets: Iterable[float] = WAITING_BUCKETS,
        duration_buckets: Iterable[float] = DURATION_BUCKETS,
        lanes: int = LANES,
    ) -> None:
        form = Form(
            _check_buckets("waiting_buckets", waiting_buckets),
            _check_buckets("duration_buckets", duration_buckets),
            check_count("lanes", lanes, 1, 10_000),
        )
        self.registry: Final = CollectorRegistry() if registry is None else registry
        self._version = _version()
        self._lock = trio.Lock()
        self._looked: tuple[Look | None, float] | None = None
        self._count_in(Cells(form))
        self._collector: Final = _Collector(self._collect)
        self.registry.register(self._collector)

    def _count_in(self, cells: Cells) -> None:
        """Count there from now on. (For worker processes under a supervisor.)"""
        self._cells = cells
        self._values = cells.values
        self._find = cells.find
        self._parts: Callable[[], Iterable[Lane]] = cells.lanes
        self._waiting, self._first_waiting = cells.form.waiting, cells.form.first_waiting
        self._duration, self._first_duration = cells.form.duration, cells.form.first_duration
        self._waited = self._first_waiting + len(self._waiting) + 1
        self._ran = self._first_duration + len(self._duration) + 1

    def _tell_of(self, parts: Callable[[], Iterable[Lane]]) -> None:
        """Tell what others have counted. (For a supervisor.)"""
        self._parts = parts

    def declare(self, type: str, queue: str = "default") -> None:
        """Show this lane with zeros: a rate needs to have seen where it began."""
        self._find(check_name("type", type), check_name("queue", queue))

    def __call__(self, event: Event) -> None:
        """See `trioqueue.Observer`."""
        name, _, _, type_, queue, _, delivery, _, outcome, _, waited, _ = event
        cell = _AS.get(name)
        if cell is not None:
            values = self._values
            first = self._find(type_, queue)
            values[first + cell] += 1.0
            if outcome is not None:
                if name in _ENDS:
                    self._end(first, name, outcome.kind, outcome.duration)
            elif waited is not None and delivery == 1:
                waited = max(0.0, waited)  # by two clocks that differ
                values[first + self._first_waiting + bisect_left(self._waiting, waited)] += 1.0
                values[first + self._waited] += waited
        elif name == "released":
            first = self._find(type_, queue)
            kind = None if outcome is None else outcome.kind
            back = kind is OutcomeKind.HANDED_BACK
            self._values[first + (_GIVEN_BACK if back else _INTERRUPTED)] += 1.0
            if outcome is not None:
                self._end(first, name, outcome.kind, outcome.duration)

    def _end(self, first: int, name: str, kind: OutcomeKind, duration: float) -> None:
        """An attempt ended, or a task that was waiting."""
        values = self._values
        if name in {"retried", "died"}:
            failed = FAILED.get(kind)
            if failed is not None:
                values[first + failed] += 1.0
        if kind not in _NOT_RUN and (duration > 0.0 or name != "cancelled"):
            values[first + self._first_duration + bisect_left(self._duration, duration)] += 1.0
            values[first + self._ran] += duration

    # --- telling -------------------------------------------------------------------------------

    async def look(self, inspector: Inspector, *, patience: float = PATIENCE) -> bool:
        """Ask a broker what only it knows, for the next `render`; ``False``: it did not answer.

        At most once a second, however many ask. Takes ``patience`` seconds at most: then
        ``trioqueue_broker_up`` is 0, and the rest of what it would have said is left out.
        A checkpoint; raises nothing of the broker's.
        """
        async with self._lock:
            known = self._looked
            if known is None or not 0 <= trio.current_time() - known[1] < FRESH:
                was_up = known is None or known[0] is not None
                seen = await _try_to_look(inspector, patience, was_up)
                # Its end counts: those who have waited for a broker that hangs go on at once.
                self._looked = known = seen, trio.current_time()
            return known[0] is not None

    def forget(self) -> None:
        """There is no broker to ask any more: leave out what it said."""
        self._looked = None

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The metrics of the registry as text, and its content type.

        ``accept``: the header of a request. OpenMetrics for who asks for it, or the old format.
        """
        try:
            encode, content_type = choose_encoder(accept)
        except (TypeError, ValueError):  # a version that is none
            encode, content_type = generate_latest, CONTENT_TYPE_PLAIN_0_0_4
        return encode(self.registry), content_type

    def _collect(self) -> Iterator[Metric]:
        lanes = list(self._parts())
        yield from _describe_counts(lanes)
        form = self._cells.form
        yield _histogram(WAITING, form.waiting, form.first_waiting, lanes)
        yield _histogram(DURATION, form.duration, form.first_duration, lanes)
        if self._looked is not None:
            yield from describe(
                self._looked[0], [(one.queue, one.type) for one in lanes], form.lanes
            )
        yield InfoMetricFamily(PREFIX + BUILD[0], BUILD[1], {"version": self._version})


@final
class _Collector(Collector):
    """What a registry asks."""

    def __init__(self, collect: Callable[[], Iterator[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterator[Metric]:
        return self._collect()


def _version() -> str:
    try:
        return metadata.version("trioqueue")
    except metadata.PackageNotFoundError:  # a copy of the folder
        return "unknown"


async def _try_to_look(inspector: Inspector, patience: float, was_up: bool) -> Look | None:
    why = f"no answer within {patience:g} s"
    try:
        with trio.move_on_after(patience):
            return await look(inspector)
    except Exception as error:  # whatever it is: the counters can be told all the same
        why = f"{type(error).__name__}: {error}"
    if was_up:
        logger.warning("the broker could not be looked at for metrics: %s", why)
    return None


def _describe_counts(lanes: Sequence[Lane]) -> Iterator[Metric]:
    index = 0
    for count in COUNTS:
        labels = ["queue", "type", *filter(None, [count.label])]
        family = CounterMetricFamily(PREFIX + count.name, count.help, labels=labels)
        for value in count.values:
            for lane in lanes:
                names = [lane.queue, lane.type, *filter(None, [value])]
                family.add_metric(names, lane.cells[index])
            index += 1
        yield family


def _histogram(
    named: tuple[str, str], bounds: Sequence[float], first: int, lanes: Sequence[Lane]
) -> HistogramMetricFamily:
    name, help_ = named
    family = HistogramMetricFamily(PREFIX + name, help_, labels=["queue", "type"], unit="seconds")
    words = [*(repr(float(bound)) for bound in bounds), "+Inf"]
    for lane in lanes:
        sums = accumulate(lane.cells[first : first + len(words)])
        total = lane.cells[first + len(words)]
        family.add_metric([lane.queue, lane.type], list(zip(words, sums, strict=True)), total)
    return family


def _check_buckets(name: str, bounds: Iterable[float]) -> tuple[float, ...]:
    try:
        checked = tuple(float(bound) for bound in bounds)
    except (TypeError, ValueError):
        msg = f"{name} must be numbers of seconds, not {bounds!r}"
        raise InvalidTask(msg) from None
    ascend = all(a < b for a, b in pairwise(checked))
    if not checked or not ascend or not 0 < checked[0] <= checked[-1] < float("inf"):
        msg = f"{name} must be ascending, finite and above 0, not {checked!r}"
        raise InvalidTask(msg)
    if len(checked) > 100:
        msg = f"{name} must be at most 100, not {len(checked)}: each is a series of each lane"
        raise InvalidTask(msg)
    return checked
