"""What the demo shows while it runs: a picture on a terminal, lines everywhere else.

A view has a Trio task of its own, which looks at the board a few times a second: drawing takes
milliseconds, far too long for an observer.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Final

import trio
from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .. import State
from ._demo_board import TELL_EACH, Board, describe
from ._output import Console, flush, is_live_terminal


class View:
    """Shows a board, now and then. Opened by `open_view`."""

    interval = 0.25  # seconds between two looks at the board

    def __init__(self, board: Board, title: str) -> None:
        self.board = board
        self.title = title

    async def keep_fresh(self) -> None:
        """Show what is new, until cancelled."""
        while True:
            self.refresh()
            await trio.sleep(self.interval)

    def refresh(self) -> None:
        """Show what is new."""
        raise NotImplementedError

    def tell_stop(self, why: str, grace: float) -> None:
        """Say that the queue is being stopped."""
        raise NotImplementedError

    def since_start(self, time: float) -> str:
        """``time`` for people."""
        return f"{time - self.board.began:.2f} s"


@contextmanager
def open_view(board: Board, title: str) -> Generator[View]:
    """The view that suits the output and the number of tasks; at its end it shows the rest."""
    if is_live_terminal():
        with Live(console=Console(), auto_refresh=False) as live:
            picture = PictureView(board, title, live)
            yield picture
            picture.finish()
        return
    view = (LinesView if board.total <= TELL_EACH else ProgressView)(board, title)
    view.say(f"trioqueue demo: {board.total:,} tasks, {title}")
    yield view
    view.refresh()


class LinesView(View):
    """A line for each event."""

    def refresh(self) -> None:
        """Print the events since the last time."""
        news = self.board.news
        while news:
            event = news.popleft()
            what = f"{event.task_type:13} {event.task_id:10} {describe(event)}"
            self.say(f"{self.since_start(event.time):>9}  {what}")
        flush()

    def tell_stop(self, why: str, grace: float) -> None:
        """Say it after what has happened before."""
        self.refresh()
        self.say(stop_words(why, grace))
        flush()

    def say(self, line: str) -> None:
        """Print one line."""
        print(line)


class ProgressView(LinesView):
    """A line for each second: so many tasks that nobody would read a line for each event."""

    interval = 1.0

    def refresh(self) -> None:
        """Print where the tasks are."""
        board = self.board
        where = ", ".join(
            f"{board.count(state):,} {word}"
            for state, word in (
                (State.SUCCEEDED, "succeeded"),
                (State.DEAD, "dead"),
                (State.RUNNING, "running"),
                (State.READY, "queued"),
                (State.SCHEDULED, "waiting for a retry"),
            )
        )
        self.say(f"{self.since_start(trio.current_time()):>9}  {where}")
        flush()


def stop_words(why: str, grace: float) -> str:
    """The words for a stop."""
    if grace:
        return f"{why}: running tasks may take {grace:g} s more. Once more ends them at once."
    return f"{why}: ending at once."


class PictureView(View):
    """A picture that is drawn again and again in the same place."""

    # Lines for the running tasks and for the last events: 22 in all, for a terminal of 24.
    running_shown = 4
    news_shown = 5

    def __init__(self, board: Board, title: str, live: Live) -> None:
        super().__init__(board, title)
        self._live = live
        self._notice = "Ctrl-C stops it."

    def refresh(self) -> None:
        """Draw the picture."""
        foot = Text(self._notice, style="yellow", no_wrap=True, overflow="ellipsis")
        lists = (self._running(), "", self._news(), "", foot)
        self._live.update(Group(self._head(), "", self._types(), "", *lists), refresh=True)

    def finish(self) -> None:
        """Draw what is worth keeping when nothing runs any more."""
        self._live.update(Group(self._head(), "", self._types()), refresh=True)

    def tell_stop(self, why: str, grace: float) -> None:
        """Say it below the picture."""
        self._notice = stop_words(why, grace)

    def _head(self) -> RenderableType:
        board = self.board
        title = Table.grid(expand=True)
        title.add_column(style="bold")
        title.add_column(justify="right", style="dim")
        title.add_row("trioqueue demo", self.title)
        bar = Table.grid(padding=(0, 1), expand=True)
        bar.add_column(ratio=1)
        bar.add_column(justify="right", no_wrap=True)
        bar.add_row(
            ProgressBar(board.total, board.done, complete_style="cyan", finished_style="green"),
            f"{board.done:,} of {board.total:,} in {self.since_start(trio.current_time())}",
        )
        return Group(title, bar)

    def _types(self) -> RenderableType:
        table = Table(box=None, expand=True, pad_edge=False, header_style="dim", show_footer=True)
        table.add_column("type", footer="all", min_width=13)
        board = self.board
        for head, style, state in _COLUMNS:
            total = board.failures.total() if state is None else board.count(state)
            table.add_column(head, justify="right", style=style, footer=f"{total:,}")
        for name in board.types:
            counts = board.counts[name]
            numbers = [board.failures[name] if s is None else counts[s] for _, _, s in _COLUMNS]
            table.add_row(name, *(f"{number:,}" if number else "" for number in numbers))
        return table

    def _running(self) -> RenderableType:
        now = trio.current_time()
        started = list(self.board.running.values())
        rows = [
            (
                f"{now - event.time:.2f} s",
                event.task_type,
                event.task_id,
                f"attempt {event.attempt}",
            )
            for event in started[: self.running_shown]
        ]
        more = len(started) - self.running_shown
        head = "running now" + (f" (and {more:,} more)" if more > 0 else "")
        return _list(head, rows, self.running_shown)

    def _news(self) -> RenderableType:
        news = self.board.news
        last = [news[i] for i in range(-min(len(news), self.news_shown), 0)]
        rows = [
            (self.since_start(event.time), event.task_type, event.task_id, describe(event))
            for event in last
        ]
        return _list("last events", rows, self.news_shown)


#: The columns of numbers: head, style, and the state that is counted; ``None``: failed attempts.
_COLUMNS: Final[tuple[tuple[str, str, State | None], ...]] = (
    ("queued", "", State.READY),
    ("running", "cyan", State.RUNNING),
    ("failed", "yellow", None),
    ("retrying", "yellow", State.SCHEDULED),
    ("succeeded", "green", State.SUCCEEDED),
    ("dead", "red", State.DEAD),
)


def _list(head: str, rows: Sequence[tuple[str, str, str, str]], height: int) -> RenderableType:
    """Rows of time, type, id and words, one line each, in a place of fixed height."""
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(justify="right", min_width=8, style="dim")
    table.add_column(min_width=13)
    table.add_column(min_width=9, style="dim")
    table.add_column(ratio=1, no_wrap=True)
    for row in [*rows, *[("", "", "", "")] * (height - len(rows))]:
        table.add_row(*(Text(cell, style=_style(row[3])) for cell in row))
    return Group(Text(head, style="dim"), table)


def _style(words: str) -> str:
    """The colour for what happened."""
    for start, style in (("succeeded", "green"), ("failed", "yellow"), ("dead", "red")):
        if words.startswith(start):
            return style
    return ""
