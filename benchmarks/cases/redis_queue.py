"""The queue on Redis, all semantics on: leases, results kept, retries and a timeout armed."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import trio

import trioqueue
from benchmarks.hand import Tally
from benchmarks.measure import TIMEOUT
from benchmarks.producer import Plan, Producer, batches

Task = trioqueue.TaskType[[int], None]
# Tasks of one `submit_many`.
BATCH: Final = 256


def _broker(url: str) -> str:
    return f"{url}?queue=bench"


def _registered(handler: Callable[[int], Awaitable[None]]) -> tuple[trioqueue.TaskSet, Task]:
    tasks = trioqueue.TaskSet()
    armed = tasks.task(name="no-op", timeout=TIMEOUT, retry=trioqueue.Retry(attempts=4))
    return tasks, armed(handler)


async def _nothing(number: int) -> None:
    """The producer's: nothing is run there."""


class Trioqueue:
    """See `hand.System`."""

    def produce(self, url: str, plan: Plan) -> None:
        trio.run(self._produce, url, plan)

    async def _produce(self, url: str, plan: Plan) -> None:
        tasks, task = _registered(_nothing)
        async with trioqueue.open_queue(tasks, broker=_broker(url), workers=0) as queue:

            async def put(number: int) -> object:
                return await queue.submit(task, number)

            async def fill(numbers: Sequence[int]) -> None:
                for batch in batches(numbers, BATCH):
                    await queue.submit_many([task.bind(number) for number in batch])

            await plan(Producer(put, fill, trio.sleep))

    def work(self, url: str, concurrency: int, tally: Tally, wait: Callable[[], object]) -> None:
        trio.run(self._work, url, concurrency, tally, wait)

    async def _work(
        self, url: str, concurrency: int, tally: Tally, wait: Callable[[], object]
    ) -> None:
        record = tally.record

        async def handle(number: int) -> None:
            record(number)

        tasks, _ = _registered(handle)
        async with trioqueue.open_queue(tasks, broker=_broker(url), workers=concurrency):
            await trio.to_thread.run_sync(wait)


ALL = Trioqueue()
