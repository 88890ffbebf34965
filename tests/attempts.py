"""A task type whose attempts end as they are told to."""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar

import trio

from tests.contract import history, opened
from trioqueue import Handle, Outcome, Queue, TaskSet

#: For handlers that leave something behind.
LEAKY: ContextVar[object] = ContextVar("LEAKY", default="clean")

Handler = Callable[[], Awaitable[object]]


class Attempts:
    """A task type whose attempts end as scripted, the last line for ever; notes when they began."""

    def __init__(self, *script: BaseException | Handler | str, **policy: object) -> None:
        self.script = list(script)
        self.starts: list[float] = []
        self.tasks = TaskSet()
        self.type = self.tasks.task(name="scripted", **policy)(self.attempt)  # type: ignore[call-overload]

    async def attempt(self) -> object:
        line = self.script[min(len(self.starts), len(self.script) - 1)]
        self.starts.append(trio.current_time())
        if isinstance(line, BaseException):
            raise line
        return line if isinstance(line, str) else await line()

    async def run(self, **options: object) -> Outcome:
        """One task to its end, alone on one worker."""
        async with opened(self.tasks, workers=1) as queue:
            handle = await queue.options(**options).submit(self.type)  # type: ignore[arg-type]
            outcome = await handle.wait()
            self.state, self.history = handle.state, history(queue, handle.id)
        self.letters, self.statistics = queue.dead_letters.list(), queue.statistics()
        return outcome


def end_worker_of(queue: Queue, handle: Handle[object]) -> None:
    """Cancel the worker that runs this task, and it alone."""
    (worker,) = [
        worker
        for worker in queue.pool._workers
        if worker.lease is not None and worker.lease.task.id == handle.id
    ]
    worker.life.cancel()
