"""The handle of a task: its result, its outcome, its cancellation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar, cast, final

from ._errors import (
    HandedBack,
    ResultExpired,
    ResultNotStored,
    TaskCancelled,
    TaskError,
    TaskExpired,
    TaskFailed,
)
from ._ki import protected
from ._model import Outcome, OutcomeKind, State, Task

if TYPE_CHECKING:
    from ._queue import Queue

R_co = TypeVar("R_co", covariant=True)


@final
@protected
class Handle(Generic[R_co]):
    """A task that was accepted. Costs nothing while nobody waits on it; may be dropped.

    Holds the task, and so its result, for as long as it is kept itself.
    """

    __slots__ = ("_queue", "_task")

    def __init__(self, queue: Queue, task: Task) -> None:
        self._queue = queue
        self._task = task

    @property
    def id(self) -> str:
        """The task's id."""
        return self._task.id

    @property
    def type(self) -> str:
        """The name of its type."""
        return self._task.type

    @property
    def state(self) -> State:
        """Where the task is now; on a broker elsewhere, where it was when last looked at."""
        state = self._task.state
        if state is None:  # found by its id on a broker elsewhere, and not looked at yet
            msg = f"not known yet: await handle.wait(), or queue.inspector.get({self.id!r})"
            raise LookupError(msg)
        return state

    @property
    def attempt(self) -> int:
        """The number of the attempt that runs or comes next, or that was the last, from 1."""
        task = self._task
        return task.failures if task.state is State.DEAD else task.attempt

    async def wait(self) -> Outcome:
        """Wait until the task has ended, and return how: failures are values here.

        A checkpoint. Cancelled: changes nothing, the task goes on. Raises `WouldDeadlock` in a
        handler of the same queue if the wait could never end, `WrongRun` outside of the queue's
        own Trio run.
        """
        await self._queue._wait_settled(self._task)
        outcome = self._task.outcome
        if outcome is None:  # replayed in the very instant in which it had died
            return await self.wait()
        return outcome

    async def result(self) -> R_co:
        """Wait for what the handler returns.

        A checkpoint. Cancelled: changes nothing. Never waits for what cannot come: raises
        `TaskFailed` (from the handler's exception), `TaskCancelled`, `TaskExpired` or `HandedBack`
        when the task ended otherwise, `ResultExpired` or `ResultNotStored` when a durable broker
        does not have the result, and what `wait` raises.
        """
        outcome = await self.wait()
        if outcome.kind is OutcomeKind.RETURNED and outcome.stored:
            return cast("R_co", outcome.value)
        raise self._error(outcome) from outcome.exception

    def _error(self, outcome: Outcome) -> TaskError:
        """What to raise when there is no result."""
        task = self._task
        name = f"task {task.id} ({task.type})"
        match outcome.kind:
            case OutcomeKind.RETURNED if outcome.error is None:
                return ResultExpired(f"{name} has succeeded, its result is not kept", task.id)
            case OutcomeKind.RETURNED:
                return ResultNotStored(f"{name} has succeeded: {outcome.error}", task.id)
            case OutcomeKind.CANCELLED:
                return TaskCancelled(f"{name} was cancelled", task.id)
            case OutcomeKind.EXPIRED:
                expires = task.options.expires
                return TaskExpired(f"{name} did not start within {expires} s", task.id)
            case OutcomeKind.HANDED_BACK:
                return HandedBack(f"the queue stopped before {name} ended", task.id)
            case _:
                error = outcome.error
                text = str(error) if error is not None else outcome.kind.value
                how = "timed out" if outcome.kind is OutcomeKind.TIMEOUT else "failed"
                attempts = "1 attempt" if task.failures == 1 else f"{task.failures} attempts"
                msg = f"{name} {how} after {attempts}: {text}"
                return TaskFailed(msg, task.id, text)

    async def cancel(self) -> bool:
        """Cancel the task. ``False``: it had ended already.

        A waiting task is cancelled at once; a running one has its handler cancelled, and its
        cleaning up is not waited for here (``await handle.wait()`` is). A handler that returns all
        the same has succeeded, with the flag ``cancel_ignored``. A checkpoint, before the effect;
        cancelled: nothing was done.
        """
        return await self._queue._cancel(self._task)

    def __repr__(self) -> str:
        return f"<Handle {self.type} {self.id} {self._task.state}>"
