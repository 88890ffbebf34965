"""Reads that many clients share: one at a time, kept for a moment, longer the more they cost."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Final, TypeVar, cast, final

import trio

T = TypeVar("T")

#: Answers kept at once. Their keys come from outside: filters, and texts that are searched.
_MOST: Final = 64

#: What a read cost is waited for so many times before it is made again: expensive ones take no
#: more than a twentieth of the broker's time, however many look.
_REST: Final = 20


@final
class _Entry:
    def __init__(self) -> None:
        self.lock = trio.Lock()
        self.value: Any = None
        self.until = float("-inf")


@final
class Cache:
    """``get`` answers from what is kept, or has it read by the first who asks."""

    def __init__(self) -> None:
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()

    async def get(self, key: Hashable, seconds: float, read: Callable[[], Awaitable[T]]) -> T:
        """What ``read()`` brings, up to ``seconds`` old, or 20 times what reading took.

        A checkpoint. Whoever asks while it is read waits for that. Cancelled, or an error: nothing
        is kept, and the next one reads.
        """
        entry = self._entry(key)
        async with entry.lock:
            began = trio.current_time()
            if began < entry.until:
                return cast("T", entry.value)
            value = await read()
            now = trio.current_time()
            entry.value = value
            entry.until = now + max(seconds, _REST * (now - began))
            return value

    def _entry(self, key: Hashable) -> _Entry:
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry()
            if len(self._entries) > _MOST:
                self._entries.popitem(last=False)
        else:
            self._entries.move_to_end(key)
        return entry

    def clear(self) -> None:
        """Forget everything: an operation has changed something."""
        self._entries.clear()
