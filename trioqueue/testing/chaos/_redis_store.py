"""Chaos for Redis: a server that is killed and frozen, and a bad network in front of it."""

from __future__ import annotations

import random
import time
from collections.abc import Generator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import ClassVar, Final

from ... import RemoteBroker
from . import _records as r
from ._excuses import Terms
from ._network import Network
from ._redis_check import check_redis
from ._server import HOST, Fsync, Server, free_port
from ._store import MAX_LOSSES, Live
from ._witness import Witness

#: How often each kind of weather is drawn.
_WEATHER: Final = {
    "delay": 2,
    "blackhole": 2,
    "mute": 2,
    "hold": 2,
    "refuse": 1,
    "reset": 2,
    "sever": 4,
}
#: What an operator may do at any time: whoever is concerned must not even notice.
_COMMANDS: Final = {
    "deafen": "CLIENT KILL TYPE pubsub",
    "disconnect": "CLIENT KILL TYPE normal SKIPME yes",
    "unload": "SCRIPT FLUSH",
}
#: What is done once, and then over.
_ONCE: Final = frozenset({"reset", "sever"})
#: Connections that have lost something stay silent when the weather is over.
_LOSSY: Final = frozenset({"blackhole", "mute"})


@dataclass(frozen=True)
class RedisStore:
    """A server of its own. ``server``: the program; ``fsync``: of its append-only file."""

    server: str = "redis-server"
    fsync: Fsync = "always"

    certain: ClassVar[bool] = False

    def terms(self, lease: float) -> Terms:
        """See `Store`."""
        return Terms(lease, margin=lease, shared=False)

    def preload(self) -> None:
        """See `Store`."""
        from ...brokers import _codec, _redis, _redis_open, _redis_wire

        assert all((_codec, _redis, _redis_open, _redis_wire))

    @contextmanager
    def serve(
        self, directory: Path, seed: int, lease: float, slots: int, witness: Witness
    ) -> Generator[Live]:
        """See `Store`."""
        server = Server(self.server, directory / "server", self.fsync)
        ports = [free_port() for _ in range(slots)]
        network = None
        try:
            server.start()
            server.wait()
            network = Network(server.port, ports, directory / "witness", lease / 20, seed)
            yield _LiveServer(server, network, ports, lease, witness)
        finally:
            if network is not None:
                network.close()
            server.kill()

    def open(self, address: str, lease: float) -> AbstractAsyncContextManager[RemoteBroker]:
        """See `Store`."""
        from ...brokers._redis_open import open_redis_broker

        return open_redis_broker(address, lease=lease, timeout=lease, max_losses=MAX_LOSSES)

    async def check(self, broker: RemoteBroker, address: str) -> str:
        """See `Store`."""
        return await check_redis(broker)


@dataclass
class _Sky:
    """The weather of one slot, and who has it."""

    process: str = ""
    kind: str = ""
    until: float = inf  # the proxy is told then
    over: float = inf  # it has no consequences any more


@dataclass
class _LiveServer:
    """See `Live`."""

    server: Server
    network: Network
    ports: list[int]
    lease: float
    witness: Witness
    mischief: Mapping[str, float] = field(
        default_factory=lambda: {"weather": 6, "restart": 0.6, "freeze": 0.4, "command": 1}
    )

    def __post_init__(self) -> None:
        self._skies = [_Sky() for _ in self.ports]
        self._down_until = inf
        self._frozen_until = inf

    def address(self, slot: int | None) -> str:
        port = self.server.port if slot is None else self.ports[slot]
        return f"redis://{HOST}:{port}/0"

    def occupied(self, slot: int, process: str) -> None:
        sky = self._skies[slot]
        sky.process = process
        if sky.kind:
            self._note(sky, sky.kind)

    def _note(self, sky: _Sky, kind: str) -> None:
        self.witness.write(r.Weather(self.witness.now(), sky.process, kind))

    # --- mischief ------------------------------------------------------------------------------

    def strike(self, kind: str, slot: int, chance: random.Random) -> str:
        if kind == "weather":
            return self._change(slot, chance)
        if self._down_until < inf or self._frozen_until < inf:
            return ""
        if kind == "command":
            word = chance.choice(list(_COMMANDS))
            return word if self.server.tell(_COMMANDS[word]) else ""
        seconds = chance.uniform(0, 1.5) * self.lease
        if kind == "restart":
            self._down_until = time.monotonic() + seconds
            self.witness.write(r.Killed(self.witness.now(), r.STORE, "kill"))
            self.server.kill()
        else:
            self._frozen_until = time.monotonic() + seconds
            self.witness.write(r.Stopped(self.witness.now(), r.STORE))
            self.server.freeze()
        return kind

    def _change(self, slot: int, chance: random.Random) -> str:
        sky = self._skies[slot]
        if sky.kind:
            return ""
        (kind,) = chance.choices(list(_WEATHER), list(_WEATHER.values()))
        self._note(sky, kind)
        if kind in _ONCE:
            self.network.tell(slot, kind, *([chance.randint(1, 3)] if kind == "sever" else []))
            return kind
        delays = [chance.uniform(0.01, 0.1) * self.lease for _ in range(2)]
        self.network.tell(slot, kind, *(delays if kind == "delay" else []))
        sky.kind, sky.until = kind, time.monotonic() + chance.uniform(0.1, 2.0) * self.lease
        return kind

    # --- and its end ---------------------------------------------------------------------------

    def look_after(self) -> None:
        self.network.look_after()
        now = time.monotonic()
        if now > self._down_until:
            self._down_until = inf
            self.server.start()
        if now > self._frozen_until:
            self._frozen_until = inf
            self.witness.write(r.Continued(self.witness.now(), r.STORE))
            self.server.thaw()
        for slot, sky in enumerate(self._skies):
            if now > sky.until:
                self._clear(slot, sky)
            if now > sky.over:
                sky.kind, sky.over = "", inf
                self._note(sky, "")

    def _clear(self, slot: int, sky: _Sky) -> None:
        self.network.tell(slot, "clear")
        # Whoever waits for a silent connection does so for no longer than its deadline.
        sky.over = sky.until + (self.lease if sky.kind in _LOSSY else 0.0)
        sky.until = inf

    def calm(self) -> None:
        while self._in_trouble():
            self.look_after()
            time.sleep(0.01)
        self.server.wait()

    def _in_trouble(self) -> bool:
        away = min(self._down_until, self._frozen_until) < inf
        return away or any(sky.kind for sky in self._skies)
