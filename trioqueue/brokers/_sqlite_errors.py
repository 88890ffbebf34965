"""From SQLite's errors to ours, each saying what to do."""

from __future__ import annotations

from typing import Final

import apsw

from .._errors import BrokerFailed, BrokerUnavailable, InvalidTask, TrioqueueError

#: For a while: doing it again is safe, and may succeed.
_TRANSIENT: Final[dict[type[apsw.Error], str]] = {
    apsw.BusyError: "is locked by another process: end what holds it, or wait",
    apsw.LockedError: "is locked by another process: end what holds it, or wait",
    apsw.ProtocolError: "is locked by another process: end what holds it, or wait",
    apsw.FullError: "cannot grow, as the disk is full (or max_page_count is reached): free space",
    apsw.IOError: "cannot be read or written at the moment: look at the disk and the system's log",
    apsw.NoMemError: "cannot be used while memory is exhausted: free some",
}
#: For good: somebody has to look at it.
_FATAL: Final[dict[type[apsw.Error], str]] = {
    apsw.NotADBError: "is not an SQLite database: give the broker another path",
    apsw.CorruptError: "is damaged: restore it from a copy, or save what can be read (.recover)",
    apsw.ReadOnlyError: (
        "cannot be written: the file, its folder and the files beside it (-wal, -shm) must be "
        "writable for this user"
    ),
    apsw.PermissionsError: "may not be used by this user: look at its permissions",
    apsw.AuthError: "may not be used by this user: look at its permissions",
    apsw.CantOpenError: (
        "cannot be opened: the file and its folder must be readable and writable for this user"
    ),
}


def is_busy(error: BaseException) -> bool:
    """Whether somebody else holds a lock, so that trying again is all there is to do."""
    return isinstance(error, (apsw.BusyError, apsw.LockedError, apsw.ProtocolError))


def translate(error: BaseException, name: str) -> BaseException:
    """Ours for SQLite's and for values that SQLite cannot take; any other (a bug) as it is."""
    if isinstance(error, (UnicodeEncodeError, apsw.TooBigError)):
        made: BaseException = InvalidTask(f"SQLite cannot store that: {error}")
        made.__cause__ = error
        return made
    if isinstance(error, apsw.Error) and not isinstance(error, TrioqueueError):
        for kinds, ours in ((_TRANSIENT, BrokerUnavailable), (_FATAL, BrokerFailed)):
            for kind, words in kinds.items():
                if isinstance(error, kind):
                    made = ours(f"{name} {words} ({type(error).__name__}: {error})")
                    made.__cause__ = error
                    return made
    return error
