"""Instruments: what may put something round every submit and every attempt, such as a tracer.

An observer is told of what has happened; an instrument is there while it happens: in the context of
whoever submits, and in the handler's own. It decides nothing. One that raises is logged once and
dropped; it never breaks the work. Without any, nothing of this is called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from types import TracebackType
from typing import Any, Protocol, TypeVar, cast, final

from ._checks import check_headers
from ._errors import InvalidTask
from ._events import logger
from ._ki import protected
from ._model import Lease, Outcome, Task

T = TypeVar("T")

#: What an instrument wants to be called when it is known how the attempt ended.
End = Callable[[Outcome], object]


class Instrument(Protocol):
    """What is entered and left, in order, round every submit and every attempt.

    Both return plain context managers, which must not block. They see the exceptions that pass
    through, Cancelled included, and cannot stop them.
    """

    def submitting(
        self, tasks: Sequence[Task], *, batch: bool
    ) -> AbstractContextManager[Sequence[Mapping[str, str]] | None]:
        """Round one submit, with the waiting for room, in the submitter's context.

        It is entered with headers for each of ``tasks``, in order, or ``None``; those that a task
        has already by `Queue.options` are left as they are. ``batch``: by ``submit_many``. Left
        without an exception: the tasks are accepted.
        """
        ...

    def running(self, lease: Lease) -> AbstractContextManager[Callable[[Outcome], object] | None]:
        """Round one attempt, in the handler's context, and outside of ``around``.

        It may be entered with a function: that is called with the `Outcome` after it was left,
        since an exception alone does not tell a timeout from a stop.
        """
        ...


def check_instruments(instruments: object) -> tuple[Instrument, ...]:
    """``instruments`` as a tuple, or an `InvalidTask` that says which is none."""
    try:
        checked = tuple(cast("Any", instruments))
    except TypeError:
        msg = f"instruments must be a collection of instruments, not {instruments!r}"
        raise InvalidTask(msg) from None
    for each in checked:
        made = not isinstance(each, type)  # the class itself has the methods too
        if not (made and callable(getattr(each, "submitting", None)) and _runs(each)):
            msg = f"instruments: {each!r} is none: it must have submitting() and running()"
            raise InvalidTask(msg)
    return checked


def _runs(instrument: object) -> bool:
    return callable(getattr(instrument, "running", None))


@final
@protected
class Instruments:
    """The instruments of one queue. A queue that has none has ``None`` in its place."""

    __slots__ = ("_ends", "instruments")

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self.instruments = tuple(instruments)
        #: What is to be called at the end of attempts that run, or have just been left.
        self._ends: dict[Lease, list[tuple[Instrument, End]]] = {}

    def submitting(self, tasks: Sequence[Task], *, batch: bool) -> AbstractContextManager[None]:
        """Round one submit: all of them, and their headers are added to ``tasks``."""
        around = _Around(self)
        for instrument in self.instruments:
            headers = around.enter(instrument, lambda it: it.submitting(tasks, batch=batch))
            if headers is not None:
                self.call(instrument, _add_headers, tasks, headers)
        return around

    def running(self, lease: Lease) -> AbstractContextManager[None]:
        """Round one attempt: all of them. Call `ended` once after it was left."""
        around = _Around(self)
        ends: list[tuple[Instrument, End]] = []
        for instrument in self.instruments:
            end = around.enter(instrument, lambda it: it.running(lease))
            if end is not None:
                ends.append((instrument, end))
        if ends:
            self._ends[lease] = ends
        return around

    def ended(self, lease: Lease, outcome: Outcome) -> None:
        """It is known how the attempt ended."""
        for instrument, end in self._ends.pop(lease, ()):
            self.call(instrument, end, outcome)

    def call(
        self,
        instrument: Instrument,
        function: Callable[..., T],
        *args: object,
        passing: BaseException | None = None,
    ) -> T | None:
        """What ``function`` returns; if it raises anything but ``passing``, drop the instrument."""
        try:
            return function(*args)
        except BaseException as error:  # noqa: ASYNC103 - synchronous; it must not break the work
            # One that was dropped is only left, where it was entered: no second word about it.
            if error is not passing and any(each is instrument for each in self.instruments):
                logger.exception("%r failed and was dropped", instrument)
                kept = [each for each in self.instruments if each is not instrument]
                self.instruments = tuple(kept)
            return None  # noqa: ASYNC104 - nothing of Trio's can come out of it


@final
@protected
class _Around:
    """The context managers of all instruments, entered already; leaves them, the last one first."""

    __slots__ = ("_entered", "_owner")

    def __init__(self, owner: Instruments) -> None:
        self._owner = owner
        self._entered: list[tuple[Instrument, AbstractContextManager[object]]] = []

    def enter(
        self, instrument: Instrument, make: Callable[[Instrument], AbstractContextManager[T]]
    ) -> T | None:
        """Enter one more; what it is entered with."""

        def enter() -> T:
            manager = make(instrument)
            value = manager.__enter__()
            self._entered.append((instrument, manager))
            return value

        return self._owner.call(instrument, enter)

    def __enter__(self) -> None:
        """Nothing: they are."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for instrument, manager in reversed(self._entered):
            # What they return is of no account: nothing is suppressed.
            self._owner.call(instrument, manager.__exit__, kind, error, traceback, passing=error)


def _add_headers(tasks: Sequence[Task], added: Sequence[Mapping[str, str]]) -> None:
    """All of them or none; what a task has already stays."""
    options = [
        replace(
            task.options,
            headers=check_headers(
                "an instrument's headers", {**more, **(task.options.headers or {})}
            ),
        )
        if more
        else task.options
        for task, more in zip(tasks, added, strict=True)
    ]
    for task, its_own in zip(tasks, options, strict=True):
        task.options = its_own
