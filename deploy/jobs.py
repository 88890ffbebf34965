"""An example application: its task types, and a producer (``python jobs.py``) that submits them.

``TRIOQUEUE_BROKER`` says where the tasks are kept; ``trioqueue run jobs:tasks`` works on them.
"""

import os
import random
import signal

import trio

import trioqueue

tasks = trioqueue.TaskSet(retry=trioqueue.Retry(attempts=4, initial=1.0, maximum=30.0))


@tasks.task(timeout=30)
async def resize(path: str, *, width: int = 300) -> str:
    """Pretend to resize a picture; now and then the storage does not answer at first."""
    await trio.sleep(random.uniform(0.05, 0.5))
    if trioqueue.current_task().attempt == 1 and random.random() < 0.1:
        raise ConnectionError("the storage does not answer")
    return f"{path} at {width}"


@tasks.task(queue="mail", limit=2, timeout=10)
async def send_mail(to: str) -> None:
    """Pretend to send a mail, never more than two at a time."""
    await trio.sleep(0.2)


async def produce(broker: str, interval: float = 1.0) -> None:
    """Submit something in each interval, until SIGTERM or Ctrl-C."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with (
            trioqueue.open_queue(tasks, broker=broker, workers=0) as queue,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(_submit, queue, interval)
            await anext(aiter(signals))
            nursery.cancel_scope.cancel()


async def _submit(queue: trioqueue.Queue, interval: float) -> None:
    number = 0
    while True:
        number += 1
        await queue.submit(resize, f"picture-{number}.png", width=640)
        if number % 10 == 0:
            await queue.submit(send_mail, "ann@example.org")
        await trio.sleep(interval)


if __name__ == "__main__":
    trio.run(produce, os.environ["TRIOQUEUE_BROKER"])
