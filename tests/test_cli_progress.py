"""Bars for long work: on a terminal alone, and not between what goes elsewhere."""

import io
import logging
import sys
from pathlib import Path

import pytest
import trio.testing

from trioqueue.cli import _progress
from trioqueue.cli._progress import Count, progress

from .cli_terminal import in_terminal
from .workers import Site


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


async def test_a_bar_shows_done_of_total_and_lets_the_log_pass(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
):
    """It comes after a moment; what is logged stands on lines of its own."""
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys, "stderr", terminal)
    handler = logging.StreamHandler(terminal)
    monkeypatch.setattr(logging.root, "handlers", [handler])
    count = Count(300)
    async with progress("replay", count):
        await trio.sleep(_progress.INTERVAL)
        assert terminal.getvalue() == ""
        await trio.sleep(3 * _progress.INTERVAL)
        count.done = 120
        await trio.sleep(2 * _progress.INTERVAL)
        logging.getLogger("of.somebody").warning("a line")
    assert "replay" in terminal.getvalue()
    assert "120/300" in terminal.getvalue()
    assert "a line\n" in terminal.getvalue()
    assert "\x1b[3" not in terminal.getvalue(), "colours"
    assert handler.stream is terminal


@pytest.mark.parametrize("stream", [io.StringIO(), None])
async def test_nobody_sees_it_in_a_pipe(
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: trio.testing.MockClock,
    stream: io.StringIO | None,
):
    """Nothing is written, and nothing runs beside the work."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(sys, "stderr", stream)
    async with progress("replay", Count(3)):
        await trio.sleep(10)
    assert stream is None or stream.getvalue() == ""


@pytest.mark.parametrize("terminal", ["dumb", "unknown"])
def test_a_dumb_terminal_has_none(monkeypatch: pytest.MonkeyPatch, terminal: str):
    """It cannot go back to the beginning of a line."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", terminal)
    assert not _progress.shows_progress()


@pytest.mark.network
def test_a_burst_in_a_terminal_shows_how_far_it_is(tmp_path: Path):
    """Done of what is open; its log lines are whole."""
    site = Site(tmp_path)
    site.publish("note", "--json", "[7, 0.1]", "--count", "300")
    text = in_terminal(site, "run", "tests.cli_jobs:tasks", "--burst", "--workers", "10")
    assert "burst" in text
    assert "/300" in text
    assert "ended: 300 succeeded" in text
