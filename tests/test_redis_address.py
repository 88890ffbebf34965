"""Addresses of Redis servers: what is written is what is meant, and no password is ever shown."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioqueue import InvalidTask
from trioqueue.brokers._redis_address import (
    SCHEMES,
    RedisAddress,
    parse_redis_address,
    split_redis_url,
)

SECRET = "hunter2"
texts = st.text(min_size=1, max_size=8)
#: With all that means something in a URL.
awkward = st.text("ab/?#@:%[]{}&= +\\\u00e9\u20ac", min_size=1, max_size=6) | texts
names = st.from_regex(r"[a-z][a-z0-9.-]{0,12}", fullmatch=True)
hosts = st.tuples(
    names | st.sampled_from(["127.0.0.1", "::1", "fe80::1%eth0", "2001:db8::7"]),
    st.integers(1, 65_535),
)
logins = st.tuples(st.none() | awkward, st.none() | awkward.map(lambda text: SECRET + text))


@st.composite
def addresses(draw: st.DrawFn) -> RedisAddress:
    kind = draw(st.sampled_from(["single", "sentinel", "cluster", "socket"]))
    username, password = draw(logins)
    tls = draw(st.booleans())
    db = draw(st.integers(0, 99))
    if kind == "socket":
        path = "/" + draw(awkward)
        return RedisAddress(path=path, db=db, username=username, password=password)
    few = draw(st.lists(hosts, min_size=1, max_size=1 if kind == "single" else 3))
    address = RedisAddress("single", tuple(few), 0, username, password, tls)
    if kind == "single":
        return replace(address, db=db)
    if kind == "cluster":
        return replace(address, kind="cluster")
    return replace(address, kind="sentinel", db=db, service=draw(awkward))


def with_password(address: RedisAddress) -> str:
    """The URL as a user writes it."""
    scheme, _, rest = str(address).partition("://")
    user = f"{quote(address.username, safe='')}" if address.username else ""
    rest = rest.removeprefix(f"{user}@") if user else rest
    login = user + (f":{quote(address.password, safe='')}" if address.password else "")
    return f"{scheme}://{login}@{rest}" if login else f"{scheme}://{rest}"


@given(addresses())
def test_what_is_shown_can_be_written(address: RedisAddress):
    """All but the password comes back."""
    assert parse_redis_address(str(address)) == replace(address, password=None)


@given(addresses())
def test_what_is_written_is_what_is_meant(address: RedisAddress):
    """Passwords with whatever characters, if they are written as a URL wants it."""
    assert parse_redis_address(with_password(address)) == address


@given(addresses())
def test_no_password_is_shown(address: RedisAddress):
    shown = replace(address, sentinel_password=SECRET)
    assert SECRET not in str(shown) + repr(shown)


@given(
    st.sampled_from(["redis", "redis+sentinel", "redis+cluster", "redis+unix", "rediss", "http"]),
    st.text("ab/?#@:%[], =&", max_size=12),
    st.text("ab/?#@:%[], =&", max_size=12),
)
def test_no_error_shows_a_password(scheme: str, before: str, after: str):
    """Wherever somebody who forgets to quote has put it, up to the host."""
    said = ""
    try:
        parse_redis_address(f"{scheme}://user:{SECRET}{before}@{after}")
    except InvalidTask as error:
        said = f"{error} {error!r} {error.__cause__!r}"
    assert SECRET not in said


@given(st.text(max_size=30) | texts.map("redis://".__add__))
def test_anything_else_is_refused_with_an_example(text: str):
    """And never ends in an error that nobody expects."""
    said = ""
    address = RedisAddress()
    try:
        address, _ = split_redis_url(text)
    except InvalidTask as error:
        said = str(error)
    assert bool(address.hosts or address.path) != ("redis://" in said)
    assert said or text.partition("://")[0].lower() in SCHEMES


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://there", RedisAddress(hosts=(("there", 6379),))),
        ("redis://there:7/3", RedisAddress(hosts=(("there", 7),), db=3)),
        ("redis://there/?db=3", RedisAddress(hosts=(("there", 6379),), db=3)),
        ("REDISS://[::1]", RedisAddress(hosts=(("::1", 6379),), tls=True)),
        ("redis://:p@there", RedisAddress(hosts=(("there", 6379),), password="p")),
        ("redis+unix:///run/redis.sock?db=2", RedisAddress(path="/run/redis.sock", db=2)),
        (
            "redis+sentinel://one,two:7/mine/2",
            RedisAddress("sentinel", (("one", 26379), ("two", 7)), 2, service="mine"),
        ),
        ("redis+cluster://one:7,two", RedisAddress("cluster", (("one", 7), ("two", 6379)))),
    ],
)
def test_what_users_write(url: str, address: RedisAddress):
    assert parse_redis_address(url) == address


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://", "names no host"),
        ("redis://one,two", r"several hosts need redis\+sentinel"),
        ("redis://there:0", "must be 1 to 65535"),
        ("redis://there:70000", "must be 1 to 65535"),
        ("redis://there:six", "must be 1 to 65535"),
        ("redis://there/one", "database must be a number"),
        ("redis://there/1/2", "too much after the host"),
        ("redis://::1:6379", "in brackets"),
        ("redis+cluster://there/1", "database 0 only"),
        ("redis+sentinel://there", "name of the master"),
        ("redis+unix://there/socket", "three slashes"),
        ("redis://there?ca=x", "rediss://"),
        ("redis://there?db=1&db=2", "twice"),
        ("redis://there?lease=3", "no option lease"),
        ("redis://there#1", "%23"),
        ("redis:there", "does not begin with a scheme"),
    ],
)
def test_what_is_wrong_is_named(url: str, said: str):
    with pytest.raises(InvalidTask, match=said):
        parse_redis_address(url)
