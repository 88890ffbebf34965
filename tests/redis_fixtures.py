"""The fixtures for tests on a real server; nothing is started until a test asks for one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.redis_cluster import Cluster, Replicated, start_cluster, start_replicated
from tests.redis_server import MINE, Redis, RunningServer, Server, fresh_name


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    """The server that most tests share: they use a queue of their own, and leave it running."""
    if url := os.environ.get("TRIOQUEUE_TEST_REDIS_URL"):
        running = RunningServer(url)
        try:
            running.call("PING")
        except OSError as error:
            pytest.fail(f"TRIOQUEUE_TEST_REDIS_URL={url}: {error}", pytrace=False)
        yield running
        running.flush(MINE)
    else:
        with Server() as server:
            yield server


@pytest.fixture
def redis_queue(redis_server: Redis) -> Iterator[str]:
    """The name of a queue that nobody else uses; in the end its keys are deleted.

    A property, which is one test with many examples, takes a `fresh_name` for each.
    """
    name = fresh_name()
    yield name
    redis_server.flush(name)


@pytest.fixture
def start_redis() -> Iterator[Callable[..., Server]]:
    """Starts a server with the options of `Server`, as often as it is called."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(Server(**options))


@pytest.fixture
def own_redis(start_redis: Callable[..., Server]) -> Server:
    """A server that the test may kill, stop, restart, fill; it keeps nothing when it is killed."""
    return start_redis()


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[Cluster]:
    """Three masters, for all tests; each has queues of its own, and leaves the nodes running."""
    with start_cluster() as cluster:
        yield cluster


@pytest.fixture
def redis_replicated() -> Iterator[Replicated]:
    """A master, a replica and a sentinel, of which the test may kill whom it wants."""
    with start_replicated() as replicated:
        yield replicated
