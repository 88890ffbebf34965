"""What errors mean: to wait and try again, to ask somebody else, or to have somebody look at it."""

from __future__ import annotations

import socket
import ssl

import pytest
import trio
from coredis.exceptions import RedisError
from coredis.parser import Parser

from trioqueue import BrokerFailed, BrokerUnavailable
from trioqueue.brokers._redis_faults import (
    Lost,
    cause_of,
    is_elsewhere,
    is_lost,
    is_refused,
    is_unknown_script,
    moved_to,
    tls_fault,
    translated,
)

WHERE = "redis://server:6379/0"


def said(text: str) -> RedisError:
    """The error that the parser makes of a server's words."""
    parser = Parser()
    parser.feed(b"-" + text.encode() + b"\r\n")
    parsed = parser.parse(False, None)
    assert isinstance(parsed, tuple)
    assert isinstance(parsed[1], RedisError)
    return parsed[1]


PASSING = {
    "LOADING Redis is loading": "loading its data",
    "BUSY Redis is busy running a script": "does not end",
    "UNKILLABLE Sorry the script already executed write commands": "does not end",
    "OOM command not allowed": "no memory left",
    "MISCONF Redis is configured to save RDB snapshots": "cannot write to its disk",
    "NOREPLICAS Not enough good replicas": "too few replicas",
    "MASTERDOWN Link with MASTER is down": "whose master is away",
    "READONLY You can't write": "is a replica now",
    "CLUSTERDOWN Hash slot not served": "does not serve",
    "MOVED 3999 127.0.0.1:6381": "another node",
    "ASK 3999 127.0.0.1:6381": "is moving",
    "TRYAGAIN Multiple keys request": "is moving",
    "ERR max number of clients reached": "max number of clients",
}
ELSEWHERE = ("READONLY", "MASTERDOWN", "MOVED", "CLUSTERDOWN")
FAILING = {
    "ERR value is not an integer": "not an integer",
    "WRONGTYPE Operation against a key": "Operation against",
    "NOPERM User ann has no permissions": "`trioqueue check`",
    "WRONGPASS invalid username-password pair": "check the user and the password",
    "NOAUTH Authentication required.": "check the user and the password",
    "NOPROTO unsupported protocol version": "7.0",
    "ERR unknown command 'EVALSHA'": "7.0",
    "ERR This instance has cluster support disabled": "cluster support disabled",
    "BUSYKEY Target key name already exists": "already exists",
    "CROSSSLOT Keys in request": "Keys",
    "SOMETHING new": "SOMETHING new",
}


@pytest.mark.parametrize("text", PASSING)
def test_what_passes(text: str):
    """To ask again is safe, as nothing was run; the words of the server stay in the sentence."""
    error = said(text)
    assert is_refused(error)
    assert not is_lost(error)
    assert is_elsewhere(error) == text.startswith(ELSEWHERE)
    told = translated(WHERE, "claim", error)
    assert type(told) is BrokerUnavailable
    assert str(told).startswith(f"{WHERE}: claim: ")
    assert PASSING[text] in str(told)


@pytest.mark.parametrize("text", FAILING)
def test_what_does_not(text: str):
    error = said(text)
    assert not is_refused(error)
    assert not is_lost(error)
    assert not is_elsewhere(error)
    told = translated(WHERE, "claim", error)
    assert type(told) is BrokerFailed
    assert WHERE in str(told)
    assert FAILING[text] in str(told)


def test_a_script_that_is_not_known():
    """Is no fault of anybody: it is sent."""
    assert is_unknown_script(said("NOSCRIPT No matching script."))
    assert not is_unknown_script(said("ERR no script"))


def test_where_the_keys_are():
    assert moved_to(said("MOVED 3999 127.0.0.1:6381")) == ("127.0.0.1", 6381)
    assert moved_to(said("MOVED 3999 :6381")) == ("", 6381)
    assert moved_to(said("MOVED 3999 ::1:6381")) == ("::1", 6381)
    assert moved_to(said("ASK 3999 127.0.0.1:6381")) is None


@pytest.mark.parametrize(
    "error",
    [Lost("silent"), ConnectionRefusedError(111, "refused"), socket.gaierror(-2, "unknown")],
)
def test_the_way_there(error: Exception):
    """Whether it was done is not known."""
    assert is_lost(error)
    assert not is_refused(error)
    told = translated(WHERE, "claim", error)
    assert type(told) is BrokerUnavailable
    assert str(told) == f"{WHERE}: claim: {cause_of(error)}"


def test_the_cause_says_most():
    """Of what Trio wraps, of several addresses that were tried, of what has no words."""
    refused = ConnectionRefusedError(111, "Connection refused")
    unreachable = OSError(113, "No route to host")
    tried = OSError("all attempts to connect to there failed")
    tried.__cause__ = ExceptionGroup("many", [refused, unreachable, refused])
    assert cause_of(tried) == "Connection refused; No route to host"
    broken = trio.BrokenResourceError("broken")
    broken.__cause__ = ConnectionResetError(104, "Connection reset by peer")
    assert cause_of(broken) == "Connection reset by peer"
    assert cause_of(ConnectionResetError()) == "ConnectionResetError"
    lost = Lost("silent for 2 s")
    lost.__cause__ = refused
    assert cause_of(lost) == "silent for 2 s"


def test_certificates_and_broken_streams():
    """The first is nothing to wait for, the second is."""
    wrong = ssl.SSLCertVerificationError(1, "certificate verify failed")
    broken = trio.BrokenResourceError()
    broken.__cause__ = wrong
    assert tls_fault(broken) is wrong
    broken.__cause__ = ssl.SSLEOFError(8, "EOF occurred in violation of protocol")
    assert tls_fault(broken) is None
    broken.__cause__ = ConnectionResetError()
    assert tls_fault(broken) is None
    assert tls_fault(None) is None


def test_ours_stay_what_they_are():
    for error in BrokerFailed("a"), BrokerUnavailable("b"):
        assert translated(WHERE, "claim", error) is error
