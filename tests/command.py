"""Runs the command line as a real process: somewhere else, with a home that nobody can write to."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: Only so that a hang fails: nothing here is meant to be a measure of speed.
PATIENCE = 300

MODULE = (sys.executable, "-m", "trioqueue")


def environment(**changes: str) -> dict[str, str]:
    """What a service manager would give, and the checkout."""
    base = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": "/nonexistent",
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT),
        # Python's own libraries may be in a place of their own.
        **{name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ},
    }
    return base | changes


def run(*arguments: str, cwd: str | Path = "/", **changes: str) -> subprocess.CompletedProcess[str]:
    """``trioqueue ARGUMENTS`` with these environment variables, to its end."""
    return subprocess.run(
        [*MODULE, *arguments],
        env=environment(**changes),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def start(*command: str, cwd: str | Path = "/", **changes: str) -> subprocess.Popen[str]:
    """A command that is talked to while it runs: its output comes in lines."""
    return subprocess.Popen(
        command,
        env=environment(**changes),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def sums(output: str) -> dict[str, int]:
    """The last line's numbers by their names, once they have been seen to add up."""
    last = output.splitlines()[-1]
    assert last.endswith(": the numbers add up")
    numbers = {
        name: int(number.replace(",", ""))
        for number, name in re.findall(r"([\d,]+) ([a-z ]+?)(?= [=+]|:)", last)
    }
    assert numbers["submitted"] == sum(numbers.values()) - numbers["submitted"]
    return numbers
