"""A server with TLS: whom it lets in, and who trusts it. `.ci/run` plays this on Debian's Redis."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from tests.redis_server import RunningServer, fresh_name
from tests.redis_tls import Certificate, TlsClient, TlsServer
from trioqueue import BrokerFailed, TaskSet, open_queue

pytestmark = pytest.mark.tls


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate(tmp_path_factory.mktemp("own"), "server")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate(tmp_path_factory.mktemp("other"), "other")


@pytest.fixture(scope="module")
def server(own: Certificate) -> Iterator[TlsServer]:
    with TlsServer(own) as server:
        yield server


def test_it_answers_who_trusts_it(server: TlsServer, own: Certificate) -> None:
    """Over TLS, at the address in its URL."""
    assert TlsClient(server.url(), own.context()).call("PING") == b"PONG"
    with TlsClient(server.url(), own.context()).client() as client:
        assert isinstance(client.socket, ssl.SSLSocket)
        assert client.call("ECHO", "a" * 100_000) == b"a" * 100_000


def test_who_does_not_trust_it_leaves(server: TlsServer, other: Certificate) -> None:
    """A client that knows another authority, and one that knows those of the system."""
    for context in other.context(), ssl.create_default_context():
        with pytest.raises(ssl.SSLCertVerificationError):
            TlsClient(server.url(), context).call("PING")


def test_another_name_is_not_trusted(tmp_path: Path) -> None:
    """A certificate that was made for somebody else."""
    stranger = Certificate(tmp_path, "stranger", "DNS:elsewhere.example")
    with (
        TlsServer(stranger) as server,
        pytest.raises(ssl.SSLCertVerificationError, match=r"127\.0\.0\.1"),
    ):
        TlsClient(server.url(), stranger.context()).call("PING")


def test_plain_words_are_not_understood(server: TlsServer) -> None:
    """A client without TLS gets no answer at the port of TLS."""
    plain = RunningServer(server.url().replace("rediss://", "redis://"))
    with pytest.raises((ConnectionError, AssertionError)):
        plain.call("PING")


def test_clients_may_have_to_show_who_they_are(own: Certificate, other: Certificate) -> None:
    """By a certificate that the server trusts; without one they are not served."""
    with TlsServer(own, clients=other) as server:
        known = TlsClient(server.url(), own.context(identity=other))
        assert known.call("PING") == b"PONG"
        for identity in None, own:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                TlsClient(server.url(), own.context(identity=identity)).call("PING")


tasks = TaskSet()


@tasks.task
async def double(number: int) -> int:
    return 2 * number


async def test_a_queue_works_over_tls(server: TlsServer, own: Certificate) -> None:
    """With the authority that its URL names."""
    url = server.url(fresh_name(), ca=str(own.certificate))
    with trio.fail_after(20):
        async with open_queue(tasks, workers=2, broker=url) as queue:
            assert await (await queue.submit(double, 21)).result() == 42


async def test_a_certificate_that_is_not_trusted_is_no_bad_moment(
    server: TlsServer, other: Certificate
) -> None:
    """It is said at once, and why: to wait and to try again would not help."""
    for trusted in {}, {"ca": str(other.certificate)}:
        url = server.url(fresh_name(), port=None, timeout="60", **trusted)
        with trio.fail_after(20), pytest.raises(BrokerFailed, match="certificate"):
            async with open_queue(tasks, broker=url):
                pass


async def test_a_queue_shows_who_it_is(own: Certificate, other: Certificate) -> None:
    """By the certificate and the key that its URL names."""
    with TlsServer(own, clients=other) as server, trio.fail_after(20):
        identity = {"cert": str(other.certificate), "key": str(other.key)}
        url = server.url(port=None, ca=str(own.certificate), **identity)
        async with open_queue(tasks, workers=2, broker=url) as queue:
            assert await (await queue.submit(double, 21)).result() == 42
