"""From ``MODULE:TASKS`` to a `TaskSet`: the user's module is imported, and errors become a line."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from types import ModuleType

from .. import TaskSet
from ._errors import Wrong

#: The directory that is looked into before the current one: that of the file which named the tasks.
_places: list[str] = []


def look_in(*directories: str) -> None:
    """Let `load_tasks` look into these first, and no longer into those that it was told before."""
    _places[:] = directories


def places() -> list[str]:
    """What `look_in` was told, for a process that is to find the same."""
    return list(_places)


def load_tasks(target: str) -> TaskSet:
    """The `TaskSet` that ``target`` names, with a task type in it at the least.

    The current directory is looked into first, as ``python -m`` does; before it, if ``target`` is
    from a ``pyproject.toml``, the directory of that. Raises `Wrong`, in one line.
    """
    name, colon, path = target.partition(":")
    file = name.endswith(".py")
    if not colon or file or not all(part.isidentifier() for part in f"{name}.{path}".split(".")):
        hint = f"; write {name[:-3].replace('/', '.')}:{path or 'tasks'}" if file else ""
        msg = f"MODULE:TASKS must be like jobs:tasks or package.jobs:tasks, not {target!r}{hint}"
        raise Wrong(msg)
    module = _import(name)
    value: object = module
    for attribute in path.split("."):
        try:
            value = getattr(value, attribute)
        except AttributeError:
            msg = f"{name} has no {path!r}{_what_there_is(module)}"
            raise Wrong(msg) from None
    if not isinstance(value, TaskSet):
        msg = f"{target} is no TaskSet but of type {type(value).__name__}{_what_there_is(module)}"
        raise Wrong(msg)
    if not len(value):
        msg = f"{target} has no task in it"
        raise Wrong(msg)
    return value


def _what_there_is(module: ModuleType) -> str:
    """The task sets of a module, for who has named another thing."""
    names = [name for name, value in vars(module).items() if isinstance(value, TaskSet)]
    if not names:
        return ""
    return f" (its task sets: {', '.join(f'{module.__name__}:{name}' for name in names)})"


def _import(name: str) -> ModuleType:
    here = os.getcwd()
    if not sys.flags.safe_path and not {"", here} & set(sys.path[:1]):
        sys.path.insert(0, here)
    sys.path[:0] = [place for place in _places if place not in sys.path[:2]]
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            first = ", ".join(dict.fromkeys([*_places, here]))
            msg = f"there is no module {error.name!r} (looked in {first} and the rest of sys.path)"
            raise Wrong(msg) from None
        raise Wrong(_failed(name, error)) from error
    except (Exception, SystemExit) as error:  # whatever a module does at its import
        raise Wrong(_failed(name, error)) from error


def _failed(name: str, error: BaseException) -> str:
    """The error, and the last line of the user's package that led to it."""
    words = " ".join(traceback.format_exception_only(error)[-1].split())
    if isinstance(error, SyntaxError):
        words = f"SyntaxError: {error}"
    package = name.partition(".")[0]
    where = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        if str(frame.f_globals.get("__name__")).partition(".")[0] == package:
            where = f" ({frame.f_code.co_filename}, line {line})"
    return f"{name} cannot be imported: {words}{where}"
