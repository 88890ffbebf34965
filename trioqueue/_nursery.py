"""A nursery for background work behind an ``async with`` block."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio


@asynccontextmanager
async def open_bare_nursery() -> AsyncIterator[trio.Nursery]:
    """A nursery that does not wrap what was not raised by several of its tasks at once.

    An error of the block (a Ctrl-C among them) cancels the background and arrives outside as what
    it is; so does the only error of the background. Trio's own would turn both into groups, which
    is right where a user opens a nursery, and a surprise where one opens a queue.
    """
    failed: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            try:
                yield nursery
            except trio.Cancelled:
                raise
            except BaseException as error:
                failed = error
                nursery.cancel_scope.cancel(reason="the block raised")
    except BaseExceptionGroup as group:
        if failed is None:
            raise _collapse(group) from None
        msg = "errors in the block and behind it"
        raise BaseExceptionGroup(msg, [failed, *group.exceptions]) from None
    if failed is not None:
        raise failed


def _collapse(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The only error in Trio's groups of groups; a group that user code made stays whole."""
    error: BaseException = group
    while (
        isinstance(error, BaseExceptionGroup)
        and len(error.exceptions) == 1
        and error.message == "Exceptions from Trio nursery"
    ):
        error = error.exceptions[0]
    return error
