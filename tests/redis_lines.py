"""What tests of the line to Redis share where several servers are involved, or many connections."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress

import trio

from tests.redis_server import fresh_name
from trioqueue._nursery import open_bare_nursery
from trioqueue.brokers._redis_address import split_redis_url
from trioqueue.brokers._redis_line import Script
from trioqueue.brokers._redis_wire import Wire, open_wire

#: Seconds; a failover takes two or three, on a machine with other work more.
PATIENCE = 30.0

INCR = Script("incr", b"return redis.call('INCR', KEYS[1] .. ':n')")
INCR_REPLICATED = Script("incr", INCR.source, replicated=True)
#: Its reply is how many have heard it.
TELL = Script("tell", b"return redis.call('PUBLISH', ARGV[1], ARGV[2])")
TELL_SHARD = Script("tell", b"return redis.call('SPUBLISH', ARGV[1], ARGV[2])")


@asynccontextmanager
async def lined(
    url: str, *, deadline: float = PATIENCE, replicas: int = 0, name: str = ""
) -> AsyncGenerator[Wire]:
    """A line to a queue with a name of its own."""
    address, _ = split_redis_url(url)
    async with open_wire(
        address, name=name or fresh_name(), identity="me", deadline=deadline, replicas=replicas
    ) as line:
        yield line


async def until(condition: Callable[[], object]) -> None:
    """Wait for a state of the servers, which they can be asked for and do not announce.

    A server that gets another role closes its connections.
    """
    with trio.fail_after(PATIENCE):
        while True:
            with suppress(ConnectionError):
                if condition():
                    return
            await trio.sleep(0.005)


class Ears:
    """Hears the messages to a line: ``message`` and ``gap`` wait for the next one."""

    def __init__(self) -> None:
        self._put_message, self._messages = trio.open_memory_channel[bytes](1_000)
        self._put_gap, self._gaps = trio.open_memory_channel[None](1_000)

    async def message(self) -> bytes:
        with trio.fail_after(PATIENCE):
            return await self._messages.receive()

    async def gap(self) -> None:
        with trio.fail_after(PATIENCE):
            await self._gaps.receive()

    async def listen(self, line: Wire) -> None:
        await line.listen(self._put_message.send_nowait, lambda: self._put_gap.send_nowait(None))


@asynccontextmanager
async def listening(line: Wire) -> AsyncGenerator[Ears]:
    """Ears that hear from the first line of the block on."""
    ears = Ears()
    async with open_bare_nursery() as nursery:
        nursery.start_soon(ears.listen, line)
        await ears.gap()
        yield ears
        nursery.cancel_scope.cancel()
