"""``trioqueue status``: how many tasks are where, and who works on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final, final

from .. import Counts, Inspector, LaneCounts, State, WorkerRecord
from ..brokers._url import open_broker_url
from ._broker import BrokerOption, broker_url
from ._exits import OK
from ._text import duration, say, say_json, table
from ._types import FLAG

#: The places that are always shown; the others only if a task is there.
_ALWAYS: Final = (State.SCHEDULED, State.READY, State.RUNNING, State.SUCCEEDED, State.DEAD)
_SOMETIMES: Final = (
    State.CANCELLED,
    State.EXPIRED,
    State.HANDED_BACK,
    State.PURGED,
    State.EVICTED,
)


async def status(*, broker: BrokerOption = None, json: Annotated[bool, FLAG] = False) -> int:
    """Show how many tasks are where, by queue and type, and the worker processes.

    Parameters
    ----------
    broker
        Where the tasks are kept, such as sqlite:///jobs.db or redis://host.
    json
        Print one JSON object instead of tables.
    """
    async with open_broker_url(broker_url(broker), create=False) as opened:
        seen = await look(opened)
    if json:
        say_json(seen.as_json())
    else:
        say(*seen.describe())
    return OK


async def look(inspector: Inspector) -> Seen:
    """Look once. (The parts are of slightly different instants, on a busy broker.)"""
    counts = await inspector.counts()
    lanes = await inspector.lanes()
    everything, queues = await inspector.paused()
    return Seen(counts, lanes, everything, tuple(queues), await inspector.workers())


@final
@dataclass(frozen=True)
class Seen:
    """What a broker showed."""

    counts: Counts
    lanes: Sequence[LaneCounts]
    all_paused: bool
    paused_queues: tuple[str, ...]
    workers: Sequence[WorkerRecord]

    def unserved(self) -> list[LaneCounts]:
        """The lanes with ready tasks that no live worker process takes from."""
        live = [worker for worker in self.workers if worker.live]
        return [
            lane
            for lane in self.lanes
            if lane.ready and not any(_serves(worker, lane) for worker in live)
        ]

    def as_json(self) -> dict[str, Any]:
        """For programs: the names are those of the records."""
        return {
            "counts": self.counts._asdict(),
            "lanes": [lane._asdict() for lane in self.lanes],
            "paused": {"all": self.all_paused, "queues": self.paused_queues},
            "workers": [asdict(worker) for worker in self.workers],
            "unserved": [{"queue": lane.queue, "type": lane.type} for lane in self.unserved()],
        }

    def describe(self) -> Iterator[str]:
        """For people."""
        yield from self._describe_counts()
        yield ""
        yield from self._describe_lanes()
        yield ""
        yield from self._describe_workers()
        for lane in self.unserved():
            yield ""
            yield (
                f"No live worker takes {lane.type!r} from queue {lane.queue!r}: "
                f"{lane.ready:,} ready, the oldest for {_age(lane.oldest)}."
            )

    def _describe_counts(self) -> Iterator[str]:
        counts = self.counts._asdict()
        parts = [f"{counts[state]:,} {state}" for state in _ALWAYS]
        parts += [f"{counts[state]:,} {_words(state)}" for state in _SOMETIMES if counts[state]]
        yield f"{counts['submitted']:,} submitted: {', '.join(parts)}"
        if self.all_paused:
            yield "Everything is paused."

    def _describe_lanes(self) -> Iterator[str]:
        if not self.lanes:
            yield "No task is open."
            return
        head = ("queue", "type", "ready", "running", "scheduled", "oldest", "")
        rows = [
            (
                lane.queue,
                lane.type,
                lane.ready,
                lane.running,
                lane.scheduled,
                _age(lane.oldest),
                "paused" if lane.paused else "",
            )
            for lane in self.lanes
        ]
        yield from table(head, rows, right="ready running scheduled oldest")

    def _describe_workers(self) -> Iterator[str]:
        if not self.workers:
            yield "No worker process was heard of."
            return
        head = ("worker", "host", "pid", "workers", "running", "heard of", "queues", "types")
        rows = [
            (
                worker.id,
                worker.host,
                str(worker.pid),
                worker.workers,
                worker.running,
                f"{duration(worker.seen)} ago" + ("" if worker.live else ", gone"),
                "all" if worker.queues is None else ", ".join(worker.queues),
                ", ".join(worker.types),
            )
            for worker in self.workers
        ]
        yield from table(head, rows, right="pid workers running")


def _serves(worker: WorkerRecord, lane: LaneCounts) -> bool:
    return lane.type in worker.types and (worker.queues is None or lane.queue in worker.queues)


def _age(seconds: float | None) -> str:
    return "-" if seconds is None else duration(seconds)


def _words(state: State) -> str:
    return state.value.replace("_", " ")
