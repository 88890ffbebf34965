"""The page behind a real server, on a real socket; and `trioqueue web` as a process."""

from __future__ import annotations

import signal
import socket
from functools import partial
from pathlib import Path

import pytest
import trio

from tests.command import MODULE, run, start
from tests.web_client import httpx, open_page
from trioqueue import TaskSet, open_queue, web

tasks = TaskSet()


@tasks.task
async def ping(text: str = "") -> None:
    pass


async def raw(address: str, request: bytes) -> bytes:
    """What a server answers to these very bytes, until it hangs up."""
    host, _, port = address.removeprefix("http://").rpartition(":")
    stream = await trio.open_tcp_stream(host, int(port))
    async with stream:
        await stream.send_all(request)
        received = b""
        while part := await stream.receive_some():
            received += part
        return received


async def test_a_page_on_a_socket_answers_and_stops_at_once_though_streams_are_open():
    """One is read, one is not, and one request's body never comes."""
    async with open_queue(tasks) as queue:
        async with open_page(queue) as page, trio.open_nursery() as nursery:
            stop = trio.Event()
            (url,) = await nursery.start(partial(web.serve, page.app, "127.0.0.1", 0, stop=stop))
            host, _, port = url.removeprefix("http://").rpartition(":")
            async with httpx.AsyncClient(base_url=url) as http:
                session = (await http.get("/api/session")).json()
                headers = {"x-csrf-token": session["csrf_token"], "origin": url}
                answer = await http.post("/api/submit", json={"type": "ping"}, headers=headers)
                assert answer.status_code == 200
                deaf = await trio.open_tcp_stream(host, int(port))
                await deaf.send_all(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
                slow = await trio.open_tcp_stream(host, int(port))
                head = f"POST /api/submit HTTP/1.1\r\nHost: localhost:{port}\r\n"
                head += f"X-CSRF-Token: {session['csrf_token']}\r\nContent-Length: 10\r\n"
                head += "Content-Type: application/json\r\n\r\n"
                await slow.send_all(head.encode())
                async with http.stream("GET", "/api/events") as stream:
                    lines = stream.aiter_lines()
                    assert await anext(lines) == "event: overview"
                    page.app.end_streams()
                    stop.set()
                    with trio.fail_after(60):  # a hang, not a measure
                        rest = [line async for line in lines]
                    assert "event: bye" in rest
            await deaf.aclose()
            await slow.aclose()
        await queue.shutdown(0)


async def test_bytes_that_are_no_request_get_nowhere():
    """Line ends inside of headers, paths that lead out, two lengths at once."""
    async with open_queue(tasks) as queue:
        async with open_page(queue) as page, trio.open_nursery() as nursery:
            (url,) = await nursery.start(web.serve, page.app, "127.0.0.1", 0)
            tail = b"Host: localhost\r\nConnection: close\r\n\r\n"
            for request, status in (
                (b"GET /static/../../_app.py HTTP/1.1\r\n" + tail, b"404"),
                (b"GET /static/%2e%2e/_app.py HTTP/1.1\r\n" + tail, b"404"),
                (b"GET http://evil.example/api/session HTTP/1.1\r\n" + tail, b"404"),
                (b"GET /%0d%0aSet-Cookie:%20evil=1 HTTP/1.1\r\n" + tail, b"404"),
                (b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", b"421"),
                (b"GET / HTTP/1.1\r\nHost: a\r\n" + tail, b"400"),
                (b"GET / HTTP/1.1\r\nX: a\rSet-Cookie: evil=1\r\n" + tail, b"400"),
                (b"GET /\x00 HTTP/1.1\r\n" + tail, b"400"),
                (
                    b"POST /api/submit HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n"
                    + tail,
                    b"400",
                ),
            ):
                answer = await raw(url, request)
                assert answer.split(b" ")[1] == status, request
                assert b"evil" not in answer.split(b"\r\n\r\n")[0]
            nursery.cancel_scope.cancel()
        await queue.shutdown(0)


# --- the command ---------------------------------------------------------------------------------

JOBS = """
import trioqueue
tasks = trioqueue.TaskSet()
@tasks.task
async def ping(text: str = "") -> None: pass
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "jobs.py").write_text(JOBS, "utf-8")
    done = run("publish", "jobs:tasks", "ping", cwd=tmp_path, TRIOQUEUE_BROKER="sqlite:///jobs.db")
    assert done.returncode == 0
    return tmp_path


BROKER = {"TRIOQUEUE_BROKER": "sqlite:///jobs.db"}


@pytest.mark.network
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_it_is_stopped(site: Path, number: signal.Signals):
    """With the password out of sight, an operation in the audit, and a stream left open."""
    command = [*MODULE, "web", "jobs:tasks", "--port", "0", "--title", "Mine"]
    process = start(*command, cwd=site, TRIOQUEUE_WEB_AUTH="ann:s3cret", **BROKER)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        url = line.split()[4]
        assert "s3cret" not in Path(f"/proc/{process.pid}/cmdline").read_text("utf-8")
        with httpx.Client(base_url=url, auth=("ann", "s3cret")) as http:
            assert httpx.get(f"{url}/api/session").status_code == 401
            session = http.get("/api/session").json()
            assert (session["title"], session["can_submit"]) == ("Mine", True)
            headers = {"x-csrf-token": session["csrf_token"]}
            http.post("/api/submit", json={"type": "ping"}, headers=headers).raise_for_status()
            with http.stream("GET", "/api/events") as stream:
                lines = stream.iter_lines()
                assert next(lines) == "event: overview"
                process.send_signal(number)
                assert "event: bye" in list(lines)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert "ann: submit ping" in errors
    assert "s3cret" not in errors
    assert "Traceback" not in errors


@pytest.mark.network
def test_a_port_in_use_is_one_line(site: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = run("web", "--port", port, cwd=site, **BROKER)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert f"127.0.0.1:{port}: address already in use" in done.stderr
