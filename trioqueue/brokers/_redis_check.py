"""Whether a Redis or Valkey server is fit for the broker: from facts to findings. Pure.

What a server does not tell (CONFIG and INFO are often forbidden where somebody else runs it) is
said to be unknown, and is no problem by itself. `_redis_facts` gathers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, final

from ._findings import Finding, fine, milliseconds, problem, warn
from ._redis_check_keeping import check_memory, check_persistence, check_replicas
from ._redis_check_setup import check_setup

_REDIS: Final = (7, 0)  # the first with ACL checks inside scripts and sharded channels
_VALKEY: Final = (7, 2)  # the first


@final
@dataclass(frozen=True, slots=True)
class RedisFacts:
    """What was seen of a server. Durations in seconds."""

    hello: Mapping[str, str] = field(default_factory=dict[str, str])
    info: Mapping[str, str] = field(default_factory=dict[str, str])  # empty: it was refused
    config: Mapping[str, str] | None = None  # None: it was refused
    scripts: str | None = None  # why they do not run
    refused: tuple[str, ...] = ()  # what this user may not do: commands, and what it is for
    broken: str | None = None  # why else nothing can be written
    messages: str | None = None  # why they do not arrive
    message_time: float | None = None
    skew: float = 0.0  # the server's clock minus ours
    skew_error: float = 0.0
    round_trip: float = 0.0
    replicas: int = 0  # that the URL asks for
    kind: str = "single"  # of the URL, as in `RedisAddress`
    prefix: str = "tq:{default}"
    counts: Mapping[str, int] | None = None  # of our tasks
    data_version: str | None = None
    newest: int = 1  # version that is known here
    keys: int | None = None  # of everybody, in this database
    cluster: Mapping[str, str] | None = None  # CLUSTER INFO, where it is one
    slot: int | None = None
    slot_owner: str | None = None
    sentinels: int | None = None  # that know the master

    def setting(self, name: str) -> str | None:
        """One line of the server's configuration, if it could be read."""
        return None if self.config is None else self.config.get(name)

    def number(self, name: str) -> int | None:
        """One number of INFO."""
        text = self.info.get(name, "")
        return int(text) if text.isdigit() else None


def check_identity(facts: RedisFacts) -> Iterator[Finding]:
    """Whether it is a server for us at all."""
    yield _check_version(facts)
    yield _check_role(facts)
    yield _check_mode(facts)


def check_redis(facts: RedisFacts) -> Iterator[Finding]:
    """All other findings, in the order in which one would put things right."""
    yield _check_scripts(facts)
    yield _check_permissions(facts)
    yield _check_writes(facts)
    yield _check_messages(facts)
    yield from check_persistence(facts.info, facts.setting)
    yield from check_memory(facts.info)
    yield from check_replicas(facts.info, facts.setting, facts.replicas, facts.kind)
    yield from check_setup(facts)
    if facts.info and facts.config is not None:
        return
    which = " and ".join(
        name for name, there in (("INFO", facts.info), ("CONFIG GET", facts.config)) if not there
    )
    yield fine("unknown", f"{which} cannot be read by this user: see the provider's settings")


# --- what it is ----------------------------------------------------------------------------------


def _check_version(facts: RedisFacts) -> Finding:
    kind, text = _find_version(facts)
    if kind is None:
        advice = "see with the provider that it is Redis 7.0 or Valkey 7.2, or newer"
        return warn("version", "the server does not tell its version", advice)
    if kind not in {"Redis", "Valkey"}:
        says = f"{kind} {text}, which trioqueue has not been tested with"
        return warn("version", says, "use Redis or Valkey where nothing may be lost")
    least = _REDIS if kind == "Redis" else _VALKEY
    found = tuple(int(part) for part in re.findall(r"\d+", text)[:2])
    if found < least:
        wanted = ".".join(map(str, least))
        return problem("version", f"{kind} {text} is too old", f"upgrade to {wanted} or newer")
    return fine("version", f"{kind} {text}")


def _find_version(facts: RedisFacts) -> tuple[str | None, str]:
    """The kind of server, and its version."""
    for name, text in facts.info.items():  # others tell theirs beside the one of Redis
        kind, _, rest = name.partition("_")
        if rest == "version" and kind not in {"redis", "gcc"}:
            return kind.capitalize(), text
    if "redis_version" in facts.info:
        return "Redis", facts.info["redis_version"]
    if "version" in facts.hello:
        return facts.hello.get("server", "redis").capitalize(), facts.hello["version"]
    return None, ""


def _check_role(facts: RedisFacts) -> Finding:
    role = facts.info.get("role") or facts.hello.get("role", "")
    if role in {"slave", "replica"}:
        says = "this is a replica: nothing can be written here"
        advice = "name the primary, or let redis+sentinel:// or redis+cluster:// find it"
        return problem("role", says, advice)
    return fine("role", "primary" if role == "master" else "the server does not tell its role")


def _check_mode(facts: RedisFacts) -> Finding:
    mode = facts.info.get("redis_mode") or facts.info.get("server_mode") or facts.hello.get("mode")
    if facts.kind == "cluster":
        return _check_cluster(facts, mode)
    if mode == "cluster":
        says = "the server is a member of a cluster"
        return problem("mode", says, "write redis+cluster://, so that the right one is asked")
    if mode == "sentinel":
        says = "this is a sentinel, which keeps no data"
        return problem("mode", says, "write redis+sentinel://HOST:PORT/MASTER")
    if facts.kind != "sentinel":
        return fine("mode", "a server of its own")
    if facts.sentinels is None:
        return fine("mode", "found by a sentinel; how many there are is not known")
    if facts.sentinels < 3:
        watch = (
            "1 sentinel watches" if facts.sentinels == 1 else f"{facts.sentinels} sentinels watch"
        )
        says = f"{watch} the server: when one is lost, nobody fails over"
        return warn("mode", says, "run three, on machines of their own")
    return fine("mode", f"watched by {facts.sentinels} sentinels")


def _check_cluster(facts: RedisFacts, mode: str | None) -> Finding:
    if mode not in {None, "", "cluster"}:
        return problem("mode", "the server is no cluster", "write redis:// or rediss://")
    where = f"slot {facts.slot} of {facts.slot_owner or 'an unknown node'}"
    told = facts.cluster or {}
    if told.get("cluster_state", "ok") != "ok":
        says = f"the cluster is not working: cluster_state is {told['cluster_state']}"
        return problem("mode", says, "look at CLUSTER NODES: a primary is away, or slots have none")
    failing = int(told.get("cluster_slots_fail", 0)) + int(told.get("cluster_slots_pfail", 0))
    if failing:
        says = f"{failing} slots of the cluster have lost their node; ours is {where}"
        return warn("mode", says, "look at CLUSTER NODES")
    return fine("mode", f"a cluster; all of this broker is in {where}")


# --- what this user may do -----------------------------------------------------------------------


def _check_scripts(facts: RedisFacts) -> Finding:
    if facts.scripts is None:
        return fine("scripts", "scripts run")
    advice = "allow EVALSHA, EVAL and SCRIPT LOAD: every step of the broker is a script"
    return problem("scripts", f"scripts do not run: {facts.scripts}", advice)


def _check_permissions(facts: RedisFacts) -> Finding:
    if facts.scripts is not None:
        return fine("permissions", "not tried, as scripts do not run")
    if not facts.refused:
        return fine("permissions", f"all commands on the keys and channels {facts.prefix}*")
    says = f"this user may not: {', '.join(facts.refused)}"
    return problem("permissions", says, acl_advice(facts.prefix))


def _check_writes(facts: RedisFacts) -> Finding:
    if facts.broken is None:
        tried = facts.scripts is None and not facts.refused
        return fine("writes", "keys can be written" if tried else "not tried with all commands")
    return problem("writes", f"nothing can be written: {facts.broken}", "see the other lines")


def acl_advice(prefix: str) -> str:
    """The rules that a user of the broker needs."""
    return f"allow it: ACL SETUSER NAME ~{prefix}* &{prefix}* +@all -@admin -@dangerous +info"


def _check_messages(facts: RedisFacts) -> Finding:
    if facts.messages is not None:
        advice = (
            f"allow SUBSCRIBE, PUBLISH (in a cluster SSUBSCRIBE, SPUBLISH) and &{facts.prefix}*; "
            "without messages, all waits last until the next look"
        )
        return problem("messages", f"messages do not arrive: {facts.messages}", advice)
    if facts.message_time is None:
        return fine("messages", "not tried")
    return fine("messages", f"arrive in {milliseconds(facts.message_time)}")
