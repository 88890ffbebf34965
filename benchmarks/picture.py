"""The README's picture, drawn from the figures that docs/performance.md publishes.

    python -m benchmarks.picture

So that picture and tables cannot say different things; a test compares them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.chart import HEAD, ROW, Bar, panel_of, svg

ROOT: Final = Path(__file__).resolve().parent.parent
SOURCE: Final = ROOT / "docs" / "performance.md"
TARGET: Final = ROOT / "docs" / "pictures" / "benchmark.svg"
#: A column of the table that begins with this cell -> title and caption.
TABLE: Final = "| tasks a second |"
PANELS: Final = {
    "drain, 32 at once": (
        "Redis: tasks run per second",
        "one worker process, 32 at once, no-op handlers, AOF off; medians, longer is better",
    ),
    "32, AOF everysec": (
        "The same, with an append-only file",
        "appendfsync everysec; medians, longer is better",
    ),
    "bulk enqueue": (
        "Redis: tasks submitted per second",
        "in the quickest way that each has for many at once; medians, longer is better",
    ),
}


def columns(page: str) -> dict[str, dict[str, int]]:
    """Heading -> system -> figure, of the one table; empty cells are left out."""
    table = page[page.index(TABLE) :].partition("\n\n")[0]
    head, _, *rows = (
        [cell.strip() for cell in line.split("|")[1:-1]] for line in table.split("\n")
    )
    return {
        name: {row[0]: int(row[at].replace(",", "")) for row in rows if row[at]}
        for at, name in enumerate(head)
        if at
    }


def bars(figures: dict[str, int]) -> Iterator[Bar]:
    """Fastest first."""
    longest = max(figures.values())
    for name, figure in sorted(figures.items(), key=lambda pair: -pair[1]):
        label, kind = ("trioqueue", "ours") if name == "ours" else (name, "other")
        yield Bar(label, figure / longest, f"{figure:,}", kind)


def document(page: str) -> str:
    """The text of the picture."""
    found, parts, top = columns(page), [], 8
    for name, (title, caption) in PANELS.items():
        drawn = list(bars(found[name]))
        parts += panel_of(title, caption, drawn, top)
        top += HEAD + ROW * len(drawn) + 16
    return svg(parts, top)


if __name__ == "__main__":
    TARGET.write_text(document(SOURCE.read_text("utf-8")), encoding="utf-8")
    print(TARGET.relative_to(ROOT))
