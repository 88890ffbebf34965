"""What `trioqueue check` sees of a real server, set up well and badly."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import trioqueue
from tests.redis_broker import open_virtual
from tests.redis_cluster import Cluster, Replicated
from tests.redis_server import Redis, Server
from trioqueue.brokers import _redis_trial
from trioqueue.brokers._findings import Finding, Level
from trioqueue.brokers._redis_probe import TRIES, probe_args
from trioqueue.brokers._url import examine_broker_url, parse_broker_url

from .sqlite_help import a_task

LUA = Path(trioqueue.__file__).parent / "brokers" / "_redis_lua"


async def find(url: str) -> dict[str, Finding]:
    """The findings by name."""
    findings = await examine_broker_url(parse_broker_url(url))
    return {finding.name: finding for finding in findings}


def bad(findings: dict[str, Finding]) -> dict[str, Level]:
    return {name: found.level for name, found in findings.items() if found.level is not Level.OK}


async def test_a_server_for_tests_keeps_nothing(redis_server: Redis, redis_queue: str):
    """And is fit otherwise. What was tried has left nothing behind."""
    findings = await find(redis_server.url(redis_queue))
    assert bad(findings) == {"persistence": Level.WARNING}
    assert re.search(r"(Redis|Valkey) \d", findings["version"].says)
    assert "arrive in" in findings["messages"].says
    assert "commands on the keys" in findings["permissions"].says
    assert redis_server.keys(redis_queue) == []


async def test_our_tasks_are_counted(redis_server: Redis, redis_queue: str):
    """Those of this broker alone."""
    async with open_virtual(redis_server, redis_queue) as broker:
        await broker.publish([a_task("1"), a_task("2"), a_task("3", delay=60.0)])
    findings = await find(redis_server.url(redis_queue))
    assert "1 scheduled, 2 ready" in findings["data"].says
    assert "empty" in (await find(redis_server.url(f"{redis_queue}other")))["data"].says


#: What is found of a server that was started with these options.
SERVERS = {
    "well kept": ({"appendonly": "yes"}, {}),
    "not synced": ({"appendonly": "yes", "appendfsync": "no"}, {"persistence": "warning"}),
    "a cache": (
        {"appendonly": "yes", "maxmemory": "1gb", "maxmemory_policy": "allkeys-lru"},
        {"eviction": "problem"},
    ),
    "full": ({"appendonly": "yes", "maxmemory": "500kb"}, {"memory": "problem"}),
    "impatient": (
        {"appendonly": "yes", "busy_reply_threshold": "50", "timeout": "5"},
        {"busy": "warning", "clients": "warning"},
    ),
    "lonely": (
        {"appendonly": "yes", "min_replicas_to_write": "1"},
        {"replicas": "problem"},
    ),
    "a replica": ({"appendonly": "yes", "replicaof": "127.0.0.1 1"}, {"role": "problem"}),
}
#: What cannot be written is found as well.
UNWRITABLE = {"full", "lonely"}


@pytest.mark.network
@pytest.mark.parametrize("case", SERVERS)
async def test_how_a_server_is_set_up_is_found(case: str, start_redis: Callable[..., Server]):
    """By what it says of itself, and by trying."""
    options, expected = SERVERS[case]
    findings = await find(start_redis(**options).url("q"))
    also = {"writes": "problem"} if case in UNWRITABLE else {}
    assert {name: str(level) for name, level in bad(findings).items()} == expected | also


@pytest.mark.network
async def test_a_member_of_a_cluster_is_told(start_redis: Callable[..., Server]):
    """Whoever names it as a server of its own is told of the other URL."""
    findings = await find(start_redis(cluster_enabled="yes").url("q"))
    assert findings["mode"].level is Level.PROBLEM
    assert "redis+cluster://" in findings["mode"].advice


#: Rules for a user, and what is found with them.
NEEDED = ["~tq:{q}*", "&tq:{q}*"]
USERS: dict[str, tuple[list[str], dict[str, str], str]] = {
    "as advised": (
        [*NEEDED, "+@all", "-@admin", "-@dangerous", "+info"],
        {},
        "CONFIG GET cannot be read",
    ),
    "without INFO": (
        [*NEEDED, "+@all", "-@admin", "-@dangerous"],
        {"persistence": "warning", "eviction": "warning"},
        "INFO and CONFIG GET cannot",
    ),
    "other keys": (["~other*", "&*", "+@all"], {"permissions": "problem"}, "the keys tq:{q}*"),
    "read only": (["%R~tq:{q}*", "&*", "+@all"], {"permissions": "problem"}, "the keys tq:{q}*"),
    "other channels": (
        ["~*", "resetchannels", "&other", "+@all"],
        {"permissions": "problem", "messages": "problem"},
        "the channels tq:{q}:@*",
    ),
    "two commands": (
        ["~*", "&*", "+@all", "-zadd", "-spop"],
        {"permissions": "problem"},
        "may not: SPOP, ZADD",
    ),
    "no publish": (["~*", "&*", "+@all", "-publish"], {"permissions": "problem"}, "PUBLISH"),
    "no subscribe": (
        ["~*", "&*", "+@all", "-subscribe"],
        {"messages": "problem"},
        "&tq:{q}*",
    ),
    "no scripts": (
        ["~*", "&*", "+@all", "-@scripting"],
        {"scripts": "problem"},
        "no permissions to run the",
    ),
}


@pytest.fixture(scope="module")
def guarded() -> Any:
    """A server with a user for each case."""
    rules = [f"u{n} on >p {' '.join(given)}" for n, (given, _, _) in enumerate(USERS.values())]
    with Server(appendonly="yes", user=["default on nopass ~* &* +@all", *rules]) as server:
        yield server


@pytest.mark.network
@pytest.mark.parametrize("case", USERS)
async def test_what_a_user_may_not_do_is_found(
    case: str, guarded: Server, monkeypatch: pytest.MonkeyPatch
):
    """Each with the rules that it needs."""
    monkeypatch.setattr(_redis_trial, "MESSAGE", 0.2)
    monkeypatch.setattr(guarded, "user", f"u{list(USERS).index(case)}")
    monkeypatch.setattr(guarded, "password", "p")
    _, expected, words = USERS[case]
    findings = await find(guarded.url("q"))
    assert {name: str(level) for name, level in bad(findings).items()} == expected
    assert words in "\n".join(f"{found.says} {found.advice}" for found in findings.values())


def test_all_commands_of_the_scripts_are_tried():
    """A user who lacks one of them would find out when it is too late."""
    used: set[str] = set()
    for path in LUA.glob("*.lua"):
        text = path.read_text(encoding="utf-8")
        used |= {word for word in re.findall(r"'([A-Z]{2,})'", text) if word not in NO_COMMANDS}
    for cluster in (False, True):
        args = probe_args("channel", cluster=cluster)
        assert {"PUBSUB", "SPUBLISH" if cluster else "PUBLISH"} < set(map(str, args))
    assert used - {words[0] for words in TRIES} <= {"PUBSUB", "PUBLISH", "SPUBLISH"}


#: Options and subcommands, in the scripts, that are written as commands are.
NO_COMMANDS = {
    *("NX", "XX", "GT", "LT", "CH", "EX", "PX", "WITHSCORES", "LIMIT", "REV", "BYSCORE"),
    *("NUMSUB", "SHARDNUMSUB"),
}


@pytest.mark.network
async def test_a_cluster_is_found(redis_cluster: Cluster, redis_queue: str):
    """Whichever node is named, the one that has our slot is looked at."""
    findings = await find(redis_cluster.url(redis_queue))
    owner = redis_cluster.node_of(redis_queue)
    assert f"of {owner.host}:{owner.port}" in findings["mode"].says
    assert "arrive in" in findings["messages"].says
    assert bad(findings) == {"persistence": Level.WARNING, "replicas": Level.WARNING}


@pytest.mark.network
async def test_sentinels_and_a_replica_are_found(redis_replicated: Replicated):
    """One sentinel is too few; what a failover loses is said, and how to lose less."""
    findings = await find(redis_replicated.url("q"))
    assert bad(findings) == dict.fromkeys(("persistence", "mode", "replicas"), Level.WARNING)
    assert "1 sentinel watches" in findings["mode"].says
    findings = await find(redis_replicated.url("q", replicas="1"))
    assert "wait for 1" in findings["replicas"].says
    findings = await find(redis_replicated.replica.url("q"))
    assert findings["role"].level is Level.PROBLEM


@pytest.mark.network
async def test_what_is_not_there_is_a_problem_and_not_an_error(start_redis: Callable[..., Server]):
    """No server, a wrong password: the one line that can be said."""
    server = start_redis(requirepass="hush")
    wrong = server.url("q").replace("hush", "hash")
    (found,) = (await find(wrong)).values()
    assert (found.level, found.name) == (Level.PROBLEM, "connection")
    assert "check the user and the password" in found.says
    assert "hash" not in found.says
    server.kill()
    (found,) = (await find(server.url("q", timeout="0.2"))).values()
    assert (found.level, found.name) == (Level.PROBLEM, "connection")
    assert "hush" not in found.says
    assert "firewall" in found.advice
