"""A queue's numbers and tasks at once, also where asking for them takes a wait otherwise."""

from __future__ import annotations

from functools import partial
from typing import Any

from .. import Options, Queue, Statistics


def statistics_of(queue: Queue) -> Statistics | None:
    """``queue.statistics()``; also of a queue in a file, on the virtual clock.

    There the file is read in Trio's own thread anyway. ``None``: the file is closed, or the queue
    is on another broker or another clock, so that nothing can be known without waiting.
    """
    if queue._local is not None:
        return queue.statistics()
    counts = _look(queue.inspector, "counts")
    return None if counts is None else queue._count(counts)


def options_of(queue: Queue, task_id: str) -> Options | None:
    """The options of a task that was accepted just now, where they can be known at once."""
    if queue._local is not None:
        task = queue._local.get(task_id)
    else:
        task = _look(queue.inspector, "get", task_id=task_id)
    return None if task is None else task.options


def _look(broker: Any, verb: str, **how: Any) -> Any:
    """What a look into the file finds; ``None`` if it cannot be done at once."""
    if type(broker).__name__ != "SqliteBroker":
        return None  # and its module, which needs other packages, is not imported to find out
    from ..brokers import _sqlite_look
    from ..brokers._sqlite_inline import InlineDesk
    from ..brokers._sqlite_jobs import Job

    desk = broker._desk
    if not isinstance(desk, InlineDesk) or desk._closing:
        return None
    job = Job(verb, partial(getattr(_sqlite_look, verb), **how))
    desk._engine.look([job])
    return job.raw
