"""Tables that fit: columns shrink, then go, and rows share the height. Pure.

Not rich's own tables: those wrap, or squeeze every column until none can be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, final

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from ._text import one_line

_GAP: Final = 2


@final
@dataclass(frozen=True)
class Column:
    """``rank``: columns of a lower one go first when there is no room. ``least``: cells that it
    needs to be of use; ``None``: all that it has, as a number that is cut is another number.
    """

    head: str
    rank: int
    least: int | None = None
    right: bool = False


class Line(NamedTuple):
    """A row of a table, and its colour."""

    cells: Sequence[str]
    style: str = ""


@final
@dataclass(frozen=True)
class Section:
    """A table whose head is its title. ``empty``: the one line without any rows; ``total``: of the
    rows that there are, of which ``lines`` may be only the first.
    """

    columns: Sequence[Column]
    lines: Sequence[Line]
    empty: str
    total: int

    @property
    def least(self) -> int:
        """The height below which it is not worth showing: head, a row, how many more."""
        return min(3, self.whole)

    @property
    def whole(self) -> int:
        """The height that shows all of it."""
        more = self.total > len(self.lines)
        return 1 + len(self.lines) + more if self.lines else 1

    def draw(self, width: int, height: int) -> list[Text]:
        """It, in at most ``height`` lines of at most ``width`` cells."""
        if not self.lines:
            return [Text(crop(self.empty, width), style="dim")]
        shown = self.lines if height >= self.whole else self.lines[: max(1, height - 2)]
        drawn = table(self.columns, shown, width)
        more = self.total - len(shown)
        if more and len(drawn) < height:
            drawn.append(Text(crop(f"... and {more:,} more", width), style="dim"))
        return drawn


def share(room: int, sections: Sequence[Section]) -> list[int]:
    """The height of each section, with an empty line before each; 0: there is no room for it.

    Those at the end go first. What the small ones do not need goes to the others, line by line.
    """
    heights = [0] * len(sections)
    for number, section in enumerate(sections):
        if section.least + 1 <= room:
            heights[number] = section.least
            room -= section.least + 1
    growing = True
    while room and growing:
        growing = False
        for number, section in enumerate(sections):
            if room and 0 < heights[number] < section.whole:
                heights[number] += 1
                room -= 1
                growing = True
    return heights


def table(columns: Sequence[Column], lines: Sequence[Line], width: int) -> list[Text]:
    """A head and the lines, each at most ``width`` cells wide."""
    cells = [[one_line(cell) for cell in line.cells] for line in lines]
    natural = [
        max(cell_len(text) for text in (column.head, *(row[number] for row in cells)))
        for number, column in enumerate(columns)
    ]
    widths = fit(columns, natural, width)
    styles = ["bold", *(line.style for line in lines)]
    rows = [[column.head for column in columns], *cells]
    return [
        Text(_row(columns, row, widths)[:width], style=style)
        for row, style in zip(rows, styles, strict=True)
    ]


def fit(columns: Sequence[Column], natural: Sequence[int], width: int) -> dict[int, int]:
    """Column number -> its width: all that fit into ``width`` cells, gaps included."""
    least = [
        wide if column.least is None else min(wide, max(column.least, cell_len(column.head)))
        for column, wide in zip(columns, natural, strict=True)
    ]
    kept = list(range(len(columns)))
    while len(kept) > 1 and sum(least[n] for n in kept) + _GAP * (len(kept) - 1) > width:
        kept.remove(min(kept, key=lambda n: columns[n].rank))
    widths = {n: least[n] for n in kept}
    spare = width - sum(widths.values()) - _GAP * (len(kept) - 1)
    for n in sorted(kept, key=lambda n: -columns[n].rank):
        more = max(0, min(spare, natural[n] - widths[n]))
        widths[n] += more
        spare -= more
    return widths


def _row(columns: Sequence[Column], row: Sequence[str], widths: dict[int, int]) -> str:
    parts: list[str] = []
    for number, wide in widths.items():
        text = crop(row[number], wide)
        pad = " " * (wide - cell_len(text))
        parts.append(pad + text if columns[number].right else text + pad)
    return (" " * _GAP).join(parts).rstrip()


def crop(text: str, width: int) -> str:
    """The text in at most ``width`` cells; of letters that are two cells wide, half as many."""
    if cell_len(text) <= width:
        return text
    dots = ".." if width > 4 else ""
    return set_cell_size(text, max(0, width - len(dots))).rstrip() + dots
