"""Standard output, which may be closed, or break in the middle of a line."""

from __future__ import annotations

import os
import sys
from typing import NoReturn, final

import rich.console


@final
class Console(rich.console.Console):
    """A console that lets a broken pipe be raised as what it is; rich's own raises SystemExit."""

    def on_broken_pipe(self) -> NoReturn:
        """See the base class."""
        raise BrokenPipeError


def is_live_terminal() -> bool:
    """Whether a view that redraws itself makes sense on standard output."""
    # rich would also say yes to a pipe when FORCE_COLOR is set.
    return sys.stdout is not None and sys.stdout.isatty() and not Console().is_dumb_terminal


def flush() -> None:
    """Write out what is buffered."""
    if sys.stdout is not None:
        sys.stdout.flush()


def silence() -> None:
    """Throw away what is buffered still, which Python would try again to write at its exit."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    os.close(devnull)
