"""Whether a server keeps what it was given: on its disk, in its memory, on its replicas. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from ._findings import Finding, fine, problem, size, warn

#: The share of its memory from which on a server is said to be nearly full.
_FULL: Final = 0.9

#: What is lost at the worst, by ``appendfsync``. With everysec, what is to be written waits for up
#: to two seconds while the disk is still busy with what was written before.
_FSYNC: Final = {
    "always": "every write is on the disk before it is answered",
    "everysec": "a power cut loses the last second or two, as does a kill while the disk is slow",
    "no": "a power cut loses what the system had not written yet, often 30 s",
}

Setting = Callable[[str], str | None]


def _number(info: Mapping[str, str], name: str) -> int:
    text = info.get(name, "")
    return int(text) if text.isdigit() else 0


def check_persistence(info: Mapping[str, str], setting: Setting) -> Iterator[Finding]:
    """What a restart of the server loses. ``setting(name)``: of its configuration, or ``None``."""
    if "aof_enabled" not in info:
        says = "whether anything is written to a disk is not known"
        yield warn("persistence", says, "ask for the append-only file (appendonly yes)")
    elif info["aof_enabled"] == "1":
        yield _check_append_only(setting("appendfsync"))
    else:
        yield _check_snapshots(info, setting("save"))
    if info.get("aof_last_write_status", "ok") != "ok":
        says = "the append-only file could not be written: every write is refused (MISCONF)"
        yield problem("disk", says, "free space on the server's disk, and look at its log")
    elif info.get("rdb_last_bgsave_status", "ok") != "ok":
        says = "the last snapshot failed"
        advice = "free space on the server's disk or memory for its fork, and look at its log"
        if setting("stop-writes-on-bgsave-error") == "no":
            yield warn("disk", says, advice)
        else:
            yield problem("disk", f"{says}: every write is refused (MISCONF)", advice)


def _check_append_only(fsync: str | None) -> Finding:
    if fsync is None:
        return fine("persistence", "append-only file; how often it is synced is not known")
    says = f"append-only file, appendfsync {fsync}: {_FSYNC.get(fsync, 'unknown to this check')}"
    if fsync == "no":
        return warn("persistence", says, "CONFIG SET appendfsync everysec")
    return fine("persistence", says)


def _check_snapshots(info: Mapping[str, str], save: str | None) -> Finding:
    advice = "turn the append-only file on: CONFIG SET appendonly yes, and in the server's file"
    if save == "":
        says = "nothing is written to a disk: a restart of the server loses every task"
    else:
        changes = _number(info, "rdb_changes_since_last_save")
        says = (
            "snapshots alone, no append-only file: a crash of the server loses what came after the "
            f"last one ({changes:,} changes now), and runs again what has ended since"
        )
    return warn("persistence", says, advice)


def check_memory(info: Mapping[str, str]) -> Iterator[Finding]:
    """Whether the server throws keys away, or is about to refuse them."""
    policy = info.get("maxmemory_policy")
    if policy is None:
        says = "whether the server evicts keys is not known"
        yield warn("eviction", says, "ask for maxmemory-policy noeviction")
    elif policy != "noeviction":
        yield _judge_eviction(policy, limited=_number(info, "maxmemory") > 0)
    else:
        yield fine("eviction", "noeviction: when memory is full, new tasks are refused")
    used, most = _number(info, "used_memory"), _number(info, "maxmemory")
    if not used:
        return
    if most and used >= most:
        says = f"{size(used)} of {size(most)} are in use: every write is refused (OOM)"
        yield problem("memory", says, "raise maxmemory, or let workers work off what there is")
    elif used > _FULL * (most or _number(info, "total_system_memory") or used * 2):
        whose = size(most) if most else "the machine's memory"
        says = f"{size(used)} of {whose} are in use: soon new tasks are refused, or the server dies"
        yield warn("memory", says, "give it more, or bound the queue (?capacity=...)")
    else:
        yield fine("memory", f"{size(used)} in use, {f'of {size(most)}' if most else 'no limit'}")


def _judge_eviction(policy: str, *, limited: bool) -> Finding:
    now = "when memory is full" if limited else "as soon as maxmemory is set and reached"
    what = "tasks" if policy.startswith("allkeys") else "records of what was done already"
    says = f"maxmemory-policy is {policy}: {now}, {what} are thrown away"
    advice = "CONFIG SET maxmemory-policy noeviction, and no cache on the same server"
    return problem("eviction", says, advice)


def check_replicas(
    info: Mapping[str, str], setting: Setting, wanted: int, kind: str
) -> Iterator[Finding]:
    """What a failover loses. ``wanted``: the replicas that each write waits for."""
    if "connected_slaves" not in info:
        yield fine("replicas", "how many replicas there are is not known")
        return
    there = _number(info, "connected_slaves")
    least = int(setting("min-replicas-to-write") or 0)
    good = _number(info, "min_slaves_good_slaves") if "min_slaves_good_slaves" in info else there
    if wanted > there:
        says = f"the URL asks for {wanted} replicas of each write, and {there} are connected"
        yield problem("replicas", says, "start the others, or lower replicas=")
    elif least > good:
        says = f"min-replicas-to-write is {least}, and {good} are good: every write is refused"
        yield problem("replicas", says, "start the others, or lower min-replicas-to-write")
    elif there or kind != "single":
        yield _judge_failover(there, least, wanted)
    else:
        yield fine("replicas", "none: nothing fails over, and nothing is lost by a failover")


def _judge_failover(there: int, least: int, wanted: int) -> Finding:
    if not there:
        says = "no replica is connected: nothing can take over when this server is lost"
        return warn("replicas", says, "start one")
    if wanted:
        says = f"{there} connected; publishing and settling wait for {wanted}"
        return fine("replicas", says)
    says = f"{there} connected, written after the answer: a failover loses the last moments"
    if least:
        return fine(
            "replicas", f"{says}; no write is taken without {least} (min-replicas-to-write)"
        )
    advice = (
        "?replicas=1 in the URL waits for one before a submit is answered; min-replicas-to-write 1 "
        "keeps a server that was cut off from accepting what will be thrown away"
    )
    return warn("replicas", says, advice)
