"""What a check of a broker has found: a level, what was seen, and what to do about it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, final


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"  # it works, and something may be lost or slow
    PROBLEM = "problem"  # it does not work, or will stop to


@final
@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. ``name``: of the check; ``advice``: empty if all is well."""

    level: Level
    name: str
    says: str
    advice: str = ""


def fine(name: str, says: str) -> Finding:
    """Nothing to do."""
    return Finding(Level.OK, name, says)


def warn(name: str, says: str, advice: str) -> Finding:
    """It works all the same."""
    return Finding(Level.WARNING, name, says, advice)


def problem(name: str, says: str, advice: str) -> Finding:
    """It must be put right."""
    return Finding(Level.PROBLEM, name, says, advice)


def worst(findings: Iterable[Finding]) -> Level:
    """The level of the worst of them."""
    return max((finding.level for finding in findings), key=_ORDER.index, default=Level.OK)


_ORDER: Final = list(Level)
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")


def size(number: float) -> str:
    """Bytes as one would say them."""
    for unit in _UNITS[:-1]:
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} {_UNITS[-1]}"


def milliseconds(seconds: float) -> str:
    """A short time as one would say it."""
    return f"{seconds * 1000:.2g} ms" if seconds < 0.1 else f"{seconds * 1000:,.0f} ms"
