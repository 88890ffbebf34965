"""``[tool.trioqueue]``: what the nearest ``pyproject.toml`` with such a table says."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from ._errors import Wrong
from ._text import complain

_NAME: Final = "pyproject.toml"

#: Besides oneself: what the administrator has put there.
_TRUSTED: Final = frozenset({0})


@dataclass(frozen=True)
class Project:
    """What a file says. ``table``: that of ``[tool.trioqueue]``; keys have hyphens."""

    file: Path
    table: Mapping[str, Any]

    @property
    def directory(self) -> Path:
        """To which what the file says is relative."""
        return self.file.parent

    def place(self, key: str, section: str | None = None) -> str:
        """How an error names a key."""
        head = "tool.trioqueue" if section is None else f"tool.trioqueue.{section}"
        return f"{key} in [{head}] of {self.file}"


def find_project(here: Path) -> Project | None:
    """The settings that hold in the directory ``here``: its own, or those of the nearest above it.

    Raises `Wrong` for a file that cannot be read or is not TOML.
    """
    for directory in (here, *here.parents):
        file = directory / _NAME
        if not _is_there(file):
            continue
        trusted = directory == here or _is_ours(file)
        try:
            table = _read(file)
        except Wrong:
            if trusted:
                raise
            continue
        if table is not None and trusted:
            return Project(file, table)
        if table is not None:
            # As anybody can put one into /tmp, and what it names is imported.
            complain(f"{file} is not heeded: it belongs to another user")
    return None


def _is_there(file: Path) -> bool:
    try:
        return file.is_file()
    except PermissionError:  # one may be where one cannot look into what is above
        return False


def _is_ours(file: Path) -> bool:
    """The file, and the link to it if it is one: whoever made the link chose the directory."""
    ours = {*_TRUSTED, os.geteuid()} if os.name == "posix" else set[int]()
    return not ours or {file.stat().st_uid, file.lstat().st_uid} <= ours


def _read(file: Path) -> Mapping[str, Any] | None:
    try:
        text = file.read_bytes().decode()
        found: object = tomllib.loads(text)
    except OSError as error:
        raise Wrong(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Wrong(f"{file} is not TOML: it is not UTF-8 text") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise Wrong(f"{file} is not TOML: {error}") from None
    for key in ("tool", "trioqueue"):
        if not isinstance(found, dict):
            break
        found = cast("dict[str, object]", found).get(key)
        if found is None:
            return None
    if not isinstance(found, dict):
        raise Wrong(f"[tool.trioqueue] of {file} must be a table")
    return dict(_tidy(cast("dict[str, object]", found)))


def _tidy(table: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """With keys as the options have them, in the tables inside as well."""
    for name, value in table.items():
        inner = isinstance(value, dict)
        yield (
            name.replace("_", "-"),
            dict(_tidy(cast("dict[str, object]", value))) if inner else value,
        )
