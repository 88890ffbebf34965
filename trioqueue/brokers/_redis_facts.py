"""Looking at a Redis or Valkey server, for `_redis_check`: asked, tried, and timed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from secrets import token_hex
from statistics import median
from typing import Any, Final, NamedTuple, cast

import trio
from coredis.exceptions import RedisError

from .._errors import BrokerFailed, BrokerUnavailable, InvalidTask
from ._findings import Finding, Level, fine, problem, worst
from ._redis_address import RedisAddress
from ._redis_calls import Setting
from ._redis_check import RedisFacts, check_identity, check_redis
from ._redis_faults import Lost
from ._redis_find import Finder, open_connection
from ._redis_inspector import RedisInspector
from ._redis_line import Arg
from ._redis_open import _VERSION
from ._redis_trial import try_all
from ._redis_wire import Wire, open_wire
from ._since_boot import since_boot

#: Times that the server is asked for its clock: enough that one slow answer does not count.
_ASKED: Final = 11
#: Seconds for a sentinel to answer.
_SENTINEL: Final = 2.0
_UNREACHED: Final = (
    "see that the server runs, and that this machine may reach it: host, port, firewall; "
    "rediss:// if it wants TLS, redis:// if not"
)
#: Settings that are looked at.
_SETTINGS: Final = (
    *("appendfsync", "busy-reply-threshold", "lua-time-limit", "min-replicas-to-write", "save"),
    *("stop-writes-on-bgsave-error", "tcp-keepalive", "timeout"),
)


async def examine_redis(address: RedisAddress, options: Mapping[str, Any]) -> list[Finding]:
    """What there is to say of the server. Takes some seconds if it does not answer.

    Cancelled: what was tried is deleted.
    """
    timeout = options.get("timeout", 5.0)
    setting = Setting(token_hex(8), 30.0, 1.0, 0.0, 0, None, True, since_boot)
    name = options.get("queue", "default")
    connection = fine("connection", "reached and logged in")
    try:
        async with open_wire(
            address, name=name, identity=setting.identity, deadline=timeout, replicas=0
        ) as wire:
            facts = await _ask_who(wire, address)
            identity = list(check_identity(facts))
            if worst(identity) is Level.PROBLEM:  # the wrong server: it would refuse all else
                return [connection, *identity]
            facts = await _gather(wire, setting, facts)
    except BrokerUnavailable as error:
        return [problem("connection", str(error), _UNREACHED)]
    except (BrokerFailed, InvalidTask) as error:
        return [problem("connection", str(error), "put that right: nothing else was looked at")]
    facts = replace(facts, replicas=options.get("replicas", 0))
    return [connection, *identity, *check_redis(facts)]


async def _ask_who(wire: Wire, address: RedisAddress) -> RedisFacts:
    """What the server says of itself, and who stands behind it."""
    facts = RedisFacts(
        hello=_read_pairs(await _ask_or_not(wire, "HELLO")) or {},
        info=_read_info(await _ask_or_not(wire, "INFO")),
        kind=address.kind,
        prefix=wire.prefix,
    )
    if address.kind == "cluster":
        return replace(facts, **await _look_at_cluster(wire, address))
    if address.kind == "sentinel":
        return replace(facts, sentinels=await _count_sentinels(address))
    return facts


async def _gather(wire: Wire, setting: Setting, facts: RedisFacts) -> RedisFacts:
    """The other facts. What the server does not answer is left out, but for the time."""
    tried = await try_all(wire)
    clock = await _compare_clocks(wire)
    readable = tried.scripts is None and not tried.probed.refused
    return replace(
        facts,
        config=_read_pairs(await _ask_or_not(wire, "CONFIG", "GET", *_SETTINGS)),
        scripts=tried.scripts,
        refused=tried.probed.refused,
        broken=tried.probed.broken,
        messages=tried.messages,
        message_time=tried.message_time,
        skew=clock.skew,
        skew_error=clock.error,
        round_trip=clock.round_trip,
        counts=await _count(wire, setting) if readable else None,
        data_version=_text(await _ask_or_not(wire, "HGET", f"{wire.prefix}:m", "version")),
        newest=_VERSION,
        keys=await _ask_or_not(wire, "DBSIZE"),
    )


async def _count_sentinels(address: RedisAddress) -> int | None:
    """How many watch the master, by the first of them that tells."""
    for host in address.hosts:
        with suppress(RedisError, OSError, Lost, BrokerFailed), trio.move_on_after(_SENTINEL):
            async with open_connection(address, host, sentinel=True) as connection:
                reply = await connection.ask("SENTINEL", "MASTER", address.service or "")
            told = _read_pairs(reply) or {}
            return int(told.get("num-other-sentinels", 0)) + 1
    return None


async def _look_at_cluster(wire: Wire, address: RedisAddress) -> dict[str, Any]:
    found: dict[str, Any] = {
        "cluster": _read_info(await _ask_or_not(wire, "CLUSTER", "INFO")),
        "slot": await _ask_or_not(wire, "CLUSTER", "KEYSLOT", wire.prefix),
    }
    with suppress(BrokerFailed, Lost):
        place = await Finder(address, wire.prefix).find()
        found["slot_owner"] = place and f"{place[0]}:{place[1]}"
    return found


async def _ask_or_not(wire: Wire, *words: Arg) -> Any:
    """The reply, or ``None`` if the server refuses: not everybody may know everything, always."""
    try:
        return await wire.ask(*words)
    except (BrokerFailed, BrokerUnavailable):
        return None


def _text(reply: object) -> str | None:
    return reply.decode(errors="replace") if isinstance(reply, bytes) else None


def _read_info(reply: Any) -> dict[str, str]:
    lines = (_text(reply) or "").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _read_pairs(reply: object) -> dict[str, str] | None:
    """What RESP2 has as a list and RESP3 as a map."""
    pairs: Iterable[tuple[object, object]]
    if isinstance(reply, dict):
        pairs = cast("dict[object, object]", reply).items()
    elif isinstance(reply, list):
        words = cast("list[object]", reply)
        pairs = zip(words[::2], words[1::2], strict=False)
    else:
        return None
    return {_word(name): _word(value) for name, value in pairs}


def _word(reply: object) -> str:
    return reply.decode(errors="replace") if isinstance(reply, bytes) else str(reply)


# --- what is measured --------------------------------------------------------------------------


class _Clock(NamedTuple):
    skew: float  # the server's clock minus ours
    error: float  # by which that may be wrong
    round_trip: float


async def _compare_clocks(wire: Wire) -> _Clock:
    """All in seconds. The quickest answer tells most about the clock."""
    samples: list[tuple[float, float]] = []
    for _ in range(_ASKED):
        wall, began = time.time(), time.perf_counter()
        seconds, micros = await wire.ask("TIME")
        took = time.perf_counter() - began
        samples.append((took, int(seconds) + int(micros) / 1e6 - (wall + took / 2)))
    took, skew = min(samples)
    return _Clock(skew, took / 2, median(took for took, _ in samples))


async def _count(wire: Wire, setting: Setting) -> dict[str, int] | None:
    try:
        counts = await RedisInspector(wire, setting).counts()
    except (BrokerFailed, BrokerUnavailable):
        return None
    names = ("scheduled", "ready", "running", "dead")
    return {name: getattr(counts, name) for name in names}
