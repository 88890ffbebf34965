"""Looking at a SQLite broker's file, for `_sqlite_check`. No task of it is touched."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final, cast

import apsw
import trio

from .._errors import BrokerFailed, TrioqueueError
from ._findings import Finding
from ._sqlite_check import SqliteFacts, check_sqlite
from ._sqlite_db import Database
from ._sqlite_errors import is_busy, translate
from ._sqlite_path import check_path
from ._sqlite_schema import APPLICATION_ID, DEAD, VERSION

#: Milliseconds to wait for somebody else's lock: longer than a transaction of ours takes.
_PATIENCE: Final = 2_000
#: Lines of damage to read; the first says enough.
_DAMAGE: Final = 10


async def examine_sqlite(path: str, options: Mapping[str, Any]) -> list[Finding]:
    """What there is to say of the file. Reads all of it, in a thread.

    Cancelled: returns at once, and the thread reads on to its end.
    """
    facts = await trio.to_thread.run_sync(gather, path, options, abandon_on_cancel=True)
    return list(check_sqlite(facts))


def gather(path: str, options: Mapping[str, Any]) -> SqliteFacts:
    """The facts. Blocks."""
    name = f"the broker's file {path!r}"
    real = os.path.realpath(path)
    facts: dict[str, Any] = {
        "name": name,
        "file_system": find_file_system(real),
        "synchronous": options.get("synchronous", "full"),
    }
    with suppress(OSError):
        facts["free"] = shutil.disk_usage(os.path.dirname(real)).free
    try:
        check_path(path, create=False)
        facts["size"] = os.path.getsize(real)
        with suppress(FileNotFoundError):
            facts["log_size"] = os.path.getsize(f"{real}-wal")
        facts |= _look_inside(real, name)
    except BrokerFailed as error:
        facts["trouble"] = str(error)
    except (OSError, apsw.Error) as error:
        ours = translate(error, name)
        facts["trouble"] = str(ours) if isinstance(ours, TrioqueueError) else f"{name}: {error}"
    return SqliteFacts(**facts)


def _look_inside(real: str, name: str) -> dict[str, Any]:
    flags = apsw.SQLITE_OPEN_READWRITE  # even readers need to write the index of the log
    with closing(cast("Database", apsw.Connection(real, flags))) as db:
        db.set_busy_timeout(_PATIENCE)
        facts: dict[str, Any] = {"library": apsw.sqlite_lib_version()}
        tables = {row[0] for row in db.execute("SELECT name FROM sqlite_schema").fetchall()}
        facts["ours"] = not tables or db.pragma("application_id") == APPLICATION_ID
        facts["version"] = db.pragma("user_version")
        if not facts["ours"] or facts["version"] > VERSION:
            return facts
        facts["journal"] = db.pragma("journal_mode")
        rows = db.execute(f"PRAGMA quick_check({_DAMAGE})").fetchall()
        facts["damage"] = tuple(row[0] for row in rows if row[0] != "ok")
        facts["locked"] = _find_lock(db, name)
        if "meta" in tables and not facts["damage"]:
            facts["counts"] = _count(db)
        return facts


def _find_lock(db: Database, name: str) -> str | None:
    """Why nothing can be written now: tried, and undone."""
    try:
        db.execute("BEGIN IMMEDIATE")
        db.execute("ROLLBACK")
    except apsw.Error as error:
        if is_busy(error):
            return "another program holds a lock"
        return str(translate(error, name))
    return None


def _count(db: Database) -> dict[str, int]:
    places = ("scheduled", "ready", "running")
    row = db.execute(f"SELECT {', '.join(places)} FROM meta").fetchall()[0]
    dead = db.execute(f"SELECT count(*) FROM tasks WHERE state = {DEAD}").fetchall()[0][0]
    return {**dict(zip(places, row, strict=True)), "dead": dead}


def find_file_system(path: str) -> str | None:
    """The type of the file system that a real path is on; ``None`` where that is not told."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return choose_mount(mounts.splitlines(), path)


def choose_mount(mounts: Iterable[str], path: str) -> str | None:
    """The type of the mount that ``path`` is on, of the lines of Linux's ``mountinfo``."""
    found, depth = None, -1
    for line in mounts:
        before, separator, after = line.partition(" - ")
        fields = before.split(" ")
        if not separator or len(fields) < 5:
            continue
        point = re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), fields[4])
        inside = path == point or path.startswith(f"{point.rstrip('/')}/")
        if inside and len(point) >= depth:  # of two on one place, the later hides the earlier
            found, depth = after.split(" ")[0], len(point)
    return found
