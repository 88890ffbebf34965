"""``trioqueue check``: whether a broker is fit for its work, and what to do if it is not."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Any, Final

from ..brokers._url import Finding, Level, examine_broker_url, parse_broker_url, worst
from ._broker import BrokerOption, broker_url
from ._exits import FAILED, OK
from ._text import one_line, say, say_json
from ._types import FLAG

EPILOGUE: Final = """\
Examples:

  trioqueue check redis://localhost:6379/0\n
  trioqueue check sqlite:////var/lib/jobs.db --json\n
  TRIOQUEUE_BROKER=rediss://user:password@host trioqueue check

Exit codes: 0 no problem, though there may be warnings; 1 a problem; 2 wrong arguments.\
"""


async def check(broker: BrokerOption = None, *, json: Annotated[bool, FLAG] = False) -> int:
    """Look at a broker: version, persistence, memory, permissions, clock. Changes no task.

    Parameters
    ----------
    broker
        Where the tasks are kept, such as sqlite:///jobs.db or redis://host.
    json
        Print one JSON object instead of lines.
    """
    parsed = parse_broker_url(broker_url(broker))
    with silent(logging.getLogger("trioqueue")):
        findings = await examine_broker_url(parsed)
    level = worst(findings)
    if json:
        say_json(as_json(parsed.shown, findings))
    else:
        say(*describe(parsed.shown, findings))
    return FAILED if level is Level.PROBLEM else OK


@contextmanager
def silent(logger: logging.Logger) -> Generator[None]:
    """What is logged is found as well: Python would print it above the report."""
    handler = logging.NullHandler()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def as_json(shown: str, findings: Sequence[Finding]) -> dict[str, Any]:
    """For programs. ``shown``: the URL, without its password."""
    return {
        "broker": shown,
        "level": worst(findings),
        "findings": [asdict(finding) for finding in findings],
    }


def describe(shown: str, findings: Sequence[Finding]) -> Iterator[str]:
    """For people: a line for each, its advice below it, and the sum."""
    yield shown
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        head = f"{finding.level.upper():7}  {finding.name:{width}}  "
        yield head + one_line(finding.says, 1_000)
        if finding.advice:
            yield " " * len(head) + f"-> {one_line(finding.advice, 1_000)}"
    problems = sum(finding.level is Level.PROBLEM for finding in findings)
    warnings = sum(finding.level is Level.WARNING for finding in findings)
    yield f"{_many(problems, 'problem')}, {_many(warnings, 'warning')}"


def _many(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"
