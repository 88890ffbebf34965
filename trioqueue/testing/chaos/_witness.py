"""The witness: an append-only file into which many processes write, and which no crash rewrites."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ._records import Record, from_line, to_line


def boottime() -> float:
    """Seconds on the clock that all processes of this machine share, and that never stops."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)


class Witness:
    """One process's pen. Opened by `open_witness`; every call is a system call, none waits.

    Records of one call are written by a single ``write`` at the end of the file, so that those of
    several processes never mix, and are on the disk when the call returns.
    """

    def __init__(self, file: int, process: str, clock: Callable[[], float] = boottime) -> None:
        self.file = file
        self.process = process
        self.now = clock

    def write(self, *records: Record) -> None:
        """Write records down, for good. Raises `OSError`. Works in any thread."""
        if not records:
            return
        # The newline in front ends the line that a killed process may have left torn.
        lines = "".join(f"\n{to_line(record)}\n" for record in records).encode()
        written = os.write(self.file, lines)
        if written != len(lines):
            msg = f"only {written} of {len(lines)} bytes were written: is the disk full?"
            raise OSError(msg)
        os.fdatasync(self.file)


@contextmanager
def open_witness(
    path: str | os.PathLike[str], process: str, clock: Callable[[], float] = boottime
) -> Generator[Witness]:
    """A `Witness` that appends to ``path``. ``process`` must name this start of it alone."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        yield Witness(file, process, clock)
    finally:
        os.close(file)


def read_records(path: str | os.PathLike[str]) -> list[Record]:
    """All records of a file, in the order of their times.

    A line that was torn, by a SIGKILL in the middle of a write, counts as never written.
    """
    with Path(path).open(encoding="utf-8", errors="replace") as lines:
        return sorted(_whole(lines), key=lambda record: record.at)


def _whole(lines: Iterable[str]) -> Iterator[Record]:
    for line in lines:
        if line.strip():
            try:
                yield from_line(line)
            except ValueError:
                continue
