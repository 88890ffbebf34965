"""Peer: streaq, on Trio and on asyncio; results and retries as they come."""

import importlib
from collections.abc import Callable, Sequence
from typing import Any, Final

from benchmarks.hand import Tally
from benchmarks.measure import TIMEOUT
from benchmarks.producer import Plan, Producer, batches

# By name, because type checkers must not need the peers.
anyio: Any = importlib.import_module("anyio")
streaq: Any = importlib.import_module("streaq")

# Tasks of one pipeline.
BATCH: Final = 256


class Streaq:
    """See `hand.System`."""

    def __init__(self, backend: str) -> None:
        self._backend = backend

    def _opened(self, url: str, concurrency: int, handler: Callable[[int], Any]) -> Any:
        worker = streaq.Worker(redis_url=url, concurrency=concurrency, anyio_backend=self._backend)
        return worker, worker.task(name="no-op", timeout=TIMEOUT)(handler)

    def produce(self, url: str, plan: Plan) -> None:
        async def nothing(number: int) -> None:
            pass

        async def main() -> None:
            worker, task = self._opened(url, 1, nothing)

            async def put(number: int) -> None:
                await task.enqueue(number)

            async def fill(numbers: Sequence[int]) -> None:
                for batch in batches(numbers, BATCH):
                    await worker.enqueue_many([task.enqueue(number) for number in batch])

            async with worker:
                await plan(Producer(put, fill, anyio.sleep))

        anyio.run(main, backend=self._backend)

    def work(self, url: str, concurrency: int, tally: Tally, wait: Callable[[], object]) -> None:
        record = tally.record

        async def handle(number: int) -> None:
            record(number)

        async def main() -> None:
            worker, _ = self._opened(url, concurrency, handle)
            async with anyio.create_task_group() as group:
                group.start_soon(worker.run_async)
                await anyio.to_thread.run_sync(wait)
                group.cancel_scope.cancel()

        anyio.run(main, backend=self._backend)


TRIO = Streaq("trio")
ASYNCIO = Streaq("asyncio")
