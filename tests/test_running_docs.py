"""What docs/running.md says of brokers' URLs and of `trioqueue check` is what there is."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from trioqueue.brokers._findings import Finding, Level, fine
from trioqueue.brokers._redis_address import SCHEMES
from trioqueue.brokers._redis_check import RedisFacts
from trioqueue.brokers._sqlite_check import check_sqlite
from trioqueue.brokers._url import parse_broker_url
from trioqueue.brokers._url_options import REDIS, SQLITE, Options

from . import test_redis_check, test_sqlite_check

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "running.md").read_text(encoding="utf-8")


def table(before: str) -> list[list[str]]:
    """The rows of the first table after these words."""
    rows = PAGE.partition(before)[2].partition("\n|")[2].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def check_server(facts: RedisFacts) -> list[Finding]:
    return [fine("connection", "reached"), *test_redis_check.check_all(facts)]


SERVER = (*test_redis_check.CASES.values(), (None, "connection", Level.PROBLEM, []))
FILE = tuple(test_sqlite_check.CASES.values())


@pytest.mark.parametrize(
    ("before", "check", "cases"),
    [("Of a server (", check_server, SERVER), ("Of a file (", check_sqlite, FILE)],
    ids=["server", "file"],
)
def test_the_table_of_checks_is_what_is_checked(
    before: str, check: Callable[[Any], Iterable[Finding]], cases: Sequence[Any]
):
    """Every name in the order of the report, with words wherever there is a WARNING or PROBLEM."""
    told = {name.strip("`"): [bool(words) for words in cells] for name, *cells in table(before)}
    levels = defaultdict(set)
    for facts, name, level, _ in cases:
        levels[name].add(level)
        names = [finding.name for finding in check(facts)] if facts is not None else []
        assert names == [name for name in told if name in names]
    assert told == {
        name: [Level.WARNING in levels[name], Level.PROBLEM in levels[name]] for name in told
    }
    assert levels.keys() <= told.keys()


def test_every_url_in_the_table_is_one():
    """And every scheme that there is stands in it."""
    urls = [url.strip("`") for url, _ in table("## Brokers' URLs")]
    assert all(parse_broker_url(url) for url in urls)
    words = "".join(words for row in table("## Brokers' URLs") for words in row)
    assert {scheme for scheme in SCHEMES if f"{scheme}://" not in words} == set()


@pytest.mark.parametrize(
    ("page", "before", "known"),
    [("durable.md", "## Options", SQLITE), ("redis.md", "Options, in the query", REDIS)],
)
def test_the_options_that_a_page_lists_are_those_of_the_url(page: str, before: str, known: Options):
    """All of them, and no other."""
    part = (DOCS / page).read_text(encoding="utf-8").partition(before)[2].partition("\n## ")[0]
    heads = re.findall(r"^(?:- |\| )(`[a-z_]+`(?:, `[a-z_]+`)*)(?=:| \|)", part, re.MULTILINE)
    assert sorted(re.findall(r"\w+", " ".join(heads))) == sorted(known)
