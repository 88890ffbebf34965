"""Wrapping handlers, so that their beginnings and ends are known for certain."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from trio.lowlevel import disable_ki_protection, enable_ki_protection

if TYPE_CHECKING:
    from ._ledger import Ledger

from .. import TaskSet, TaskType


@disable_ki_protection
async def _call(handler: Callable[..., Awaitable[Any]], args: Any, kwargs: Any) -> Any:
    return await handler(*args, **kwargs)


@disable_ki_protection
def _call_sync(handler: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    return handler(*args, **kwargs)


def _witnessed_async(ledger: Ledger, handler: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    @functools.wraps(handler)
    @enable_ki_protection
    async def witnessed(*args: Any, **kwargs: Any) -> Any:
        lease = ledger.own_lease()
        if lease is None:
            return await _call(handler, args, kwargs)
        ledger.began(lease)
        try:
            value = await _call(handler, args, kwargs)
        except BaseException as error:
            ledger.ended(lease, error)
            raise
        ledger.ended(lease, None)
        return value

    return witnessed


def _witnessed_sync(ledger: Ledger, handler: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(handler)
    @enable_ki_protection
    def witnessed(*args: Any, **kwargs: Any) -> Any:
        lease = ledger.own_lease()
        if lease is None:
            return _call_sync(handler, args, kwargs)
        ledger.began(lease)
        try:
            value = _call_sync(handler, args, kwargs)
        except BaseException as error:
            ledger.ended(lease, error)
            raise
        ledger.ended(lease, None)
        return value

    return witnessed


def _set_handler(task_type: TaskType[..., Any], handler: Callable[..., Any]) -> None:
    vars(task_type)["handler"] = handler


@contextmanager
@enable_ki_protection
def witnessed(ledger: Ledger, tasks: TaskSet) -> Generator[None]:
    """Put a witness round every handler of ``tasks``, as long as the block lasts."""
    originals = [(task_type, task_type.handler) for task_type in tasks]
    for task_type, handler in originals:
        wrap = _witnessed_async if task_type.is_async else _witnessed_sync
        _set_handler(task_type, wrap(ledger, handler))
    try:
        yield
    finally:
        for task_type, handler in originals:
            _set_handler(task_type, handler)
