"""Peer: SAQ on Redis; results and retries as they come."""

import asyncio
import importlib
from collections.abc import Callable, Sequence
from typing import Any, Final

from benchmarks.hand import Tally
from benchmarks.producer import Plan, Producer, batches, roomy

# By name, because type checkers must not need the peers.
saq: Any = importlib.import_module("saq")

# Tasks enqueued at once: there is no way to enqueue many. It lets 20 through at a time.
BATCH: Final = 32


class Saq:
    """See `hand.System`. Each task has its timeout of ten seconds."""

    def produce(self, url: str, plan: Plan) -> None:
        async def main() -> None:
            queue = saq.Queue.from_url(roomy(url))
            await queue.connect()

            async def put(number: int) -> None:
                await queue.enqueue("no-op", number=number)

            async def fill(numbers: Sequence[int]) -> None:
                for batch in batches(numbers, BATCH):
                    await asyncio.gather(*[put(number) for number in batch])

            await plan(Producer(put, fill, asyncio.sleep))
            await queue.disconnect()

        asyncio.run(main())

    def work(self, url: str, concurrency: int, tally: Tally, wait: Callable[[], object]) -> None:
        record = tally.record

        async def handle(context: object, *, number: int) -> None:
            record(number)

        async def main() -> None:
            queue = saq.Queue.from_url(roomy(url))
            await queue.connect()
            # Its first sweep takes a task for stuck that is claimed but not marked yet, and has it
            # run twice. One that is made now holds the lock for a minute.
            await queue.sweep()
            worker = saq.Worker(queue, [("no-op", handle)], concurrency=concurrency)
            running = asyncio.create_task(worker.start())
            await asyncio.to_thread(wait)
            await worker.stop()
            await running
            await queue.disconnect()

        asyncio.run(main())


ALL = Saq()
