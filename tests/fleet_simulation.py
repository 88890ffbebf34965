"""A fleet of workers in one process, on the virtual clock: what it asks of a server, who is woken.

    python -m tests.fleet_simulation 1000

Each worker is an opening of its own, as if on a machine of its own; the server is real, the time is
not. So what is counted is exact, and what the server needs for it is measured.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import trio
import trio.testing

from tests.redis_broker import open_virtual
from tests.redis_inline import InlineLine
from tests.redis_server import Redis, Server, fresh_name
from trioqueue import Lease, Move, Options, Outcome, OutcomeKind, Settlement, Task
from trioqueue.brokers._redis import RedisBroker

LEASE = 30.0
POLL = 5.0
TYPE = "type"


@dataclass
class Fleet:
    """``size`` workers with ``slots`` each, that take ``work`` seconds for a task."""

    server: Redis
    size: int
    slots: int = 10
    work: float = 0.1
    name: str = field(default_factory=fresh_name)
    brokers: list[RedisBroker] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)  # tasks, by worker
    claims: int = 0
    in_vain: int = 0
    running: int = 0
    most_running: int = 0
    progress: trio.Event = field(default_factory=trio.Event)

    @asynccontextmanager
    async def open(self, limit: int | None = None) -> AsyncGenerator[trio.Nursery]:
        """All of them at work. ``limit``: of the whole fleet, for the type."""
        async with AsyncExitStack() as stack:
            for _ in range(self.size):
                opening = open_virtual(self.server, self.name, lease=LEASE, poll=POLL)
                broker = await stack.enter_async_context(opening)
                broker.limit_fleet({} if limit is None else {TYPE: limit})
                self.brokers.append(broker)
            async with trio.open_nursery() as nursery:
                for broker in self.brokers:
                    nursery.start_soon(self._work, broker)
                await trio.sleep(1)
                yield nursery
                nursery.cancel_scope.cancel()

    async def _work(self, broker: RedisBroker) -> None:
        while True:
            await broker.wait_ready([TYPE])
            leases = await broker.claim({TYPE: self.slots}, self.slots)
            self.claims += 1
            self.in_vain += not leases
            if leases:
                await self._handle(broker, leases)

    async def _handle(self, broker: RedisBroker, leases: list[Lease]) -> None:
        self.running += len(leases)
        self.most_running = max(self.most_running, self.running)
        await trio.sleep(self.work)
        self.running -= len(leases)
        outcome = Outcome(OutcomeKind.RETURNED)
        await broker.settle([Settlement(lease, Move.SUCCEEDED, outcome) for lease in leases])
        self.done[broker.identity] += len(leases)
        self.progress.set()
        self.progress = trio.Event()

    async def publish(self, number: int) -> None:
        """So many tasks at once, from one of the openings."""
        tasks = []
        for n in range(number):
            task = Task(f"{trio.current_time():.6f}-{n}", TYPE, (), {}, Options())
            task.payload = b"[[1],{}]"
            tasks.append(task)
        await self.brokers[0].publish(tasks)

    async def until_done(self, number: int) -> None:
        """Wait until so many have been done in all."""
        while sum(self.done.values()) < number:
            await self.progress.wait()

    def calls(self) -> Counter[str]:
        """The scripts that were run so far, by name."""
        runs: Counter[str] = Counter()
        for broker in self.brokers:
            assert isinstance(broker._line, InlineLine)
            runs += broker._line.runs
        return runs

    def server_cpu(self) -> float:
        """Seconds that the server has computed."""
        cpu = self.server.info("cpu")
        return float(cpu["used_cpu_user"]) + float(cpu["used_cpu_sys"])


async def idle(fleet: Fleet, seconds: float = 60.0) -> tuple[float, float]:
    """Calls in a second of an idle fleet, and the share of a core that the server needs."""
    async with fleet.open():
        calls, cpu = fleet.calls(), fleet.server_cpu()
        await trio.sleep(seconds)
        return (fleet.calls() - calls).total() / seconds, (fleet.server_cpu() - cpu) / seconds


async def one_task(fleet: Fleet) -> Counter[str]:
    """The calls that one task causes in an idle fleet."""
    async with fleet.open():
        calls = fleet.calls()
        await fleet.publish(1)
        await fleet.until_done(1)
        return fleet.calls() - calls


async def burst(fleet: Fleet, number: int) -> float:
    """Virtual seconds until so many tasks, published at once, are done."""
    async with fleet.open():
        start = trio.current_time()
        await fleet.publish(number)
        await fleet.until_done(number)
        return trio.current_time() - start


async def limited(fleet: Fleet, limit: int, number: int) -> None:
    """The same, with a limit for the whole fleet."""
    async with fleet.open(limit):
        await fleet.publish(number)
        await fleet.until_done(number)


def play(scenario: object, *args: object) -> object:
    """Run it on a virtual clock."""
    clock = trio.testing.MockClock(autojump_threshold=0)
    return trio.run(scenario, *args, clock=clock)  # type: ignore[arg-type]


def main(size: int) -> None:
    """Print the figures."""
    with Server() as server:
        calls, share = play(idle, Fleet(server, size))  # type: ignore[misc]
        print(f"{size} idle workers: {calls:.0f} calls/s, {100 * share:.1f} % of the server's core")
        print(f"one task: {dict(play(one_task, Fleet(server, size)))}")  # type: ignore[call-overload]
        fleet = Fleet(server, size)
        cpu = fleet.server_cpu()
        took = play(burst, fleet, 10_000)
        print(
            f"10,000 tasks of {fleet.work} s at once: done after {took:.2f} virtual s, by "
            f"{len(fleet.done)} workers, at most {max(fleet.done.values())} each; {fleet.claims} "
            f"claims, {fleet.in_vain} in vain; {fleet.server_cpu() - cpu:.2f} s of the server's CPU"
        )
        fleet = Fleet(server, size)
        play(limited, fleet, 4, 100)
        print(
            f"100 tasks, 4 at once in the whole fleet: never more than {fleet.most_running}; "
            f"{fleet.claims} claims, {fleet.in_vain} in vain"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
