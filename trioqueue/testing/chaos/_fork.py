"""Forking: a process that does one thing, and whose end says how it went."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path


def fork(action: Callable[[], object], output: Path, *, limit: int = 0) -> int:
    """Do ``action`` in a forked process whose output goes to a file; returns its process id.

    Its exit code is 0, or 1 if it raised. ``limit``: seconds after which the system ends it by
    SIGALRM; 0: none. For processes without threads.
    """
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        _prepare(output, limit)
        action()
        status = 0
    except BaseException:  # noqa: ASYNC103 - the process ends here, one way or another
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _prepare(output: Path, limit: int) -> None:
    if limit:
        signal.alarm(limit)
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
    sys.stdin.close()


def end_of(process: int) -> int:
    """Wait for a process: its exit code, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def tail(path: Path, characters: int = 4_000) -> str:
    """The end of what was printed."""
    if not path.exists():
        return ""
    return path.read_text(encoding="utf-8", errors="replace")[-characters:]
