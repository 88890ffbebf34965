"""Peer: dramatiq on Redis, its worker's threads as the concurrency."""

import asyncio
import importlib
from collections.abc import Callable, Sequence
from typing import Any, Final

from benchmarks.hand import Tally
from benchmarks.producer import Plan, Producer, roomy

# By name, because type checkers must not need the peers.
dramatiq: Any = importlib.import_module("dramatiq")
brokers: Any = importlib.import_module("dramatiq.brokers.redis")
backends: Any = importlib.import_module("dramatiq.results.backends.redis")
results: Any = importlib.import_module("dramatiq.results")

# Milliseconds between two looks at an empty queue, at most. As it comes a second.
POLL: Final = 100


class Dramatiq:
    """See `hand.System`. With its default middleware, which is where its retries live.

    Results are an addition, and off as it comes.
    """

    def __init__(self, *, keeps_results: bool) -> None:
        self._keeps_results = keeps_results

    def _opened(self, url: str, handler: Callable[[int], None]) -> tuple[Any, Any]:
        broker = brokers.RedisBroker(url=roomy(url))
        if self._keeps_results:
            backend = backends.RedisBackend(url=roomy(url))
            broker.add_middleware(results.Results(backend=backend, store_results=True))
        return broker, dramatiq.actor(handler, actor_name="no-op", broker=broker)

    def produce(self, url: str, plan: Plan) -> None:
        def nothing(number: int) -> None:
            pass

        broker, actor = self._opened(url, nothing)

        async def put(number: int) -> None:
            actor.send(number)

        async def fill(numbers: Sequence[int]) -> None:
            for number in numbers:
                actor.send(number)

        asyncio.run(plan(Producer(put, fill, asyncio.sleep)))  # type: ignore[arg-type]
        broker.close()

    def work(self, url: str, concurrency: int, tally: Tally, wait: Callable[[], object]) -> None:
        record = tally.record

        def handle(number: int) -> None:
            record(number)

        broker, _ = self._opened(url, handle)
        worker = dramatiq.Worker(broker, worker_threads=concurrency, worker_timeout=POLL)
        worker.start()
        wait()
        worker.stop()
        broker.close()


RESULTS = Dramatiq(keeps_results=True)
BARE = Dramatiq(keeps_results=False)
