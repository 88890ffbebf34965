"""Peer: arq; results and retries as they come."""

import asyncio
import importlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from benchmarks.hand import Tally
from benchmarks.measure import TIMEOUT
from benchmarks.producer import CONNECTIONS, Plan, Producer, batches

# By name, because type checkers must not need the peers.
connections: Any = importlib.import_module("arq.connections")
workers: Any = importlib.import_module("arq.worker")

# Tasks enqueued at once, each on a connection of its own: there is no way to enqueue many.
BATCH: Final = 32
# Seconds between two looks at the queue. As it comes half a second: 320 tasks a second at most.
POLL: Final = 0.01


def _settings(url: str) -> Any:
    settings = connections.RedisSettings.from_dsn(url)
    settings.max_connections = CONNECTIONS
    return settings


class Arq:
    """See `hand.System`."""

    def produce(self, url: str, plan: Plan) -> None:
        async def main() -> None:
            pool = await connections.create_pool(_settings(url))

            async def put(number: int) -> None:
                await pool.enqueue_job("no-op", number)

            async def fill(numbers: Sequence[int]) -> None:
                for batch in batches(numbers, BATCH):
                    await asyncio.gather(*[put(number) for number in batch])

            await plan(Producer(put, fill, asyncio.sleep))
            await pool.aclose()

        asyncio.run(main())

    def work(self, url: str, concurrency: int, tally: Tally, wait: Callable[[], object]) -> None:
        record = tally.record

        async def handle(context: object, number: int) -> None:
            record(number)

        async def main() -> None:
            worker = workers.Worker(
                functions=[workers.func(handle, name="no-op", timeout=TIMEOUT)],
                redis_settings=_settings(url),
                max_jobs=concurrency,
                poll_delay=POLL,
                handle_signals=False,
            )
            running = asyncio.create_task(worker.async_run())
            await asyncio.to_thread(wait)
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            await worker.close()

        asyncio.run(main())


ALL = Arq()
