"""What the external witness writes down: plain records, one line of JSON each.

``at`` is in seconds on the boot-time clock, which all processes of a machine share and which goes
on in every sleep. ``process`` is the name of one start of one process. A record named -ing is made
*before* the call that it speaks of, one named -ed *after* its answer, so that what really happened
lies in between, however long the process was stopped meanwhile. ``moves`` are trioqueue's.
"""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple, TypeAlias

#: The process name of a store that has processes of its own.
STORE: Final = "the store"
#: Kinds of weather that keep no process from the store for long: they are no excuse.
HARMLESS: Final = frozenset({"delay", "reset", "sever"})


class Submitting(NamedTuple):
    """A producer is about to submit a task."""

    at: float
    process: str
    id: str


class Accepted(NamedTuple):
    """Its submit returned: from here on the task must not be lost."""

    at: float
    process: str
    id: str


class Refused(NamedTuple):
    """Its submit failed, and in a way that means for certain: nothing was accepted."""

    at: float
    process: str
    id: str
    why: str


class Claimed(NamedTuple):
    """A claim brought a lease. ``since``: when the claim was begun."""

    at: float
    process: str
    id: str
    token: int
    since: float
    expires: float


class Unheard(NamedTuple):
    """A claim that was begun at ``since`` has brought no answer, or one that was long in coming.

    It may have taken tasks of which nobody has heard.
    """

    at: float
    process: str
    since: float


class Renewing(NamedTuple):
    """A lease is about to be prolonged."""

    at: float
    process: str
    id: str
    token: int


class Renewed(NamedTuple):
    """It was, until ``expires``."""

    at: float
    process: str
    id: str
    token: int
    expires: float


class Lost(NamedTuple):
    """A renewal said that the lease is lost: its holder knows."""

    at: float
    process: str
    id: str
    token: int


class Began(NamedTuple):
    """A handler's body began. ``thread``: in a thread, where nothing can cancel it."""

    at: float
    process: str
    id: str
    token: int
    thread: bool = False


class Worked(NamedTuple):
    """A handler is at work, and not cleaning up."""

    at: float
    process: str
    id: str
    token: int


class Ended(NamedTuple):
    """A handler's body ended: ``returned``, ``raised`` or ``cancelled``."""

    at: float
    process: str
    id: str
    token: int
    how: str


class Settling(NamedTuple):
    """A lease is about to be ended by ``move``."""

    at: float
    process: str
    id: str
    token: int
    move: str


class Settled(NamedTuple):
    """The broker has answered: whether it ended the lease by that move."""

    at: float
    process: str
    id: str
    token: int
    move: str
    done: bool


class Operating(NamedTuple):
    """Somebody is about to ``cancel``, ``revoke``, ``replay`` or ``purge`` a task."""

    at: float
    process: str
    id: str
    verb: str


class Operated(NamedTuple):
    """It was done; ``done``: what the broker answered."""

    at: float
    process: str
    id: str
    verb: str
    done: bool


class Beat(NamedTuple):
    """The Trio loop of a process runs: it had a chance to do what it must. Or `STORE` answers."""

    at: float
    process: str


class Weather(NamedTuple):
    """The network between a process and the store is about to be ``kind``; empty: as it should."""

    at: float
    process: str
    kind: str


class Stopped(NamedTuple):
    """A process is about to be stopped (SIGSTOP)."""

    at: float
    process: str


class Continued(NamedTuple):
    """A stopped process is about to go on (SIGCONT)."""

    at: float
    process: str


class Killed(NamedTuple):
    """A process is about to be killed (SIGKILL), or to kill itself. ``how``: which way."""

    at: float
    process: str
    how: str


class Asked(NamedTuple):
    """A process is about to be asked to stop (SIGTERM)."""

    at: float
    process: str


class Died(NamedTuple):
    """A process is gone. ``status``: its exit code; negative: the signal that ended it."""

    at: float
    process: str
    status: int


Record: TypeAlias = (
    Submitting
    | Accepted
    | Refused
    | Claimed
    | Unheard
    | Renewing
    | Renewed
    | Lost
    | Began
    | Worked
    | Ended
    | Settling
    | Settled
    | Operating
    | Operated
    | Beat
    | Weather
    | Stopped
    | Continued
    | Killed
    | Asked
    | Died
)

_KINDS: Final[dict[str, Any]] = {kind.__name__: kind for kind in Record.__args__}


def to_line(record: Record) -> str:
    """A record as one line, without its newline."""
    return json.dumps([type(record).__name__, *record], separators=(",", ":"))


def from_line(line: str) -> Record:
    """The record of a line. Raises `ValueError` for a line that was torn."""
    try:
        name, *values = json.loads(line)
        record: Record = _KINDS[name](*values)
    except (KeyError, TypeError) as error:
        msg = f"not a record: {line!r}"
        raise ValueError(msg) from error
    return record
