"""How a server is set up, how far it is, and what it has of ours. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from ._findings import Finding, fine, milliseconds, problem, warn

if TYPE_CHECKING:
    from ._redis_check import RedisFacts

#: Seconds. Times in records are the server's, and those who read them compare with their own.
_SKEW: Final = 1.0
#: Seconds. A worker that runs tasks one by one waits twice so long for each of them.
_SLOW: Final = 0.01
#: Seconds after which connections of a pool must not be closed: they are idle for that long.
_IDLE: Final = 60
#: Milliseconds. The longest of our scripts, a publish of thousands, takes some 100 ms.
_BUSY: Final = 1_000


def check_setup(facts: RedisFacts) -> Iterator[Finding]:
    """What works all the same, if not as well."""
    yield _check_clients(facts)
    yield _check_busy_limit(facts)
    yield _check_clock(facts)
    yield _check_latency(facts)
    yield _check_data(facts)


def _check_clients(facts: RedisFacts) -> Finding:
    idle = facts.setting("timeout")
    if idle is not None and 0 < int(idle) < _IDLE:
        says = f"the server closes connections that are idle for {idle} s"
        return warn("clients", says, "CONFIG SET timeout 0: each costs a reconnect")
    if facts.setting("tcp-keepalive") == "0":
        says = "the server never notices that a machine has vanished, and sends messages to it"
        return warn("clients", says, "CONFIG SET tcp-keepalive 60")
    now, most = facts.number("connected_clients"), facts.number("maxclients")
    if now is None or most is None:
        return fine("clients", "how many may connect is not known")
    if now > 0.9 * most:
        says = f"{now:,} of {most:,} connections are in use; each process needs up to a dozen"
        return warn("clients", says, "raise maxclients, or find out who has them")
    return fine("clients", f"{now:,} of {most:,} connections are in use")


def _check_busy_limit(facts: RedisFacts) -> Finding:
    limit = facts.setting("busy-reply-threshold") or facts.setting("lua-time-limit")
    if limit is None:
        return fine("busy", "how long a script may hold up others is not known")
    if 0 < int(limit) < _BUSY:
        says = f"while a script runs for more than {limit} ms, everybody else is refused (BUSY)"
        return warn("busy", says, f"CONFIG SET busy-reply-threshold {5 * _BUSY}, its default")
    return fine("busy", f"others are refused once a script has taken {int(limit):,} ms")


def _check_clock(facts: RedisFacts) -> Finding:
    apart = abs(facts.skew)
    if apart - facts.skew_error > _SKEW:
        way = "ahead of" if facts.skew > 0 else "behind"
        says = f"the server's clock is {apart:.1f} s {way} this machine's"
        advice = (
            "let both follow a time server; due times and leases are by the server's clock alone, "
            "but options(at=...) and the times that are shown are compared with this one"
        )
        return warn("clock", says, advice)
    return fine("clock", f"at most {milliseconds(apart + facts.skew_error)} from this machine's")


def _check_latency(facts: RedisFacts) -> Finding:
    says = f"a round trip takes {milliseconds(facts.round_trip)}"
    if facts.round_trip > _SLOW:
        advice = "run workers near the server, and submit in batches: each call is a round trip"
        return warn("latency", says, advice)
    return fine("latency", says)


def _check_data(facts: RedisFacts) -> Finding:
    others = "" if facts.keys is None else f"; {facts.keys:,} keys in this database"
    if int(facts.data_version or 0) > facts.newest:
        says = f"{facts.prefix} was written by a newer trioqueue (version {facts.data_version})"
        return problem("data", says, "upgrade trioqueue here, or use the one that wrote it")
    if facts.counts is None:
        return fine("data", f"not read{others}")
    parts = [f"{number:,} {name}" for name, number in facts.counts.items() if number]
    version = f", version {facts.data_version}" if facts.data_version else ""
    return fine("data", f"{facts.prefix}: {', '.join(parts) or 'empty'}{version}{others}")
