"""Looking at the path of a broker's file before SQLite does: it can say less, and leaves traces.

SQLite opens what it may only read without a word, and makes files beside it that are read-only as
well; it takes a device for a database. None of this is needed for safety, all of it for clarity.
"""

from __future__ import annotations

import os
import stat
from typing import cast

from .._errors import BrokerFailed, InvalidTask


def check_path(path: object, *, create: bool) -> str:
    """The path as text. Raises `InvalidTask` for what names no file, `BrokerFailed` for one that
    cannot be opened for writing.
    """
    name = _as_text(path)
    if name in {"", ":memory:"} or name.startswith("file:"):
        msg = (
            f"the SQLite broker needs the path of a file, not {name!r}: for memory, name no broker"
        )
        raise BrokerFailed(msg)
    trouble = _find_trouble(os.path.realpath(name), create=create)
    if trouble is not None:
        msg = f"the broker's file {name!r} {trouble}"
        raise BrokerFailed(msg)
    return name


def _as_text(path: object) -> str:
    try:
        name: object = os.fspath(cast("str", path))
    except TypeError:  # neither text nor a path
        name = path
    if not isinstance(name, str) or "\0" in name:
        msg = f"the path of a broker's file must be text without NUL, not {name!r}"
        raise InvalidTask(msg)
    try:
        name.encode()
    except UnicodeEncodeError:
        msg = f"SQLite takes paths in UTF-8 only, and {name!r} cannot be written in it: rename it"
        raise InvalidTask(msg) from None
    return name


def _find_trouble(real: str, *, create: bool) -> str | None:
    """Why the file at a real path cannot be used, as the end of a sentence; ``None``: nothing."""
    folder = os.path.dirname(real)
    try:
        status = os.stat(real)
    except (FileNotFoundError, NotADirectoryError):
        if not os.path.isdir(folder):
            return f"cannot be: there is no folder {folder!r}, make it first"
        if not create:
            return "is not there: look at the path, or let it be created"
    except OSError as error:  # a folder that may not be entered, a link to itself, a long name
        return f"cannot be opened ({error.strerror}): look at the path and its permissions"
    else:
        if stat.S_ISDIR(status.st_mode):
            return "is a folder: give it the path of a file"
        if not stat.S_ISREG(status.st_mode):
            return "is a device or a pipe: give it the path of a file"
    return _find_read_only(real, folder)


def _find_read_only(real: str, folder: str) -> str | None:
    beside = (f"{real}-wal", f"{real}-shm")
    for name in (real, *beside):
        if os.path.exists(name) and not _may(name, os.R_OK | os.W_OK):
            which = "it" if name == real else repr(name)
            return f"cannot be written: {which} is not readable and writable for this user"
    if not all(map(os.path.exists, beside)) and not _may(folder, os.W_OK | os.X_OK):
        return f"cannot be written: SQLite keeps files beside it, and {folder!r} is read-only here"
    return None


def _may(name: str, what: int) -> bool:
    """As the user that opens files, where the system can tell that from the one who has started."""
    return os.access(name, what, effective_ids=os.access in os.supports_effective_ids)


def identify(path: str) -> tuple[int, int] | None:
    """Which file a real path leads to, ``None`` if to none. Raises `OSError` if nobody can tell."""
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino
