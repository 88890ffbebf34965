"""What the processes of the crash proofs do until they die, each in a process of its own.

Every verb of a durable broker is called here, since each of its points is a place to die.
"""

import trio

from trioqueue import (
    ErrorRecord,
    Lease,
    Move,
    Options,
    Outcome,
    OutcomeKind,
    QueueClosed,
    RemoteBroker,
    Retry,
    Settlement,
    Snooze,
    Task,
    TaskSet,
    WorkerRecord,
    current_task,
    open_queue,
)
from trioqueue.testing.chaos import Site, at_work, complete

ROOM = {"work": 100}
KINDS = {
    Move.RETRIED: OutcomeKind.ERROR,
    Move.DIED: OutcomeKind.ERROR,
    Move.SNOOZED: OutcomeKind.SNOOZE,
    Move.RELEASED: OutcomeKind.INTERRUPTED,
    Move.CANCELLED: OutcomeKind.CANCELLED,
}


def task(name: str, **options: object) -> Task:
    made = Task(name, "work", (), {}, Options(**options))  # type: ignore[arg-type]
    made.payload = b"[[],{}]"
    return made


async def claim(broker: RemoteBroker, most: int = 1) -> list[Lease]:
    """Claim so many tasks, which are there or will be soon."""
    leases: list[Lease] = []
    while len(leases) < most:
        await broker.wait_ready(ROOM)
        leases += await broker.claim(ROOM, most - len(leases))
    return leases


async def end(site: Site, broker: RemoteBroker, move: Move, *, delay: float = 0.0) -> Lease:
    """Run a task until it ends by ``move``."""
    (lease,) = await claim(broker)
    failed = move in {Move.RETRIED, Move.DIED}
    outcome = Outcome(KINDS[move])
    if failed:
        outcome.error = ErrorRecord(lease.task.attempt, "error", "OSError", "bad", "")
    try:
        with at_work(site.witness, (lease.task.id, lease.token)):
            raise OSError
    except OSError:
        await broker.settle([Settlement(lease, move, outcome, delay, failed)])
    return lease


# --- one after the other ------------------------------------------------------------------------


async def submits(site: Site) -> None:
    """Submits of every kind, some of which are merged into what is there."""
    async with site.open_broker() as broker:
        await broker.publish([task("a")])
        await broker.publish([task("b"), task("c", delay=0.1), task("d", key="k", priority=7)])
        await broker.publish([task("e", key="k"), task("a"), task("f", expires=site.lease)])
        site.advance(2 * site.lease)
        await complete(broker, await broker.claim(ROOM, 1), site.witness)


async def ends(site: Site) -> None:
    """Every way in which an attempt can end."""
    async with site.open_broker() as broker:
        for number, move in enumerate(KINDS):
            await broker.publish([task(f"t{number}")])
            await end(site, broker, move, delay=1.0 if move is Move.RETRIED else 0.0)
        site.advance(2.0)
        await complete(broker, await claim(broker), site.witness)


async def leases(site: Site) -> None:
    """Leases that are renewed, that run out, and that are taken away."""
    async with site.open_broker() as broker:
        await broker.register(WorkerRecord("w", "here", 1, 2, ("work",), None, 0.0))
        await broker.publish([task(name) for name in ("renewed", "over", "revoked")])
        held = await claim(broker, 3)
        site.advance(0.8 * site.lease)
        await broker.renew([held[0], held[2]])
        await broker.revoke("revoked")
        site.advance(0.8 * site.lease)
        (again,) = await claim(broker)
        (late,) = await claim(broker)  # what was "over"
        await complete(broker, [held[0]], site.witness)
        await broker.settle(
            [Settlement(held[1], Move.SUCCEEDED, Outcome(OutcomeKind.RETURNED))]  # too late
        )
        await complete(broker, [again, late], site.witness)
        await broker.register(WorkerRecord("w", "here", 1, 2, ("work",), None, 0.0, live=False))


async def operations(site: Site) -> None:
    """What an operator does."""
    async with site.open_broker() as broker:
        names = ["waiting", "running", "letter", "thrown"]
        await broker.publish([task(names[0], priority=1), *map(task, names[1:])])
        await broker.cancel("waiting")
        (running,) = await claim(broker)
        await broker.cancel("running")
        await broker.settle([Settlement(running, Move.CANCELLED, Outcome(OutcomeKind.CANCELLED))])
        for _ in range(2):
            await end(site, broker, Move.DIED)
        await broker.replay("letter")
        await broker.purge("thrown")
        await broker.pause("default")
        await broker.pause()
        await broker.resume()
        await broker.resume("default")
        await broker.publish([task("later", delay=1.0)])
        await broker.run_now("later")
        await complete(broker, await claim(broker, 2), site.witness)


async def twice(site: Site) -> None:
    """A store that is closed and opened again."""
    for name in ("first", "second"):
        async with site.open_broker() as broker:
            await broker.publish([task(name), task(f"{name} too")])
            await complete(broker, await claim(broker), site.witness)


# --- who is told by message ---------------------------------------------------------------------


async def waits(site: Site) -> None:
    """Waits for what others do: one for an end, and one that is over when it is called."""
    async with site.open_broker() as broker, site.open_broker() as other:
        with trio.move_on_after(0.05):
            await other.wait_ready(ROOM)
        made = task("a")
        async with trio.open_nursery() as nursery:
            await broker.publish([made])
            nursery.start_soon(broker.wait_settled, made)
            await complete(other, await claim(other), site.witness)
        await broker.wait_drained(ROOM, None)


# --- at once ------------------------------------------------------------------------------------


async def crowd(site: Site) -> None:
    """Submitters and workers at once, so that their calls share transactions."""

    async def submit(broker: RemoteBroker, who: int) -> None:
        for number in range(5):
            await broker.publish([task(f"{who}.{number}")])

    async def work(broker: RemoteBroker, some: int) -> None:
        for _ in range(some):
            await complete(broker, await claim(broker), site.witness)

    async with site.open_broker() as broker, trio.open_nursery() as nursery:
        for who in range(3):
            nursery.start_soon(submit, broker, who)
        for _ in range(3):
            nursery.start_soon(work, broker, 5)


# --- through the queue --------------------------------------------------------------------------


def program(site: Site) -> TaskSet:
    """Handlers that return, fail once, snooze once, and submit another task."""
    tasks = TaskSet(retry=Retry(attempts=3, initial=0.01, jitter=0))

    @tasks.task(name="plain")
    async def plain(number: int) -> dict[str, int]:
        with at_work(site.witness):
            await trio.lowlevel.checkpoint()
            if number == 1 and current_task().attempt == 1:
                raise OSError
            if number == 2 and current_task().fencing_token[1] == 1:
                raise Snooze(0.01)
            if number == 3:
                await current_task().queue.submit(plain, 4)
            return {"token": current_task().fencing_token[1]}

    return tasks


async def queue(site: Site) -> None:
    """The real workers."""
    tasks = program(site)
    async with (
        site.open_broker() as broker,
        open_queue(tasks, broker=broker, workers=2) as opened,
    ):
        for number in range(5):
            await opened.submit(tasks["plain"], number)
        await opened.drain()


async def drain_queue(site: Site) -> None:
    """The real workers, after the crash."""
    tasks = program(site)
    async with (
        site.open_broker() as broker,
        open_queue(tasks, broker=broker, workers=2) as opened,
    ):
        await opened.drain()


RAW = (submits, ends, leases, operations, twice, crowd)


# --- for the tests of the proofs themselves -----------------------------------------------------


async def refused(site: Site) -> None:
    """A submit that fails, to the relief of whoever submits it again under another id."""
    async with site.open_broker() as broker:
        try:
            await broker.publish([task("a")])
        except QueueClosed:
            site.probe("refused")


async def broken(site: Site) -> None:
    """A scenario with a bug of its own."""
    msg = "no such verb"
    raise RuntimeError(msg)
