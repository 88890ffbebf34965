"""Standing between a queue and its callers, to write down what they are told.

Methods are shadowed on the instance, for as long as it lives: a handler that submits through
``current_task().queue`` is witnessed like anybody else.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from trio.lowlevel import enable_ki_protection

from .. import Call, DeadLetter, DeadLetters, Handle, Queue, Submission, Unfinished
from .._ki import protected
from ._history import Closed, Paused, Replayed, Resumed, Stopped, Stopping, Told

if TYPE_CHECKING:
    from ._ledger import Ledger


class _Answer:
    """The ids that a call was about to return."""

    __slots__ = ("ids",)

    def __init__(self) -> None:
        self.ids: tuple[str, ...] = ()

    def one(self, handle: Handle[Any]) -> Handle[Any]:
        self.ids = (handle.id,)
        return handle

    def many(self, handles: list[Handle[Any]]) -> list[Handle[Any]]:
        self.ids = tuple(handle.id for handle in handles)
        return handles


@contextmanager
@enable_ki_protection
def _told(ledger: Ledger) -> Generator[_Answer]:
    answer = _Answer()
    try:
        yield answer
    except BaseException as error:
        ledger.note(Told(ledger.now(), (), error))
        raise
    else:
        ledger.note(Told(ledger.now(), answer.ids))


@protected
class WatchedSubmission:
    """The three ways to submit, of a queue or of its ``options(...)``, with what they answer."""

    def __init__(self, ledger: Ledger, inner: Queue | Submission) -> None:
        self._ledger = ledger
        # Bound now: the queue's own attributes are shadowed by this object's in a moment.
        self._submit: Callable[..., Any] = inner.submit
        self._submit_nowait: Callable[..., Any] = inner.submit_nowait
        self._submit_many: Callable[..., Any] = inner.submit_many

    async def submit(self, task: Any, /, *args: Any, **kwargs: Any) -> Handle[Any]:
        """See `Queue.submit`."""
        with _told(self._ledger) as answer:
            return answer.one(await self._submit(task, *args, **kwargs))

    def submit_nowait(self, task: Any, /, *args: Any, **kwargs: Any) -> Handle[Any]:
        """See `Queue.submit_nowait`."""
        with _told(self._ledger) as answer:
            return answer.one(self._submit_nowait(task, *args, **kwargs))

    async def submit_many(self, calls: Iterable[Call[Any]]) -> list[Handle[Any]]:
        """See `Queue.submit_many`."""
        with _told(self._ledger) as answer:
            return answer.many(await self._submit_many(calls))


@protected
class WatchedLetters:
    """A queue's dead letters, with what a caller of replay is told."""

    def __init__(self, ledger: Ledger, inner: DeadLetters) -> None:
        self._ledger = ledger
        self._inner = inner

    def __len__(self) -> int:
        return len(self._inner)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def list(self, type: str | None = None) -> Sequence[DeadLetter]:
        """See `DeadLetters.list`."""
        return self._inner.list(type)

    async def replay(self, task_id: str) -> Handle[Any]:
        """See `DeadLetters.replay`."""
        try:
            handle = await self._inner.replay(task_id)
        except BaseException as error:
            self._ledger.note(Replayed(self._ledger.now(), task_id, error))
            raise
        self._ledger.note(Replayed(self._ledger.now(), task_id))
        return handle

    async def replay_all(self, type: str | None = None) -> Sequence[Handle[Any]]:
        """See `DeadLetters.replay_all`, whose own code runs here on the watched `replay`."""
        return await DeadLetters.replay_all(self, type)  # type: ignore[arg-type]  # pyright: ignore


@protected
class Shadow:
    """Shadows what a ledger has to hear of. ``Shadow(ledger, queue)`` is all there is to do."""

    def __init__(self, ledger: Ledger, queue: Queue) -> None:
        self._ledger = ledger
        watched = WatchedSubmission(ledger, queue)
        self._options: Callable[..., Submission] = queue.options
        put = vars(queue).__setitem__
        put("submit", watched.submit)
        put("submit_nowait", watched.submit_nowait)
        put("submit_many", watched.submit_many)
        put("options", self.options)
        put("dead_letters", WatchedLetters(ledger, queue.dead_letters))
        self._pause, self._resume, self._shutdown = queue.pause, queue.resume, queue.shutdown
        put("pause", self.pause)
        put("resume", self.resume)
        put("shutdown", self.shutdown)
        self._stop = queue.pool.stop
        vars(queue.pool)["stop"] = self.stop
        self._close = queue._broker.close
        vars(queue._broker)["close"] = self.close

    def options(self, **how: Any) -> WatchedSubmission:
        """See `Queue.options`."""
        return WatchedSubmission(self._ledger, self._options(**how))

    def pause(self, queue: str | None = None) -> None:
        """See `Queue.pause`."""
        self._pause(queue)
        self._ledger.note(Paused(self._ledger.now(), queue))

    def resume(self, queue: str | None = None) -> None:
        """See `Queue.resume`."""
        # Before the effect: what it starts must not look like the start of a paused task.
        self._ledger.note(Resumed(self._ledger.now(), queue))
        self._resume(queue)

    async def shutdown(self, grace: float = 25) -> Sequence[Unfinished]:
        """See `Queue.shutdown`."""
        unfinished = await self._shutdown(grace)
        if not self._ledger.inside_handler():
            self._ledger.note(Stopped(self._ledger.now()))
        return unfinished

    def stop(self, grace: float) -> None:
        """See ``Pool.stop``."""
        self._ledger.note(Stopping(self._ledger.now(), grace))
        self._stop(grace)

    def close(self) -> None:
        """See ``LocalBroker.close``."""
        self._ledger.note(Closed(self._ledger.now()))
        self._close()
