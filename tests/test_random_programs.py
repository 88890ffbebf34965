"""Whole programs drawn at random: whatever handlers and operators do, the laws hold at the end."""

from random import Random

import pytest
import trio
from trio.testing import MockClock

from tests.attempts import LEAKY
from tests.contract import check_sum, opened
from trioqueue import (
    Discard,
    Handle,
    KeyTaken,
    Queue,
    QueueClosed,
    QueuePaused,
    Retry,
    RetryLater,
    Snooze,
    TaskSet,
    UnknownTask,
    WouldDeadlock,
    current_task,
)

ERRORS = (OSError, KeyError, SystemExit, Discard, lambda: Snooze(0), lambda: Snooze(2), RetryLater)


class Program:
    """Handlers and a main task that draw their next step from one source."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.handles: list[Handle[object]] = []
        self.tasks = TaskSet(retry=Retry(attempts=3, initial=0.5, never=KeyError))
        for name, limit in (("free", None), ("one", 1), ("two", 2)):
            self.tasks.task(name=name, limit=limit, timeout=4)(self.handler)
        self.types = list(self.tasks)

    async def handler(self, depth: int) -> None:
        for _ in range(self.random.randrange(3)):
            await self.act(current_task().queue, depth)
        if self.random.random() < 0.4:
            raise self.random.choice(ERRORS)()

    async def act(self, queue: Queue, depth: int) -> None:
        """One step that any Trio task may take, in a handler or outside."""
        match self.random.choice("ssswwcrlbn"):
            case "s" if depth:
                await self.submit(queue, depth - 1)
            case "w":
                await trio.sleep(self.random.choice([0, 0.1, 1, 3]))
            case "c" if self.handles:
                await self.random.choice(self.handles).cancel()
            case "r" if self.handles and depth:
                with trio.move_on_after(3):
                    await self.random.choice(self.handles).wait()
            case "l":
                LEAKY.set(depth)
            case "b":
                with trio.CancelScope(shield=True):
                    await trio.sleep(1)
            case "n" if depth:
                calls = [self.random.choice(self.types).bind(0) for _ in range(2)]
                self.handles += await queue.submit_many(calls)
            case _:
                await trio.lowlevel.checkpoint()

    async def submit(self, queue: Queue, depth: int) -> None:
        random = self.random
        options = queue.options(
            delay=random.choice([0, 0, 0.7]),
            priority=random.choice([100, 100, 1]),
            expires=random.choice([None, None, 2]),
            timeout=random.choice([None, 1, 4]),
            **random.choice([{}, {}, {"key": "k"}, {"queue": "other"}]),
        )
        self.handles.append(await options.submit(random.choice(self.types), depth))

    async def operate(self, queue: Queue) -> None:
        """What happens to a queue from outside, until it is left."""
        for _ in range(self.random.randrange(5, 25)):
            match self.random.choice("aaaaaapqdxk"):
                case "p":
                    queue.pause(self.random.choice([None, "other"]))
                case "q":
                    queue.resume()
                case "d" if queue.dead_letters:
                    with trio.move_on_after(1):
                        await queue.dead_letters.replay_all()
                case "x" if self.handles:
                    queue._broker.revoke(self.random.choice(self.handles).id)
                case "k" if queue.pool._workers:
                    ordered = sorted(queue.pool._workers, key=lambda worker: worker.number)
                    self.random.choice(ordered).life.cancel()
                case _:
                    with trio.move_on_after(5):
                        await self.act(queue, 2)
            check_sum(queue)

    async def run(self) -> None:
        """Left cleanly, or in one of the ways of being stopped."""
        workers = self.random.choice([1, 2, 4])
        capacity = max(workers, self.random.choice([2, 5, 100]))
        sizes = {"delayed_capacity": self.random.choice([2, 50]), "dead_capacity": 3}
        async with opened(self.tasks, workers=workers, capacity=capacity, **sizes) as queue:
            await self.operate(queue)
            match self.random.choice("rrrsche"):
                case "s":
                    await queue.shutdown(self.random.choice([0, 2, 30]))
                case "c":
                    queue.close()
                case "h":
                    raise OSError("the block failed")
                case "e":
                    queue.pause()
                case _:
                    queue.resume()

    async def prove(self) -> None:
        """Run it; every handle has its outcome then."""
        try:
            await self.run()
        except EXPECTED:
            pass
        for handle in self.handles:
            with trio.fail_after(1):
                await handle.wait()


EXPECTED = (OSError, QueuePaused, QueueClosed, WouldDeadlock, UnknownTask, KeyTaken)


@pytest.mark.race
@pytest.mark.parametrize("seed", range(60))
async def test_the_laws_hold_for_programs_drawn_at_random(
    seed: int, autojump_clock: MockClock
) -> None:
    """The ledger checks them as the queue is left; every handle has its outcome then."""
    await Program(seed).prove()
