"""A Redis or Valkey server of a chaos run, with an append-only file, that is killed and frozen."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Final, Literal

#: How often the server syncs its append-only file; "off": it has none. While a sync of "everysec"
#: is under way, writes wait in the server's memory for up to 2 s, and are answered: a kill loses
#: them.
Fsync = Literal["always", "everysec", "no", "off"]

HOST: Final = "127.0.0.1"
#: Ports that systems do not give to connections: a server that is down must keep its own.
_PORTS: Final = range(20_000, 30_000)
#: Seconds in which a server must have read its file.
_PATIENCE: Final = 60.0
#: Ends with its parent, however that ends; then becomes the server.
_LAUNCHER: Final = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the parent has ended already")
os.execv(sys.argv[2], sys.argv[2:])
"""


def free_port() -> int:
    """A TCP port on which nobody listens."""
    chance = random.SystemRandom()
    while True:
        port = chance.choice(_PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port


class Server:
    """``program``: a path, or a name on PATH. ``folder``: of its data, which stays."""

    def __init__(self, program: str, folder: Path, fsync: Fsync) -> None:
        found = shutil.which(program)
        if found is None:
            msg = f"no program {program!r}: install redis-server, or give another one by --server"
            raise RuntimeError(msg)
        self.port = free_port()
        self._folder = folder
        self._folder.mkdir()
        self._command = [
            *(found, "--port", str(self.port), "--bind", HOST, "--dir", str(folder)),
            *("--save", "", "--appendonly", "no" if fsync == "off" else "yes"),
            *("--appendfsync", "no" if fsync == "off" else fsync),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; `wait` for it to answer."""
        launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid())]
        with (self._folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [*launcher, *self._command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # an interrupt from the keyboard is not for it
            )

    def wait(self) -> None:
        """Wait until it answers. Raises `RuntimeError` if it does not."""
        deadline = time.monotonic() + _PATIENCE
        while not self._answers():
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                log = (self._folder / "output").read_text(encoding="utf-8", errors="replace")
                msg = f"the server does not answer:\n{log[-2000:]}"
                raise RuntimeError(msg)
            time.sleep(0.01)

    def kill(self) -> None:
        """End it by SIGKILL."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def freeze(self) -> None:
        """SIGSTOP: connections stay open, and nothing is answered."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def tell(self, command: str) -> bytes:
        """One command without a long answer: the answer, or nothing if there is no server."""
        try:
            with socket.create_connection((HOST, self.port), timeout=1.0) as connection:
                connection.sendall(f"{command}\r\n".encode())
                return connection.recv(1_000)
        except OSError:
            return b""

    def _answers(self) -> bool:
        return self.tell("PING") == b"+PONG\r\n"
