"""What this user may do on a server: tried, with every command that the broker's scripts use.

Redis asks for permission at each command inside of a script, for its keys and channels as well. So
one script tries them all, on keys of its own under the broker's prefix, which it deletes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from ._redis_line import Arg, Script

#: A word that begins with @ is a key under the prefix. What a command needs to be there, an earlier
#: one has made. What has to do with channels is added, as a cluster has commands of its own for it.
TRIES: Final[tuple[tuple[str, ...], ...]] = (
    ("TIME",),
    ("SET", "@v", "1", "PX", "60000"),
    ("MSET", "@v", "1"),
    ("GET", "@v"),
    ("MGET", "@v"),
    ("EXISTS", "@v"),
    ("HSET", "@h", "a", "1"),
    ("HGET", "@h", "a"),
    ("HMGET", "@h", "a"),
    ("HGETALL", "@h"),
    ("HEXISTS", "@h", "a"),
    ("HINCRBY", "@h", "a", "1"),
    ("HDEL", "@h", "a"),
    ("SADD", "@s", "a", "b"),
    ("SCARD", "@s"),
    ("SISMEMBER", "@s", "a"),
    ("SMEMBERS", "@s"),
    ("SREM", "@s", "a"),
    ("SPOP", "@s"),
    ("ZADD", "@z", "1", "a", "2", "b"),
    ("ZCARD", "@z"),
    ("ZRANGE", "@z", "0", "0"),
    ("ZRANGEBYSCORE", "@z", "0", "1"),
    ("ZREM", "@z", "a"),
    ("DEL", "@v", "@h", "@s", "@z"),
)

_SOURCE: Final = b"""
local at, refused = 1, {}
while ARGV[at] do
  local words = {}
  for n = 1, tonumber(ARGV[at]) do
    local word = ARGV[at + n]
    if string.sub(word, 1, 1) == '@' then word = KEYS[1] .. ':?' .. string.sub(word, 2) end
    words[n] = word
  end
  at = at + #words + 1
  local reply = redis.pcall(unpack(words))
  if type(reply) == 'table' and reply.err then
    refused[#refused + 1] = {words[1], reply.err}
  end
end
return refused
"""
PROBE: Final = Script("probe", _SOURCE)

_FORBIDDEN: Final = ("noperm", "permission", "run this command", "can't access", "can't publish")


def probe_args(channel: str, *, cluster: bool) -> list[Arg]:
    """The arguments of `PROBE`."""
    args: list[Arg] = []
    words: tuple[str, ...]
    ask = ("PUBSUB", "SHARDNUMSUB" if cluster else "NUMSUB", channel)
    for words in (*TRIES, ("SPUBLISH" if cluster else "PUBLISH", channel, "?"), ask):
        args += [len(words), *words]
    return args


@final
@dataclass(frozen=True, slots=True)
class Probed:
    """``refused``: what this user may not do; ``broken``: why else writing does not work.

    ``mute``: no message was sent.
    """

    refused: tuple[str, ...] = ()
    broken: str | None = None
    mute: bool = False


def read_probe(reply: Sequence[Sequence[Any]], prefix: str) -> Probed:
    """What `PROBE` has found: keys and channels that are forbidden are told once."""
    refused: dict[str, None] = {}
    broken, mute = None, False
    for command, text in _decoded(reply):
        mute = mute or command.endswith("PUBLISH")
        found = find_refusal(text, prefix, command)
        if found is not None:
            refused[found] = None
        else:
            broken = broken or f"{command}: {text}"
    return Probed(tuple(refused), broken, mute)


def find_refusal(text: str, prefix: str, command: str | None = None) -> str | None:
    """What a server's error says that this user may not do; ``None``: it says something else.

    Without a ``command`` only keys and channels can be told.
    """
    lower = text.lower()
    if not any(words in lower for words in _FORBIDDEN):
        return None
    if "channel" in lower:
        return f"the channels {prefix}:@*"
    return f"the keys {prefix}*" if " key" in lower else command


def _decoded(reply: Sequence[Any]) -> Iterator[tuple[str, str]]:
    for command, text in reply:
        yield command.decode(), text.decode(errors="replace")
