"""The one worker process of a broker in memory, as others register themselves elsewhere."""

from __future__ import annotations

import os
import platform
from secrets import token_hex
from typing import final

from .._broker import Consumer, WorkerRecord


@final
class Served:
    """Who runs the tasks, from ``started_at`` on (Unix time)."""

    def __init__(self, consumer: Consumer, started_at: float) -> None:
        self._consumer = consumer
        self._id = token_hex(8)  # names a process, chooses nothing: no seed need repeat it
        self._started_at = started_at

    def record(self) -> WorkerRecord:
        """As it is now."""
        consumer = self._consumer
        return WorkerRecord(
            self._id,
            platform.node(),
            os.getpid(),
            consumer.size,
            tuple(sorted(consumer.room())),
            None,
            self._started_at,
            consumer.size - consumer.free(),
        )
