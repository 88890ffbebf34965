"""The one that looks at the broker regularly, for all clients together, however long it is away."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final, final

import trio

from .. import BrokerFailed, BrokerUnavailable, Counts
from .._rates import Rates, Window
from ._cache import Cache
from ._hub import Hub
from ._recorder import Recorder
from ._series import RATES, Series
from ._source import Source
from ._text import encode, one_line

logger = logging.getLogger("trioqueue.web")

#: Seconds between two samples; and, while the broker is away, at most.
STEP: Final = 1.0
_LONGEST_PAUSE: Final = 10.0
#: And at least, however often something is changed by the page.
_LEAST: Final = 0.1

#: Seconds that what has to be walked or asked for extra (lanes, workers) may be old.
_DETAILS: Final = 2.0

_PLACES: Final = (
    *("submitted", "scheduled", "ready", "running", "succeeded", "dead"),
    *("cancelled", "expired", "handed_back", "purged", "evicted"),
)


@final
class Sampler:
    """``run`` samples for as long as it lasts; the others answer from what it knows."""

    def __init__(
        self,
        source: Source,
        recorder: Recorder,
        cache: Cache,
        hub: Hub,
        facts: Mapping[str, Any],
    ) -> None:
        self._source = source
        self._facts = facts  # what the page adds: its title, what may be done
        self._recorder = recorder
        self._cache = cache
        self._hub = hub
        hub.on_first = self._wake
        self._series = Series()
        self._window = Window()
        self._counts: Counts | None = None
        self._details: dict[str, Any] = {}
        self._error: str | None = None
        self._asked_at = float("-inf")
        self._hurried = trio.Event()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Sample until cancelled. Started once the first sample was tried."""
        pause = STEP
        started = False
        while True:
            began = trio.current_time()
            try:
                await self._sample()
            except (BrokerUnavailable, BrokerFailed) as error:
                self._lose(error)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                self._find()
                pause = STEP
            self._hub.publish(encode(self.overview_now()))
            if not started:
                task_status.started()
                started = True
            took = trio.current_time() - began
            await trio.sleep(max(_LEAST, took))  # it never works for more than half of the time
            with trio.move_on_at(began + pause):
                await self._hurried.wait()
            self._hurried = trio.Event()

    def hurry(self) -> None:
        """Something was changed: forget what is kept, and look again soon."""
        self._cache.clear()
        self._wake()

    def _wake(self) -> None:
        self._hurried.set()

    async def _sample(self) -> None:
        counts = await self._source.inspector.counts()
        await self._recorder.sort_out()
        now = trio.current_time()
        self._counts = counts
        self._window.note(now, counts.moves)
        wall = self._source.wall_clock()
        self._series.add(now, wall, counts, self._recorder.take_times())
        if self._hub.streams or now - self._asked_at < 10 * STEP:
            await self._look_closer()

    async def _look_closer(self) -> None:
        """What only matters while somebody looks."""
        self._details = await self._cache.get("details", _DETAILS, self._read_details)

    async def _read_details(self) -> dict[str, Any]:
        inspector = self._source.inspector
        lanes = await inspector.lanes()
        everything, queues = await inspector.paused()
        workers = [worker for worker in await self._source.workers() if worker.live]
        return {
            "oldest": max((lane.oldest for lane in lanes if lane.oldest is not None), default=None),
            "paused": {"all": everything, "queues": list(queues)},
            "workers": {
                "live": len(workers),
                "processes": len(workers),
                "slots": sum(worker.workers for worker in workers),
                "running": sum(worker.running for worker in workers),
            },
        }

    def _lose(self, error: Exception) -> None:
        if self._error is None:
            logger.warning("the page cannot look at the broker: %s", one_line(str(error)))
        self._error = one_line(str(error)) or type(error).__name__

    def _find(self) -> None:
        if self._error is not None:
            logger.warning("the page can look at the broker again")
        self._error = None

    async def overview(self) -> dict[str, Any]:
        """The overview, with what had not been looked at while nobody did.

        Raises what the broker raises, unless it is known to be away.
        """
        self._asked_at = trio.current_time()
        if self._error is None:
            await self._look_closer()
        else:
            await trio.lowlevel.checkpoint()
        return self.overview_now()

    def overview_now(self) -> dict[str, Any]:
        """The overview, of what is known."""
        counts, times = self._counts, self._series.last_minute()
        rates = self._window.rates()
        return {
            **self._facts,
            "broker": self._source.kind,
            "now": self._source.wall_clock(),
            "available": self._error is None,
            "error": self._error,
            "counts": {name: 0 if counts is None else getattr(counts, name) for name in _PLACES},
            "capacity": None if counts is None else counts.capacity,
            "waiting_submitters": 0 if counts is None else counts.waiting_submitters,
            "rates": _rates_json(rates),
            "failure_rate": None if rates is None else rates.failure_rate,
            "oldest": None,
            "paused": {"all": False, "queues": []},
            "workers": {"live": 0, "processes": 0, "slots": 0, "running": 0},
            "waiting": times.waiting.quantiles(),
            "duration": times.duration.quantiles(),
            **self._details,
        }

    def window(self, seconds: float) -> dict[str, Any]:
        """The curves of so many seconds until now."""
        return self._series.window(seconds, self._source.wall_clock())


def _rates_json(rates: Rates | None) -> dict[str, float | None]:
    return {name: None if rates is None else round(getattr(rates, name), 3) for name in RATES}
