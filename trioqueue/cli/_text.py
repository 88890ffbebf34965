"""Text for people: tables, durations, JSON. Plain ASCII where it is ours, on any output."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

#: Seconds in a unit, the largest first.
_UNITS: Final = (("d", 86_400), ("h", 3_600), ("min", 60))


def table(head: Sequence[str], rows: Sequence[Sequence[object]], right: str = "") -> Iterator[str]:
    """Lines of aligned columns. ``right``: the names of those that end at the right."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    rights = [name in right.split() for name in head]
    for row in (head, *cells):
        yield "  ".join(
            cell.rjust(width) if at_right else cell.ljust(width)
            for cell, width, at_right in zip(row, widths, rights, strict=True)
        ).rstrip()


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return one_line(str(value))


def one_line(text: str, most: int = 200) -> str:
    """The text on one line, and not a page of it."""
    line = " ".join(text.split())
    line = "".join(char if char.isprintable() else "?" for char in line)
    return line if len(line) <= most else f"{line[:most]}..."


def duration(seconds: float) -> str:
    """Seconds as one would say them."""
    for unit, size in _UNITS:
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def say(*lines: str) -> None:
    """Print lines; characters that the output has no code for are escaped."""
    output = sys.stdout
    if output is None:
        return
    encoding = getattr(output, "encoding", None) or "utf-8"
    for line in lines:
        output.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")


def say_json(value: object) -> None:
    """Print ``value`` as JSON, in ASCII, two spaces deep."""
    say(msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode())


def complain(line: str) -> None:
    """Print a line for people on standard error."""
    if sys.stderr is not None:
        print(f"trioqueue: {line}", file=sys.stderr)
