"""A command in a terminal of its own: what it shows there, and what is typed into it."""

import os
import pty
import subprocess

from .command import MODULE, PATIENCE, environment
from .workers import Site


def in_terminal(site: Site, *arguments: str, typed: str = "") -> str:
    """``trioqueue ARGUMENTS`` with its streams at a terminal; returns all that it shows there."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        [*MODULE, *arguments],
        env=environment(**site.variables),
        cwd=site.path,
        stdin=slave,
        stdout=slave,
        stderr=slave,
    ) as process:
        os.close(slave)
        if typed:
            os.write(master, typed.encode())  # waits there until it is asked for
        shown = b""
        while True:
            try:
                data = os.read(master, 65536)
            except OSError:  # Linux: everybody has closed the other end
                break
            if not data:
                break
            shown += data
        process.wait(PATIENCE)
    os.close(master)
    return shown.decode()
