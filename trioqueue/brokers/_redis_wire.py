"""The line to a real server: deadlines, repeats, reconnects.

No pool: a connection for scripts, which all callers share, and one that listens. A pool of
connections has slots, which get lost one by one with the connections that die in use; coredis's
does, and its retries send again what must not be done twice.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, final

import trio
from coredis.exceptions import RedisError
from trio.lowlevel import enable_ki_protection

from .._errors import BrokerFailed, BrokerUnavailable, TrioqueueError
from .._events import logger
from .._ki import protected
from .._nursery import open_bare_nursery
from ._redis_address import RedisAddress
from ._redis_connection import Connection, Request
from ._redis_faults import (
    Lost,
    cause_of,
    is_elsewhere,
    is_lost,
    is_refused,
    is_unknown_script,
    moved_to,
    translated,
)
from ._redis_find import Finder
from ._redis_line import Arg, Script
from ._redis_link import Link

#: Seconds between two tries on a server that is there: at first, and at most.
_FIRST: Final = 0.02
_LAST: Final = 0.5
#: The same for who may not listen, until somebody has mended that.
_REFUSED_DELAY: Final = 5.0
_FAULTS: Final = (RedisError, OSError, Lost)
_NOTHING: Final = object()


@final
class _Call:
    """Something to be done on the server, over several tries perhaps."""

    __slots__ = (
        *("abandoned", "again", "args", "arrived", "deadline", "doubtful", "last", "name", "reply"),
        *("request", "script"),
    )

    def __init__(self, name: str, args: Sequence[Arg], deadline: float, *, again: bool) -> None:
        self.name = name
        self.args = args
        self.deadline = deadline
        self.again = again
        self.script: Script | None = None
        self.abandoned: Callable[[Any], object] | None = None
        self.arrived: Callable[[Any], object] | None = None
        self.request: Request | None = None  # the last one that was sent
        self.reply: Any = _NOTHING
        self.doubtful = False  # it may have been done without an answer
        self.last: Exception | None = None


@final
class _Copying:
    """One wait for the replicas, for all who share it."""

    def __init__(self, connection: Connection) -> None:
        self.connection: Final = connection
        self.ended: Final = trio.Event()
        self.reached = 0
        self.error: Exception | None = None


@final
@protected
class Wire:
    """See `Line`."""

    def __init__(
        self, address: RedisAddress, prefix: str, identity: str, deadline: float, replicas: int
    ) -> None:
        self.prefix: Final = prefix
        self.channel: Final = f"{prefix}:@{identity}"
        self.cluster: Final = address.kind == "cluster"
        self._where = str(address)
        self._deadline = deadline
        # A connection that is silent for so long is given up while there is time for another one.
        self._patience = deadline / 2
        self._replicas = replicas
        self._finder = Finder(address, prefix, f"trioqueue:{identity}", self._patience)
        self._calls = self._new_link()
        # To wait for replicas blocks a connection: on one of its own it holds up nobody else.
        self._copied = self._new_link() if replicas else self._calls
        self._copying: _Copying | None = None  # the next one
        self._one_copying = trio.Lock()
        self._ear: Link | None = None
        self._life = trio.CancelScope(shield=True)
        self._nursery: trio.Nursery | None = None
        self._closed = False
        self.lives: Final = trio.Event()

    # --- its life ---------------------------------------------------------------------------------

    async def live(self) -> None:
        """What goes on in the background, until `close`. ``lives`` is set when it has begun.

        Shielded: those who have to tell the server of their end do so when all else is cancelled.
        """
        with self._life:
            async with trio.open_nursery() as self._nursery:
                self.lives.set()
                await trio.sleep_forever()

    def close(self) -> None:
        """Nothing is asked any more, and who waits for an answer is told so."""
        self._closed = True
        self._life.cancel(reason="the line was left")

    def _spawn(self, task: Callable[..., Any], *args: Any) -> None:
        if self._closed or self._nursery is None:
            raise self._closed_error()
        self._nursery.start_soon(task, *args)

    def _closed_error(self) -> BrokerFailed:
        return BrokerFailed(f"{self._where} is closed: its block was left")

    def _new_link(self, on_push: Callable[[list[Any]], object] | None = None) -> Link:
        return Link(partial(self._connect, on_push), self._spawn, self._patience)

    async def _connect(self, on_push: Callable[[list[Any]], object] | None) -> Connection:
        connection = await self._finder.connect(self._spawn, on_push)
        if on_push is None and self._ear is not None:
            heard = self._ear.connection
            if heard is not None and heard.place != connection.place:
                self._ear.drop("the queue is on another server now")
        return connection

    # --- calls ------------------------------------------------------------------------------------

    async def run(
        self,
        script: Script,
        args: Sequence[Arg],
        abandoned: Callable[[Any], object] | None = None,
        arrived: Callable[[Any], object] | None = None,
    ) -> Any:
        """See `Line`."""
        deadline = trio.current_time() + self._deadline
        call = _Call(script.name, args, deadline, again=script.again)
        call.script = script
        call.abandoned, call.arrived = abandoned, arrived
        try:
            await trio.lowlevel.checkpoint_if_cancelled()
            return await self._within_deadline(call)
        except (trio.Cancelled, KeyboardInterrupt):
            self._forsake(call)
            raise

    async def ask(self, *words: Arg) -> Any:
        """The reply to one raw command, from the server that has our keys. Raises as `run` does."""
        deadline = trio.current_time() + self._deadline
        return await self._within_deadline(_Call(str(words[0]), words, deadline, again=True))

    async def _within_deadline(self, call: _Call) -> Any:
        """Try as often as may be. One deadline for all of it."""
        delay = _FIRST
        with trio.move_on_at(call.deadline):
            while not self._closed:
                connection: Connection | None = None
                call.request = None
                try:
                    connection = await self._link_of(call).connected()
                    return await self._send(connection, call)
                except _FAULTS as error:
                    call.last = error
                    if not self._may_repeat(call, connection, error):
                        break
                if connection is not None:  # else there was a pause, if there was need of one
                    await trio.sleep(delay)
                    delay = min(2 * delay, _LAST)
        request = call.request
        copying = call.reply is not _NOTHING
        if request is not None and request.ended and request.error is None and not copying:
            return request.reply  # it came between the deadline and this step
        raise self._given_up(call)

    def _link_of(self, call: _Call) -> Link:
        return self._copied if call.script is not None and call.script.replicated else self._calls

    def _may_repeat(self, call: _Call, connection: Connection | None, error: Exception) -> bool:
        if connection is None:
            return is_lost(error) or is_refused(error)
        if moved_to(error) and not self.cluster:
            msg = f"{self._where}: the server is a node of a cluster: write redis+cluster://"
            raise BrokerFailed(msg) from error
        if is_elsewhere(error):
            self._finder.moved(moved_to(error), connection.place)
            connection.drop("another server has the keys now")
        if is_refused(error):
            return True
        if not is_lost(error):
            return False
        if call.request is not None:
            call.doubtful = True
        return call.again or not call.doubtful

    def _given_up(self, call: _Call) -> TrioqueueError:
        if self._closed:
            return self._closed_error()
        request, last = call.request, call.last
        if request is not None:
            request.on_reply = None  # as good as lost, whenever it comes
        if request is not None and (not request.ended or call.reply is not _NOTHING):
            last = Lost(f"no answer within {self._deadline:g} s")
            call.doubtful = True
        elif last is None:
            last = self._link_of(call).error or Lost(f"no connection within {self._deadline:g} s")
        error = translated(self._where, call.name, last)
        if call.doubtful and isinstance(error, BrokerUnavailable):
            error = BrokerUnavailable(f"{error} (whether it was done is not known)")
        error.__cause__ = last
        return error

    async def _send(self, connection: Connection, call: _Call) -> Any:
        script = call.script
        if script is None:
            call.request = connection.request(*call.args)
            return await call.request.wait()
        words = (b"1", self.prefix, *call.args)
        call.request = connection.request(b"EVALSHA", script.sha, *words)
        call.request.on_reply = call.arrived
        try:
            reply = await call.request.wait()
        except RedisError as error:
            if not is_unknown_script(error):
                raise
            call.request = connection.request(b"EVAL", script.source, *words)
            call.request.on_reply = call.arrived
            reply = await call.request.wait()
        if script.replicated and self._replicas:
            call.reply = reply
            await self._replicate(connection, script)
        return reply

    async def _replicate(self, connection: Connection, script: Script) -> None:
        """Wait until the replicas have what was written on this connection before.

        That blocks the connection, so one wait serves all who were answered before it began.
        """
        copying = self._copying
        if copying is None or copying.connection is not connection:
            copying = self._copying = _Copying(connection)
            self._spawn(self._copy, copying)
        await copying.ended.wait()
        if copying.error is not None:
            raise copying.error
        if copying.reached < self._replicas:
            msg = (
                f"{self._where}: {script.name} was done, but {copying.reached} replicas of "
                f"{self._replicas} have it so far; a failover may still lose it"
            )
            raise BrokerUnavailable(msg)

    async def _copy(self, copying: _Copying) -> None:
        try:
            async with self._one_copying:
                if self._copying is copying:
                    self._copying = None  # who is answered from here on needs another one
                limit = max(1, int(1000 * self._patience / 2))
                copying.reached = await copying.connection.ask("WAIT", self._replicas, limit)
        except _FAULTS as error:
            copying.error = error
        except BaseException:
            copying.error = Lost("the line was left")
            raise
        finally:
            copying.ended.set()

    # --- calls that nobody waits for any more -----------------------------------------------------

    def _forsake(self, call: _Call) -> None:
        """Its caller was cancelled. Whoever cares is told of the reply, once: it may come yet."""
        if call.abandoned is None:
            return
        if call.reply is not _NOTHING:
            self._tell(call, call.reply)
        elif call.request is None:
            self._go_on(call)
        elif call.request.ended:  # perhaps just now, between the cancellation and this step
            self._ended_late(call, call.request)
        else:
            call.request.on_end = partial(self._ended_late, call)

    def _ended_late(self, call: _Call, request: Request) -> None:
        if request.error is None:
            self._tell(call, request.reply)
            return
        call.doubtful = call.doubtful or is_lost(request.error)
        self._go_on(call)

    def _go_on(self, call: _Call) -> None:
        """If it may have been done, the same question brings the lost answer."""
        if call.doubtful and call.again and not self._closed:
            self._spawn(self._finish, call)
        else:
            self._tell(call, None)

    async def _finish(self, call: _Call) -> None:
        try:
            reply = await self._within_deadline(call)
        except TrioqueueError as error:
            logger.debug("nobody will know what became of a call: %s", error)
            reply = None
        except trio.Cancelled:
            self._tell(call, None)
            raise
        self._tell(call, reply)

    def _tell(self, call: _Call, reply: Any) -> None:
        assert call.abandoned is not None
        try:
            call.abandoned(reply)
        except Exception:
            logger.exception("the late reply to %s could not be made use of", call.name)

    # --- messages ---------------------------------------------------------------------------------

    async def listen(
        self, on_message: Callable[[bytes], object], on_gap: Callable[[], object]
    ) -> None:
        """See `Line`."""

        def hear(message: list[Any]) -> None:
            match message[0]:
                case b"message" | b"smessage":
                    on_message(message[2])
                case b"sunsubscribe":
                    link.drop("the queue's slot has moved")
                case _:
                    pass

        link = self._ear = self._new_link(hear)
        delay = _FIRST
        try:
            while not self._closed:
                connection: Connection | None = None
                try:
                    connection = await link.connected()
                    await connection.ask(
                        "SSUBSCRIBE" if self.cluster else "SUBSCRIBE", self.channel
                    )
                    on_gap()
                    delay = _FIRST
                    await connection.keep_asking()
                    why = connection.why or ""
                except (*_FAULTS, BrokerFailed) as error:
                    why = cause_of(error)
                    self._look_elsewhere(link, connection, error)
                    if not is_lost(error) and not is_refused(error):
                        # No reason to end: what is missed is found by looking, which is later.
                        logger.warning("%s", translated(self._where, "listening", error))
                        delay = _REFUSED_DELAY
                logger.debug("%s: messages are missed: %s", self._where, why)
                await trio.sleep(delay)
                delay = min(2 * delay, _LAST)
        finally:
            link.drop("its listener has left")
        raise self._closed_error()

    def _look_elsewhere(self, link: Link, connection: Connection | None, error: Exception) -> None:
        if connection is not None:
            self._finder.moved(moved_to(error), connection.place)
        link.drop("it cannot be listened to")


@asynccontextmanager
@enable_ki_protection
async def open_wire(
    address: RedisAddress, *, name: str, identity: str, deadline: float, replicas: int
) -> AsyncGenerator[Wire]:
    """The line to the queue ``name``. ``deadline``: seconds for each call.

    Raises `BrokerFailed` or `BrokerUnavailable` if the server cannot be used now.
    """
    async with open_bare_nursery() as nursery:
        wire = Wire(address, f"tq:{{{name}}}", identity, deadline, replicas)
        nursery.start_soon(wire.live)  # noqa: ASYNC113 - start() hangs when all is cancelled
        try:
            await wire.lives.wait()
            await wire.ask("PING")
            yield wire
        finally:
            wire.close()
