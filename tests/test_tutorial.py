"""The commands of docs/tutorial.md do what it says, one after the other, on its own two files."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from .command import MODULE, PATIENCE, environment, start
from .redis_server import Server

pytestmark = pytest.mark.network  # processes, mostly

PAGE = (Path(__file__).parent.parent / "docs" / "tutorial.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
#: In its place stands the address of the test's own server.
REDIS = "redis://localhost:6379/0"
INSTALL, FILE, WORKER, FLEET, CHECK, TOP, WEB = range(7)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory with the tutorial's files, as a reader has made them."""
    for name, text in PROGRAMS:
        (tmp_path / name).write_text(text.replace("# from jobs", "from jobs"), encoding="utf-8")
    return tmp_path


def run(step: int, folder: Path, redis: str = REDIS) -> str:
    """The output of one block of commands, run by a shell."""
    commands = COMMANDS[step].replace(REDIS, redis)
    found = subprocess.run(
        ["sh", "-euc", f'trioqueue() {{ python -m trioqueue "$@"; }}\n{commands}'],
        cwd=folder,
        env=environment(PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


def shown(step: int) -> str:
    """The first line of what the page shows below a block of commands."""
    below = PAGE.partition(f"```sh\n{COMMANDS[step]}```\n")[2]
    line = below.partition("```\n")[2].partition("\n")[0]
    assert line
    return line


def test_every_block_of_commands_is_tried():
    assert len(COMMANDS) == WEB + 1
    assert [name for name, _ in PROGRAMS] == ["jobs.py", "shop.py"]


def test_a_file_outlives_the_producer(folder: Path):
    assert shown(FILE) in run(FILE, folder)
    done = run(WORKER, folder)
    assert shown(WORKER) in done
    assert "there is no invoice -1" in done
    assert "welcome" in run(TOP, folder)


def test_a_server_takes_the_place_of_the_file(folder: Path):
    with Server() as server:
        assert shown(WORKER) in run(FLEET, folder, server.url())
        assert "persistence" in run(CHECK, folder, server.url())


def test_the_page_is_one_command(folder: Path):
    run(FILE, folder)
    (command,) = COMMANDS[WEB].splitlines()
    with start(*MODULE, *command.split()[1:], "--port", "0", cwd=folder) as server:
        try:
            assert server.stdout is not None
            address = re.search(r"http://\S+", server.stdout.readline())
            assert address is not None
            with urlopen(address[0], timeout=PATIENCE) as page:
                assert "trioqueue" in page.read().decode()
            server.send_signal(signal.SIGINT)
            assert server.wait(PATIENCE) == 0
        finally:
            server.kill()
