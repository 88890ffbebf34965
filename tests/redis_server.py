"""A real Redis or Valkey for tests: started, killed, stopped, restarted.

TRIOQUEUE_TEST_REDIS_URL      a server that runs already, for the tests that share one
TRIOQUEUE_TEST_REDIS_SERVER   the program for all others, see `find_server`
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, unquote, urlsplit

from tests.redis_client import Address, Client, ReplyError
from tests.redis_program import LAUNCHER, find_server, free_port

#: Seconds that a server may take to start, with an append-only file of tests to read.
_PATIENCE = 20.0
#: What the names of this process's queues begin with.
MINE = f"test-{os.getpid()}-{random.SystemRandom().randrange(10**6)}-"
_numbers = itertools.count(1)


def fresh_name() -> str:
    """A name for a queue that nobody else uses, in this process or another one."""
    return f"{MINE}{next(_numbers)}-"


class Redis:
    """A server that can be talked to."""

    address: Address
    host: str
    port: int
    user: str | None = None
    password: str | None = None
    database: int = 0
    tls: ssl.SSLContext | None = None

    def client(self, *, timeout: float = 10.0) -> Client:
        """A new connection, logged in. Raises `OSError` if there is no server."""
        client = Client(self.address, timeout=timeout, tls=self.tls)
        try:
            if self.password is not None:
                client.call("AUTH", *filter(None, [self.user]), self.password)
            if self.database:
                client.call("SELECT", self.database)
        except BaseException:
            client.close()
            raise
        return client

    def call(self, *arguments: bytes | str | int | float) -> Any:
        """One command, on a connection of its own."""
        with self.client() as client:
            return client.call(*arguments)

    def info(self, section: str = "server") -> dict[str, str]:
        lines = self.call("INFO", section).decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def url(self, queue: str = "default", *, port: int | None = None, **more: str) -> str:
        """What to open a broker with. ``port``: another one, of a proxy; ``more``: more options."""
        login = ""
        if self.password is not None:
            login = f"{quote(self.user or '', safe='')}:{quote(self.password, safe='')}@"
        query = "&".join(f"{key}={quote(value)}" for key, value in {"queue": queue, **more}.items())
        scheme = "rediss" if self.tls else "redis"
        return f"{scheme}://{login}{self.host}:{port or self.port}/{self.database}?{query}"

    def keys(self, name: str) -> list[str]:
        """The keys of the queues whose names begin with ``name``."""
        found: set[bytes] = set()
        with self.client() as client:
            cursor = b"0"
            while True:
                cursor, some = client.call("SCAN", cursor, "MATCH", f"tq:{{{name}*", "COUNT", 1000)
                found.update(some)
                if cursor == b"0":
                    return sorted(key.decode() for key in found)

    def flush(self, name: str) -> None:
        """Delete the keys of the queues whose names begin with ``name``."""
        if keys := self.keys(name):
            self.call("UNLINK", *keys)


class RunningServer(Redis):
    """One that somebody else has started."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "127.0.0.1", parts.port or 6379
        self.address = (self.host, self.port)
        self.user = unquote(parts.username) if parts.username else None
        self.password = unquote(parts.password) if parts.password else None
        self.database = int(parts.path.strip("/") or 0)
        if parts.scheme == "rediss":
            self.tls = ssl.create_default_context()


class Server(Redis):
    """One of our own, on 127.0.0.1 and on a unix socket, with its data in a temporary folder.

    ``options``: of its configuration, "_" for "-"; a list stands for several lines. The server ends
    when this process does, however that ends; it has to be started in the main thread.
    """

    def __init__(self, *, program: str | None = None, **options: str | list[str]) -> None:
        self.program = program or find_server()
        # Not pytest's tmp_path: the path of a unix socket has 107 bytes at most.
        self.folder = Path(tempfile.mkdtemp(prefix="trioqueue-"))
        self.host, self.port = "127.0.0.1", free_port()
        self.address = str(self.folder / "socket")
        assert len(self.address) < 100, f"TMPDIR is too long for a unix socket: {self.address}"
        self.options: dict[str, str | list[str]] = {
            "save": '""',
            "appendonly": "no",
            "enable-debug-command": "local",
            "repl-diskless-sync-delay": "0",
            **{key.replace("_", "-"): value for key, value in options.items()},
        }
        if isinstance(password := self.options.get("requirepass"), str):
            self.password = password
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is down"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    # --- its life ------------------------------------------------------------------------------

    def start(self, *, wait: bool = True) -> None:
        """Start it, on the same port and with the same data if it was started before.

        ``wait``: until it answers. Raises `RuntimeError` with the end of its log if it does not.
        """
        assert not self.running, "the server runs already"
        self._configure()
        command = [self.program, "server.conf", *self._arguments()]
        launcher = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(os.getpid())]
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [*launcher, *command],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # An interrupt from the keyboard is for the tests, which end the server in order.
                start_new_session=True,
            )
        if wait:
            self.wait()

    def wait(self) -> None:
        """Wait until it answers: it has read its data, and is not stopped."""
        deadline = time.monotonic() + _PATIENCE
        while not self._answers():
            if not self.running or time.monotonic() > deadline:
                raise RuntimeError(f"{self.program} does not answer:\n{self.log()[-2000:]}")
            time.sleep(0.002)

    def kill(self) -> None:
        """End it by SIGKILL, as a crash would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it by SIGTERM: it writes what it has to write."""
        self._end(signal.SIGTERM)

    def restart(self, *, wait: bool = True) -> None:
        """Kill it if it runs, and start it again."""
        if self.running:
            self.kill()
        self.start(wait=wait)

    def pause(self) -> None:
        """SIGSTOP: connections stay open, and nothing is answered until `resume`."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """End it and delete its data. Safe to repeat."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self) -> str:
        """What it has printed."""
        path = self.folder / "output"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            if number != signal.SIGKILL:
                process.send_signal(signal.SIGCONT)  # it may be stopped
            process.wait(_PATIENCE)

    # --- its configuration ---------------------------------------------------------------------

    def _configure(self) -> None:
        lines = ["dir .", "bind 127.0.0.1", f"port {self.port}", "unixsocket socket"]
        for key, value in self.options.items():
            lines += [f"{key} {each}" for each in ([value] if isinstance(value, str) else value)]
        (self.folder / "server.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _arguments(self) -> list[str]:
        return []

    def _answers(self) -> bool:
        try:
            with self.client(timeout=1.0) as client:
                return bool(client.call("PING") == b"PONG")
        except ReplyError as error:
            if str(error).startswith("LOADING"):
                return False
            raise
        except OSError:
            return False
