"""Brokers that this process has open on the same file: they call each other, instead of polling."""

from __future__ import annotations

import os
import threading
from typing import Final, Protocol


class Sibling(Protocol):
    """What can be called from any thread."""

    def poke(self) -> None:
        """Another connection has committed something."""
        ...


_lock: Final = threading.Lock()
#: {real path: those who have it open}
_open: Final[dict[str, tuple[Sibling, ...]]] = {}


def join(path: str, desk: Sibling) -> None:
    """``desk`` has the file open."""
    name = os.path.realpath(path)
    with _lock:
        _open[name] = (*_open.get(name, ()), desk)


def leave(path: str, desk: Sibling) -> None:
    """``desk`` has closed it."""
    name = os.path.realpath(path)
    with _lock:
        left = tuple(other for other in _open.get(name, ()) if other is not desk)
        if left:
            _open[name] = left
        else:
            _open.pop(name, None)


def others(path: str, desk: Sibling) -> list[Sibling]:
    """The others that have it open."""
    return [other for other in _open.get(path, ()) if other is not desk]


def poke_others(path: str, desk: Sibling) -> None:
    """Call them. ``path`` as it was joined with, made real."""
    for other in others(path, desk):
        other.poke()
