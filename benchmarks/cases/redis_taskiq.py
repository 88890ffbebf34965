"""Peer: taskiq on a Redis stream (it acknowledges; its list loses what a crash interrupts)."""

import asyncio
import importlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from benchmarks.hand import Tally
from benchmarks.producer import Plan, Producer, batches, roomy

# By name, because type checkers must not need the peers.
api: Any = importlib.import_module("taskiq.api")
taskiq_redis: Any = importlib.import_module("taskiq_redis")

# Tasks enqueued at once: there is no way to enqueue many.
BATCH: Final = 32


class Taskiq:
    """See `hand.System`. With results, which need a backend; without retries."""

    def _opened(self, url: str, handler: Callable[[int], Any]) -> tuple[Any, Any]:
        results = taskiq_redis.RedisAsyncResultBackend(roomy(url), result_ex_time=86_400)
        broker = taskiq_redis.RedisStreamBroker(roomy(url)).with_result_backend(results)
        return broker, broker.task(task_name="no-op")(handler)

    def produce(self, url: str, plan: Plan) -> None:
        async def nothing(number: int) -> None:
            pass

        async def main() -> None:
            broker, task = self._opened(url, nothing)
            await broker.startup()

            async def fill(numbers: Sequence[int]) -> None:
                for batch in batches(numbers, BATCH):
                    await asyncio.gather(*[task.kiq(number) for number in batch])

            await plan(Producer(task.kiq, fill, asyncio.sleep))
            await broker.shutdown()

        asyncio.run(main())

    def work(self, url: str, concurrency: int, tally: Tally, wait: Callable[[], object]) -> None:
        record = tally.record

        async def handle(number: int) -> None:
            record(number)

        async def main() -> None:
            broker, _ = self._opened(url, handle)
            receiver = api.run_receiver_task(broker, max_async_tasks=concurrency, run_startup=True)
            running = asyncio.create_task(receiver)
            await asyncio.to_thread(wait)
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            await broker.shutdown()

        asyncio.run(main())


ALL = Taskiq()
