"""A queue in memory with its page, on a Trio thread: what the tests in a browser look at.

The browser's driver blocks the test's own thread, so Trio runs in another; `World.call` and
`World.wait` run something there.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import trio

import trioqueue
from trioqueue import web

T = TypeVar("T")


class World:
    """Starts with the block, stops with it. ``url``: where the page is, ending in a slash."""

    def __init__(
        self,
        *,
        port: int = 0,
        read_only: bool = False,
        prefix: str = "",
        tasks: trioqueue.TaskSet | None = None,
        workers: int = 4,
        before: Callable[[World], Awaitable[object]] | None = None,
    ) -> None:
        self._port = port
        self._read_only = read_only
        self._prefix = prefix
        self._workers = workers
        self._before = before  # what happens before the page is opened
        self._let = trio.Event()
        self.tasks = tasks or _make_tasks(self)
        self.queue: trioqueue.Queue
        self.url: str
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="world")

    @property
    def port(self) -> int:
        return int(self.url.split(":")[2].split("/")[0])

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """Call it on Trio's thread."""
        return trio.from_thread.run_sync(function, *args, trio_token=self._token)

    def wait(self, function: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Run it on Trio's thread."""
        return trio.from_thread.run(function, *args, trio_token=self._token)

    def release(self) -> None:
        """Every `hold` returns, and `fail` succeeds from now on."""
        self.call(self._let.set)

    def submit(self, name: str, *args: Any, **kwargs: Any) -> str:
        """Submit a task and return its id."""
        return self.wait(self._submit, name, args, kwargs)

    async def _submit(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        return (await self.queue.submit(self.tasks[name], *args, **kwargs)).id

    def settle(self) -> None:
        """Wait until nothing is ready or running."""
        self.wait(self._settle)

    async def _settle(self) -> None:
        with trio.fail_after(60):
            while True:
                counts = self.queue.statistics()
                if not counts.ready and not counts.running:
                    return
                await trio.sleep(0.01)

    def _run(self) -> None:
        try:
            trio.run(self._main)
        except BaseException as error:  # noqa: ASYNC103 - `start` or `stop` raises it
            self._error = error
        finally:
            self._ready.set()

    async def _main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._scope = trio.CancelScope()
        with self._scope:
            async with trioqueue.open_queue(
                self.tasks, workers=self._workers, capacity=20_000, dead_capacity=20_000
            ) as self.queue:
                if self._before is not None:
                    await self._before(self)
                await self._serve()

    async def _serve(self) -> None:
        options: dict[str, Any] = {"auth": web.everybody, "read_only": self._read_only}
        async with web.open_app(self.queue, **options) as page, trio.open_nursery() as nursery:
            app: Any = _mounted(page, self._prefix) if self._prefix else page
            (url,) = await nursery.start(web.serve, app, "127.0.0.1", self._port)
            self.url = f"{url}{self._prefix}/"
            self.nursery = nursery
            self._ready.set()
            await trio.sleep_forever()

    def start(self) -> World:
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            raise self._error
        return self

    def stop(self) -> None:
        if self._thread.is_alive():
            self._token.run_sync_soon(self._scope.cancel)
        self._thread.join()
        if self._error is not None:
            raise self._error


def _mounted(page: Any, prefix: str) -> Any:
    from starlette.applications import Starlette
    from starlette.routing import Mount

    return Starlette(routes=[Mount(prefix, page)])


def _make_tasks(world: World) -> trioqueue.TaskSet:
    tasks = trioqueue.TaskSet(retry=trioqueue.Retry(attempts=1))

    @tasks.task
    async def echo(value: str, *, times: int = 1, loud: bool = False) -> str:
        """Say it again."""
        return value * times + ("!" if loud else "")

    @tasks.task
    async def hold(name: str) -> None:
        trioqueue.current_task().progress(3, 12)
        await world._let.wait()

    @tasks.task(queue="mail")
    async def fail(message: str) -> None:
        if not world._let.is_set():
            raise ValueError(message)

    @tasks.task(queue="mail", retry=trioqueue.Retry(attempts=2, initial=3_600, maximum=3_600))
    async def later(message: str) -> None:
        raise ConnectionError(message)

    return tasks


@contextmanager
def open_world(**options: Any) -> Iterator[World]:
    world = World(**options).start()
    try:
        yield world
    finally:
        world.stop()
