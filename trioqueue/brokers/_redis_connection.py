"""One connection to a Redis server: requests and their replies in order, messages in between.

The protocol is read by coredis's parser. The rest is ours: one task reads, another one writes what
the socket did not take at once, a third one watches for silence; a request that nobody waits for
any more still gets its reply, and whoever asked for it is told.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast, final

import trio
from coredis.constants.resp import DataType
from coredis.exceptions import RedisError
from coredis.parser import NOT_ENOUGH_DATA, Parser

from .._events import logger
from .._ki import protected
from ._redis_faults import Lost, cause_of
from ._redis_line import Arg

#: A host and a port; ``None``: the socket in the file system that the address names.
Place = tuple[str, int] | None
#: What the server answers to these in the form of a message.
_SUBSCRIBED: Final = (b"subscribe", b"ssubscribe")
#: Bytes read or written at once.
_PIECE: Final = 65_536


def pack(words: tuple[Arg, ...]) -> bytes:
    """A request as it is sent."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        data = word if isinstance(word, bytes) else str(word).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(parts)


@final
@protected
class Request:
    """What was asked. ``on_end``: called instead, if nobody waits when the reply comes.

    ``on_reply``: called with the reply, whoever waits, in the order in which replies come.
    """

    __slots__ = ("_task", "ended", "error", "on_end", "on_reply", "reply", "sent_at")

    def __init__(self, sent_at: float) -> None:
        self.sent_at = sent_at
        self.ended = False
        self.reply: Any = None
        self.error: Exception | None = None
        self.on_end: Callable[[Request], object] | None = None
        self.on_reply: Callable[[Any], object] | None = None
        self._task: trio.lowlevel.Task | None = None

    async def wait(self) -> Any:
        """The reply. Raises the server's error, or `Lost`.

        Cancelled: the reply has not come yet. If it has come, it is returned.
        """
        if self.ended:
            await trio.lowlevel.cancel_shielded_checkpoint()
        else:
            self._task = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abort)
        if self.error is not None:
            raise self.error
        return self.reply

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED

    def end(self, reply: Any, error: Exception | None = None) -> None:
        """The reply has come, or will not come."""
        self.ended = True
        self.reply, self.error = reply, error
        if error is None and self.on_reply is not None:
            try:
                self.on_reply(reply)
            except Exception as failed:  # the others on the connection are not to blame
                self.error = failed
        if self._task is not None:
            trio.lowlevel.reschedule(self._task)
            self._task = None
        elif self.on_end is not None:
            self.on_end(self)


@final
@protected
class Connection:
    """A stream to a server. Requests can be made while `run` runs in the background.

    ``patience``: seconds of silence after a request until the connection is given up. ``on_push``
    is called with what comes that nobody has asked for.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        place: Place,
        patience: float,
        on_push: Callable[[list[Any]], object] | None = None,
    ) -> None:
        self.place = place
        self.why: str | None = None  # it is over
        self.error: BaseException | None = None  # by which it ended
        self.over: Final = trio.Event()
        self._stream = stream
        # With TLS a stream can only be written to by a task of its own.
        self._socket = stream.socket if isinstance(stream, trio.SocketStream) else None
        self._patience = patience
        self._on_push = on_push
        self._parser = Parser()
        self._asked: deque[Request] = deque()  # and not answered yet
        self._unsent: list[bytes | memoryview] = []
        self._wanted = trio.Event()
        self._heard = trio.current_time()  # of the other side, the last time
        self._scope = trio.CancelScope()

    @property
    def usable(self) -> bool:
        """Whether requests can be made."""
        return self.why is None

    def request(self, *words: Arg) -> Request:
        """Send a request. Does not wait. Raises `Lost` if the connection is over."""
        if self.why is not None:
            raise Lost(self.why) from self.error
        data = pack(words)
        request = Request(trio.current_time())
        self._asked.append(request)
        self._write(data)
        return request

    async def ask(self, *words: Arg) -> Any:
        """Send a request, and wait for the reply. See `Request.wait`."""
        return await self.request(*words).wait()

    def drop(self, why: str, error: BaseException | None = None) -> None:
        """End it: no reply is waited for any more. Safe to repeat."""
        if self.why is not None:
            return
        self.why, self.error = why, error
        self.over.set()
        self._scope.cancel(reason=why)
        while self._asked:
            lost = Lost(why)
            lost.__cause__ = error
            self._asked.popleft().end(None, lost)

    async def run(self) -> None:
        """Read and write until it is dropped, or cancelled. Closes the stream."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._read)
                    nursery.start_soon(self._send)
                    nursery.start_soon(self._watch)
        finally:
            self.drop("it was closed")
            with trio.CancelScope(shield=True):  # closes at once; the checkpoint is one
                await trio.aclose_forcefully(self._stream)

    # --- reading ----------------------------------------------------------------------------------

    async def _read(self) -> None:
        try:
            while True:
                data = await self._stream.receive_some(_PIECE)
                if not data:
                    raise Lost("the server has closed the connection")
                self._heard = trio.current_time()
                self._parser.feed(bytes(data))  # with TLS, a bytearray
                self._take_replies()
        except (Lost, RedisError, OSError, trio.BrokenResourceError, ValueError) as error:
            self.drop(cause_of(error), error)

    def _take_replies(self) -> None:
        while (parsed := self._parser.parse(False, None)) is not NOT_ENOUGH_DATA:
            kind, reply = cast("tuple[DataType, Any]", parsed)
            if kind == DataType.PUSH:
                if reply[0] not in _SUBSCRIBED:
                    self._push(reply)
                    continue
            elif not self._asked:
                raise Lost(f"the server has answered what nobody asked: {reply!r}")
            if self._asked:
                error = reply if isinstance(reply, Exception) else None
                self._asked.popleft().end(None if error else reply, error)

    def _push(self, message: list[Any]) -> None:
        if self._on_push is not None:
            try:
                self._on_push(message)
            except Exception:
                # Anybody who may publish can send anything; the connection is none the worse.
                logger.exception("a message could not be understood: %r", message)

    # --- writing ----------------------------------------------------------------------------------

    def _write(self, data: bytes) -> None:
        """Send at once what the socket takes, and the rest in the background.

        So that a request costs no switch to another task.
        """
        rest: bytes | memoryview = data
        if self._socket is not None and not self._unsent and sys.platform != "win32":
            try:
                sent = os.write(self._socket.fileno(), data)
            except OSError:  # it would block; or it is broken, which the next try tells
                sent = 0
            if sent == len(data):
                return
            rest = memoryview(data)[sent:]
        self._unsent.append(rest)
        self._wanted.set()

    async def _send(self) -> None:
        try:
            while True:
                await self._wanted.wait()
                count = len(self._unsent)
                data = memoryview(b"".join(self._unsent))
                for at in range(0, len(data), _PIECE):
                    await self._stream.send_all(data[at : at + _PIECE])
                    self._heard = trio.current_time()  # the other side takes it
                del self._unsent[:count]
                if not self._unsent:
                    self._wanted = trio.Event()
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self.drop(cause_of(error), error)

    # --- silence ----------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Give it up when it owes an answer and nothing at all has come for too long."""
        while True:
            await trio.sleep(self._patience / 4)
            if self._asked:
                since = max(self._heard, self._asked[0].sent_at)
                if trio.current_time() - since > self._patience:
                    self.drop(f"the server was silent for {self._patience:g} s")

    async def keep_asking(self) -> None:
        """Ask now and then whether the server is there, where nothing else is asked.

        Returns when the connection is over.
        """
        while True:
            with trio.move_on_after(self._patience):
                await self.over.wait()
                return
            if self.usable and not self._asked:
                self.request("PING")  # that something comes is enough
