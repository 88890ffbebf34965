"""Whether a server is fit for the broker: what is made of the facts, without a server."""

from dataclasses import replace

import pytest

from trioqueue.brokers._findings import Finding, Level, size, worst
from trioqueue.brokers._redis_check import RedisFacts, check_identity, check_redis

INFO = {
    "redis_version": "7.2.4",
    "valkey_version": "8.1.0",
    "gcc_version": "12.2.0",
    "redis_mode": "standalone",
    "role": "master",
    "connected_slaves": "0",
    "aof_enabled": "1",
    "aof_last_write_status": "ok",
    "rdb_last_bgsave_status": "ok",
    "rdb_changes_since_last_save": "7",
    "maxmemory": "0",
    "maxmemory_policy": "noeviction",
    "used_memory": "1000000",
    "total_system_memory": "8000000000",
    "connected_clients": "10",
    "maxclients": "10000",
}
CONFIG = {
    "appendfsync": "everysec",
    "save": "3600 1",
    "timeout": "0",
    "tcp-keepalive": "300",
    "busy-reply-threshold": "5000",
    "min-replicas-to-write": "0",
    "stop-writes-on-bgsave-error": "yes",
}
GOOD = RedisFacts(
    info=INFO,
    config=CONFIG,
    round_trip=0.0002,
    message_time=0.0003,
    skew=0.01,
    skew_error=0.0001,
    counts={"ready": 3, "running": 0, "dead": 1},
    keys=17,
)


def with_info(**changes: str) -> RedisFacts:
    return replace(GOOD, info=INFO | changes)


def with_config(**changes: str) -> RedisFacts:
    return replace(GOOD, config=CONFIG | {name.replace("_", "-"): v for name, v in changes.items()})


def check_all(facts: RedisFacts) -> list[Finding]:
    return [*check_identity(facts), *check_redis(facts)]


def found(facts: RedisFacts) -> dict[str, Finding]:
    """By name, of which none is there twice."""
    findings = list(check_all(facts))
    by_name = {finding.name: finding for finding in findings}
    assert len(by_name) == len(findings)
    return by_name


def test_a_good_server_has_nothing_but_fine_lines():
    """One for each thing that was looked at, without advice."""
    findings = found(GOOD)
    assert {finding.level for finding in findings.values()} == {Level.OK}
    assert not any(finding.advice for finding in findings.values())
    assert findings["version"].says == "Valkey 8.1.0"
    assert "last second" in findings["persistence"].says
    assert findings["data"].says == "tq:{default}: 3 ready, 1 dead; 17 keys in this database"


def redis(version: str) -> RedisFacts:
    info = {name: value for name, value in INFO.items() if name != "valkey_version"}
    return replace(GOOD, info=info | {"redis_version": version})


GUARDED = replace(with_info(connected_slaves="1"), config=CONFIG | {"min-replicas-to-write": "1"})
CLUSTER = replace(
    GUARDED,
    info=GUARDED.info | {"redis_mode": "cluster"},
    kind="cluster",
    cluster={"cluster_state": "ok", "cluster_slots_fail": "0"},
    slot=7,
    slot_owner="10.0.0.1:6379",
)
SENTINEL = replace(GUARDED, kind="sentinel", sentinels=3)

#: What is found beside fine lines, as {case: (facts, name, level, words)}.
CASES = {
    # what it is
    "Redis 6.2": (redis("6.2.14"), "version", Level.PROBLEM, ["Redis 6.2.14", "7.0"]),
    "Redis 7.0": (redis("7.0.0"), "version", Level.OK, ["Redis 7.0.0"]),
    "Redis 10": (redis("10.1.0"), "version", Level.OK, ["Redis 10.1.0"]),
    "Valkey 7.1": (with_info(valkey_version="7.1.9"), "version", Level.PROBLEM, ["7.2"]),
    "another": (
        replace(redis("7.4.0"), info=redis("7.4.0").info | {"dragonfly_version": "df-v1.2"}),
        *("version", Level.WARNING, ["Dragonfly df-v1.2", "not been tested"]),
    ),
    "by HELLO": (
        replace(GOOD, info={}, hello={"server": "valkey", "version": "9.0.0", "role": "master"}),
        *("version", Level.OK, ["Valkey 9.0.0"]),
    ),
    "old by HELLO": (
        replace(GOOD, info={}, hello={"server": "redis", "version": "6.0.16"}),
        *("version", Level.PROBLEM, ["6.0.16"]),
    ),
    "untold": (replace(GOOD, info={}), "version", Level.WARNING, ["does not tell"]),
    "a replica": (with_info(role="slave"), "role", Level.PROBLEM, ["replica", "primary"]),
    "a replica by HELLO": (
        *(replace(GOOD, info={}, hello={"role": "replica"}), "role", Level.PROBLEM),
        ["replica"],
    ),
    "member of a cluster": (
        *(with_info(redis_mode="cluster"), "mode", Level.PROBLEM),
        ["redis+cluster://"],
    ),
    "a sentinel": (
        *(with_info(redis_mode="sentinel"), "mode", Level.PROBLEM),
        ["redis+sentinel://"],
    ),
    "no cluster": (replace(GUARDED, kind="cluster"), "mode", Level.PROBLEM, ["redis://"]),
    "a cluster": (CLUSTER, "mode", Level.OK, ["slot 7 of 10.0.0.1:6379"]),
    "a cluster that is down": (
        replace(CLUSTER, cluster={"cluster_state": "fail"}),
        *("mode", Level.PROBLEM, ["cluster_state is fail"]),
    ),
    "a cluster with holes": (
        replace(CLUSTER, cluster={"cluster_state": "ok", "cluster_slots_pfail": "5"}),
        *("mode", Level.WARNING, ["5 slots"]),
    ),
    "sentinels": (SENTINEL, "mode", Level.OK, ["3 sentinels"]),
    "one sentinel": (replace(SENTINEL, sentinels=1), "mode", Level.WARNING, ["1 sentinel watches"]),
    # what may be done
    "no scripts": (
        *(replace(GOOD, scripts="NOPERM"), "scripts", Level.PROBLEM),
        ["NOPERM", "EVALSHA"],
    ),
    "forbidden": (
        replace(GOOD, refused=("ZADD", "keys tq:{default}*"), prefix="tq:{default}"),
        *("permissions", Level.PROBLEM, ["may not: ZADD, keys", "~tq:{default}*"]),
    ),
    "not writable": (
        *(replace(GOOD, broken="SET: MISCONF"), "writes", Level.PROBLEM),
        ["nothing can be written: SET: MISCONF"],
    ),
    "no messages": (
        *(replace(GOOD, messages="NOPERM"), "messages", Level.PROBLEM),
        ["NOPERM", "SUBSCRIBE", "&tq:{default}*"],
    ),
    # what is kept
    "nothing kept": (
        replace(GOOD, info=INFO | {"aof_enabled": "0"}, config=CONFIG | {"save": ""}),
        *("persistence", Level.WARNING, ["loses every task", "appendonly yes"]),
    ),
    "snapshots": (
        *(with_info(aof_enabled="0"), "persistence", Level.WARNING),
        ["snapshots alone", "7 changes", "appendonly yes"],
    ),
    "always": (with_config(appendfsync="always"), "persistence", Level.OK, ["every write"]),
    "never synced": (
        *(with_config(appendfsync="no"), "persistence", Level.WARNING),
        ["30 s", "everysec"],
    ),
    "sync unknown": (
        *(replace(GOOD, config=None), "persistence", Level.OK),
        ["append-only file", "not known"],
    ),
    "persistence unknown": (replace(GOOD, info={}), "persistence", Level.WARNING, ["not known"]),
    "the append-only file fails": (
        *(with_info(aof_last_write_status="err"), "disk", Level.PROBLEM),
        ["MISCONF", "space"],
    ),
    "snapshots fail": (
        *(with_info(rdb_last_bgsave_status="err"), "disk", Level.PROBLEM),
        ["MISCONF"],
    ),
    "snapshots fail, and it goes on": (
        replace(
            with_info(rdb_last_bgsave_status="err"),
            config=CONFIG | {"stop-writes-on-bgsave-error": "no"},
        ),
        *("disk", Level.WARNING, ["snapshot failed"]),
    ),
    "allkeys-lru": (
        *(with_info(maxmemory_policy="allkeys-lru", maxmemory="9000000"), "eviction"),
        *(Level.PROBLEM, ["allkeys-lru", "tasks are thrown away", "noeviction"]),
    ),
    "volatile-ttl": (
        *(with_info(maxmemory_policy="volatile-ttl"), "eviction", Level.PROBLEM),
        ["volatile-ttl", "as soon as maxmemory"],
    ),
    "eviction unknown": (replace(GOOD, info={}), "eviction", Level.WARNING, ["not known"]),
    "full": (with_info(maxmemory="999999"), "memory", Level.PROBLEM, ["OOM", "maxmemory"]),
    "nearly full": (with_info(maxmemory="1100000"), "memory", Level.WARNING, ["976.6 KiB of 1.0"]),
    "room": (with_info(maxmemory="2000000"), "memory", Level.OK, ["of 1.9 MiB"]),
    "the machine is full": (
        *(with_info(total_system_memory="1100000"), "memory", Level.WARNING),
        ["the machine's memory"],
    ),
    # replicas
    "asked for too many": (
        *(replace(GOOD, replicas=1), "replicas", Level.PROBLEM),
        ["asks for 1", "0 are connected", "replicas="],
    ),
    "min-replicas": (
        replace(
            with_info(connected_slaves="1", min_slaves_good_slaves="0"),
            config=CONFIG | {"min-replicas-to-write": "1"},
        ),
        *("replicas", Level.PROBLEM, ["min-replicas-to-write is 1", "0 are good"]),
    ),
    "asynchronous": (
        *(with_info(connected_slaves="1"), "replicas", Level.WARNING),
        ["failover loses", "replicas=1", "min-replicas-to-write"],
    ),
    "waited for": (
        replace(with_info(connected_slaves="2"), replicas=1),
        *("replicas", Level.OK, ["2 connected", "wait for 1"]),
    ),
    "guarded": (GUARDED, "replicas", Level.OK, ["no write is taken without 1"]),
    "sentinel without replica": (
        replace(SENTINEL, info=INFO, config=CONFIG),
        *("replicas", Level.WARNING, ["nothing can take over"]),
    ),
    # the rest
    "idle connections": (with_config(timeout="10"), "clients", Level.WARNING, ["10 s"]),
    "patient": (with_config(timeout="300"), "clients", Level.OK, ["connections"]),
    "no keep-alive": (
        *(with_config(tcp_keepalive="0"), "clients", Level.WARNING),
        ["vanished", "tcp-keepalive"],
    ),
    "crowded": (with_info(connected_clients="9500"), "clients", Level.WARNING, ["9,500 of 10,000"]),
    "impatient": (
        *(with_config(busy_reply_threshold="100"), "busy", Level.WARNING),
        ["100 ms", "BUSY"],
    ),
    "ahead": (replace(GOOD, skew=3.0), "clock", Level.WARNING, ["3.0 s ahead"]),
    "behind": (replace(GOOD, skew=-90.0), "clock", Level.WARNING, ["90.0 s behind"]),
    "far away": (replace(GOOD, skew=1.5, skew_error=1.0), "clock", Level.OK, ["2,500 ms"]),
    "slow": (replace(GOOD, round_trip=0.03), "latency", Level.WARNING, ["30 ms", "batches"]),
    "of a version": (replace(GOOD, data_version="1"), "data", Level.OK, ["1 dead, version 1"]),
    "of a newer one": (
        *(replace(GOOD, data_version="2"), "data", Level.PROBLEM),
        ["newer trioqueue", "upgrade"],
    ),
    "empty": (replace(GOOD, counts={"ready": 0}), "data", Level.OK, ["empty; 17 keys"]),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_made_of_the_facts(case: str):
    """The level and the words; whoever is warned is told what to do."""
    facts, name, level, words = CASES[case]
    finding = found(facts)[name]
    assert finding.level is level, finding
    text = f"{finding.says} -> {finding.advice}"
    assert bool(finding.advice) == (level is not Level.OK), text
    for word in words:
        assert word in text


@pytest.mark.parametrize("case", CASES)
def test_one_fault_is_one_finding(case: str):
    """Nothing else is complained of, but what nobody can know without INFO."""
    facts, name, level, _ = CASES[case]
    others = {
        other.name
        for other in found(facts).values()
        if other.level is not Level.OK and other.name != name
    }
    allowed = set() if facts.info else {"version", "persistence", "eviction"}
    if level is Level.OK:
        allowed.add(name)
    assert others <= allowed


def test_what_cannot_be_read_is_said():
    """Managed servers forbid CONFIG, and some INFO: no problem by itself."""
    assert "CONFIG GET cannot be read" in found(replace(GOOD, config=None))["unknown"].says
    nothing = replace(GOOD, config=None, info={})
    assert "INFO and CONFIG GET cannot" in found(nothing)["unknown"].says
    assert worst(check_all(nothing)) is Level.WARNING
    assert worst([]) is Level.OK


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (2**60, "1048576.0 TiB")]
)
def test_sizes_are_said_in_units(number: int, text: str):
    """Of 1024."""
    assert size(number) == text
