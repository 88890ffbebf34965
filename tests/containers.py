"""Reads the Dockerfile and compose.yaml as an engine would, and complains about what it would."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parent.parent

#: All that a Dockerfile may say, but for what is deprecated.
INSTRUCTIONS = frozenset(
    [
        "ADD",
        "ARG",
        "CMD",
        "COPY",
        "ENTRYPOINT",
        "ENV",
        "EXPOSE",
        "FROM",
        "HEALTHCHECK",
        "LABEL",
        "ONBUILD",
        "RUN",
        "SHELL",
        "STOPSIGNAL",
        "USER",
        "VOLUME",
        "WORKDIR",
    ]
)


class Instruction(NamedTuple):
    """One instruction: its flags (``--from=build``) apart from the rest of its text."""

    name: str
    flags: dict[str, str]
    text: str

    def words(self) -> list[str]:
        """The arguments in JSON, as programs are to be named, or as words."""
        if self.text.startswith("["):
            found = json.loads(self.text)
            assert all(isinstance(word, str) for word in found), self
            return found
        return shlex.split(self.text)

    def exec_form(self) -> list[str]:
        """Arguments that must be in JSON: a shell in between would hear the signals, not we."""
        assert self.text.startswith("["), f"{self.name} must be in the exec form: {self.text}"
        return self.words()


class Stage(NamedTuple):
    """What follows a FROM."""

    base: str
    name: str | None
    instructions: list[Instruction]

    def all(self, name: str) -> list[Instruction]:
        return [each for each in self.instructions if each.name == name]

    def last(self, name: str) -> Instruction:
        found = self.all(name)
        assert found, f"no {name}"
        return found[-1]

    def environment(self) -> dict[str, str]:
        pairs = [word.partition("=") for each in self.all("ENV") for word in each.words()]
        assert all(equals for _, equals, _ in pairs)
        return {name: value for name, _, value in pairs}

    def health(self) -> tuple[dict[str, str], list[str]]:
        """The flags and the command of the HEALTHCHECK."""
        check = self.last("HEALTHCHECK")
        kind, _, command = check.text.partition(" ")
        assert kind == "CMD", check
        return check.flags, Instruction("CMD", {}, command.strip()).exec_form()


def read_dockerfile(text: str) -> list[Stage]:
    """The stages. What is no Dockerfile is an AssertionError."""
    stages: list[Stage] = []
    for line in _logical_lines(text):
        instruction = _instruction(line)
        if instruction.name == "FROM":
            base, *rest = instruction.text.split()
            assert not rest or (rest[0].upper() == "AS" and len(rest) == 2), line
            stages.append(Stage(base, rest[1] if rest else None, []))
            continue
        if not stages:
            assert instruction.name == "ARG", f"before the first FROM: {line}"
        else:
            stages[-1].instructions.append(instruction)
    assert stages, "no FROM"
    return stages


def _logical_lines(text: str) -> list[str]:
    lines: list[str] = []
    going_on = False
    for raw in text.splitlines():
        if not raw.strip() or raw.lstrip().startswith("#"):
            continue
        part = raw.strip()
        ends = not part.endswith("\\")
        part = part.removesuffix("\\").strip()
        if going_on:
            lines[-1] += " " + part
        else:
            lines.append(part)
        going_on = not ends
    assert not going_on, "the last line goes on"
    return lines


def _instruction(line: str) -> Instruction:
    name, _, rest = line.partition(" ")
    assert name in INSTRUCTIONS, f"no instruction: {line}"
    flags: dict[str, str] = {}
    rest = rest.strip()
    while (flag := re.match(r"--([a-z-]+)=(\S+)\s+", rest)) is not None:
        flags[flag[1]] = flag[2]
        rest = rest[flag.end() :]
    assert rest, f"{name} says nothing"
    return Instruction(name, flags, rest)


def ignored(path: str, patterns: list[str]) -> bool:
    """Whether .dockerignore leaves a path out of the context: the last pattern that fits rules."""
    verdict = False
    for pattern in patterns:
        keep, bare = pattern.startswith("!"), pattern.removeprefix("!").strip("/")
        parts = Path(path).parts
        places = ["/".join(parts[: n + 1]) for n in range(len(parts))]
        if any(_fits(place, bare) for place in places):
            verdict = not keep
    return verdict


def _fits(path: str, pattern: str) -> bool:
    if pattern.startswith("**/"):
        return any(
            _fits("/".join(path.split("/")[n:]), pattern[3:]) for n in range(path.count("/") + 1)
        )
    names, patterns = path.split("/"), pattern.split("/")
    return len(names) == len(patterns) and all(map(fnmatchcase, names, patterns))


# --- compose -------------------------------------------------------------------------------------

#: Of the Compose specification: what a service may say here. Anything else is a mistake of ours.
SERVICE_KEYS = frozenset(
    [
        "build",
        "cap_drop",
        "command",
        "depends_on",
        "deploy",
        "entrypoint",
        "environment",
        "expose",
        "healthcheck",
        "image",
        "init",
        "ports",
        "read_only",
        "restart",
        "security_opt",
        "stop_grace_period",
        "stop_signal",
        "tmpfs",
        "volumes",
    ]
)
HEALTH_KEYS = frozenset(["disable", "interval", "retries", "start_period", "test", "timeout"])
CONDITIONS = frozenset({"service_started", "service_healthy", "service_completed_successfully"})


class Compose:
    """compose.yaml, with these variables in the environment of whoever starts it."""

    def __init__(self, text: str, variables: Mapping[str, str]) -> None:
        self.raw: dict[str, Any] = yaml.load(text, Loader=_Strict)
        known = {"name", "services", "volumes"}
        assert {key for key in self.raw if not key.startswith("x-")} <= known
        self.services: dict[str, dict[str, Any]] = interpolate(self.raw["services"], variables)

    def environment(self, service: str) -> dict[str, str]:
        found = self.services[service].get("environment", {})
        assert all(isinstance(value, str) for value in found.values()), "quote it: YAML made it"
        return dict(found)


class _Strict(yaml.SafeLoader):
    """The same key twice in one mapping is a mistake, which YAML's own loader passes over."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        assert len(keys) == len(set(keys)), f"a key is there twice: {keys}"
        return super().construct_mapping(node, deep)


def interpolate(value: Any, variables: Mapping[str, str]) -> Any:
    """``${NAME:?why}`` and ``${NAME}``, as Compose reads them. Raises `KeyError` with the why."""
    if isinstance(value, dict):
        return {key: interpolate(each, variables) for key, each in value.items()}
    if isinstance(value, list):
        return [interpolate(each, variables) for each in value]
    if not isinstance(value, str):
        return value

    def put(match: re.Match[str]) -> str:
        if variables.get(match["name"]):
            return variables[match["name"]]
        raise KeyError(match["why"] or match["name"])

    assert "$" not in re.sub(r"\$\{\w+(:\?[^}]*)?\}", "", value), (
        f"another kind of variable: {value}"
    )
    return re.sub(r"\$\{(?P<name>\w+)(?::\?(?P<why>[^}]*))?\}", put, value)


def seconds(duration: str) -> float:
    """``1m30s`` as seconds."""
    assert re.fullmatch(r"(\d+m)?(\d+s)?", duration), duration
    parts = re.findall(r"(\d+)([ms])", duration)
    assert parts, duration
    return float(sum(int(number) * {"m": 60, "s": 1}[unit] for number, unit in parts))


def option(words: list[str], name: str) -> str:
    """The value of ``--name`` in a command line."""
    assert words.count(name) == 1, f"{name} in {words}"
    return words[words.index(name) + 1]
