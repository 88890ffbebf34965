"""`trioqueue health`: an exit code and a line, whatever there is at the other end."""

import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
import trio

from trioqueue.cli import _probe
from trioqueue.cli._exits import FAILED, OK
from trioqueue.cli._health import find_worker, judge_workers
from trioqueue.cli._probe import ask, judge, parse_url, quick

from .command import ROOT, environment
from .test_cli_status import worker
from .workers import Site

Serve = Callable[[Callable[[trio.SocketStream], Awaitable[None]]], Awaitable[str]]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
async def serve(nursery: trio.Nursery) -> Serve:
    """Starts a server of one's own; returns its URL."""

    async def start(handler: Callable[[trio.SocketStream], Awaitable[None]]) -> str:
        run = partial(trio.serve_tcp, handler, 0, host="127.0.0.1")
        (listener,) = await nursery.start(run)
        return f"http://127.0.0.1:{listener.socket.getsockname()[1]}/health/ready"

    return start


# --- over HTTP -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "well", "words"),
    [
        (b"HTTP/1.1 200 OK\r\nx: y\r\n\r\nfine", True, "U: 200"),
        (b"HTTP/1.0 204 \r\n\r\n", True, "U: 204"),
        (
            b'HTTP/1.1 503 Bad\r\n\r\n{"reasons": ["the broker\\n is away", "x"]}',
            False,
            "U: 503, the broker is away, x",
        ),
        (b"HTTP/1.1 302 Found\r\nlocation: /\r\n\r\n", False, "U: 302"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n<html>", False, "U: 404"),
        (b"HTTP/1.1 503 Bad\r\n\r\n[1]", False, "U: 503"),
        (b'HTTP/1.1 503 Bad\r\n\r\n{"reasons": 7}', False, "U: 503"),
        (b"SSH-2.0-OpenSSH\r\n", False, "U: this is no answer of a web server"),
        (b"HTTP/1.1\r\n\r\n", False, "U: this is no answer of a web server"),
        (b"HTTP/1.1 2xx OK\r\n\r\n", False, "U: this is no answer of a web server"),
        (b"", False, "U: this is no answer of a web server"),
    ],
)
def test_what_an_answer_means(answer: bytes, well: bool, words: str):
    """Only 200 to 299 is well; our own endpoints say why not."""
    assert judge("U", answer) == (well, words)


async def test_a_server_is_asked_and_its_answer_told(serve: Serve):
    """The request is one that every server understands; what comes in pieces is put together."""
    asked: list[bytes] = []

    async def handle(stream: trio.SocketStream) -> None:
        asked.append(await stream.receive_some())
        for part in (b"HTTP/1.1 20", b"0 OK\r\n\r\n", b"{}"):
            await stream.send_all(part)

    url = await serve(handle)
    assert await ask(url, 60) == (True, f"{url}: 200")
    host = url.split("/")[2]
    assert asked == [
        f"GET /health/ready HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    ]


async def test_a_server_that_says_nothing_is_waited_for_and_no_longer(serve: Serve):
    """The command has a limit of its own; who calls it may have none."""
    gone = trio.Event()

    async def handle(stream: trio.SocketStream) -> None:
        while await stream.receive_some():
            pass
        gone.set()

    url = await serve(handle)
    with trio.fail_after(30):  # only so that a hang fails
        assert await ask(url, 0.01) == (False, f"{url}: no answer for 0.01 s")
    await gone.wait()  # and the connection is closed


async def test_an_answer_without_an_end_is_read_to_a_bound(serve: Serve):
    """Nobody fills our memory."""

    async def handle(stream: trio.SocketStream) -> None:
        try:
            await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                await stream.send_all(b"x" * 65536)
        except trio.BrokenResourceError:
            pass

    url = await serve(handle)
    assert (await ask(url, 60)).well


async def test_nobody_there_is_told_in_a_line():
    """A port that nothing listens at."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        assert await ask(url, 60) == (False, f"{url}: Connection refused")


@pytest.mark.parametrize(
    ("url", "place"),
    [
        (
            "http://127.0.0.1:9100/health/ready",
            ("127.0.0.1", 9100, "/health/ready", "127.0.0.1:9100"),
        ),
        ("http://[::1]:8080", ("::1", 8080, "/", "[::1]:8080")),
        ("http://web/x?y=1", ("web", 80, "/x?y=1", "web")),
    ],
)
def test_a_url_is_taken_apart(url: str, place: tuple[object, ...]):
    """Host, port, path, and what the host is to be called."""
    assert parse_url(url) == place


@pytest.mark.parametrize(
    "url",
    [
        *("https://127.0.0.1/", "127.0.0.1:9100", "http://", "http://u:p@host/", "http://host:x/"),
        *("http://host/a b", "http://host/\r\nX: y", "http://host/ä", "http://host:99999/", ""),
    ],
)
def test_what_is_no_url_is_refused(site: Site, url: str):
    """Nothing gets into the request that does not belong there."""
    done = site.here("health", "--url", url)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert ":p@" not in done.stderr


# --- by the broker -------------------------------------------------------------------------------


def test_a_live_worker_of_this_host_is_well():
    """Not one of another host, nor one that has gone."""
    live, gone = worker("x"), worker("x", live=False)
    assert judge_workers([live, gone], "host") == (True, "1 live on host, heard of 3.0 s ago")
    assert judge_workers([gone], "host").words == (
        "no worker of host is alive, the last was heard of 3.0 s ago"
    )
    assert judge_workers([live], "other") == (False, "no worker of other was heard of")


async def test_a_broker_that_does_not_answer_is_waited_for_and_no_longer(serve: Serve):
    """A server that accepts connections and says nothing."""

    async def handle(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    port = (await serve(handle)).split(":")[2].split("/")[0]
    health = await find_worker(f"redis://u:secret@127.0.0.1:{port}", "host", 0.05)
    assert health == (False, f"redis://***@127.0.0.1:{port}: no answer for 0.05 s")


def test_the_command_with_a_file(site: Site):
    """Nobody works there; no file at all; no broker named."""
    site.publish("note", "--json", "[7]")
    done = site.here("health", "--here")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"trioqueue: not well: no worker of {socket.gethostname()} was heard of\n"
    done = site.here("health", "--here", "--broker", "sqlite:///nowhere.db")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert not (site.path / "nowhere.db").exists()
    done = site.here("health", "--here", "--broker", "nonsense")
    assert done.returncode == 2
    done = site.here("health", "--here", "--url", "http://x/")
    assert (done.returncode, "not both" in done.stderr) == (2, True)


@pytest.mark.main
def test_the_command_while_a_worker_runs_and_afterwards(site: Site):
    """Well as long as its process is."""
    with site.workers("--grace", "0") as workers:
        workers.until_logged("started: ")
        done = site.here("health", "--here")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(f"ok: 1 live on {socket.gethostname()}, heard of ")
        workers.process.terminate()
        assert workers.end() == 0
    assert site.here("health", "--here").returncode == 1


# --- without the parser --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "url"),
    [
        ((), _probe.URL),
        (("--url", "http://x/"), "http://x/"),
        (("--url", "--here"), None),
        (("--here",), None),
        (("--url", "http://x/", "--timeout", "3"), None),
        (("--help",), None),
    ],
)
def test_the_usual_command_lines_need_no_parser(
    arguments: tuple[str, ...], url: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """All others do, and so does whatever else may have a say."""
    asked: list[str] = []

    async def answer(url: str, patience: float) -> _probe.Health:
        asked.append(url)
        await trio.lowlevel.checkpoint()
        return _probe.Health(False, "x\x1b")

    monkeypatch.setattr(_probe, "ask", answer)
    monkeypatch.chdir(tmp_path)
    assert quick(arguments) == (None if url is None else FAILED)
    assert asked == [url] * (url is not None)
    monkeypatch.setenv("TRIOQUEUE_HEALTH_TIMEOUT", "3")
    assert quick(arguments) is None
    monkeypatch.delenv("TRIOQUEUE_HEALTH_TIMEOUT")
    (tmp_path / "pyproject.toml").touch()
    assert quick(arguments) is None


def test_the_line_is_one_for_logs(capsys: pytest.CaptureFixture[str]):
    """What a server said may have anything in it."""
    assert _probe.tell(_probe.Health(False, "a\x1b[2J")) == FAILED
    assert _probe.tell(_probe.Health(True, "U: 200")) == OK
    assert capsys.readouterr() == ("ok: U: 200\n", "trioqueue: not well: a?[2J\n")


def test_it_imports_little(tmp_path: Path):
    """It runs every few seconds in every container: neither parser nor terminal nor broker."""
    code = (
        "import sys; sys.argv = ['trioqueue', 'health', '--url', 'http://127.0.0.1:1/']\n"
        "import trioqueue.cli, atexit\n"
        "atexit.register(lambda: print(*sys.modules))\n"
        "trioqueue.cli.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(PYTHONPATH=str(ROOT)),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (
        1,
        "trioqueue: not well: http://127.0.0.1:1/: Connection refused\n",
    )
    loaded = set(done.stdout.split())
    assert "trioqueue.cli._probe" in loaded
    assert not loaded & {
        "cyclopts",
        "rich",
        "msgspec",
        "apsw",
        "coredis",
        "starlette",
        "http.client",
    }
