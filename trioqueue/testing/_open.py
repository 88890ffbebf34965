"""Opening a queue for a test: the real one, with the ledger at its side."""

from __future__ import annotations

import itertools
import random
from collections.abc import AsyncGenerator, Generator, Iterable
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from trio.lowlevel import enable_ki_protection

from .. import Observer, Queue, TaskSet, open_queue
from ._laws import LawBroken
from ._ledger import Ledger
from ._stage import on_stage

_ledgers: WeakKeyDictionary[Queue, Ledger] = WeakKeyDictionary()


@asynccontextmanager
@enable_ki_protection
async def open_test_queue(
    tasks: TaskSet,
    *,
    ledger: Ledger | None = None,
    check: bool = True,
    observers: Iterable[Observer] = (),
    **options: Any,
) -> AsyncGenerator[Queue]:
    """``open_queue`` with a ledger attached: leaving the block raises `LawBroken` if a law was.

    ::

        async with open_test_queue(tasks, workers=2) as queue:
            await queue.submit(resize, "cat.png")

    Takes everything that ``open_queue`` takes. The sources of jitter and ids are seeded unless
    given, so that a test is the same each time. ``ledger``: your own `Ledger`, fresh.
    ``check=False`` leaves the checking to you (``ledger.check()``). The handlers of ``tasks`` are
    wrapped while the block lasts.
    """
    own = Ledger() if ledger is None else ledger
    options.setdefault("random", random.Random(0))
    options.setdefault("new_id", _counting_ids())
    watchers = [own.observe, *observers]
    with on_stage() as enter, own.witness(tasks), _judged(own, check=check), own.watching():
        async with open_queue(tasks, observers=watchers, **options) as queue:
            _ledgers[queue] = own
            own.attach(queue, whole=options.get("broker") is None)
            enter(queue)
            yield queue


@contextmanager
@enable_ki_protection
def _judged(ledger: Ledger, *, check: bool) -> Generator[None]:
    """Look at the laws however the block ends."""
    failed: BaseException | None = None
    try:
        yield
    except BaseException as error:
        failed = error
        raise
    finally:
        ledger.left(failed)
        breaches = ledger.breaches() if check else ()
        if breaches:
            raise LawBroken(breaches) from failed


def _counting_ids() -> Any:
    numbers = itertools.count(1)
    return lambda: f"task-{next(numbers)}"


def ledger_of(queue: Queue) -> Ledger:
    """The ledger of a queue that was opened by `open_test_queue`. `LookupError` for another."""
    try:
        return _ledgers[queue]
    except KeyError:
        msg = f"{queue!r} has no ledger: open it with trioqueue.testing.open_test_queue"
        raise LookupError(msg) from None
