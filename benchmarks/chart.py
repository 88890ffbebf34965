"""The SVG file: one self-contained picture, readable on a light and on a dark page.

The throughput of every system, in memory, on an SQLite file and on Redis, and how far each goal
was reached.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from benchmarks.arithmetic import attainment, median
from benchmarks.judge import Report
from benchmarks.plan import RATE, WALL_RATE
from benchmarks.table import goal, number

WIDTH: Final = 860
LABEL: Final = 330  # where the bars begin
SPAN: Final = 330  # the longest bar
ROW: Final = 22
HEAD: Final = 50  # height of a title with its caption
# A bar of the second panel ends at twice the goal: beyond, its length says nothing more.
CEILING: Final = 2.0

BASELINES: Final = {
    "raw": "memory channel alone",
    "naive": "channel + deadline + limiter + Event",
    "asyncio": "asyncio.Queue + timeout",
}

STYLE: Final = """
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-size: 15px; font-weight: 600 }
.soft { fill: #57606a }
.ours { fill: #0969da } .other { fill: #afb8c1 } .miss { fill: #cf222e }
.goal { stroke: #24292f; stroke-dasharray: 3 3 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .soft { fill: #9198a1 }
  .ours { fill: #4493f8 } .other { fill: #545d68 } .miss { fill: #f85149 }
  .goal { stroke: #e6edf3 }
}
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: `share` of the longest, 0..1, and the text behind it."""

    label: str
    share: float
    text: str
    kind: str  # a class of STYLE


@dataclass(frozen=True, slots=True)
class Panel:
    """One comparison of rates: of which groups, by which metric."""

    title: str
    caption: str
    groups: tuple[str, ...]
    metric: str


_DURABLE: Final = "wall time; medians, longer is better; the same durability on all sides"
PANELS: Final = (
    Panel(
        "Tasks per CPU second",
        "no-op handler, one pinned core; medians, longer is better",
        ("no-op", "peers"),
        RATE,
    ),
    Panel("SQLite: tasks enqueued per second", _DURABLE, ("sqlite-enqueue",), WALL_RATE),
    Panel(
        "SQLite: tasks claimed and completed per second", _DURABLE, ("sqlite-claims",), WALL_RATE
    ),
    Panel(
        "Redis: tasks drained per second",
        "one worker process, 32 at once, AOF off; wall time; medians, longer is better",
        ("redis-32",),
        WALL_RATE,
    ),
)


def throughput(reports: Sequence[Report], panel: Panel) -> list[Bar]:
    """Every system of one panel, fastest first."""
    rates: dict[str, float] = {}
    for report in reports:
        row = report.row
        if row.metric != panel.metric or row.group not in panel.groups or not report.values:
            continue
        rates.setdefault(row.subject, median(report.values))
        if row.baseline is not None:
            rates.setdefault(row.baseline, median(report.baselines))
    longest = max(rates.values(), default=1.0)
    ordered = sorted(rates.items(), key=lambda pair: -pair[1])
    return [Bar(_label(name), rate / longest, number(rate), _kind(name)) for name, rate in ordered]


def _kind(name: str) -> str:
    return "ours" if name.startswith("trioqueue/") else "other"


def _label(name: str) -> str:
    """`trioqueue/no-op-submit_many-observed` -> `trioqueue, submit_many, one observer`.

    `trioqueue/sqlite-enqueue-32-full` -> `trioqueue, enqueue, 32, FULL`.
    """
    system, _, case = name.partition("/")
    parts = case.removeprefix("no-op").removeprefix("sqlite-").removeprefix("redis-")
    parts = parts.removesuffix("-normal").strip("-")
    parts = parts.replace("observed", "one observer").replace("full", "FULL")
    return ", ".join([BASELINES.get(system, system), *filter(None, parts.split("-"))])


def attainments(reports: Sequence[Report]) -> list[Bar]:
    """How far each goal was reached; the goal itself is half of the width."""
    bars = []
    for report in reports:
        row = report.row
        if row.goal is None or not report.judged:
            continue
        figure = median(report.judged)
        reached = attainment(figure, row.goal, higher_is_better=row.higher_is_better)
        unit = row.unit if row.absolute else "x"
        text = f"{number(figure)} {unit}, goal {goal(row)}"
        share = min(reached, CEILING) / CEILING
        bars.append(Bar(row.name, share, text, "ours" if reached >= 1 else "miss"))
    return bars


def _bar(bar: Bar, top: int, column: bool) -> str:
    """`column`: all texts under each other, clear of a line through the bars."""
    width, middle = max(1.0, SPAN * bar.share), top + 15
    text = LABEL + (SPAN if column else width) + 6
    return (
        f'<text x="{LABEL - 8}" y="{middle}" text-anchor="end">{escape(bar.label)}</text>'
        f'<rect class="{bar.kind}" x="{LABEL}" y="{top + 4}" width="{width:.1f}" height="14" '
        f'rx="2"/><text x="{text:.1f}" y="{middle}" class="soft">'
        f"{escape(bar.text)}</text>"
    )


def panel_of(
    title: str, caption: str, bars: Sequence[Bar], top: int, *, column: bool = False
) -> list[str]:
    head = (
        f'<text class="title" x="16" y="{top + 20}">{escape(title)}</text>'
        f'<text class="soft" x="16" y="{top + 37}">{escape(caption)}</text>'
    )
    rows = [_bar(bar, top + HEAD + index * ROW, column) for index, bar in enumerate(bars)]
    return [head, *rows]


def document(reports: Sequence[Report]) -> str:
    """The text of the file."""
    goals, top = attainments(reports), 8
    parts: list[str] = []
    for panel in PANELS:
        if rates := throughput(reports, panel):
            parts += panel_of(panel.title, panel.caption, rates, top)
            top += HEAD + ROW * len(rates) + 16
    if goals:
        caption = "dashed line: the goal; longer is better, bars end at twice the goal"
        parts += panel_of("Goals", caption, goals, top, column=True)
        line, end = LABEL + SPAN / CEILING, top + HEAD + ROW * len(goals)
        parts.append(f'<line class="goal" x1="{line}" x2="{line}" y1="{top + HEAD}" y2="{end}"/>')
        top = end + 16
    return svg(parts, top)


def svg(parts: Sequence[str], height: int) -> str:
    """A file of these parts."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" role="img"><title>trioqueue benchmarks</title>'
        f"<style>{STYLE}</style>"
    )
    return "\n".join([head, *parts, "</svg>", ""])
