"""Text for people: tables, durations, JSON. Plain ASCII where it is ours, on any output."""

from __future__ import annotations

import json
import math
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any, Final, cast

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
    line = printable(" ".join(text.split()))
    return line if len(line) <= most else f"{line[:most]}..."


def printable(text: str) -> str:
    """The text with ``?`` for what would command the terminal, break the line, or turn it round."""
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(char: str) -> str:
    if char.isprintable():
        return char
    return " " if unicodedata.category(char) == "Zs" else "?"


def duration(seconds: float) -> str:
    """Seconds as one would say them."""
    for unit, size in _UNITS:
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def say(*lines: str) -> None:
    """Print lines; what is in them may be anybody's: see `printable`.

    Characters that the output has no code for are escaped.
    """
    output = sys.stdout
    if output is None:
        return
    encoding = getattr(output, "encoding", None) or "utf-8"
    for line in lines:
        text = printable(line.expandtabs(4))
        output.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")


def say_json(value: object, *, indent: int | None = 2) -> None:
    """Print ``value`` as JSON, in ASCII, so deep; on one line if ``None``.

    Errors may have lone surrogates in their text, which are no UTF-8, and escape codes.
    """
    builtins: object = msgspec.to_builtins(value, enc_hook=str, str_keys=True)
    separators = (",", ":") if indent is None else None
    text = json.dumps(_finite(builtins), indent=indent, separators=separators, allow_nan=False)
    say(*text.split("\n"))


def _finite(value: object) -> object:
    """With ``null`` for the numbers that JSON has not."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in cast("dict[str, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in cast("Sequence[Any]", value)]
    return value


def complain(line: str) -> None:
    """Print a line for people on standard error."""
    if sys.stderr is not None:
        print(f"trioqueue: {printable(line)}", file=sys.stderr)
