"""Brokers' URLs: what they mean, and what is said of one that cannot be."""

import inspect
import os
import re
import sys
from pathlib import Path

import pytest

from trioqueue import BrokerFailed, InvalidTask
from trioqueue.brokers._redis_open import open_redis_broker
from trioqueue.brokers._sqlite import open_sqlite_broker
from trioqueue.brokers._url import (
    SqliteUrl,
    check_broker_url,
    examine_broker_url,
    open_broker_url,
    parse_broker_url,
    redact,
)
from trioqueue.brokers._url_options import REDIS as REDIS_OPTIONS
from trioqueue.brokers._url_options import SQLITE

from .redis_server import Redis

GOOD = {
    "sqlite:///jobs.db": ("jobs.db", {}),
    "sqlite:///data/jobs.db": ("data/jobs.db", {}),
    "sqlite:////var/lib/jobs.db": ("/var/lib/jobs.db", {}),
    "SQLite:///jobs.db": ("jobs.db", {}),
    "sqlite:///my%20jobs%3F.db": ("my jobs?.db", {}),
    "sqlite:///a#b.db": ("a#b.db", {}),
    "sqlite:///C:/jobs.db": ("C:/jobs.db", {}),
    "sqlite:///jobs.db?": ("jobs.db", {}),
    "sqlite:///jobs.db?synchronous=NORMAL": ("jobs.db", {"synchronous": "normal"}),
    "sqlite:///jobs.db?lease=30&retention=0&max_losses=3&busy_timeout=1.5": (
        "jobs.db",
        {"lease": 30.0, "retention": 0.0, "max_losses": 3, "busy_timeout": 1.5},
    ),
}

BAD = {
    "": ["not a broker's URL", "sqlite:///jobs.db"],
    "jobs.db": ["not a broker's URL", "sqlite:///jobs.db"],
    "/var/lib/jobs.db": ["not a broker's URL"],
    "/var/lib/jobs:1.db": ["not a broker's URL"],
    "sqlite": ["not a broker's URL"],
    "sqlite:jobs.db": ["three slashes"],
    "sqlite://jobs.db": ["three slashes", "sqlite:///jobs.db"],
    "sqlite://host/jobs.db": ["three slashes"],
    "sqlite://": ["three slashes"],
    "sqlite:///": ["names no file"],
    "sqlite:///?lease=3": ["names no file"],
    "sqlite:////var/lib/": ["names no file"],
    "sqlite:///jobs%00.db": ["names no file"],
    "sqlite:///:memory:": ["inside its program"],
    "sqlite:///jobs\n.db": ["printable"],
    "memory": ["inside its program"],
    "memory://": ["inside its program"],
    "redis:localhost": ["redis://"],
    "redis://": ["names no host"],
    "redis+mail://localhost": ["redis+sentinel://"],
    "redis://localhost/one": ["database must be a number"],
    "redis://one,two": ["redis+cluster://"],
    "redis://localhost?que=mail": [
        "'que'",
        "queue, lease, retention, remember, max_losses, capacity",
    ],
    "redis://localhost?queue=": ["queue", "non-empty"],
    "redis://localhost?queue=a%7Bb": ["queue", "braces"],
    "redis://localhost?queue=a&queue=b": ["'queue' twice"],
    "redis://localhost?capacity=0": ["capacity", "1 or more"],
    "redis://localhost?full=drop": ["full", "wait or refuse", "'drop'"],
    "redis://localhost?replicas=-1": ["replicas", "0 or more"],
    "redis://localhost?replicas=one": ["replicas", "whole number"],
    "redis://localhost?timeout=0": ["timeout", "more than 0"],
    "redis://localhost?lease=0": ["lease", "more than 0"],
    "redis://localhost?synchronous=full": ["'synchronous'"],
    "postgres://localhost": ["no broker 'postgres'", "there are: sqlite, redis"],
    "sqlite:///jobs.db?sync=full": ["'sync'", "synchronous, lease, retention, max_losses"],
    "sqlite:///jobs.db?lease": ["lease", "''"],
    "sqlite:///jobs.db?lease=": ["lease", "''"],
    "sqlite:///jobs.db?lease=soon": ["lease", "'soon'"],
    "sqlite:///jobs.db?lease=0": ["lease", "more than 0"],
    "sqlite:///jobs.db?lease=nan": ["lease", "finite"],
    "sqlite:///jobs.db?lease=3&lease=4": ["'lease' twice"],
    "sqlite:///jobs.db?retention=-1": ["retention", "0 or more"],
    "sqlite:///jobs.db?max_losses=0": ["max_losses", "1 or more"],
    "sqlite:///jobs.db?max_losses=1.5": ["max_losses", "whole number"],
    "sqlite:///jobs.db?synchronous=off": ["synchronous", "full or normal", "'off'"],
    "sqlite:///jobs.db?busy_timeout=inf": ["busy_timeout", "finite"],
}


@pytest.mark.parametrize("url", GOOD)
def test_a_url_names_a_file_and_its_options(url: str):
    """Three slashes: relative; four: absolute; options as those of ``open_sqlite_broker``."""
    path, options = GOOD[url]
    parsed = parse_broker_url(url)
    assert isinstance(parsed, SqliteUrl)
    assert (parsed.path, parsed.options) == (path, options)
    check_broker_url(url)


@pytest.mark.parametrize("url", BAD)
def test_a_wrong_url_says_what_is_wrong_and_what_to_write(url: str):
    """One line, with the part that is wrong or an example of what is right."""
    with pytest.raises(InvalidTask) as raised:
        parse_broker_url(url)
    message = str(raised.value)
    assert "\n" not in message
    for words in BAD[url]:
        assert words in message


@pytest.mark.parametrize("url", [None, 3, b"sqlite:///jobs.db", b"redis://:hush@host"])
def test_what_is_no_string_is_no_url(url: object):
    """The error names the value."""
    with pytest.raises(InvalidTask, match="printable string") as raised:
        parse_broker_url(url)
    assert "hush" not in str(raised.value)


REDIS = {
    "redis://localhost": ("redis://localhost:6379/0?queue=default", {}),
    "REDIS://ann:hush@host:1/2": ("redis://ann@host:1/2?queue=default", {}),
    "rediss://:hush@[::1]:7/0?queue=mail": ("rediss://[::1]:7/0?queue=mail", {"queue": "mail"}),
    "redis+sentinel://one,two:7/tasks/3?timeout=0.5": (
        "redis+sentinel://one:26379,two:7/tasks/3?queue=default",
        {"timeout": 0.5},
    ),
    "rediss+sentinel://one/tasks": ("rediss+sentinel://one:26379/tasks?queue=default", {}),
    "redis+cluster://one:7,two:8?queue=a+b%26c": (
        "redis+cluster://one:7,two:8?queue=a%20b%26c",
        {"queue": "a b&c"},
    ),
    "redis+unix:///run/redis.sock?db=3&queue=mail": (
        "redis+unix:///run/redis.sock?db=3&queue=mail",
        {"queue": "mail"},
    ),
    "redis://h?lease=60&retention=0&max_losses=0&capacity=9&full=REFUSE&replicas=1": (
        "redis://h:6379/0?queue=default",
        {
            *{"lease": 60.0, "retention": 0.0, "max_losses": 0}.items(),
            *{"capacity": 9, "full": "refuse", "replicas": 1}.items(),
        },
    ),
}


@pytest.mark.parametrize("url", REDIS)
def test_a_url_names_a_server_and_its_options(url: str):
    """Options as those of ``open_redis_broker``; what is shown has no password in it."""
    shown, options = REDIS[url]
    parsed = parse_broker_url(url)
    assert (parsed.shown, parsed.options) == (shown, dict(options))
    assert "hush" not in repr(parsed)
    check_broker_url(url)


#: What a text cannot be: clocks, and what tests put in.
NOT_IN_URLS = {"create", "probe", "wall_clock", "lease_clock", "boot_id"}


def test_the_options_are_those_of_the_functions_that_open():
    """All of them, and no other: whoever has a URL can do what whoever calls can."""
    functions = {open_sqlite_broker: SQLITE, open_redis_broker: REDIS_OPTIONS}
    for function, options in functions.items():
        _, *parameters = inspect.signature(function).parameters
        assert set(options) == set(parameters) - NOT_IN_URLS


#: With a password in a place where it should be, or where it should not.
SECRETS = [
    "redis://ann:hush@host:port",
    "redis://ann:hu@hush@host:port",
    "redis://ann:hush/hush@host",
    "redis://ann:hush?hush@host",
    "redis://ann:hush#hush@host",
    "redis://:hush@host?password=hush",
    "redis://:hush@host?lease=never",
    "redis+sentinel://:hush@host",
    "redis+cluster://:hush@host/7",
    "redsi://ann:hush@host",
    "redis//ann:hush@host",
    "ann:hush@host",
    "redis://:hush@host\n",
    "redis://ann:hush hush@host/x",
]


@pytest.mark.parametrize("url", SECRETS)
def test_no_error_shows_a_password(url: str):
    """Whatever is wrong with the URL."""
    with pytest.raises(InvalidTask) as raised:
        parse_broker_url(url)
    assert "hush" not in str(raised.value)


def test_texts_are_cleared_of_logins():
    """What others say of a URL; paths keep their @."""
    assert redact("no 'redis://ann:hu@sh@host' here") == "no 'redis://***@host' here"
    assert redact("sqlite:////home/me@work/jobs.db") == "sqlite:////home/me@work/jobs.db"
    assert redact("redis://[user:password@]host") == "redis://[user:password@]host"


@pytest.mark.parametrize(
    ("url", "extra", "module"),
    [
        ("sqlite:///jobs.db", "sqlite", "apsw"),
        ("sqlite:///jobs.db", "sqlite", "msgspec"),
        ("redis://localhost", "redis", "coredis"),
        ("redis://localhost", "redis", "msgspec"),
    ],
)
async def test_a_missing_extra_is_named(
    url: str, extra: str, module: str, monkeypatch: pytest.MonkeyPatch
):
    """Before anything is opened: what to install."""
    monkeypatch.setitem(sys.modules, module, None)
    wanted = re.escape(f"pip install 'trioqueue[{extra}]'")
    with pytest.raises(InvalidTask, match=wanted):
        check_broker_url(url)
    with pytest.raises(InvalidTask, match=wanted):
        async with open_broker_url(url):
            pass
    with pytest.raises(InvalidTask, match=wanted):
        await examine_broker_url(parse_broker_url(url))


async def test_it_opens_the_server_that_it_names(redis_server: Redis, redis_queue: str):
    """The options reach the broker; who only looks may look at what is not there yet."""
    url = redis_server.url(redis_queue, lease="7", capacity="3")
    async with open_broker_url(url, create=False) as broker:
        assert broker.lease == 7.0
        counts = await broker.counts()
        assert (counts.submitted, counts.capacity) == (0, 3)


async def test_it_opens_the_file_that_it_names(tmp_path: Path):
    """The options reach the broker, and the file is there afterwards."""
    file = tmp_path / "a b?.db"
    url = f"sqlite:///{tmp_path}/a%20b%3F.db?lease=3&synchronous=normal&retention=60&max_losses=2"
    async with open_broker_url(url) as broker:
        assert broker.lease == 3.0
        assert (await broker.counts()).submitted == 0
    assert file.exists()


async def test_who_only_looks_makes_no_file(tmp_path: Path):
    """With ``create=False`` a file that is not there is an error, and still not there."""
    with pytest.raises(BrokerFailed, match=r"jobs\.db"):
        async with open_broker_url(f"sqlite:///{tmp_path}/jobs.db", create=False):
            pass
    assert os.listdir(tmp_path) == []
