"""Peer: ardiq, whose core is Rust with threads of its own; results and retries as they come."""

import asyncio
import importlib
from collections.abc import Callable, Sequence
from typing import Any, Final

from benchmarks.hand import Tally
from benchmarks.measure import TIMEOUT
from benchmarks.producer import Plan, Producer, batches

# By name, because type checkers must not need the peers.
ardiq: Any = importlib.import_module("ardiq")

# Tasks of one `enqueue_many`.
BATCH: Final = 256


class Ardiq:
    """See `hand.System`."""

    def _opened(self, url: str, concurrency: int, handler: Callable[[int], Any]) -> tuple[Any, Any]:
        app = ardiq.Ardiq(redis_url=url, concurrency=concurrency)
        return app, app.task(name="no-op", timeout=TIMEOUT)(handler)

    def produce(self, url: str, plan: Plan) -> None:
        async def nothing(number: int) -> None:
            pass

        async def main() -> None:
            app, task = self._opened(url, 1, nothing)

            async def fill(numbers: Sequence[int]) -> None:
                for batch in batches(numbers, BATCH):
                    await app.enqueue_many([task.prepare(number) for number in batch])

            await plan(Producer(task.enqueue, fill, asyncio.sleep))

        asyncio.run(main())

    def work(self, url: str, concurrency: int, tally: Tally, wait: Callable[[], object]) -> None:
        record = tally.record

        async def handle(number: int) -> None:
            record(number)

        async def main() -> None:
            app, _ = self._opened(url, concurrency, handle)
            running = asyncio.create_task(app.run())
            await asyncio.to_thread(wait)
            app.stop()
            await running

        asyncio.run(main())


ALL = Ardiq()
