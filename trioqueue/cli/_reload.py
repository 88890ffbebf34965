"""``trioqueue run --reload``: renews the workers when the code that they run has changed.

By looking at the files now and then, in a thread. (A library that is told by the system would be a
dependency for a quarter of a second, and hears nothing on shared folders of virtual machines.)
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Final, final

import trio

from ._errors import Wrong
from ._load import places

logger = logging.getLogger("trioqueue.run")

#: Seconds between two looks. What has changed must then look the same twice: an editor, or a
#: version control system, may be in the middle of it. A look at 1,000 files takes about 5 ms.
INTERVAL: Final = 0.25

#: Path -> what tells one version of the file from another.
Files = Mapping[str, tuple[int, int]]


def directories_of(target: str) -> list[str]:
    """Where the code of MODULE:TASKS is: its package, or the directory that the file is in.

    Nothing of it is imported. Raises `Wrong` if there is no such module.
    """
    name = target.partition(":")[0].partition(".")[0]
    path = [*places(), os.getcwd(), *sys.path]
    spec = PathFinder.find_spec(name, path) if name.isidentifier() else None
    if spec is not None and spec.submodule_search_locations:
        return [os.path.abspath(place) for place in spec.submodule_search_locations]
    if spec is None or spec.origin is None:
        msg = f"there is no module {name!r} to watch: give --reload-dir DIRECTORY"
        raise Wrong(msg)
    return [os.path.dirname(os.path.abspath(spec.origin))]


def scan(directories: Sequence[str]) -> Files:
    """The Python files in there. What cannot be read is not there."""
    found: dict[str, tuple[int, int]] = {}
    for directory in directories:
        for file in _walk(directory):
            try:
                status = os.stat(file)
            except OSError:  # just now it was
                continue
            found[file] = (status.st_mtime_ns, status.st_size)
    return found


def _walk(directory: str) -> Iterator[str]:
    for place, inner, files in os.walk(directory):
        inner[:] = [name for name in inner if _is_code(os.path.join(place, name))]
        yield from (os.path.join(place, name) for name in files if name.endswith(".py"))


def _is_code(directory: str) -> bool:
    """Not what is hidden, nor an environment with other people's packages in it."""
    name = os.path.basename(directory)
    if name.startswith(".") or name in {"__pycache__", "node_modules"}:
        return False
    return not os.path.exists(os.path.join(directory, "pyvenv.cfg"))


def changes(before: Files, after: Files) -> set[str]:
    """The paths that are new, gone, or different."""
    return {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}


def fault(path: str) -> str | None:
    """Why Python could not even begin to run the file; ``None`` if it could, or it is gone."""
    try:
        source = Path(path).read_bytes()
    except OSError:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(source, path, "exec", dont_inherit=True)
    except SyntaxError as error:
        line = f", line {error.lineno}" if error.lineno else ""
        return f"{_shown(path)}{line}: {error.msg}"
    except (ValueError, RecursionError, MemoryError) as error:  # as for a null byte
        return f"{_shown(path)}: {error}"
    return None


def _shown(path: str) -> str:
    """Relative to where we are, if it is in there."""
    shown = os.path.relpath(path)
    return path if shown.startswith("..") else shown


@final
class Reload:
    """Watches the Python files in some directories, for `Supervisor`."""

    def __init__(self, directories: Sequence[str], interval: float = INTERVAL) -> None:
        self._directories = directories
        self._interval = interval
        self._changed: set[str] = set()  # since the code that runs was started

    async def watch(self, renew: Callable[[], None]) -> None:
        """Call ``renew()`` after each change that leaves no file with a syntax error.

        Until cancelled.
        """
        logger.info("watching %s", ", ".join(map(_shown, self._directories)))
        last = await self._scan()
        while True:
            await trio.sleep(self._interval)
            now = await self._scan()
            if not changes(last, now):
                continue
            while fresh := changes(last, now):
                self._changed |= fresh
                last = now
                await trio.sleep(self._interval)
                now = await self._scan()
            if self._tell():
                renew()

    async def _scan(self) -> Files:
        return await trio.to_thread.run_sync(scan, self._directories)

    def _tell(self) -> bool:
        """Say what has changed, in a line; whether it can be run."""
        changed = sorted(self._changed)
        faults = [words for words in map(fault, changed) if words is not None]
        if faults:
            logger.error("not restarted: %s", "; ".join(faults))
            return False
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        names = ", ".join(_shown(path) for path in changed[:3])
        logger.info("%s%s changed: restarting", names, more)
        self._changed.clear()
        return True
