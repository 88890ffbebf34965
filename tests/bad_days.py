"""What the tests of bad days share: trouble with a broker's file, and a look at what it has left.

The trouble is real wherever that works for everybody: the kernel's permissions, another process's
lock, another file at the same path. Only the disk is a fake, one between SQLite and the system's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from trioqueue import Handle, Options, Queue, Task
from trioqueue.brokers._sqlite import SqliteBroker
from trioqueue.brokers._sqlite_schema import READY, RUNNING, SCHEDULED

NOBODY = 65534
#: Seconds of patience with another process: only so that a hang fails.
PATIENCE = 60


def make_task(number: object = 0) -> Task:
    """A task for a broker without a queue."""
    task = Task(f"id-{number}", "note", (), {}, Options())
    task.payload = b"[[%d],{}]" % number if isinstance(number, int) else b"[[],{}]"
    return task


# --- the file afterwards -------------------------------------------------------------------------


def check_sound(path: Path) -> Counter[int]:
    """SQLite finds the file whole, its numbers are those of its rows. Returns {state: tasks}."""
    db: Any = apsw.Connection(str(path))
    try:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        states = Counter(
            dict(db.execute("SELECT state, count(*) FROM tasks GROUP BY 1").fetchall())
        )
        numbers = db.execute("SELECT scheduled, ready, running FROM meta").fetchall()
        lanes = db.execute(
            "SELECT total(scheduled), total(ready), total(running), total(kept) FROM lanes"
        ).fetchall()
        places = (states[SCHEDULED], states[READY], states[RUNNING])
        assert numbers == [places]
        assert lanes == [(*places, states.total() - sum(places))]
        return states
    finally:
        db.close()


async def check_excused(queue: Queue, runs: Counter[Any], handles: dict[Any, Handle[Any]]) -> None:
    """Every start of a handler but the first has a reason that the file names."""
    for name, handle in handles.items():
        task = await queue.inspector.get(handle.id)
        assert task is not None, f"{name} was accepted and is lost"
        trail = task.trace()
        excuses = task.failures + trail.losses + trail.interruptions + trail.snoozes
        assert 1 <= runs[name] <= min(1 + excuses, task.deliveries), (name, runs[name], task)


def engine_of(broker: Any) -> Any:
    """The innermost part of a broker, whose connection is that of its thread."""
    assert isinstance(broker, SqliteBroker)
    desk: Any = broker._desk
    return desk._engine


# --- a disk that fails ---------------------------------------------------------------------------


class Disk(apsw.VFS):
    """Between SQLite and the system's files; what changes a file can be made to fail.

    ``calls`` counts what changes files; the calls whose numbers are in ``bad`` fail. So does every
    one while ``full`` or ``away`` is set, and a look at a file while ``away`` is.
    """

    def __init__(self) -> None:
        self.system: str = apsw.vfs_names()[0]  # the default so far
        super().__init__("trioqueue-test-disk", self.system, makedefault=True)
        self.calls = 0
        self.bad: range = range(0)
        self.error: type[apsw.Error] = apsw.FullError
        self.full = False
        self.away = False
        self.failed = 0
        self._lock = threading.Lock()

    def change(self) -> None:
        """A file is about to be changed."""
        with self._lock:
            self.calls += 1
            number = self.calls - 1
        if self.away:
            self._fail(apsw.IOError)
        if self.full:
            self._fail(apsw.FullError)
        if number in self.bad:
            self._fail(self.error)

    def look(self) -> None:
        """A file is about to be read."""
        if self.away:
            self._fail(apsw.IOError)

    def _fail(self, error: type[apsw.Error]) -> None:
        self.failed += 1
        raise error("the test's disk")

    def xOpen(self, name: Any, flags: Any) -> File:  # noqa: N802 - SQLite's
        return File(self, name, flags)


class File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: Any, flags: Any) -> None:
        super().__init__(disk.system, name, flags)
        self._disk = disk

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self._disk.change()
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self._disk.change()
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._disk.change()
        super().xSync(flags)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        self._disk.look()
        return super().xRead(amount, offset)


@contextmanager
def faulty_disk() -> Iterator[Disk]:
    """Every file that SQLite opens in this process lies on it."""
    disk = Disk()
    try:
        yield disk
    finally:
        disk.unregister()


# --- users and processes -------------------------------------------------------------------------


@contextmanager
def folder_of_nobody() -> Iterator[Path]:
    """A folder that `as_nobody` owns. (pytest's own can only be entered by who runs it.)"""
    folder = Path(tempfile.mkdtemp())
    try:
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        yield folder
    finally:
        folder.chmod(0o700)
        shutil.rmtree(folder)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without root's right to ignore permissions; an ordinary user stays who it is."""
    if os.geteuid() != 0:
        yield
        return
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


_HOLD = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
for sql in sys.argv[2:]:
    db.execute(sql).fetchall()
print("held", flush=True)
sys.stdin.readline()
db.close()
print("let go", flush=True)
"""


class Outsider:
    """Another program, in a process of its own, that has run these statements on a file."""

    def __init__(self, path: Path, *statements: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _HOLD, str(path), *statements],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._expect("held\n")

    def let_go(self) -> None:
        """It closes the file, which undoes what it has not committed."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self._expect("let go\n")

    def _expect(self, line: str) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == line

    def end(self) -> None:
        """Whatever it does."""
        self.process.kill()
        self.process.communicate(timeout=PATIENCE)


@contextmanager
def outsider(path: Path, *statements: str) -> Iterator[Outsider]:
    """By default it begins to write, and never ends to."""
    one = Outsider(path, *(statements or ("BEGIN IMMEDIATE",)))
    try:
        yield one
    finally:
        one.end()
