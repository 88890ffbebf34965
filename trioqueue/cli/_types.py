"""Types of arguments that several commands share."""

from __future__ import annotations

from collections.abc import Sequence

from cyclopts import Parameter, Token
from cyclopts.validators import Number


def whole(type_: type[int], tokens: Sequence[Token]) -> int:
    """A whole number, and nothing else: Cyclopts would make 1 of 1.5."""
    text = tokens[0].value
    try:
        return int(text)
    except ValueError:
        raise ValueError(f'"{text}" is not a whole number.') from None


def within(least: int, most: int | None = None) -> Parameter:
    """A whole number within bounds."""
    return Parameter(converter=whole, validator=Number(gte=least, lte=most))


#: Finite seconds, 0 included. (NaN passes no comparison; a year is as good as infinity.)
SECONDS = Parameter(validator=Number(gte=0, lte=366 * 86_400))

#: A flag without a --no-flag.
FLAG = Parameter(negative=(), show_default=False)
