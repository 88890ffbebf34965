"""What `trioqueue check` sees of a real server, set up well and badly."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

import trioqueue
from tests.redis_broker import open_virtual
from tests.redis_client import ReplyError
from tests.redis_inline import InlineLine
from tests.redis_server import Redis, Server
from trioqueue import BrokerFailed
from trioqueue.brokers import _redis_facts
from trioqueue.brokers._findings import Finding, Level
from trioqueue.brokers._redis_calls import Setting
from trioqueue.brokers._redis_check import check_redis
from trioqueue.brokers._redis_facts import gather
from trioqueue.brokers._redis_line import Arg
from trioqueue.brokers._redis_probe import TRIES, probe_args
from trioqueue.brokers._since_boot import since_boot

from .sqlite_help import a_task

LUA = Path(trioqueue.__file__).parent / "brokers" / "_redis_lua"
SETTING = Setting("me", 30.0, 1.0, 60.0, 10, None, True, since_boot)


class TestWire(InlineLine):
    """A line that can be asked anything."""

    __test__ = False

    async def ask(self, *words: Arg) -> Any:
        client = self._client = self._client or self._server.client()
        try:
            return client.call(*words)
        except ReplyError as error:
            raise BrokerFailed(str(error)) from error

    async def listen(
        self, on_message: Callable[[bytes], object], on_gap: Callable[[], object]
    ) -> None:
        with self._server.client() as client:
            try:
                client.call("SUBSCRIBE", self.channel)
            except ReplyError as error:
                raise BrokerFailed(str(error)) from error
            on_gap()
            while True:
                await trio.lowlevel.wait_readable(client.socket)
                on_message(client.read()[2])


async def find(server: Redis, name: str, **asked: Any) -> dict[str, Finding]:
    """The findings by name."""
    wire = TestWire(server, name, "me")
    try:
        facts = await gather(wire, SETTING, asked.get("replicas", 0), asked.get("kind", "redis"))
    finally:
        wire.close()
    return {finding.name: finding for finding in check_redis(facts)}


def bad(findings: dict[str, Finding]) -> dict[str, Level]:
    return {name: found.level for name, found in findings.items() if found.level is not Level.OK}


async def test_a_server_for_tests_keeps_nothing(redis_server: Redis, redis_queue: str):
    """And is fit otherwise. What was tried has left nothing behind."""
    findings = await find(redis_server, redis_queue)
    assert bad(findings) == {"persistence": Level.WARNING}
    assert re.search(r"(Redis|Valkey) \d", findings["version"].says)
    assert "arrive in" in findings["messages"].says
    assert "commands on the keys" in findings["permissions"].says
    assert redis_server.keys(redis_queue) == []


async def test_our_tasks_are_counted(redis_server: Redis, redis_queue: str):
    """Those of this broker alone."""
    async with open_virtual(redis_server, redis_queue) as broker:
        await broker.publish([a_task("1"), a_task("2"), a_task("3", delay=60.0)])
    findings = await find(redis_server, redis_queue)
    assert "1 scheduled, 2 ready" in findings["data"].says
    assert "empty" in (await find(redis_server, f"{redis_queue}other"))["data"].says


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
UNWRITABLE = {"full", "lonely", "a replica"}


@pytest.mark.main
@pytest.mark.parametrize("case", SERVERS)
async def test_how_a_server_is_set_up_is_found(case: str, start_redis: Callable[..., Server]):
    """By what it says of itself, and by trying."""
    options, expected = SERVERS[case]
    findings = await find(start_redis(**options), "q")
    also = {"writes": "problem"} if case in UNWRITABLE else {}
    assert {name: str(level) for name, level in bad(findings).items()} == expected | also


@pytest.mark.main
async def test_a_member_of_a_cluster_is_told(start_redis: Callable[..., Server]):
    """Whoever names it as a server of its own is told of the other URL."""
    findings = await find(start_redis(cluster_enabled="yes"), "q")
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
    "no scripts": (["~*", "&*", "+@all", "-@scripting"], {"scripts": "problem"}, "NOPERM"),
}


@pytest.fixture(scope="module")
def guarded() -> Any:
    """A server with a user for each case."""
    rules = [f"u{n} on >p {' '.join(given)}" for n, (given, _, _) in enumerate(USERS.values())]
    with Server(appendonly="yes", user=["default on nopass ~* &* +@all", *rules]) as server:
        yield server


@pytest.mark.main
@pytest.mark.parametrize("case", USERS)
async def test_what_a_user_may_not_do_is_found(
    case: str, guarded: Server, monkeypatch: pytest.MonkeyPatch
):
    """Each with the rules that it needs."""
    monkeypatch.setattr(_redis_facts, "_MESSAGE", 0.2)
    monkeypatch.setattr(guarded, "user", f"u{list(USERS).index(case)}")
    monkeypatch.setattr(guarded, "password", "p")
    _, expected, words = USERS[case]
    findings = await find(guarded, "q")
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
