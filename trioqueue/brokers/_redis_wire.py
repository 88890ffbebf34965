"""The line to a real server, on coredis: deadlines, repeats, reconnects.

Of coredis it takes the connections, which speak the protocol, and not its pool, which loses a slot
for each connection that dies in use until none is left: here are two connections, one for scripts,
which share it, and one that listens, and each is replaced when it dies. Nor its retries, which send
again what must not be done twice.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, final

import trio
from coredis.connection._base import BaseConnection
from coredis.exceptions import RedisError
from trio.lowlevel import enable_ki_protection

from .._errors import BrokerUnavailable, TrioqueueError
from .._events import logger
from .._ki import protected
from .._nursery import open_bare_nursery
from ._redis_address import RedisAddress
from ._redis_faults import is_elsewhere, is_lost, is_refused, is_unknown_script, translated
from ._redis_find import Finder
from ._redis_line import Arg, Script

#: Seconds between two tries within a call: at first, and at most.
_FIRST_DELAY: Final = 0.02
_LAST_DELAY: Final = 0.5


@final
class _Link:
    """A connection that lives in a nursery of ours until it dies."""

    def __init__(self, connection: BaseConnection) -> None:
        self.connection = connection
        self.error: BaseException | None = None

    @property
    def usable(self) -> bool:
        return self.connection.usable

    def drop(self, why: str) -> None:
        """Nothing that is still to come from it would be believed."""
        self.connection.invalidate(why)

    async def run(self, *, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        """Connect, and keep the connection until it dies."""
        started = False

        class Status:
            def started(self, value: object = None) -> None:
                nonlocal started
                started = True
                task_status.started(value)

        try:
            await self.connection.run(task_status=Status())
        except (RedisError, OSError) as error:
            self.error = error
            if not started:
                raise
            logger.debug("a connection has ended: %s", error)


@final
class _Run:
    """One run of a script, and whoever waits for its reply."""

    __slots__ = ("abandoned", "args", "done", "error", "forsaken", "reply", "script")

    def __init__(
        self, script: Script, args: Sequence[Arg], abandoned: Callable[[Any], object] | None
    ) -> None:
        self.script = script
        self.args = args
        self.abandoned = abandoned
        self.forsaken = False
        self.done = trio.Event()
        self.reply: Any = None
        self.error: Exception | None = None


@final
@protected
class Wire:
    """See `Line`."""

    def __init__(
        self,
        address: RedisAddress,
        prefix: str,
        identity: str,
        deadline: float,
        replicas: int,
        nursery: trio.Nursery,
    ) -> None:
        self.prefix: Final = prefix
        self.channel: Final = f"{prefix}:@{identity}"
        self.cluster: Final = address.kind == "cluster"
        self._where = str(address)
        self._deadline = deadline
        self._replicas = replicas
        self._nursery = nursery
        self._finder = Finder(address, prefix)
        self._link: _Link | None = None
        self._connecting = trio.Lock()

    # --- calls ------------------------------------------------------------------------------------

    async def run(
        self,
        script: Script,
        args: Sequence[Arg],
        abandoned: Callable[[Any], object] | None = None,
    ) -> Any:
        """See `Line`."""
        await trio.lowlevel.checkpoint_if_cancelled()
        one = _Run(script, args, abandoned)
        self._nursery.start_soon(self._perform, one, name=f"trioqueue {script.name}")
        try:
            await one.done.wait()
        except BaseException:
            one.forsaken = True
            if one.done.is_set():
                self._hand_over(one)
            raise
        if one.error is not None:
            raise one.error
        return one.reply

    async def _perform(self, one: _Run) -> None:
        """Run it, whether its caller waits or not."""
        try:
            one.reply = await self._within_deadline(
                one.script.name, lambda link: self._send(link, one), again=one.script.again
            )
        except TrioqueueError as error:
            one.error = error
        one.done.set()
        if one.forsaken:
            self._hand_over(one)

    def _hand_over(self, one: _Run) -> None:
        if one.error is None and one.abandoned is not None:
            one.abandoned(one.reply)

    async def ask(self, *words: Arg) -> Any:
        """One raw command on the server that has our keys; for looking at it."""
        return await self._within_deadline(
            str(words[0]), lambda link: _request(link, *words), again=True
        )

    async def _within_deadline(
        self, doing: str, send: Callable[[_Link], Any], *, again: bool
    ) -> Any:
        """What ``send`` answers, tried as often as may be. One deadline for all of it."""
        last: Exception | None = None
        delay = _FIRST_DELAY
        with trio.move_on_after(self._deadline):
            while True:
                sent = False
                try:
                    link = await self._connected()
                    sent = True
                    return await send(link)
                except (RedisError, OSError, BrokerUnavailable) as error:
                    last = error
                    if not self._may_repeat(error, sent=sent, again=again):
                        break
                await trio.sleep(delay)
                delay = min(2 * delay, _LAST_DELAY)
        if last is None:
            # No answer in time: what comes on this connection is not for those who ask next.
            if self._link is not None:
                self._link.drop("it did not answer in time")
            msg = f"{self._where}: {doing}: no answer within {self._deadline:g} s"
            raise BrokerUnavailable(msg)
        if isinstance(last, BrokerUnavailable):
            raise BrokerUnavailable(f"{self._where}: {doing}: {last}") from last
        raise translated(self._where, doing, last) from last

    def _may_repeat(self, error: Exception, *, sent: bool, again: bool) -> bool:
        if isinstance(error, BrokerUnavailable):
            return not sent
        if is_elsewhere(error) and self._link is not None:
            self._link.drop("another server has the keys now")
        if is_refused(error):
            return True
        return is_lost(error) and (again or not sent)

    async def _send(self, link: _Link, one: _Run) -> Any:
        words = (1, self.prefix, *one.args)
        script = one.script
        try:
            reply = await _request(link, "EVALSHA", script.sha, *words)
        except RedisError as error:
            if not is_unknown_script(error):
                raise
            reply = await _request(link, "EVAL", script.source, *words)
        if script.replicated and self._replicas:
            await self._replicate(link, script)
        return reply

    async def _replicate(self, link: _Link, script: Script) -> None:
        """Wait until the replicas have what was written on this connection before."""
        limit = max(1, int(1000 * self._deadline / 2))
        reached = await _request(link, "WAIT", self._replicas, limit)
        if reached < self._replicas:
            msg = (
                f"{self._where}: {script.name} was done, but {reached} replicas of "
                f"{self._replicas} have it so far; a failover may still lose it"
            )
            raise BrokerUnavailable(msg)

    # --- connections ------------------------------------------------------------------------------

    async def _connected(self) -> _Link:
        link = self._link
        if link is not None and link.usable:
            return link
        async with self._connecting:
            if self._link is None or not self._link.usable:
                self._link = await self._connect()
            return self._link

    async def _connect(self) -> _Link:
        """A new connection. Cancelled: none is left behind."""
        place = await self._finder.find()
        link = _Link(self._finder.connection(place))
        try:
            await self._nursery.start(link.run)
        except BaseException:
            link.drop("it was not made in time")
            raise
        return link

    # --- messages ---------------------------------------------------------------------------------

    async def listen(
        self, on_message: Callable[[bytes], object], on_gap: Callable[[], object]
    ) -> None:
        """See `Line`."""
        delay = _FIRST_DELAY
        while True:
            link: _Link | None = None
            try:
                with trio.fail_after(self._deadline):
                    link = await self._connect()
                    messages = await self._subscribe(link)
                on_gap()
                delay = _FIRST_DELAY
                await self._hear(link, messages, on_message)
            except (RedisError, OSError, trio.TooSlowError, BrokerUnavailable) as error:
                logger.debug("%s: messages are missed: %s", self._where, error)
            finally:
                if link is not None:
                    link.drop("its listener has left")
            await trio.sleep(delay)
            delay = min(2 * delay, _LAST_DELAY)

    async def _subscribe(self, link: _Link) -> Any:
        messages = link.connection.push_messages
        command = b"SSUBSCRIBE" if self.cluster else b"SUBSCRIBE"
        link.connection.send_command(command, self.channel)
        async for kind, *_ in messages:
            if kind in {b"subscribe", b"ssubscribe"}:
                return messages
        raise OSError("the subscription was not answered")

    async def _hear(
        self, link: _Link, messages: Any, on_message: Callable[[bytes], object]
    ) -> None:
        """Hand on what comes; whether the connection still lives is asked in silence."""
        async with open_bare_nursery() as nursery:
            nursery.start_soon(self._ping, link)
            async for kind, *parts in messages:
                if kind in {b"message", b"smessage"}:
                    on_message(parts[1])
                elif kind == b"sunsubscribe":  # the slot has moved
                    break
            nursery.cancel_scope.cancel(reason="the connection has ended")

    async def _ping(self, link: _Link) -> None:
        while link.usable:
            await trio.sleep(self._deadline / 2)
            with trio.move_on_after(self._deadline / 2) as scope:
                try:
                    await _request(link, "PING")
                except (RedisError, OSError):
                    break
            if scope.cancelled_caught:
                break
        link.drop("it is silent")


async def _request(link: _Link, *words: Arg) -> Any:
    name, *args = words
    command = name if isinstance(name, bytes) else str(name).encode()
    return await link.connection.create_request(command, *args, decode=False)


@asynccontextmanager
@enable_ki_protection
async def open_wire(
    address: RedisAddress, *, name: str, identity: str, deadline: float, replicas: int
) -> AsyncGenerator[Wire]:
    """The line to the queue ``name``. ``deadline``: seconds for each call.

    Raises `BrokerFailed` or `BrokerUnavailable` if the server cannot be used now.
    """
    _quieten()
    async with open_bare_nursery() as nursery:
        wire = Wire(address, f"tq:{{{name}}}", identity, deadline, replicas, nursery)
        await wire.ask("PING")
        try:
            yield wire
        finally:
            nursery.cancel_scope.cancel(reason="the line was left")


def _quieten() -> None:
    """coredis logs each failed attempt with a traceback; whoever asked for it is told anyway."""
    its = logging.getLogger("coredis")
    if its.level == logging.NOTSET:
        its.setLevel(logging.CRITICAL)
