"""Values, errors and records as text and JSON for a page: short, on one line, whatever they are."""

from __future__ import annotations

import json
import math
import reprlib
from typing import Final, final

from starlette.responses import Response

#: Characters of an argument in a list, and on the page of one task.
SHORT: Final = 120
LONG: Final = 20_000

#: Characters of an error in a list.
ERROR: Final = 300


@final
class _Shortened(reprlib.Repr):
    """Like ``repr``, but what it makes of a value is bounded before it is made, where it can be."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.maxlevel = 8
        self.maxstring = self.maxother = self.maxlong = most
        self.maxlist = self.maxtuple = self.maxset = self.maxdict = max(20, most // 10)

    def repr_bytes(self, x: bytes, level: int) -> str:
        """The standard library would write out all of them first."""
        return repr(x[: self.most]) + ("..." if len(x) > self.most else "")


_short: Final = _Shortened(SHORT)
_long: Final = _Shortened(LONG)


def shown(value: object, most: int = SHORT) -> str:
    """``value`` as text of about so many characters; a ``__repr__`` that fails does no harm."""
    try:
        text = (_short if most <= SHORT else _long).repr(value)
    except Exception as error:  # a number of 5,000 digits, a user's own __repr__
        text = f"<{type(value).__name__}: {type(error).__name__}>"
    return cut(text, most)


def cut(text: str, most: int) -> str:
    """The text, and no more of it than so many characters."""
    return text if len(text) <= most else f"{text[:most]}..."


def one_line(text: str, most: int = ERROR) -> str:
    """The text on one line, of printable characters."""
    line = " ".join(text[: 4 * most].split())
    return cut("".join(char if char.isprintable() else "?" for char in line), most)


def finite(number: object) -> float | int | None:
    """A number that JSON has; ``None`` for all else."""
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        return None
    return number if math.isfinite(number) else None


def encode(value: object) -> bytes:
    """JSON in ASCII: lone surrogates, which errors may have in them, have no UTF-8."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii")


@final
class Json(Response):
    """An answer in JSON."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        """See `encode`."""
        return encode(content)


def refusal(status: int, error: str, **more: object) -> Json:
    """An error, as one line of JSON."""
    return Json({"error": one_line(error), **more}, status)
