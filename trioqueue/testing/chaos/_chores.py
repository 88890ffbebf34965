"""What the processes of a chaos run do: tasks of every kind, all of them witnessed."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from math import inf
from typing import Any, Final

import trio

from ... import (
    BrokerUnavailable,
    Call,
    Discard,
    Queue,
    Retry,
    Snooze,
    TaskSet,
    TaskType,
    current_task,
)
from ._watched import at_work
from ._witness import Witness

#: Failures of a flaky task before it succeeds: up to so many, by its number.
FLAKY: Final = 3
#: How many tasks of the type of which there are few slots may run at once, in all processes.
SCARCE: Final = 2
_RETRY: Final = Retry(attempts=FLAKY + 1, initial=0.05, maximum=0.2)


@dataclass(frozen=True)
class Result:
    """What the handlers return: whose result it is."""

    token: int


@dataclass(frozen=True)
class Chores:
    """The task types of a run."""

    tasks: TaskSet
    quick: TaskType[[int], Result]
    nap: TaskType[[float], Result]
    flaky: TaskType[[int], Result]
    grind: TaskType[[float], Result]
    parent: TaskType[[int], Result]
    snooze: TaskType[[int], Result]
    doomed: TaskType[[int], Result]
    scarce: TaskType[[float], Result]


def _result() -> Result:
    return Result(current_task().fencing_token[1])


def make_chores(witness: Witness, pace: float) -> Chores:
    """The task types, witnessed. ``pace``: seconds between two signs that one is at work."""
    tasks = TaskSet(retry=_RETRY)

    @tasks.task(name="quick")
    async def quick(number: int) -> Result:
        with at_work(witness):
            await trio.lowlevel.checkpoint()
            return _result()

    @tasks.task(name="nap")
    async def nap(seconds: float) -> Result:
        """Long: up to some leases."""
        with at_work(witness) as worked:
            until = trio.current_time() + seconds
            while (left := until - trio.current_time()) > 0:
                await trio.sleep(min(pace, left))
                worked()
            return _result()

    @tasks.task(name="flaky")
    async def flaky(number: int) -> Result:
        """Fails as often as its number says: an attempt that is burned would change that."""
        with at_work(witness):
            await trio.sleep(pace / 4)
            if current_task().attempt <= number % (FLAKY + 1):
                msg = "not yet"
                raise OSError(msg)
            return _result()

    @tasks.task(name="grind")
    def grind(seconds: float) -> Result:
        """In a thread, which nothing can cancel."""
        with at_work(witness, thread=True) as worked:
            until = time.monotonic() + seconds
            while (left := until - time.monotonic()) > 0:
                time.sleep(min(pace, left))
                worked()
            return _result()

    @tasks.task(name="parent")
    async def parent(number: int) -> Result:
        """Submits another one."""
        with at_work(witness):
            await current_task().queue.submit(quick, number)
            return _result()

    @tasks.task(name="snooze")
    async def snooze(number: int) -> Result:
        with at_work(witness):
            await trio.lowlevel.checkpoint()
            if current_task().fencing_token[1] == 1:
                raise Snooze(pace)
            return _result()

    @tasks.task(name="doomed")
    async def doomed(number: int) -> Result:
        with at_work(witness):
            await trio.lowlevel.checkpoint()
            msg = "meant to"
            raise Discard(msg)

    @tasks.task(name="scarce", limit=SCARCE, scope="fleet")
    async def scarce(seconds: float) -> Result:
        with at_work(witness) as worked:
            await trio.sleep(seconds)
            worked()
            return _result()

    return Chores(tasks, quick, nap, flaky, grind, parent, snooze, doomed, scarce)


# --- producers ----------------------------------------------------------------------------------


async def produce(queue: Queue, chores: Chores, chance: random.Random, rate: float) -> None:
    """Submit tasks of all kinds, ``rate`` in a second, and now and then operate one."""
    mine: list[str] = []
    while True:
        await trio.sleep(chance.expovariate(rate))
        await _submit(queue, chores, chance, mine)
        if chance.random() < 0.1:
            await _operate(queue, chance.choice(mine), chance)


async def _submit(queue: Queue, chores: Chores, chance: random.Random, mine: list[str]) -> None:
    options: dict[str, Any] = {
        "id": f"{chance.getrandbits(64):016x}",
        "priority": chance.choice([50, 100, 100, 100, 150]),
        "delay": chance.choice([0, 0, 0, 0, chance.uniform(0, 0.5)]),
    }
    number = chance.randrange(1_000)
    call = _draw(chores, chance, number)
    if call.type is chores.scarce:
        options["id"] = f"scarce-{options['id']}"
    if chance.random() < 0.1:
        options["key"] = f"key {number % 10}"
    while True:  # under the same id, until the answer is known
        patience = chance.choice([inf] * 19 + [chance.expovariate(500)])
        with trio.move_on_after(patience):
            try:
                (handle,) = await queue.options(**options).submit_many([call])
            except BrokerUnavailable:
                await trio.sleep(0.05)
            else:
                mine.append(handle.id)
                return


def _draw(chores: Chores, chance: random.Random, number: int) -> Call[Result]:
    seconds = chance.choice([0.05, 0.1, 0.2, 0.5, 1.5])
    calls = [
        (30, chores.quick.bind(number)),
        (25, chores.nap.bind(seconds)),
        (15, chores.flaky.bind(number)),
        (10, chores.grind.bind(seconds)),
        (8, chores.parent.bind(number)),
        (8, chores.snooze.bind(number)),
        (4, chores.doomed.bind(number)),
        (8, chores.scarce.bind(min(seconds, 0.3))),
    ]
    (call,) = chance.choices([call for _, call in calls], [weight for weight, _ in calls])
    return call


async def _operate(queue: Queue, task_id: str, chance: random.Random) -> None:
    inspector = queue.inspector
    try:
        if chance.random() < 0.5:
            await inspector.revoke(task_id)
        else:
            await inspector.cancel(task_id)
    except BrokerUnavailable:
        pass  # done, or not
