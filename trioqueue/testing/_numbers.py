"""A queue's numbers at once, also where asking for them takes a wait otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import Queue, Statistics

if TYPE_CHECKING:
    from .._broker import Counts


def statistics_of(queue: Queue) -> Statistics | None:
    """``queue.statistics()``; also of a queue in a file, on the virtual clock.

    There the file is read in Trio's own thread anyway. ``None``: the file is closed, or the queue
    is on another broker or another clock, so that nothing can be known without waiting.
    """
    if queue._local is not None:
        return queue.statistics()
    counts = _counts_in_file(queue.inspector)
    return None if counts is None else queue._count(counts)


def _counts_in_file(broker: Any) -> Counts | None:
    if type(broker).__name__ != "SqliteBroker":
        return None  # and its module, which needs other packages, is not imported to find out
    from ..brokers._sqlite_inline import InlineDesk
    from ..brokers._sqlite_jobs import Job
    from ..brokers._sqlite_look import counts

    desk = broker._desk
    if not isinstance(desk, InlineDesk) or desk._closing:
        return None
    job = Job("counts", counts)
    desk._engine.look([job])
    found: Counts | None = job.raw
    return found
