"""The line to a real server: deadlines, repeats, reconnects.

No pool: a connection for scripts, which all callers share, and one that listens. A pool of
connections has slots, which get lost one by one with the connections that die in use; coredis's
does, and its retries send again what must not be done twice.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import copy_context
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
from ._redis_call import Call
from ._redis_connection import Connection, Request
from ._redis_copies import Copies
from ._redis_ear import Ear
from ._redis_faults import (
    Lost,
    is_elsewhere,
    is_lost,
    is_refused,
    is_unknown_script,
    moved_to,
)
from ._redis_find import Finder, OnPush
from ._redis_line import Arg, Script
from ._redis_link import Link

#: Seconds between two tries on a server that is there: at first, and at most.
_FIRST: Final = 0.02
_LAST: Final = 0.5
_FAULTS: Final = (RedisError, OSError, Lost)


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
        mark = ("SPUBLISH" if self.cluster else "PUBLISH", f"{prefix}:@", "")  # to nobody
        self._copies = Copies(replicas, self._patience / 2, self._spawn, mark)
        self._finder = Finder(address, prefix, f"trioqueue:{identity}", self._patience)
        self._calls = self._new_link()
        # To wait for replicas blocks a connection: on one of its own it holds up nobody else.
        self._copied = self._new_link() if replicas else self._calls
        self._ear: Ear | None = None
        self._life = trio.CancelScope(shield=True)
        self._nursery: trio.Nursery | None = None
        # Of whoever opens the line: what goes on here is no part of the call that starts it.
        self._context = copy_context()
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
        self._context.run(self._nursery.start_soon, task, *args)

    def _closed_error(self) -> BrokerFailed:
        return BrokerFailed(f"{self._where} is closed: its block was left")

    def _new_link(self, on_push: OnPush | None = None) -> Link:
        connect = partial(self._connect, on_push)
        return Link(connect, self._spawn, self._patience, lambda: self._closed)

    async def _connect(self, on_push: OnPush | None) -> Connection:
        connection = await self._finder.connect(self._spawn, on_push)
        if on_push is None and self._ear is not None:
            self._ear.follow(connection)
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
        call = Call(script.name, args, deadline, again=script.again)
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
        return await self._within_deadline(Call(str(words[0]), words, deadline, again=True))

    async def _within_deadline(self, call: Call) -> Any:
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
        if call.request is not None and call.answered:
            return call.request.reply  # it came between the deadline and this step
        if self._closed:
            raise self._closed_error()
        raise call.given_up(self._where, self._deadline, self._link_of(call).error)

    def _link_of(self, call: Call) -> Link:
        return self._copied if call.script is not None and call.script.replicated else self._calls

    def _may_repeat(self, call: Call, connection: Connection | None, error: Exception) -> bool:
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

    async def _send(self, connection: Connection, call: Call) -> Any:
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
        if script.replicated and self._copies.replicas:
            call.reply = reply
            await self._replicate(connection, script)
        return reply

    async def _replicate(self, connection: Connection, script: Script) -> None:
        reached = await self._copies.wait(connection)
        if reached < self._copies.replicas:
            msg = (
                f"{self._where}: {script.name} was done, but {reached} replicas of "
                f"{self._copies.replicas} have it so far; a failover may still lose it"
            )
            raise BrokerUnavailable(msg)

    # --- calls that nobody waits for any more -----------------------------------------------------

    def _forsake(self, call: Call) -> None:
        """Its caller was cancelled. Whoever cares is told of the reply, once: it may come yet."""
        if call.abandoned is None:
            return
        if call.copying:
            call.tell(call.reply)
        elif call.request is None:
            self._go_on(call)
        elif call.request.ended:  # perhaps just now, between the cancellation and this step
            self._ended_late(call, call.request)
        else:
            call.request.on_end = partial(self._ended_late, call)

    def _ended_late(self, call: Call, request: Request) -> None:
        if request.error is None:
            call.tell(request.reply)
            return
        call.doubtful = call.doubtful or is_lost(request.error)
        self._go_on(call)

    def _go_on(self, call: Call) -> None:
        """If it may have been done, the same question brings the lost answer."""
        if call.doubtful and call.again and not self._closed:
            self._spawn(self._finish, call)
        else:
            call.tell(None)

    async def _finish(self, call: Call) -> None:
        try:
            reply = await self._within_deadline(call)
        except TrioqueueError as error:
            logger.debug("nobody will know what became of a call: %s", error)
            reply = None
        except trio.Cancelled:
            call.tell(None)
            raise
        call.tell(reply)

    # --- messages ---------------------------------------------------------------------------------

    async def listen(
        self, on_message: Callable[[bytes], object], on_gap: Callable[[], object]
    ) -> None:
        """See `Line`. Raises `BrokerFailed` when the line is left."""
        self._ear = ear = Ear(
            self._where, self.channel, self._finder, self._new_link, shards=self.cluster
        )
        await ear.listen(on_message, on_gap)
        raise self._closed_error()


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
