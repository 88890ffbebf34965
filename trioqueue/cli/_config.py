"""Options from the environment and from ``pyproject.toml``: for every command, by one rule.

An option ``--older-than`` of ``dead list`` is ``TRIOQUEUE_DEAD_LIST_OLDER_THAN`` there, and
``older-than`` in ``[tool.trioqueue.dead-list]``. ``broker`` and ``tasks`` are the same for all
commands: ``TRIOQUEUE_BROKER``, and ``broker`` in ``[tool.trioqueue]``. Nearer wins: argument,
environment, file, default; and in each the command's own before what is shared.

A command needs nothing for it but a parameter: the layer is called by Cyclopts between parsing the
arguments and converting them.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast, final

from cyclopts import App, Token
from cyclopts.argument import Argument, ArgumentCollection

from .._errors import InvalidTask
from ..brokers._url import anchor
from ._config_values import expected, from_text, from_toml
from ._errors import Wrong
from ._load import look_in
from ._pyproject import Project, find_project

PREFIX: Final = "TRIOQUEUE_"

#: For all commands; of these names only a text is meant (``demo`` counts its tasks).
SHARED: Final = ("broker", "tasks")

#: With this argument the settings come from the supervisor alone: it has decided on them.
_SUPERVISED: Final = "--supervised-by"

#: What Kubernetes puts into every container for a service that is named like us.
_SERVICE_LINK: Final = re.compile(r".*_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT_\d+_\w+)|PORT|.*_PORT")

NO_TASKS: Final = (
    "no MODULE:TASKS: name the TaskSet, such as jobs:tasks, as the first argument, "
    "in TRIOQUEUE_TASKS, or as tasks in [tool.trioqueue] of pyproject.toml"
)

_NO_NAME: Final = "give NAME, the task type's name, after MODULE:TASKS"


def key_of(argument: Argument) -> str | None:
    """The name of an option in files, with hyphens; ``None`` for what cannot be configured."""
    if argument.children or not argument.parse or not argument.show:
        return None
    for name in argument.names:
        if name.startswith("--"):
            return name.removeprefix("--")
    name = argument.field_info.name
    return name if name in SHARED and is_shared(name, argument) else None


def is_shared(key: str, argument: Argument) -> bool:
    """Whether it is what all commands mean by that name."""
    return key in SHARED and expected(argument.hint) == "a string"


def variable(commands: Sequence[str], key: str) -> str:
    """The environment's name for an option of a command; of no command: of all."""
    words = "_".join([*commands, key])
    return PREFIX + words.upper().replace("-", "_")


def section_of(commands: Sequence[str]) -> str:
    """The name of a command's table."""
    return "-".join(commands)


def paths(app: App, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command of the application, as the words that one types."""
    for name in app:
        if name.startswith("-"):
            continue
        command = app[name]
        words = (*above, name)
        if command.default_command is not None:
            yield words
        yield from paths(command, words)


@final
class Configuration:
    """The layer, for ``App.config``. ``root``: the application, with all its commands."""

    def __init__(self, root: App) -> None:
        self._root = root

    def __call__(self, app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
        """Give values to the arguments that have none."""
        if not commands:
            return
        look_in()
        options: dict[str, Argument] = {}
        for argument in arguments:
            key = key_of(argument)
            if key is not None:
                options[key] = argument
        moved = _shift(arguments)
        for key, argument in options.items():
            if is_shared(key, argument):  # Cyclopts' own has no say: it takes "" for a value
                argument.tokens[:] = [token for token in argument.tokens if token.source != "env"]
        supervised = any(argument.name == _SUPERVISED and argument.tokens for argument in arguments)
        if supervised:
            options = {"broker": options["broker"]}
        strange = _from_environment(commands, options)
        if not supervised:
            _judge_environment(self._root, commands, options, strange)
            _from_project(self._root, commands, options)
        tasks = options.get("tasks")
        if tasks is not None and tasks.required and not tasks.tokens:
            raise Wrong(_NO_NAME if ":" in moved else NO_TASKS)


def _shift(arguments: ArgumentCollection) -> str:
    """``publish NAME``: what stands alone is the last argument, and TASKS comes from elsewhere.

    Returns it, or nothing if there was no such case.
    """
    places = [each for each in arguments if each.index is not None and each.required]
    if len(places) != 2 or places[0].field_info.name != "tasks" or places[1].tokens:
        return ""
    first, last = places
    last.tokens[:] = [token for token in first.tokens if token.source == "cli"]
    first.tokens.clear()
    return "".join(token.value for token in last.tokens)


# --- the environment ------------------------------------------------------------------------------


def _from_environment(commands: Sequence[str], options: Mapping[str, Argument]) -> list[str]:
    """Returns the variables of ours that no option has."""
    known: set[str] = set()
    for key, argument in options.items():
        names = [variable(commands, key)]
        if is_shared(key, argument):
            names.append(variable((), key))
        known |= {*names}
        for name in names:
            text = os.environ.get(name)
            if text and not argument.tokens and not _is_service_link(name, text):
                _fill(argument, key, name, from_text(name, text, argument.hint))
    return [
        name
        for name, text in sorted(os.environ.items())
        if name.startswith(PREFIX) and name not in known and not _is_service_link(name, text)
    ]


def _judge_environment(
    root: App, commands: tuple[str, ...], options: Collection[str], strange: Sequence[str]
) -> None:
    """`Wrong` for a variable that can only be meant for us, and is misspelt."""
    if not strange:
        return
    own = [variable(commands, key) for key in options]
    shared = [variable((), key) for key in SHARED]
    others = {variable((*words, ""), "")[:-1]: words for words in paths(root)}
    for name in strange:
        owners = [words for start, words in others.items() if name.startswith(start)]
        if commands in owners:
            raise Wrong(f"{name}: {_no_such(' '.join(commands), name, own)}")
        if not owners and name not in shared:
            close = _close(name, [*own, *shared], 0.8)
            if close is not None:
                raise Wrong(f"{name} is no setting. Did you mean {close}?")


def _is_service_link(name: str, text: str) -> bool:
    if not _SERVICE_LINK.fullmatch(name.removeprefix(PREFIX)):
        return False
    return not name.endswith("_PORT") or "://" in text or name.endswith("_SERVICE_PORT")


# --- the file -------------------------------------------------------------------------------------


def _from_project(root: App, commands: Sequence[str], options: Mapping[str, Argument]) -> None:
    try:
        project = find_project(Path.cwd())
    except FileNotFoundError:  # the directory that we are in was removed
        return
    if project is None:
        return
    sections = [section_of(words) for words in paths(root)]
    for key, value in project.table.items():
        if key in sections and not isinstance(value, Mapping):
            raise Wrong(f"{project.place(key)} must be a table, [tool.trioqueue.{key}]")
        if key not in sections and key not in SHARED:
            kind = f"[tool.trioqueue.{key}]" if isinstance(value, Mapping) else project.place(key)
            where = f" in {project.file}" if isinstance(value, Mapping) else ""
            raise Wrong(f"{kind}{where}: {_no_such('trioqueue', key, [*SHARED, *sections])}")
    section = section_of(commands)
    own = cast("Mapping[str, Any]", project.table.get(section, {}))
    for key in own:
        if key not in options:
            place = project.place(key, section)
            raise Wrong(f"{place}: {_no_such(' '.join(commands), key, options)}")
    for key, argument in options.items():
        for table, of in ((own, section), (project.table, None)):
            if key in table and (of is not None or is_shared(key, argument)):
                place = project.place(key, of)
                values = from_toml(place, table[key], argument.hint)
                if not argument.tokens:
                    _fill(argument, key, place, values, project)


def _fill(
    argument: Argument,
    key: str,
    place: str,
    values: Iterable[str | bool],
    project: Project | None = None,
) -> None:
    """Give an argument the values that stand at ``place``."""
    for index, value in enumerate(values):
        if isinstance(value, bool):
            argument.append(Token(keyword=place, implicit_value=value, index=index))
            continue
        if is_shared(key, argument):
            value = _resolve(key, place, value, project)
        argument.append(Token(keyword=place, value=value, index=index))


def _resolve(key: str, place: str, value: str, project: Project | None) -> str:
    """A value that all commands share; what a file says is relative to that file."""
    if key == "tasks":
        if project is not None:
            look_in(str(project.directory))
        return value
    try:
        anchored = anchor(value, Path() if project is None else project.directory)
    except InvalidTask as error:
        raise Wrong(f"{place}: {error}") from None
    return value if project is None else anchored


# --- errors ---------------------------------------------------------------------------------------


def _no_such(owner: str, name: str, known: Collection[str]) -> str:
    close = _close(name, known, 0.6)
    hint = f"Did you mean {close}?" if close is not None else f"There are: {', '.join(known)}."
    return f"{owner} has no such setting. {hint}"


def _close(name: str, known: Iterable[str], cutoff: float) -> str | None:
    """The name that is meant, if one is near. What all have in common counts for nothing."""
    short = {each.removeprefix(PREFIX).rstrip("_"): each for each in known}
    found = difflib.get_close_matches(name.removeprefix(PREFIX), short, n=1, cutoff=cutoff)
    return short[found[0]].rstrip("_") if found else None
