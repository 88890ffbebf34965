"""A line to a real server that never waits: for tests of the Redis broker on a virtual clock.

Each script is run by a blocking call in Trio's own thread, so that no time passes on a `MockClock`.
Messages are fetched after each script, before anybody else has a turn: none is late, none is lost.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import trio

from tests.redis_client import Client, ReplyError
from tests.redis_server import Redis
from trioqueue import BrokerFailed, BrokerUnavailable
from trioqueue.brokers._redis_line import Arg, Script

#: The first words of errors that pass.
_AT_THE_MOMENT: Final = {
    *("BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "NOREPLICAS", "OOM"),
    *("READONLY", "TRYAGAIN"),
}
_LINE: Final = re.compile(r"user_script:(\d+)")


class InlineLine:
    """A `Line` on blocking sockets.

    Cancelled: what was to be run was not run. But if ``late``, a reply takes its time, as it does
    on a network: it may have been run, and the messages are there before the reply.

    For tests: ``runs`` counts the scripts that were run, by name; ``deaf`` drops the messages that
    come, as a bad network does; ``between`` is called between the two runs of a script whose first
    reply was lost.
    """

    cluster: Final = False

    def __init__(self, server: Redis, name: str, identity: str) -> None:
        self.prefix = f"tq:{{{name}}}"
        self.channel = f"{self.prefix}:@{identity}"
        self.runs: Counter[str] = Counter()
        self.deaf = self.late = False
        self.between: Callable[[], object] = lambda: None
        self._server = server
        self._ear = _Ear.of(server)
        self._client: Client | None = None
        self._failures: list[bool] = []  # of the next runs: whether after having run
        self._repeats = 0

    def fail_next(self, number: int = 1, *, after: bool = False) -> None:
        """The next runs raise `BrokerUnavailable`: not run, or ``after``, with their reply lost."""
        self._failures += [after] * number

    def repeat_next(self, number: int = 1) -> None:
        """The replies to the next runs are lost, and asked for again, if the scripts allow it."""
        self._repeats += number

    async def run(
        self,
        script: Script,
        args: Sequence[Arg],
        abandoned: Callable[[Any], object] | None = None,
        arrived: Callable[[Any], object] | None = None,
    ) -> Any:
        reply = None
        try:
            await trio.lowlevel.checkpoint()
            reply = self.run_now(script, args, arrived)
            if self.late:
                await trio.lowlevel.checkpoint()
        except (trio.Cancelled, KeyboardInterrupt):
            if abandoned is not None:
                abandoned(reply)
            raise
        return reply

    @trio.lowlevel.enable_ki_protection
    def run_now(
        self,
        script: Script,
        args: Sequence[Arg],
        arrived: Callable[[Any], object] | None = None,
    ) -> Any:
        """Run a script and deliver the messages that there are then."""
        after = self._failures.pop(0) if self._failures else None
        if after is False:
            raise BrokerUnavailable(f"{script.name} was not run: a fault of the test")
        try:
            reply = self._ask(script, args)
            if self._repeats and script.again:
                self._repeats -= 1
                self.between()
                reply = self._ask(script, args)
            if arrived is not None and not after:
                arrived(reply)
        except ReplyError as error:
            raise _translated(script, error) from error
        except OSError as error:
            self.close()
            raise BrokerUnavailable(f"{script.name}: {error}") from error
        finally:
            self._ear.deliver()
        if after:
            raise BrokerUnavailable(f"the reply to {script.name} was lost: a fault of the test")
        return reply

    def _ask(self, script: Script, args: Sequence[Arg]) -> Any:
        if self._client is None:
            self._client = self._server.client()
        self.runs[script.name] += 1
        try:
            return self._client.call("EVALSHA", script.sha, 1, self.prefix, *args)
        except ReplyError as error:
            if not str(error).startswith("NOSCRIPT"):
                raise
        return self._client.call("EVAL", script.source, 1, self.prefix, *args)

    async def listen(
        self, on_message: Callable[[bytes], object], on_gap: Callable[[], object]
    ) -> None:
        def hear(message: bytes) -> None:
            if not self.deaf:
                on_message(message)

        self._ear.add(self.channel.encode(), hear, on_gap)
        try:
            on_gap()
            await trio.sleep_forever()
        finally:
            self._ear.remove(self.channel.encode())

    def close(self) -> None:
        """Close the connection; the next run opens another one."""
        if self._client is not None:
            self._client.close()
            self._client = None


@contextmanager
def open_inline_line(server: Redis, name: str, identity: str) -> Iterator[InlineLine]:
    """One opening's line to the queue ``name``."""
    line = InlineLine(server, name, identity)
    try:
        yield line
    finally:
        line.close()


class _Ear:
    """The subscriptions of this process to one server: one connection for all of its lines.

    It is there while anybody listens. If it breaks, it is opened anew by the next `deliver`.
    """

    _all: Final[dict[Redis, _Ear]] = {}

    def __init__(self, server: Redis) -> None:
        self._server = server
        self._client: Client | None = None
        self._broken = False
        #: By channel: who takes its messages, and who is told of a gap.
        self._listeners: dict[bytes, tuple[Callable[[bytes], object], Callable[[], object]]] = {}

    @classmethod
    def of(cls, server: Redis) -> _Ear:
        return cls._all.setdefault(server, cls(server))

    @trio.lowlevel.enable_ki_protection
    def add(
        self, channel: bytes, hear: Callable[[bytes], object], on_gap: Callable[[], object]
    ) -> None:
        assert channel not in self._listeners, f"two listen on {channel!r}"
        self._listeners[channel] = hear, on_gap
        self._exchange(b"subscribe", channel)

    @trio.lowlevel.enable_ki_protection
    def remove(self, channel: bytes) -> None:
        del self._listeners[channel]
        if self._listeners:
            self._exchange(b"unsubscribe", channel)
        else:
            self._close()
            self._broken = False

    def deliver(self) -> None:
        """Hand over all messages that were published until now, in their order."""
        if self._listeners:
            self._exchange(b"ping")

    def _exchange(self, command: bytes, *channels: bytes) -> None:
        """Send a command, and hand over the messages that came before its answer."""
        try:
            messages = self._renewed() + self._answered(command, *channels)
        except OSError:
            self._close()
            self._broken = True
            return
        for channel, message in messages:
            if channel in self._listeners:
                hear, _ = self._listeners[channel]
                hear(message)

    def _renewed(self) -> list[tuple[bytes, bytes]]:
        """Be connected; after a break, all learn that they may have missed something."""
        if self._client is not None:
            return []
        self._client = self._server.client()
        messages = self._answered(b"subscribe", *self._listeners)
        if self._broken:
            self._broken = False
            for _, on_gap in list(self._listeners.values()):
                on_gap()
        return messages

    def _answered(self, command: bytes, *channels: bytes) -> list[tuple[bytes, bytes]]:
        assert self._client is not None
        self._client.send(command, *channels)
        messages = []
        for _ in channels or [b""]:
            while (reply := self._client.read())[0] == b"message":
                messages.append((reply[1], reply[2]))
            assert reply[0] in {command, b"pong"}, reply
        return messages

    def _close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def _translated(script: Script, error: ReplyError) -> BrokerFailed | BrokerUnavailable:
    """With the line of the script that raised it, if it says which."""
    text = str(error)
    if text.split(" ", 1)[0] in _AT_THE_MOMENT:
        return BrokerUnavailable(f"{script.name}: {text}")
    if found := _LINE.search(text):
        number = int(found[1])
        line = script.source.decode().splitlines()[number - 1].strip()
        text = f"{text}\n{script.name}, line {number} of all its source: {line}"
    return BrokerFailed(f"{script.name}: {text}")
