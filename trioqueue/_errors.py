"""The errors: one class for each different reaction of the caller.

Each docstring says whose fault it is and what to do. Nothing here imports anything of ours.
"""

from __future__ import annotations


class TrioqueueError(Exception):
    """The base of every error that this library raises on its own account."""


# --- wrong use: fix the call -------------------------------------------------------------------


class InvalidTask(TrioqueueError, ValueError):
    """A policy or an option has a value that cannot be: fix the call.

    Raised where the value is given (at ``@tasks.task``, ``options`` or ``open_queue``), never later
    in a worker.
    """


class InvalidArguments(TrioqueueError, TypeError):
    """The arguments of a submit do not fit the handler's signature: fix the call.

    Raised by ``submit`` and ``bind``, before anything is accepted.
    """


class NotRegistered(TrioqueueError, LookupError):
    """The thing submitted, or the name looked for, is not a task of this queue's ``TaskSet``."""


class WrongRun(TrioqueueError, RuntimeError):
    """A queue or a handle was used outside of the block, or the Trio run, that it belongs to."""


class IllegalMove(TrioqueueError, RuntimeError):
    """A task was asked to make a move that its state does not allow; nothing was changed."""


# --- the queue says no: nothing was accepted ---------------------------------------------------


class QueueClosed(TrioqueueError):
    """The queue accepts nothing any more. The task was not accepted: submit it elsewhere."""


class QueueFull(TrioqueueError):
    """A broker that was opened to refuse holds as many open tasks as it may. Submit later."""


class QueuePaused(TrioqueueError):
    """A drain would wait for ever, since a paused queue still holds tasks: resume it, or stop."""


class WouldDeadlock(TrioqueueError):
    """Nothing could ever end this wait, since everybody who could is waiting as well.

    Raised in the handler whose wait would have closed the circle. Submit without waiting
    (``submit_nowait``), wait outside of handlers, or open the queue with more workers.
    """


class BrokerUnavailable(TrioqueueError):
    """The broker cannot be reached, or cannot write, at the moment. Doing it again is safe.

    A full disk, a file that another program has locked, a server that is away. Workers wait and try
    again by themselves; a submit raises it, since its caller may know better.
    """


class BrokerFailed(TrioqueueError):
    """The broker cannot be used as it is: somebody has to look at it. Nothing was changed.

    Not a database, a newer schema, a read-only file, a file that was deleted while it was open.
    """


class KeyTaken(TrioqueueError):
    """A live task holds this idempotency key, so the dead letter was not replayed."""


# --- what became of a task ---------------------------------------------------------------------


class TaskError(TrioqueueError):
    """The base of what ``handle.result()`` raises when there is no result to return.

    ``task_id`` is the task's id.
    """

    def __init__(self, message: str, task_id: str) -> None:
        super().__init__(message)
        self.task_id = task_id


class TaskFailed(TaskError):
    """The task is dead: its handler failed for good. ``error`` is the last error as text.

    In the process that ran the handler, the handler's own exception is the ``__cause__``.
    """

    def __init__(self, message: str, task_id: str, error: str) -> None:
        super().__init__(message, task_id)
        self.error = error


class TaskCancelled(TaskError):
    """The task was cancelled by request, before or while it ran."""


class TaskExpired(TaskError):
    """The task did not start within its ``expires`` seconds, and never will."""


class HandedBack(TaskError):
    """The queue stopped before the task ended; it is listed by ``queue.unfinished()``."""


class ResultExpired(TaskError):
    """The task has ended, but its result is no longer kept (``open_queue(results=...)``)."""


class ResultNotStored(TaskError):
    """The task has succeeded, but what its handler returned could not be stored."""


class UnknownTask(TaskError):
    """No task of this id is known: never accepted, or finished too long ago."""


class LeaseLost(TaskError):
    """This worker does not hold the task any more: what it wrote was refused."""


# --- what several brokers say alike --------------------------------------------------------------


def queue_closed() -> QueueClosed:
    """To whoever submits to a queue that was closed."""
    return QueueClosed("the queue is closed: it accepts no new tasks")


def unknown_task(task_id: str) -> UnknownTask:
    """To whoever asks for a task that is not there."""
    text = f"no task {task_id!r} is known: never accepted, or ended too long ago"
    return UnknownTask(text, task_id)


def no_dead_letter(task_id: str) -> UnknownTask:
    """To whoever would replay or purge what is no dead letter."""
    return UnknownTask(f"no dead letter has the id {task_id!r}", task_id)


def key_taken(task_id: str, key: str) -> KeyTaken:
    """To whoever would replay a dead letter whose key is held."""
    return KeyTaken(f"dead letter {task_id} was not replayed: a live task holds its key {key!r}")


def queue_paused(queue: str, task_id: str, type: str) -> QueuePaused:
    """To whoever waits for the end of all: why that does not come."""
    return QueuePaused(
        f"queue {queue!r} is paused and holds tasks (task {task_id}, {type}): "
        "resume it before draining, or use shutdown()"
    )
