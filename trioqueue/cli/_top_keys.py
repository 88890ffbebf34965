"""Keys, as they are pressed: without Enter, and without an echo. Ctrl-C stays what it is."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

import trio


@contextmanager
def open_keys() -> Generator[int | None]:
    """The descriptor that keys come from, or ``None``; the terminal is itself again afterwards."""
    keyboard = _keyboard()
    if keyboard is None:
        yield None
        return
    import termios  # not there on Windows

    before = termios.tcgetattr(keyboard)
    wanted = list(before)
    wanted[3] &= ~(termios.ICANON | termios.ECHO)
    # A stop by Ctrl-Z would leave the shell on our screen, without an echo.
    wanted[6] = [*before[6]]
    wanted[6][termios.VSUSP] = b"\0"
    wanted[6][termios.VMIN], wanted[6][termios.VTIME] = 1, 0
    termios.tcsetattr(keyboard, termios.TCSADRAIN, wanted)
    try:
        yield keyboard
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


async def heed(keyboard: int, pressed: Callable[[str], object]) -> None:
    """Call ``pressed(key)`` for each key, until the terminal is gone, or cancelled."""
    while True:
        await trio.lowlevel.wait_readable(keyboard)
        try:
            keys = os.read(keyboard, 64)
        except OSError:
            return
        if not keys:
            return
        if not keys.startswith(b"\x1b"):  # an arrow, or the like: its letters are no keys
            for key in keys.decode("ascii", "ignore"):
                pressed(key)


def _keyboard() -> int | None:
    if os.name != "posix" or not sys.stdin or not sys.stdin.isatty():
        return None  # on Windows Ctrl-C has to do
    return sys.stdin.fileno()
