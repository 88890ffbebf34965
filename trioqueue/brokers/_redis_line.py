"""What the Redis broker needs of a connection: scripts that run on the server, and messages.

The broker knows nothing of connections, the line nothing of tasks. `_redis_wire` is the line of
production, on coredis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha1
from importlib.resources import files
from typing import Any, Final, Protocol, TypeAlias, final

#: What a script takes: text is sent as UTF-8, a number as its decimal digits.
Arg: TypeAlias = bytes | str | int


@final
@dataclass(frozen=True, slots=True)
class Script:
    """A script for the server. ``again``: after a lost reply it may be run once more.

    ``replicated``: if the line was told to, it waits for the replicas after this one.
    """

    name: str
    source: bytes = field(repr=False)
    again: bool = True
    replicated: bool = False
    sha: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        digest = sha1(self.source, usedforsecurity=False).hexdigest()
        object.__setattr__(self, "sha", digest)


_FOLDER: Final = files("trioqueue.brokers") / "_redis_lua"


#: What scripts begin with, each part built on those before it: what looks only; what writes; what
#: ends tasks; what looks at the time. (A server runs all the definitions at each call.)
LOOKS: Final = ("_frame", "_records", "_lanes")
WRITES: Final = (*LOOKS, "_finish")
ENDS: Final = (*LOOKS, "_ends", "_finish")
TENDS: Final = (*LOOKS, "_ends", "_time", "_finish")


#: The first line, for the server. Out of memory, it refuses only what opens tasks, before that has
#: begun: leases must be renewed all the same, and ends make room.
_REFUSED: Final = b"#!lua"
_ALLOWED: Final = b"#!lua flags=allow-oom"


def load_script(
    name: str,
    parts: tuple[str, ...],
    *,
    again: bool = True,
    replicated: bool = False,
    grows: bool = False,
) -> Script:
    """The script of this name: the parts that it is built on, and its own file.

    ``grows``: it opens tasks, which a server without memory left must refuse.
    """
    sources = [(_FOLDER / f"{part}.lua").read_bytes() for part in (*parts, name)]
    source = b"\n".join([_REFUSED if grows else _ALLOWED, *sources])
    return Script(name, source, again, replicated)


class Line(Protocol):
    """One opening's way to its server. All of it is called in Trio's thread."""

    @property
    def prefix(self) -> str:
        """What all keys begin with; the hash tag is in it: ``tq:{name}``."""
        ...

    @property
    def channel(self) -> str:
        """Where messages to this opening are published; begins with the prefix."""
        ...

    @property
    def cluster(self) -> bool:
        """Whether messages are those of shards (``SPUBLISH``)."""
        ...

    async def run(
        self,
        script: Script,
        args: Sequence[Arg],
        abandoned: Callable[[Any], object] | None = None,
        arrived: Callable[[Any], object] | None = None,
    ) -> Any:
        """Run a script with ``KEYS = {prefix}``; its reply: bytes, int, ``None``, or lists of them.

        A reply that got lost is asked for again, with the same arguments, if ``script.again``. All
        of that together takes no longer than the line's deadline. Raises `BrokerUnavailable` if the
        server was not reached, did not answer in time, or says that it cannot at the moment, and
        `BrokerFailed` if somebody has to look at it.

        ``arrived`` is called with the reply as soon as it is there, before anything that comes
        after it: those who wait for replies wake up in any order.

        Cancelled: it was run, or not, or will be yet. The reply that comes after that is handed to
        ``abandoned``, or ``None`` once it is clear that none will come.
        """
        ...

    async def listen(
        self, on_message: Callable[[bytes], object], on_gap: Callable[[], object]
    ) -> None:
        """Call ``on_message`` for each message on the `channel`, for ever.

        ``on_gap`` is called whenever messages may have been missed, and from when on they are not:
        at the beginning, and after each reconnect. Does not raise `BrokerUnavailable`.
        """
        ...
