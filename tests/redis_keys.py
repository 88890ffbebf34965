"""All that a queue has on its server, read by raw commands: for `tests.redis_audit`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tests.redis_client import Argument, Client
from tests.redis_server import Redis

US = "\x1f"
#: What a record's number of its state stands for.
STATES = (
    *("scheduled", "ready", "running", "dead", "succeeded", "cancelled", "expired"),
    *("handed_back", "purged", "evicted"),
)
OPEN = ("scheduled", "ready", "running")


class Record(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """One task, as the scripts pack it."""

    number: int
    fence: int
    history: str
    lane: str
    seq: int
    priority: int
    accepted: int
    options: str
    packed_payload: msgspec.Raw
    key: str | bool
    numbers: str | bool
    asked: int | bool
    holder: str | bool
    waiters: str | bool
    ended_at: int | bool
    outcome: str | bool
    packed_result: msgspec.Raw
    unstored: int | bool

    @property
    def has_payload(self) -> bool:
        """In the record; else it has a key of its own, or is over."""
        return bytes(self.packed_payload) != NOTHING

    @property
    def has_result(self) -> bool:
        return bytes(self.packed_result) != NOTHING

    @property
    def state(self) -> str:
        return STATES[self.number]

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    @property
    def queue(self) -> str:
        return self.lane.partition(US)[0]

    @property
    def type(self) -> str:
        return self.lane.partition(US)[2]


#: A false value, packed.
NOTHING = b"\xc2"
_decode = msgspec.msgpack.Decoder(Record).decode

Scores = dict[str, float]


@dataclass
class Keys:
    """The keys of one queue, by their kinds: see _frame.lua."""

    meta: dict[str, str] = field(default_factory=dict[str, str])
    tasks: dict[str, Record] = field(default_factory=dict[str, Record])
    payloads: dict[str, bytes] = field(default_factory=dict[str, bytes])
    ready: dict[str, Scores] = field(default_factory=dict[str, Scores])  # by lane
    sorted: dict[str, Scores] = field(default_factory=dict[str, Scores])  # by letter
    sets: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    hashes: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    holders: dict[str, str] = field(default_factory=dict[str, str])  # of keys, by queue and key
    stands: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    guards: list[str] = field(default_factory=list[str])
    #: Milliseconds for which a key lives; not of those that live for ever.
    lives: dict[str, int] = field(default_factory=dict[str, int])
    unknown: list[str] = field(default_factory=list[str])


def read_keys(server: Redis, name: str) -> Keys:
    """Everything under ``tq:{name}``."""
    prefix = f"tq:{{{name}}}"
    with server.client() as client:
        names = sorted(_scan(client, prefix))
        found = Keys()
        plans = [_plan(found, key.decode().removeprefix(prefix)) for key in names]
        commands = [
            command
            for key, (words, _) in zip(names, plans, strict=True)
            for command in ((words[0], key, *words[1:]), ("PTTL", key))
        ]
        replies = _ask_all(client, commands)
    for key, (_, take), reply, life in zip(names, plans, replies[::2], replies[1::2], strict=True):
        take(reply)
        if life >= 0:
            found.lives[key.decode().removeprefix(prefix)] = life
    return found


def _scan(client: Client, prefix: str) -> set[bytes]:
    pattern = re.sub(r"([\\*?\[\]^])", r"\\\1", prefix) + ":*"
    found: set[bytes] = set()
    cursor = b"0"
    while True:
        cursor, some = client.call("SCAN", cursor, "MATCH", pattern, "COUNT", 5_000)
        found.update(some)
        if cursor == b"0":
            return found


def _ask_all(client: Client, commands: Iterable[tuple[Argument, ...]]) -> list[Any]:
    """The replies to many commands, which are sent in a few goes."""
    replies: list[Any] = []
    commands = list(commands)
    for start in range(0, len(commands), 500):
        some = commands[start : start + 500]
        for command in some:
            client.send(*command)
        replies += [client.read() for _ in some]
    return replies


Plan = tuple[tuple[str, ...], Callable[[Any], object]]
_SORTED = ("ZRANGE", "0", "-1", "WITHSCORES")


def _plan(found: Keys, key: str) -> Plan:
    """How a key is read, and where it goes. ``key``: without the prefix."""
    kind, _, rest = key[1:].partition(":")
    match kind:
        case "m":
            return ("HGETALL",), lambda reply: found.meta.update(_pairs(reply))
        case "t":
            return ("GET",), lambda reply: found.tasks.update({rest: _decode(reply)})
        case "b":
            return ("GET",), lambda reply: found.payloads.update({rest: reply})
        case "r":
            return _SORTED, lambda reply: found.ready.update({rest: _scores(reply)})
        case "d" | "e" | "l" | "x" | "o" | "k" | "ws":
            return _SORTED, lambda reply: found.sorted.update({kind: _scores(reply)})
        case "rl" | "ln" | "p" | "dw" | "rw":
            return ("SMEMBERS",), lambda reply: found.sets.update({kind: _members(reply)})
        case "n" | "iw" | "w":
            return ("HGETALL",), lambda reply: found.hashes.update({kind: _pairs(reply)})
        case "i":
            return ("SMEMBERS",), lambda reply: found.stands.update({rest: _members(reply)})
        case "u":
            return ("GET",), lambda reply: found.holders.update({rest: reply.decode()})
        case "f" | "g":
            return ("GET",), lambda _: found.guards.append(key)
        case _:
            return ("TYPE",), lambda _: found.unknown.append(key)


def _pairs(reply: list[bytes]) -> dict[str, str]:
    words = [word.decode() for word in reply]
    return dict(zip(words[::2], words[1::2], strict=True))


def _scores(reply: list[bytes]) -> Scores:
    return {member: float(score) for member, score in _pairs(reply).items()}


def _members(reply: list[bytes]) -> set[str]:
    return {member.decode() for member in reply}
