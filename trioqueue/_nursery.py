"""A nursery for background work behind an ``async with`` block."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import cast

import trio
from trio.lowlevel import enable_ki_protection


@asynccontextmanager
@enable_ki_protection
async def open_bare_nursery() -> AsyncGenerator[trio.Nursery]:
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
            except BaseException as error:  # noqa: ASYNC103 - raised again, below or at the end
                # Cancelled belongs to a scope: ours (the background failed), or one further out.
                cancelled, failed = _split(error)
                nursery.cancel_scope.cancel(reason="the block raised")
                if cancelled is not None:
                    raise cancelled from None  # noqa: ASYNC104
    except BaseExceptionGroup as group:
        if failed is None:
            raise _collapse(group) from None
        msg = "errors in the block and behind it"
        raise BaseExceptionGroup(msg, [failed, *group.exceptions]) from None
    if failed is not None:
        raise failed


def _split(error: BaseException) -> tuple[BaseException | None, BaseException | None]:
    """What of an error is Cancelled, and what is not."""
    if isinstance(error, trio.Cancelled):
        return error, None
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        cancelled, others = group.split(trio.Cancelled)
        return (None, group) if cancelled is None else (cancelled, others)
    return None, error


def _collapse(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The only error in Trio's groups of groups; a group that user code made stays whole."""
    while group.message == "Exceptions from Trio nursery" and len(group.exceptions) == 1:
        error = group.exceptions[0]
        if not isinstance(error, BaseExceptionGroup):
            return error
        group = cast("BaseExceptionGroup[BaseException]", error)
    return group
