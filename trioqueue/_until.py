"""Calls that are ended by something in a queue's life: its close, the end of its workers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar, final

import trio

from ._ki import protected

T = TypeVar("T")


class Ended(Exception):
    """The call was cut short, or not even begun."""


@final
@protected
class Until:
    """Cancels the calls that run in it once it is told to ``end``, and begins none after that."""

    def __init__(self, reason: str) -> None:
        self.reason: Final = reason
        self.ended = False
        self._scopes: set[trio.CancelScope] = set()

    async def run(self, call: Callable[[], Awaitable[T]]) -> T:
        """``await call()``. Raises `Ended` if the end has come first."""
        if self.ended:
            raise Ended(self.reason)
        with trio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                return await call()
            finally:
                self._scopes.discard(scope)
        raise Ended(self.reason)

    def end(self) -> None:
        """Cancel them all. What has had its effect already returns all the same."""
        self.ended = True
        for scope in self._scopes:
            scope.cancel(reason=self.reason)
