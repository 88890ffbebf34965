"""Looking at a Redis or Valkey server, for `_redis_check`: asked, tried, and timed."""

from __future__ import annotations

import time
from collections.abc import Iterable
from statistics import median
from typing import Any, Final, NamedTuple, Protocol, cast

import trio

from .._errors import BrokerFailed, BrokerUnavailable
from .._nursery import open_bare_nursery
from ._redis_calls import Setting
from ._redis_check import RedisFacts
from ._redis_inspector import RedisInspector
from ._redis_line import Arg, Line
from ._redis_probe import PROBE, Probed, find_refusal, probe_args, read_probe

#: Times that the server is asked for its clock: enough that one slow answer does not count.
_ASKED: Final = 11
#: Seconds that a message may take to come back.
_MESSAGE: Final = 2.0
#: Settings that are looked at.
_SETTINGS: Final = (
    *("appendfsync", "busy-reply-threshold", "lua-time-limit", "min-replicas-to-write", "save"),
    *("stop-writes-on-bgsave-error", "tcp-keepalive", "timeout"),
)


class Wire(Line, Protocol):
    """A line that can be asked anything."""

    @property
    def cluster(self) -> bool:
        """Whether channels belong to slots, as keys do."""
        ...

    async def ask(self, *words: Arg) -> Any:
        """The reply to a command, from the server that has our keys. Raises as `run` does."""
        ...


async def gather(wire: Wire, setting: Setting, replicas: int, kind: str) -> RedisFacts:
    """The facts. Takes some round trips, and `_MESSAGE` if no message comes back.

    What the server does not answer is left out, but for the time.

    Raises `BrokerUnavailable` if the server is away. Cancelled: what was tried is deleted.
    """
    info = _read_info(await _ask_or_not(wire, "INFO"))
    config = _read_pairs(await _ask_or_not(wire, "CONFIG", "GET", *_SETTINGS))
    hello = _read_pairs(await _ask_or_not(wire, "HELLO"))
    heard = await _try_all(wire)
    clock = await _compare_clocks(wire)
    runs = heard.scripts is None
    return RedisFacts(
        hello=hello or {},
        info=info,
        config=config,
        scripts=heard.scripts,
        refused=heard.probed.refused,
        broken=heard.probed.broken,
        messages=heard.messages,
        message_time=heard.message_time,
        skew=clock.skew,
        skew_error=clock.error,
        round_trip=clock.round_trip,
        replicas=replicas,
        kind=kind,
        prefix=wire.prefix,
        counts=await _count(wire, setting) if runs and not heard.probed.refused else None,
        data_version=_text(await _ask_or_not(wire, "HGET", f"{wire.prefix}:m", "version")),
        keys=await _ask_or_not(wire, "DBSIZE"),
    )


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
    return {_text(name) or str(name): _text(value) or str(value) for name, value in pairs}


# --- what is tried -------------------------------------------------------------------------------


class _Tried(NamedTuple):
    """What came of `PROBE`, and of the message that it sends."""

    probed: Probed = Probed()
    scripts: str | None = None
    messages: str | None = None
    message_time: float | None = None  # in seconds, script and all


async def _try_all(wire: Wire) -> _Tried:
    arrived, listening = trio.Event(), trio.Event()
    deaf: list[str] = []

    async def listen() -> None:
        try:
            await wire.listen(lambda _: arrived.set(), listening.set)
        except (BrokerFailed, BrokerUnavailable) as error:
            deaf.append(str(error))
            listening.set()

    async with open_bare_nursery() as nursery:
        nursery.start_soon(listen)
        with trio.move_on_after(_MESSAGE):
            await listening.wait()
        began = trio.current_time()
        try:
            args = probe_args(wire.channel, cluster=wire.cluster)
            probed = read_probe(await wire.run(PROBE, args), wire.prefix)
        except BrokerUnavailable as error:
            nursery.cancel_scope.cancel()
            return _Tried(Probed(broken=str(error)))
        except BrokerFailed as error:
            nursery.cancel_scope.cancel()
            refused = find_refusal(str(error), wire.prefix)
            return _Tried(Probed((refused,))) if refused else _Tried(scripts=str(error))
        if not deaf and not probed.mute:
            with trio.move_on_after(_MESSAGE):
                await arrived.wait()
        took = trio.current_time() - began
        nursery.cancel_scope.cancel()
    if deaf:
        return _Tried(probed, messages=deaf[0])
    if probed.mute or arrived.is_set():
        return _Tried(probed, message_time=took if arrived.is_set() else None)
    return _Tried(probed, messages=f"none came back within {_MESSAGE:g} s")


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
