"""`trioqueue web`: who may reach and operate the page is decided before anything is opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from trioqueue.cli import _web
from trioqueue.cli._app import run
from trioqueue.cli._exits import USAGE
from trioqueue.web import everybody
from trioqueue.web._auth import BasicAuth


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[_web._Site]:
    """What would have been served; nothing is."""
    served: list[_web._Site] = []

    def serve(function: Any, *_: Any) -> int:
        served.append(function.__self__)
        return 0

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trio, "run", serve)
    monkeypatch.setattr(_web, "log_to_stderr", lambda *_: None)
    monkeypatch.setattr(_web.Stop, "begin", lambda _: None)
    monkeypatch.setenv("TRIOQUEUE_BROKER", "sqlite:///jobs.db")
    return served


REFUSED = [
    (["--host", "0.0.0.0"], "lets others reach the page"),
    (["--host", "jobs.example"], "lets others reach the page"),
    (["--host", "::"], "lets others reach the page"),
    (["--auth", "ann:x", "--no-auth"], "not both"),
    (["--auth", "ann"], "USER:PASSWORD"),
    (["--auth", "ann:"], "USER:PASSWORD"),
    (["--auth", ":x"], "USER:PASSWORD"),
    (["--auth", "ann:x", "--auth-file", "f"], "not both"),
    (["--auth-file", "missing"], "missing cannot be read"),
    (["--port", "65536"], "65535"),
    (["--broker", "memory://"], "memory"),
    (["nowhere:tasks"], "nowhere"),
]


@pytest.mark.parametrize(
    ("arguments", "words"), REFUSED, ids=[" ".join(each) for each, _ in REFUSED]
)
def test_what_would_be_open_by_oversight_is_refused(
    arguments: list[str],
    words: str,
    site: list[_web._Site],
    capsys: pytest.CaptureFixture[str],
):
    """In one line, before anything is opened; and no line has a password in it."""
    assert run(["web", *arguments]) == USAGE
    assert site == []
    error = capsys.readouterr().err
    assert words in error
    assert len(error.splitlines()) == 1
    assert "ann:x" not in error


ALLOWED = [
    ([], "everybody", False),
    (["--host", "localhost"], "everybody", False),
    (["--host", "::1"], "everybody", False),
    (["--host", "127.3.2.1", "--no-auth"], "everybody", False),
    (["--host", "0.0.0.0", "--no-auth"], "everybody", False),
    (["--host", "0.0.0.0", "--read-only"], "None", True),
    (["--host", "0.0.0.0", "--auth", "ann:x"], "basic", False),
    (["--read-only", "--auth", "ann:x"], "basic", True),
]


@pytest.mark.parametrize(("arguments", "auth", "read_only"), ALLOWED)
def test_what_is_meant_is_served(
    arguments: list[str], auth: str, read_only: bool, site: list[_web._Site]
):
    assert run(["web", *arguments]) == 0
    (served,) = site
    kinds = {"everybody": everybody, "None": None}
    assert isinstance(served._auth, BasicAuth) if auth == "basic" else served._auth is kinds[auth]
    assert served._read_only is read_only


def test_the_password_comes_from_the_environment_or_a_file(
    site: list[_web._Site], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """The first line of the file, as editors end it."""
    (tmp_path / "secret").write_bytes(b"ann:s:x \r\nmore\n")
    assert run(["web", "--auth-file", "secret"]) == 0
    monkeypatch.setenv("TRIOQUEUE_WEB_AUTH", "ann:s:x ")
    monkeypatch.setenv("TRIOQUEUE_WEB_HOST", "0.0.0.0")
    assert run(["web"]) == 0
    monkeypatch.delenv("TRIOQUEUE_WEB_AUTH")
    monkeypatch.setenv("TRIOQUEUE_WEB_AUTH_FILE", str(tmp_path / "secret"))
    assert run(["web"]) == 0
    assert len(site) == 3
    for served in site:
        assert isinstance(served._auth, BasicAuth)
        assert (served._auth._user, served._auth._password) == (b"ann", b"s:x ")
    assert site[1]._address[0] == "0.0.0.0"


def test_without_authentication_a_warning_says_who_may(
    site: list[_web._Site], capsys: pytest.CaptureFixture[str]
):
    assert run(["web", "--host", "0.0.0.0", "--no-auth"]) == 0
    assert "whoever reaches 0.0.0.0 may operate" in capsys.readouterr().err
