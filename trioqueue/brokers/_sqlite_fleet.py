"""Limits that hold in the whole fleet, counted by what the lanes say is running.

Nothing more is stored: a slot is a running task. So whatever ends a lease frees its slot in the
same transaction, and a process that dies leaks none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ._sqlite_db import Execute

_RUNNING: Final = "SELECT type, running FROM lanes WHERE running > 0"


def free_slots(execute: Execute, limits: Mapping[str, int]) -> dict[str, int]:
    """How many more tasks of each limited type may be held; less than 0 if others allow more."""
    free = dict(limits)
    for type_, running in execute(_RUNNING).fetchall():
        if type_ in free:
            free[type_] -= running
    return free


def within(execute: Execute, room: Mapping[str, int], limits: Mapping[str, int]) -> dict[str, int]:
    """``room``, no larger than the limits leave it."""
    free = free_slots(execute, limits)
    return {type_: min(number, free.get(type_, number)) for type_, number in room.items()}
