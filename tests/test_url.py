"""Brokers' URLs: what they mean, and what is said of one that cannot be."""

import os
import sys
from pathlib import Path

import pytest

from trioqueue import BrokerFailed, InvalidTask
from trioqueue.brokers._url import check_broker_url, open_broker_url, parse_broker_url

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
    "redis://localhost": ["not in this release"],
    "rediss://localhost:6379/0": ["not in this release"],
    "postgres://localhost": ["no broker 'postgres'", "there is: sqlite"],
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


@pytest.mark.parametrize("url", [None, 3, b"sqlite:///jobs.db"])
def test_what_is_no_string_is_no_url(url: object):
    """The error names the value."""
    with pytest.raises(InvalidTask, match="printable string"):
        parse_broker_url(url)


@pytest.mark.parametrize("module", ["apsw", "msgspec"])
async def test_a_missing_extra_is_named(module: str, monkeypatch: pytest.MonkeyPatch):
    """Before anything is opened: what to install."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InvalidTask, match=r"pip install 'trioqueue\[sqlite\]'"):
        check_broker_url("sqlite:///jobs.db")
    with pytest.raises(InvalidTask, match=r"pip install 'trioqueue\[sqlite\]'"):
        async with open_broker_url("sqlite:///jobs.db"):
            pass


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
