"""Handlers and classes whose annotations are text, in a module that is not the test's own."""

from __future__ import annotations

import dataclasses

from tests.codecs import Color, Job, passing_on


@dataclasses.dataclass
class Order:
    lines: list[Line]
    job: Job


@dataclasses.dataclass
class Line:
    color: Color
    count: int


def later(value: Color) -> Color: ...  # type: ignore[empty-body]


async def place(order: Order) -> list[Line]: ...  # type: ignore[empty-body]


@passing_on
def count(value: Line) -> Line: ...  # type: ignore[empty-body]
