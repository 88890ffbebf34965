"""Opening a queue: what is given is checked, and the parts are put together."""

from __future__ import annotations

import random as random_module
import time
from collections.abc import AsyncGenerator, Callable, Collection, Iterable
from contextlib import asynccontextmanager
from typing import Final, cast

from trio.lowlevel import enable_ki_protection

from ._backend import Backend, LocalBackend
from ._broker import RemoteBroker
from ._checks import check_count, check_hook, check_name, check_type
from ._errors import HandedBack, InvalidTask, QueueClosed
from ._events import Observer
from ._ids import new_id_source
from ._instrument import Instrument, Instruments, check_instruments
from ._nursery import open_bare_nursery
from ._queue import Queue
from ._registry import TaskSet
from ._remote import Remote
from ._retry import is_a, leaves
from .brokers._open import MemoryBroker, codec_of, open_broker

#: Workers of a queue unless told otherwise: handlers mostly wait, so more than cores; few enough
#: that a service behind them is not stormed by default.
WORKERS: Final = 10


def _check_queues(queues: object) -> Collection[str] | None:
    if queues is None:
        return None
    if isinstance(queues, str) or not isinstance(queues, Iterable):
        msg = f"queues must be a collection of names, not {queues!r}"
        raise InvalidTask(msg)
    names = tuple(check_name("queues", name) for name in cast("Iterable[object]", queues))
    if not names:
        msg = "queues is empty: nothing could be submitted"
        raise InvalidTask(msg)
    return names


def _check_sizes(
    workers: int, capacity: int | None, delayed: int, dead: int, results: int
) -> dict[str, int]:
    """The sizes of the broker, as `open_broker` takes them."""
    if capacity is None:
        capacity = max(100, 4 * workers)
    return {
        "capacity": check_count(f"capacity (with workers={workers})", capacity, workers),
        "delayed_capacity": check_count("delayed_capacity", delayed, 1),
        "dead_capacity": check_count("dead_capacity", dead, 1),
        "results": check_count("results", results, 0),
    }


def _check_observers(observers: Iterable[Observer]) -> tuple[Observer, ...]:
    try:
        checked = tuple(observers)
    except TypeError:
        msg = f"observers must be a collection of functions, not {observers!r}"
        raise InvalidTask(msg) from None
    for observer in checked:
        check_hook("observers", observer)
    return checked


def _check_sources(random: object, new_id: object) -> None:
    if random is not None:
        check_type("random", random, random_module.Random)
    if new_id is not None:
        check_hook("new_id", new_id)


def _is_answer_to_stop(error: BaseException) -> bool:
    """Whether all that left the block is what ``shutdown`` makes submits and results raise."""
    return all(is_a(leaf, (QueueClosed, HandedBack)) for leaf in leaves(error))


def _elsewhere(
    broker: RemoteBroker, tasks: TaskSet, queues: Collection[str] | None, workers: int
) -> Remote:
    """A queue's side of a broker that is not in this process."""
    types = {task_type.name: task_type for task_type in tasks}
    return Remote(broker, codec_of(types.values()), types, queues, workers)


@asynccontextmanager
@enable_ki_protection
async def open_queue(
    tasks: TaskSet,
    *,
    workers: int = WORKERS,
    capacity: int | None = None,
    broker: str | MemoryBroker | RemoteBroker | None = None,
    queues: Iterable[str] | None = None,
    delayed_capacity: int = 10_000,
    dead_capacity: int = 10_000,
    results: int = 1_000,
    observers: Iterable[Observer] = (),
    instruments: Iterable[Instrument] = (),
    random: random_module.Random | None = None,
    new_id: Callable[[], str] | None = None,
) -> AsyncGenerator[Queue]:
    """Open a queue with ``workers`` workers, for as long as the block lasts.

    Like a nursery: leaving the block waits until everything accepted has ended. An exception in the
    block, or a cancellation, is a hard stop: running handlers are cancelled, and whatever has not
    ended is handed back (``queue.unfinished()``). Entering waits for the lifespan only.

    ``broker``: where tasks are kept. ``None``: in memory, for as long as the block lasts. A URL,
    as ``"sqlite:///jobs.db"`` or ``"redis://host:6379/0"``: in a file or on a server, for this and
    other processes, now and later; leaving then waits for the tasks that run here, and the others
    stay there. Or a broker that is open already, from `open_memory_broker`, `open_sqlite_broker` or
    `open_redis_broker`, for one queue. ``workers=0``, on a durable
    broker: a queue that only submits.

    ``capacity``: how many tasks may be ready, running or backing off (default ``max(100, 4 *
    workers)``); ``delayed_capacity``: how many delayed or snoozed; ``dead_capacity``: how many dead
    letters, the oldest being evicted; ``results``: how many ended tasks `Queue.handle` still finds.
    ``queues``: the lanes that there are; on a durable broker those that the workers serve (default:
    any). ``observers``: called with every event. ``instruments``: there while it happens, as
    `observe.Tracing`: each `Instrument` is entered round every submit and every attempt.
    ``random`` and ``new_id`` are the sources of jitter and ids, for runs that can be repeated. The
    sizes are those of the queue's own memory broker; any other broker has its own.

    Raises `InvalidTask` for a value that cannot be, `BrokerFailed` if the broker cannot be used.
    """
    check_type("open_queue(tasks)", tasks, TaskSet)
    lanes = _check_queues(queues)
    in_memory = not isinstance(broker, (str, RemoteBroker))
    check_count("workers", workers, 1 if in_memory else 0)
    if capacity is not None and not in_memory:
        msg = (
            f"capacity={capacity} is for a queue in memory: a file has no bound, and one on Redis "
            "has it in its URL, as redis://host:6379/0?capacity=1000"
        )
        raise InvalidTask(msg)
    sizes = _check_sizes(workers, capacity, delayed_capacity, dead_capacity, results)
    observers = _check_observers(observers)
    round_all = check_instruments(instruments)
    _check_sources(random, new_id)
    source = random_module.Random() if random is None else random
    ids = new_id_source(source, time.time) if new_id is None else new_id
    async with open_broker(broker, **sizes) as kept:
        backend: Backend
        local: LocalBackend | None = None
        if isinstance(kept, RemoteBroker):
            backend = _elsewhere(kept, tasks, lanes, workers)
        else:
            backend = local = kept
        backend.feed.check_free()
        for observer in observers:
            backend.events.add(observer)
        # Elsewhere, other lanes than those that are served here are the business of others.
        queues_known = None if local is None else lanes
        queue = Queue(
            tasks,
            backend,
            local,
            workers,
            queues_known,
            source.random,
            ids,
            Instruments(round_all) if round_all else None,
        )
        queue._check_types()
        try:
            async with open_bare_nursery() as nursery:
                if workers:
                    await nursery.start(queue.pool.run, name="trioqueue pool")
                else:
                    queue.pool.do_without()
                try:
                    answer: Exception | None = None
                    try:
                        yield queue
                    except Exception as error:
                        if not (queue.pool.stopping and _is_answer_to_stop(error)):
                            raise
                        answer = error
                    if answer is not None:
                        # The block was told of a stop under way: its grace is not cut short.
                        await queue.pool.ended.wait()
                        raise answer
                    await queue._leave()
                except BaseException:
                    queue.pool.stopping = True
                    backend.close()  # a hard stop accepts nothing more, clean-ups' submits included
                    raise
        finally:
            backend.stop()  # however the block ends: what has not ended is handed back
