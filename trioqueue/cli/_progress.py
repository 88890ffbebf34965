"""A bar for long work, on a terminal alone: done of total, rate and time left, on standard error.

It appears only once the work has taken a moment, and is drawn four times a second by a Trio task of
its own: whoever does the work counts, and nothing else.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, cast, final

import trio
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from ._output import Console

#: Seconds between two pictures: four a second.
INTERVAL: Final = 0.25


@final
class Count:
    """What was done so far, and of how many, as far as one knows."""

    def __init__(self, total: int | None = None) -> None:
        self.done = 0
        self.total = total


@final
class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        """See the base class."""
        return Text(f"{task.speed:,.0f}/s" if task.speed else "")


def shows_progress() -> bool:
    """Whether there is somebody at standard error who sees a bar."""
    stream = sys.stderr
    # rich would also say yes to a pipe when FORCE_COLOR is set.
    return stream is not None and stream.isatty() and not Console(stderr=True).is_dumb_terminal


@asynccontextmanager
async def progress(
    words: str,
    count: Count,
    *,
    refresh: Callable[[], object] | None = None,
    shown: bool = True,
) -> AsyncGenerator[None]:
    """Show ``count`` for as long as the block lasts. ``refresh()`` is called before each picture.

    An ordinary block where nobody would see it, or if it is not to be ``shown``.
    Cancelled: the bar is taken away.
    """
    if not shown or not shows_progress():
        yield
        return
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_draw, words, count, refresh or _nothing)
        yield
        nursery.cancel_scope.cancel()


def _nothing() -> None:
    """Nothing to do before a picture."""


async def _draw(words: str, count: Count, refresh: Callable[[], object]) -> None:
    """Draw until cancelled."""
    await trio.sleep(2 * INTERVAL)  # what is quick needs no bar
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(compact=True),
        console=Console(stderr=True),
        auto_refresh=False,
        transient=True,
        expand=True,
        # What goes into a pipe stays there.
        redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),
    )
    task = bar.add_task(words, total=count.total)
    stderr = sys.stderr
    with bar, _log_above(stderr):
        while True:
            refresh()
            bar.update(task, completed=count.done, total=count.total)
            bar.refresh()
            await trio.sleep(INTERVAL)


@contextmanager
def _log_above(stderr: object) -> Generator[None]:
    """Let what is logged to standard error appear above the bar, which has taken its place."""
    streaming = [each for each in logging.root.handlers if hasattr(each, "setStream")]
    moved = [each for each in cast("list[Any]", streaming) if each.stream is stderr]
    for handler in moved:
        handler.setStream(sys.stderr)
    try:
        yield
    finally:
        for handler in moved:
            handler.setStream(stderr)
