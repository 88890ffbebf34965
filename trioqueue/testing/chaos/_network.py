"""The network of a chaos run: a process of its own, with a proxy for each slot.

It takes orders by a pipe, one line of JSON each: a slot, a kind of weather and what that needs. And
it writes down as the store's beats that the store answers.
"""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Final

import trio

from . import _records as r
from ._fork import fork, tail
from ._proxy import TcpProxy, open_proxy
from ._server import HOST
from ._witness import open_witness


class Network:
    """The end of the pipe that gives the orders. ``ports``: where each slot's proxy listens.

    Forks: for a process without threads.
    """

    def __init__(
        self, target: int, ports: Sequence[int], record: Path, beat: float, seed: int
    ) -> None:
        reads, self._writes = os.pipe()
        self._output = record.with_name("network")
        serve = partial(_serve, reads, self._writes, target, ports, record, beat, seed)
        self._pid = fork(serve, self._output)
        os.close(reads)

    def look_after(self) -> None:
        """Raises `RuntimeError` if it has ended, which it must not."""
        if os.waitpid(self._pid, os.WNOHANG)[0]:
            msg = f"the process of the network has ended:\n{tail(self._output)}"
            raise RuntimeError(msg)

    def close(self) -> None:
        """End it."""
        with suppress(ProcessLookupError, ChildProcessError):  # it has ended by itself
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        os.close(self._writes)

    def tell(self, slot: int, kind: str, *values: float) -> None:
        """From now on the weather of a slot is ``kind``: a name of `_WEATHER`."""
        os.write(self._writes, json.dumps([slot, kind, *values]).encode() + b"\n")


def _serve(
    reads: int,
    writes: int,
    target: int,
    ports: Sequence[int],
    record: Path,
    beat: float,
    seed: int,
) -> None:
    os.close(writes)
    trio.run(_network, reads, target, ports, record, beat, seed)


async def _network(
    reads: int, target: int, ports: Sequence[int], record: Path, beat: float, seed: int
) -> None:
    chance = random.Random(seed)
    async with AsyncExitStack() as stack:
        proxies = [
            await stack.enter_async_context(open_proxy(HOST, target, listen=port, random=chance))
            for port in ports
        ]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_pulse, target, record, beat)
            nursery.start_soon(_orphan, nursery.cancel_scope)
            await _obey(reads, proxies)
            nursery.cancel_scope.cancel()


async def _obey(reads: int, proxies: Sequence[TcpProxy]) -> None:
    rest = b""
    async with trio.lowlevel.FdStream(reads) as stream:
        async for data in stream:
            *orders, rest = (rest + data).split(b"\n")
            for slot, kind, *values in map(json.loads, orders):
                _WEATHER[kind](proxies[slot], *values)


async def _orphan(scope: trio.CancelScope) -> None:
    """Others have the pipe as well, so its end does not tell that the one who orders is gone."""
    parent = os.getppid()
    while os.getppid() == parent:  # noqa: ASYNC110 - of which no event tells
        await trio.sleep(0.5)
    scope.cancel()


async def _pulse(port: int, record: Path, beat: float) -> None:
    """Ask the store whether it is there, and write down when it was."""
    with open_witness(record, r.STORE) as witness:
        while True:
            try:
                async with await trio.open_tcp_stream(HOST, port) as stream:
                    while await _answers(stream):
                        witness.write(r.Beat(witness.now(), r.STORE))
                        await trio.sleep(beat)
            except OSError:
                pass
            await trio.sleep(beat)


async def _answers(stream: trio.SocketStream) -> bool:
    try:
        await stream.send_all(b"PING\r\n")
        return await stream.receive_some(7) == b"+PONG\r\n"
    except trio.BrokenResourceError:
        return False


def _lag(proxy: TcpProxy, seconds: float, jitter: float) -> None:
    proxy.delay(seconds, jitter)


def _blackhole(proxy: TcpProxy) -> None:
    proxy.blackhole()


def _mute(proxy: TcpProxy) -> None:
    """Requests arrive, replies do not."""
    proxy.blackhole(requests=False)


def _hold(proxy: TcpProxy) -> None:
    proxy.hold()


def _reset(proxy: TcpProxy) -> None:
    proxy.reset()


def _refuse(proxy: TcpProxy) -> None:
    proxy.refuse()
    proxy.reset()


def _sever(proxy: TcpProxy, times: float) -> None:
    """The next requests are carried out, and their replies lost."""
    proxy.cut(times=int(times))


def _clear(proxy: TcpProxy) -> None:
    """Connections that have lost something stay silent: they end, as by a router's time limit."""
    proxy.normal()


_WEATHER: Final[Mapping[str, Callable[..., None]]] = {
    "delay": _lag,
    "blackhole": _blackhole,
    "mute": _mute,
    "hold": _hold,
    "reset": _reset,
    "refuse": _refuse,
    "sever": _sever,
    "clear": _clear,
}
