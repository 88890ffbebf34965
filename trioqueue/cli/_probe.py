"""Asking a process whether it is well, over HTTP: one request, and little to import for it.

A container runs this every few seconds, so nothing here needs the extra ``cli``, and
`quick` spares the usual command lines the parser: 0.16 s of CPU instead of 0.27 s, of which Trio
takes 0.12 s.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, cast
from urllib.parse import urlsplit

import trio

from ._exits import FAILED, OK

#: Where ``trioqueue run --listen`` is asked, if it listens at its usual port.
URL: Final = "http://127.0.0.1:9100/health/ready"
#: Seconds: longer than the server gives its broker to answer, shorter than those who ask give us.
TIMEOUT: Final = 4.0
#: Nobody reads more of an answer.
_LONGEST: Final = 16_384


class Health(NamedTuple):
    """The answer, and a line that says it."""

    well: bool
    words: str


class Place(NamedTuple):
    """What a URL says."""

    host: str
    port: int
    path: str
    authority: str  # host and port as they stand there


def parse_url(url: str) -> Place:
    """The parts of an ``http://`` URL. Raises `ValueError`."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname or parts.username is not None:
        msg = f"a health URL must be like {URL}, not {url!r}"
        raise ValueError(msg)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not (path + parts.netloc).isascii() or any(char <= " " for char in path + parts.netloc):
        msg = f"a health URL must be of ASCII without spaces: {url!r}"
        raise ValueError(msg)
    return Place(parts.hostname, parts.port or 80, path, parts.netloc)


async def ask(url: str, patience: float) -> Health:
    """Ask, for ``patience`` seconds at the most; whatever goes wrong is an answer too.

    Raises `ValueError` for what is no URL. Cancelled: the connection is closed.
    """
    place = parse_url(url)
    try:
        with trio.fail_after(patience):
            answer = await _get(place)
    except trio.TooSlowError:
        return Health(False, f"{url}: no answer for {patience:g} s")
    except (OSError, trio.BrokenResourceError) as error:
        return Health(False, f"{url}: {_why(error)}")
    return judge(url, answer)


async def _get(place: Place) -> bytes:
    """The answer, by HTTP/1.0: so that its end is the connection's, and nothing is in chunks."""
    head = f"GET {place.path} HTTP/1.0\r\nHost: {place.authority}\r\nConnection: close\r\n\r\n"
    stream = await trio.open_tcp_stream(place.host, place.port)
    async with stream:
        await stream.send_all(head.encode("ascii"))
        answer = b""
        async for data in stream:
            answer += data
            if len(answer) > _LONGEST:
                break
        return answer


def judge(url: str, answer: bytes) -> Health:
    """What an answer means: a status of 200 to 299 is well, and a body may say why it is not."""
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.partition(b"\r\n")[0].split(b" ")
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        return Health(False, f"{url}: this is no answer of a web server")
    status = int(words[1])
    if 200 <= status <= 299:
        return Health(True, f"{url}: {status}")
    return Health(False, f"{url}: {status}{_reasons(body)}")


def _reasons(body: bytes) -> str:
    """What our own endpoints say in theirs; of others' pages, nothing."""
    import json  # only now: it is for the bad days

    try:
        reasons = json.loads(body)["reasons"]
        return "".join(f", {' '.join(str(reason).split())}" for reason in reasons)[:500]
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""


def _why(error: Exception) -> str:
    """The system's words for it, which Trio has wrapped, as it tries all addresses of a host."""
    first: BaseException = error.__cause__ or error
    if isinstance(first, BaseExceptionGroup):
        first = cast("BaseExceptionGroup[BaseException]", first).exceptions[0]
    number = first.errno if isinstance(first, OSError) else None
    return os.strerror(number) if number and number > 0 else str(first) or type(first).__name__


# --- without the parser --------------------------------------------------------------------------


def quick(arguments: Sequence[str]) -> int | None:
    """The exit code of ``health``, if these arguments and nothing else say what is meant.

    ``None``: leave it to the parser, and to the settings in the environment and in files.
    """
    wanted = _plain(arguments)
    if wanted is None or _is_configured(os.environ, Path.cwd()):
        return None
    try:
        health = trio.run(ask, wanted, TIMEOUT)
    except ValueError:
        return None
    return tell(health)


def tell(health: Health) -> int:
    """Say it in a line; the exit code."""
    output = sys.stdout if health.well else sys.stderr
    if output is not None:
        words = "".join(char if char.isprintable() else "?" for char in health.words)
        try:
            print(
                f"{'ok' if health.well else 'trioqueue: not well'}: {words}",
                file=output,
                flush=True,
            )
        except OSError:  # nobody reads it: the exit code is what matters
            pass
    return OK if health.well else FAILED


def _plain(arguments: Sequence[str]) -> str | None:
    """The URL to ask, of the command lines that a container has."""
    match list(arguments):
        case []:
            return URL
        case ["--url", url] if not url.startswith("-"):
            return url
        case _:
            return None


def _is_configured(environment: Mapping[str, str], here: Path) -> bool:
    """Whether anything but the arguments may have a say."""
    if any(name.startswith("TRIOQUEUE_HEALTH_") for name in environment):
        return True
    return any((place / "pyproject.toml").exists() for place in (here, *here.parents))
