"""The SVG file: one self-contained picture, readable on a light and on a dark page.

Two panels: the throughput of every system, and how far each goal was reached.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from benchmarks.arithmetic import attainment, median
from benchmarks.judge import Report
from benchmarks.plan import RATE
from benchmarks.table import goal, number

WIDTH: Final = 860
LABEL: Final = 330  # where the bars begin
SPAN: Final = 330  # the longest bar
ROW: Final = 22
PANEL: Final = 50  # height of a title with its caption
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


def throughput(reports: Sequence[Report]) -> list[Bar]:
    """Every system with a no-op handler, fastest first."""
    rates: dict[str, float] = {}
    for report in reports:
        row = report.row
        if row.metric != RATE or row.group not in ("no-op", "peers") or not report.values:
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
    """`trioqueue/no-op-submit_many-observed` -> `trioqueue, submit_many, one observer`."""
    system, _, case = name.partition("/")
    parts = case.removeprefix("no-op").strip("-").replace("observed", "one observer")
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


def _panel(
    title: str, caption: str, bars: Sequence[Bar], top: int, *, column: bool = False
) -> list[str]:
    head = (
        f'<text class="title" x="16" y="{top + 20}">{escape(title)}</text>'
        f'<text class="soft" x="16" y="{top + 37}">{escape(caption)}</text>'
    )
    rows = [_bar(bar, top + PANEL + index * ROW, column) for index, bar in enumerate(bars)]
    return [head, *rows]


def document(reports: Sequence[Report]) -> str:
    """The text of the file."""
    rates, goals = throughput(reports), attainments(reports)
    parts, top = [], 8
    if rates:
        caption = "no-op handler, one pinned core; medians, longer is better"
        parts += _panel("Tasks per CPU second", caption, rates, top)
        top += PANEL + ROW * len(rates) + 16
    if goals:
        caption = "dashed line: the goal; longer is better, bars end at twice the goal"
        parts += _panel("Goals", caption, goals, top, column=True)
        line, end = LABEL + SPAN / CEILING, top + PANEL + ROW * len(goals)
        parts.append(f'<line class="goal" x1="{line}" x2="{line}" y1="{top + PANEL}" y2="{end}"/>')
        top = end + 16
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top}" '
        f'viewBox="0 0 {WIDTH} {top}" role="img"><title>trioqueue benchmarks</title>'
        f"<style>{STYLE}</style>"
    )
    return "\n".join([head, *parts, "</svg>", ""])
