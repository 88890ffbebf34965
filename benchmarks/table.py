"""The table on standard output: aligned plain text, one block per group."""

import os
import platform
from collections.abc import Mapping, Sequence
from typing import Final

from benchmarks.judge import Report
from benchmarks.plan import ROWS, Group, Row

NAME_WIDTH: Final = max(len(row.name) for row in ROWS)
COLUMNS: Final = ("value", "baseline", "ratio", "spread", "goal", "CI")
WIDTHS: Final = (9, 9, 8, 7, 10, 7)


def number(figure: float | None) -> str:
    """Three significant digits, thousands as k and M; empty for None."""
    if figure is None:
        return ""
    for factor, suffix in ((1e6, "M"), (1e3, "k")):
        if abs(figure) >= factor:
            return f"{figure / factor:.3g}{suffix}"
    return f"{figure:.3g}" if abs(figure) < 100 else f"{figure:.0f}"


def goal(row: Row) -> str:
    """`>= 2 x` for a ratio, `<= 400 B` for an absolute goal."""
    if row.goal is None:
        return ""
    sign = ">=" if row.higher_is_better else "<="
    return f"{sign} {row.goal:g} {row.unit if row.absolute else 'x'}"


def line(report: Report) -> str:
    """One row; in place of figures the note, where there are none."""
    row = report.row
    head = f"  {row.name:<{NAME_WIDTH}}"
    if not report.values:
        return f"{head}  {report.verdict.value}: {report.note}".replace(
            "not installed: not installed", "not installed"
        )
    cells = (
        number(report.value),
        number(report.baseline),
        "" if report.ratio is None else f"{report.ratio:.2f} x",
        "" if report.spread is None else f"{report.spread:.0%}",
        goal(row),
        "" if row.gate is None else f"{row.gate:g} x",
    )
    columns = "".join(f" {cell:>{width}}" for cell, width in zip(cells, WIDTHS, strict=True))
    return f"{head}{columns}  {row.unit:<11}  {report.verdict.value}"


def block(group: Group, reports: Sequence[Report], rounds: int) -> str:
    """A group: its title, the heads of the columns, its rows."""
    title = f"{group.title} ({rounds} round{'s' if rounds > 1 else ''})"
    heads = "".join(f" {head:>{width}}" for head, width in zip(COLUMNS, WIDTHS, strict=True))
    lines = [title, f"  {'':<{NAME_WIDTH}}{heads}  {'unit':<11}  result"]
    return "\n".join([*lines, *map(line, reports), ""])


def heading(versions: Mapping[str, str], cores: int | None = None) -> str:
    """What was measured, on what; absolute figures mean little without it."""
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    count = cores or os.cpu_count() or 1
    where = f"{platform.system()} {platform.machine()}, {count} cores, each run pinned to one"
    where += " (SQLite, Redis: to none)"
    return f"{listed}\n{where}\nmedians; spread is (max - min) / median over the rounds\n"


def summary(reports: Sequence[Report]) -> str:
    """How many rows came out how."""
    counts: dict[str, int] = {}
    for report in reports:
        counts[report.verdict.value] = counts.get(report.verdict.value, 0) + 1
    names = {"-": "without a goal"}
    return ", ".join(f"{count} {names.get(name, name)}" for name, count in counts.items())
