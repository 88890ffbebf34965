"""``trioqueue queues``: what waits in which queue, and whether it is paused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, final

from cyclopts import App, Parameter

from .. import Inspector, LaneCounts
from .._checks import check_name
from ._bulk import BrokerUrl, JsonFlag, open_inspector
from ._errors import Wrong
from ._exits import FAILED, OK
from ._text import complain, duration, say, say_json, table
from ._types import FLAG

app = App(
    name="queues",
    help="Look at queues, pause them, let them go on.",
    help_epilogue="""\
Examples:

  trioqueue queues list\n
  trioqueue queues pause mail\n
  trioqueue queues resume --all

A paused queue accepts tasks, and none of them is started.\
""",
)

EveryFlag = Annotated[bool, FLAG, Parameter(help="All queues, those of later included.")]


@final
@dataclass
class QueueCounts:
    """The open tasks of one queue, of all types."""

    name: str
    paused: bool
    lanes: list[LaneCounts] = field(default_factory=list[LaneCounts])

    @property
    def oldest(self) -> float | None:
        """Seconds since the oldest ready task was accepted."""
        return max((lane.oldest for lane in self.lanes if lane.oldest is not None), default=None)

    def sum(self, place: str) -> int:
        """Tasks in a place, of all types."""
        return sum(getattr(lane, place) for lane in self.lanes)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "queue": self.name,
            "paused": self.paused,
            **{place: self.sum(place) for place in _PLACES},
            "oldest": self.oldest,
            "types": [
                {name: getattr(lane, name) for name in ("type", *_PLACES, "oldest")}
                for lane in self.lanes
            ],
        }


_PLACES = ("ready", "running", "scheduled")


def gather(
    lanes: Sequence[LaneCounts], everything: bool, paused: Sequence[str]
) -> list[QueueCounts]:
    """The queues in which there are tasks, or that are paused by themselves."""
    queues: dict[str, QueueCounts] = {}
    for name in sorted({*paused, *(lane.queue for lane in lanes)}):
        queues[name] = QueueCounts(name, everything or name in paused)
    for lane in lanes:
        queues[lane.queue].lanes.append(lane)
    return list(queues.values())


def describe(queues: Sequence[QueueCounts], everything: bool) -> Iterator[str]:
    """A table: each queue, and its types below it if there are several."""
    if everything:
        yield "Everything is paused."
    if not queues:
        yield "No task is open."
        return
    rows: list[tuple[object, ...]] = []
    for queue in queues:
        several = len(queue.lanes) != 1
        first = "(all)" if several else queue.lanes[0].type
        counts = [queue.sum(place) for place in _PLACES]
        rows.append((queue.name, first, *counts, _age(queue.oldest), _word(queue.paused)))
        if several:
            rows += [
                ("", lane.type, lane.ready, lane.running, lane.scheduled, _age(lane.oldest), "")
                for lane in queue.lanes
            ]
    yield from table(
        ("queue", "type", *_PLACES, "oldest", ""), rows, " ".join((*_PLACES, "oldest"))
    )


def _age(seconds: float | None) -> str:
    return "-" if seconds is None else duration(seconds)


def _word(paused: bool) -> str:
    return "paused" if paused else ""


@app.command(name="list")
async def list_(*, broker: BrokerUrl = None, json: JsonFlag = False) -> int:
    """List the queues in which tasks are open, with counts by type, the oldest age, and pauses."""
    async with open_inspector(broker) as inspector:
        lanes = await inspector.lanes()
        everything, paused = await inspector.paused()
    queues = gather(lanes, everything, paused)
    if json:
        say_json({"all_paused": everything, "queues": [queue.as_json() for queue in queues]})
    else:
        say(*describe(queues, everything))
    return OK


@app.command
async def pause(*names: str, broker: BrokerUrl = None, all: EveryFlag = False) -> int:
    """Start no more tasks from these queues, or from --all. What runs goes on."""
    _check("pause", names, every=all)
    async with open_inspector(broker) as inspector:
        if all:
            await inspector.pause()
            say("all queues are paused")
            return OK
        known = await _heard_of(inspector)
        for name in names:
            await inspector.pause(name)
            say(f"{name} is paused")
            if name not in known:
                complain(f"no task is open in {name!r}, and no worker names it: is it a queue?")
    return OK


async def _heard_of(inspector: Inspector) -> set[str]:
    """Queues that somebody uses."""
    lanes = await inspector.lanes()
    workers = await inspector.workers()
    return {lane.queue for lane in lanes} | {
        name for worker in workers for name in worker.queues or ("default",)
    }


@app.command
async def resume(*names: str, broker: BrokerUrl = None, all: EveryFlag = False) -> int:
    """Let these queues go on, or --all: then those too that were paused by themselves."""
    _check("resume", names, every=all)
    async with open_inspector(broker) as inspector:
        if all:
            await inspector.resume()
            say("all queues go on")
            return OK
        everything, paused = await inspector.paused()
        refused = [name for name in names if name not in paused]
        for name in names:
            if name in paused:
                await inspector.resume(name)
                say(f"{name} goes on")
    for name in refused:
        known = f" (those that are: {', '.join(sorted(paused))})" if paused else ""
        complain(f"{name!r} is not paused by itself{known}")
    if everything:
        complain("everything is paused still: resume --all")
    return FAILED if refused else OK


def _check(verb: str, names: Sequence[str], *, every: bool) -> None:
    if bool(names) == every:
        hint = "not both" if every else "or --all"
        raise Wrong(f"queues {verb}: give the names of queues{',' if every else ''} {hint}")
    for name in names:
        check_name("the queue", name)
