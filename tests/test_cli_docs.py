"""docs/cli.md has every command and every option that there is, and the exit codes."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from trioqueue.cli import _exits
from trioqueue.cli._app import app
from trioqueue.cli._config import paths

from .workers import Site

PAGE = (Path(__file__).parent.parent / "docs" / "cli.md").read_text(encoding="utf-8")
COMMANDS = list(paths(app))


def options(words: tuple[str, ...]) -> set[str]:
    command = app
    for word in words:
        command = command[word]
    arguments = command.assemble_argument_collection(parse_docstring=True)
    return {name for each in arguments if each.show and not each.children for name in each.names}


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_the_page_has_each_command_with_its_options(words: tuple[str, ...]):
    """All of them, and no other."""
    part = PAGE.partition(f"### `{' '.join(words)}`\n")[2].partition("\n### ")[0]
    heads = re.findall(r"^\| (`.*?`) \| .+ \|$", part, re.MULTILINE)
    assert set(re.findall(r"`([^`]+)`", " ".join(heads))) == options(words)


def test_the_page_has_no_other_command():
    assert re.findall(r"^### `(.+)`$", PAGE, re.MULTILINE) == [" ".join(each) for each in COMMANDS]


def test_the_page_has_every_exit_code():
    table = PAGE.partition("## Exit codes")[2].partition("\n## ")[0]
    told = {
        int(code) for row in re.findall(r"^\| ([\d, ]+) \|", table, re.M) for code in row.split(",")
    }
    assert told == {value for name, value in vars(_exits).items() if name.isupper()}


@pytest.mark.parametrize("command", ["tasks list", "tasks show", "dead show", "queues list"])
def test_json_has_the_fields_that_the_page_names(tmp_path: Path, command: str):
    site = Site(tmp_path)
    site.publish("fail", "--id", "d1")
    site.work()
    site.publish("note", "--json", "[7]")
    ids = ["d1"] if "show" in command else []
    extra = ["--state", "dead"] if command == "tasks list" else []
    document = json.loads(site.here(*command.split(), *ids, *extra, "--json").stdout)
    table = PAGE.partition("## JSON")[2].partition("\n## ")[0]
    told = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]*)`", table))))

    def fields(value: object) -> set[str]:
        if isinstance(value, list):
            return {name for each in value for name in fields(each)}
        if isinstance(value, dict):
            skip = {"kwargs", "headers"}
            inner = (fields(each) for name, each in value.items() if name not in skip)
            return {*value, *(name for each in inner for name in each)}
        return set()

    assert fields(document) - told == set()


def test_bash_completes_commands_and_options(tmp_path: Path):
    """With what `trioqueue completion bash` prints."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.fail("bash is missing: install the package bash")
    site = Site(tmp_path)
    script = site.here("completion", "bash").stdout
    tries = """
COMP_WORDS=(trioqueue ta); COMP_CWORD=1; _trioqueue; echo "${COMPREPLY[@]}"
COMP_WORDS=(trioqueue tasks list --st); COMP_CWORD=3; _trioqueue; echo "${COMPREPLY[@]}"
"""
    done = subprocess.run([bash, "-c", script + tries], capture_output=True, text=True, check=True)
    assert done.stdout == "tasks\n--state\n"
