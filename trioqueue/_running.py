"""Which attempt is being run: known to the handler, its child tasks and its threads."""

from __future__ import annotations

from contextvars import ContextVar

from ._model import Lease

#: The lease that is being run, for the handler's Trio task, its children and its threads. The lease
#: itself, and not a record made of it: most handlers never ask.
running: ContextVar[Lease | None] = ContextVar("trioqueue_running", default=None)


def running_lease() -> Lease | None:
    """The lease of the attempt that the caller is part of, or ``None`` outside, or once it is over.

    The variable alone does not tell: a worker leaves it as it is from one attempt to the next, and
    what observers and hooks do in between is not the handler's. (A lease that was lost is run all
    the same, until the handler has cleaned up.)
    """
    lease = running.get()
    if lease is None or getattr(lease.holder, "lease", None) is not lease:
        return None
    return lease
