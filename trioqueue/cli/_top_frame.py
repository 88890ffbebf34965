"""The picture that ``trioqueue top`` shows: from what was seen and a size to lines. Pure."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

from rich.cells import set_cell_size
from rich.text import Text

from .._failures import FailureGroup
from .._rates import Rates
from ._text import duration
from ._top_look import LETTERS, Running, Snapshot
from ._top_table import Column, Line, Section, crop, share

#: Lines from which on there is one for the curve.
_TALL: Final = 30
_BARS: Final = " ▁▂▃▄▅▆▇█"

_QUEUES: Final = (
    Column("queue", 9, 8),
    Column("type", 8, 12),
    Column("waiting", 7, right=True),
    Column("running", 6, right=True),
    Column("scheduled", 3, right=True),
    Column("dead", 4, right=True),
    Column("oldest", 5, right=True),
    Column("", 2),
)
_RUNNING: Final = (
    Column("running for", 9, right=True),
    Column("type", 8, 12),
    Column("task", 6, 30),
    Column("attempt", 7, right=True),
    Column("progress", 5, right=True),
    Column("worker", 4, 12),
    Column("queue", 3, 8),
)
_FAILURES: Final = (
    Column("failed", 6, right=True),
    Column("type", 8, 12),
    Column("times", 7, right=True),
    Column("error", 9, 12),
    Column("state", 5, 8),
    Column("last task", 4, 30),
)
_WORKERS: Final = (
    Column("worker heard of", 8, right=True),
    Column("host", 9, 10),
    Column("pid", 7, right=True),
    Column("busy", 8, right=True),
    Column("up", 5, right=True),
    Column("queues", 4, 8),
    Column("types", 3, 12),
)


@final
@dataclass(frozen=True)
class View:
    """What is to be shown. ``notice``: a line that matters more than the keys, such as that the
    broker is away. ``curve``: tasks per second, the newest last.
    """

    title: str
    snapshot: Snapshot | None
    notice: str = ""
    keys: str = ""
    curve: Sequence[float] = ()


def frame(view: View, width: int, height: int | None) -> list[Text]:
    """At most ``height`` lines (``None``: as many as it takes), none wider than ``width`` cells."""
    lines = _head(view, width)
    if any(view.curve) and (height is None or height >= _TALL):
        lines.append(Text(curve(view.curve, width), style="green"))
    if view.snapshot is not None:
        sections = sections_of(view.snapshot)
        room = height - len(lines) - 1 if height is not None else 1_000_000
        for section, high in zip(sections, share(room, sections), strict=True):
            if high:
                lines += [Text(), *section.draw(width, high)]
    foot = Text(crop(view.notice or view.keys, width), style="yellow" if view.notice else "dim")
    if height is None:
        return [*lines, *([foot] if foot.plain else [])]
    lines = lines[: max(0, height - 1)]
    return [*lines, *[Text()] * (height - 1 - len(lines)), foot]


def sections_of(snapshot: Snapshot) -> list[Section]:
    """The tables, the most important ones first: those at the end go when there is no room."""
    return [
        _queues(snapshot),
        _running(snapshot),
        _failures(snapshot),
        _workers(snapshot),
    ]


# --- the head ------------------------------------------------------------------------------------


def _head(view: View, width: int) -> list[Text]:
    snapshot = view.snapshot
    if snapshot is None:
        return [_title(view.title, "", width)]
    at = time.strftime("%H:%M:%S", time.localtime(snapshot.at))
    return [_title(view.title, at, width), _counts(snapshot, width), _rates(snapshot.rates, width)]


def _title(title: str, at: str, width: int) -> Text:
    room = width - len(at) - 2
    if room < 10:
        return Text(crop(title, width), style="bold")
    line = Text(set_cell_size(crop(title, room), room + 2), style="bold")
    return line.append(at, style="not bold dim")


def _counts(snapshot: Snapshot, width: int) -> Text:
    counts = snapshot.seen.counts
    where = (
        (counts.ready, "waiting", ""),
        (counts.running, "running", "cyan"),
        (counts.dead, "dead", "red" if counts.dead else ""),
        (counts.scheduled, "scheduled", ""),
        (counts.succeeded, "succeeded", "green"),
    )
    parts = [(f"{number:,} {word}", style) for number, word, style in where]
    if snapshot.seen.all_paused:
        parts.insert(0, ("all paused", "yellow"))
    return _join(parts, width)


def _rates(rates: Rates | None, width: int) -> Text:
    if rates is None:
        return Text(crop("rates: after the second look", width), style="dim")
    failed = f"{per_second(rates.failed)} failed"
    if rates.failure_rate is not None:
        failed += f" ({rates.failure_rate:.1%})"
    parts = [
        (f"{per_second(rates.succeeded)} succeeded", ""),
        (failed, "yellow" if rates.failed else ""),
        (f"{per_second(rates.submitted)} submitted", ""),
        (f"over {duration(rates.span)}", "dim"),
    ]
    return _join(parts, width)


def _join(parts: Sequence[tuple[str, str]], width: int) -> Text:
    """As many of the words, with their styles, as fit."""
    line = Text()
    for words, style in parts:
        gap = "  " if line else ""
        if len(line) + len(gap) + len(words) > width:
            break
        line.append(gap).append(words, style=style)
    return line


def per_second(rate: float) -> str:
    """A rate as one would say it: three digits at the most, and their decimals."""
    digits = 0 if rate >= 99.95 else 1 if rate >= 9.995 else 2
    return f"{rate:,.{digits if rate else 0}f}/s"


def curve(values: Sequence[float], width: int) -> str:
    """A curve one line high, the newest value at the right."""
    shown = values[-width:]
    top = max(shown, default=0.0)
    if not top:
        return ""
    steps = len(_BARS) - 1
    return "".join(_BARS[min(steps, math.ceil(value / top * steps))] for value in shown)


# --- the tables ----------------------------------------------------------------------------------


def _queues(snapshot: Snapshot) -> Section:
    seen = snapshot.seen
    paused = set(seen.paused_queues)
    unserved = {(lane.queue, lane.type) for lane in seen.unserved()}
    more = "+" if seen.counts.dead > LETTERS else ""  # not all of them were looked at
    dead = {place: f"{number:,}{more}" for place, number in snapshot.dead.items()}
    rows: dict[tuple[str, str], Line] = {}
    for lane in seen.lanes:
        place = (lane.queue, lane.type)
        held = seen.all_paused or lane.paused or lane.queue in paused
        words, style = ("paused", "yellow") if held else ("", "")
        if place in unserved and not held:
            words, style = "no live worker", "red"
        numbers = map(_number, (lane.ready, lane.running, lane.scheduled))
        oldest = "" if lane.oldest is None else duration(lane.oldest)
        rows[place] = Line((*place, *numbers, dead.pop(place, ""), oldest, words), style)
    for place, number in dead.items():  # where nothing is open, but something has died
        rows[place] = Line((*place, "", "", "", number, "", ""))
    lines = [rows[place] for place in sorted(rows)]
    return Section(_QUEUES, lines, "no task is open", len(lines))


def _running(snapshot: Snapshot) -> Section:
    names = {worker.id: f"{worker.host}:{worker.pid}" for worker in snapshot.seen.workers}
    lines = [_running_line(task, names.get(task.worker, task.worker)) for task in snapshot.running]
    total = max(len(lines), snapshot.seen.counts.running if lines else 0)
    return Section(_RUNNING, lines, "nothing is running", total)


def _running_line(task: Running, worker: str) -> Line:
    progress = ""
    if task.progress is not None:
        done, total = task.progress
        progress = f"{done / total:.0%}" if total else f"{done:,g}"
    running_for = "?" if task.running_for is None else duration(task.running_for)
    cells = (running_for, task.type, task.id, str(task.attempt), progress, worker, task.queue)
    return Line(cells, "" if task.attempt == 1 else "yellow")


def _failures(snapshot: Snapshot) -> Section:
    lines = [_failure_line(group, snapshot.at) for group in snapshot.failures]
    return Section(_FAILURES, lines, "nothing has failed", len(lines))


def _failure_line(group: FailureGroup, now: float) -> Line:
    last = f"{duration(max(0.0, now - group.last_at))} ago" if group.last_at else "?"
    states = ((group.dead, "dead"), (group.retrying, "retrying"))
    state = ", ".join(f"{number:,} {word}" for number, word in states if number)
    times = _number(group.count)
    cells = (last, group.type, times, group.error, state, group.example_id)
    return Line(cells, "red" if group.dead else "yellow")


def _workers(snapshot: Snapshot) -> Section:
    workers = sorted(snapshot.seen.workers, key=lambda worker: not worker.live)
    lines = [
        Line(
            (
                f"{duration(worker.seen)} ago" if worker.live else "gone",
                worker.host,
                str(worker.pid),
                f"{worker.running}/{worker.workers}",
                duration(max(0.0, snapshot.at - worker.started_at)) if worker.live else "",
                "all" if worker.queues is None else ", ".join(worker.queues),
                ", ".join(worker.types),
            ),
            "" if worker.live else "dim",
        )
        for worker in workers
    ]
    return Section(_WORKERS, lines, "no worker process was heard of", len(lines))


def _number(number: int) -> str:
    return f"{number:,}" if number else ""
