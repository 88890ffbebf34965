"""A way for the crash proofs to Redis: each play has a queue of its own on one server.

Strikes come before a script is sent, and when its reply is there but the broker does not know yet:
for the server there is no third time at which a client can die.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache
from secrets import token_hex
from typing import Any

from tests import crash_scenarios
from tests.redis_inline import InlineLine, open_inline_line
from tests.redis_server import RunningServer
from trioqueue import RemoteBroker
from trioqueue._model import MAX_LOSSES
from trioqueue.brokers._redis import serve_line
from trioqueue.brokers._redis_calls import Setting
from trioqueue.brokers._redis_line import Arg, Script
from trioqueue.testing.chaos import Site, drain_all
from trioqueue.testing.chaos._redis_check import check_redis

#: The variable of the environment by which the plays find the server.
SERVER = "TRIOQUEUE_CRASH_REDIS"
#: The scripts that change something, if it is only who waits for what.
CHANGING = (
    *("cancel", "claim", "drained", "ended", "nudge", "pause", "publish", "purge", "register"),
    *("renew", "replay", "revoke", "run_now", "settle", "tend", "wait"),
)
#: Where a play can die.
PROBES = tuple(f"{script}:{stage}" for script in CHANGING for stage in ("begun", "replied"))


class StruckLine:
    """A line with places to die at, for the scripts that change anything."""

    def __init__(self, inner: InlineLine, probe: Callable[[str], None]) -> None:
        self.prefix, self.channel, self.cluster = inner.prefix, inner.channel, inner.cluster
        self.listen = inner.listen
        self._inner = inner
        self._probe = probe

    async def run(
        self,
        script: Script,
        args: Sequence[Arg],
        abandoned: Callable[[Any], object] | None = None,
        arrived: Callable[[Any], object] | None = None,
    ) -> Any:
        self._pass(script, "begun")
        reply = await self._inner.run(script, args, abandoned, arrived)
        self._pass(script, "replied")
        return reply

    def _pass(self, script: Script, stage: str) -> None:
        if script.name in CHANGING:
            self._probe(f"{script.name}:{stage}")


@cache
def _server(url: str) -> RunningServer:
    """One for all brokers of a process: so a message is there when the call that sent it ends."""
    return RunningServer(url)


@asynccontextmanager
async def open_redis(site: Site, **options: Any) -> AsyncIterator[RemoteBroker]:
    """The opener of Redis brokers, on the site's clocks."""
    identity = token_hex(8)
    setting = Setting(
        identity=identity,
        lease=site.lease,
        margin=0.05 * site.lease,
        retention=options.get("retention", 86_400.0),
        max_losses=options.get("max_losses", MAX_LOSSES),
        capacity=options.get("capacity"),
        waits_for_room=True,
        lease_clock=site.lease_clock,
        now=site.wall_clock,
        poll=0.2,
    )
    play = site.path.parent
    with open_inline_line(
        _server(os.environ[SERVER]), f"{play.parent.name}-{play.name}", identity
    ) as line:
        async with serve_line(StruckLine(line, site.probe), setting) as broker:
            yield broker


async def drain_redis(site: Site) -> None:
    """A clean worker ends all, and nothing but ended tasks is left on the server."""
    await drain_all(site)
    await _look_over(site)


async def drain_queue(site: Site) -> None:
    """The same by the real workers."""
    await crash_scenarios.drain_queue(site)
    await _look_over(site)


async def _look_over(site: Site) -> None:
    async with site.open_broker() as broker:
        assert await check_redis(broker) == ""
