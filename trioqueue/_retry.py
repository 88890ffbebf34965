"""When a failed task is tried again, and what a handler can say about that itself. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast, final

from ._checks import check_count, check_seconds
from ._errors import InvalidTask


def _check_errors(name: str, value: object) -> tuple[type[BaseException], ...]:
    errors = cast("tuple[object, ...]", value if isinstance(value, tuple) else (value,))
    for error in errors:
        if not (isinstance(error, type) and issubclass(error, BaseException)):
            msg = f"{name} must be exception classes, not {error!r}"
            raise InvalidTask(msg)
    return cast("tuple[type[BaseException], ...]", errors)


@final
@dataclass(frozen=True, slots=True)
class Retry:
    """When, and how often, a failed task is tried again.

    ``attempts`` counts all, the first included: ``Retry(attempts=1)`` never retries. The delay
    before attempt n+1 is ``min(maximum, initial * factor ** (n - 1))`` seconds, less a random share
    of up to ``jitter`` (so that what failed together does not come back together; ``maximum``
    stays a maximum). ``on`` and ``never`` are exception classes; ``never`` wins. A timeout counts
    as `TimeoutError`; a group of errors is retried if every error in it would be.

    50 ms to 1 s is right for what recovers at once, inside one program; calls to services that may
    be down for long want more attempts and a larger maximum.
    """

    attempts: int = 4
    initial: float = 0.05
    maximum: float = 1.0
    factor: float = 2.0
    jitter: float = 0.25
    on: tuple[type[BaseException], ...] | type[BaseException] = (Exception,)
    never: tuple[type[BaseException], ...] | type[BaseException] = ()

    def __post_init__(self) -> None:
        check_count("Retry(attempts)", self.attempts, 1)
        initial = check_seconds("Retry(initial)", self.initial)
        if check_seconds("Retry(maximum)", self.maximum) < initial:
            msg = f"Retry(maximum={self.maximum}) is less than initial={self.initial}"
            raise InvalidTask(msg)
        if check_seconds("Retry(factor)", self.factor) < 1:
            msg = f"Retry(factor) must be 1 or more, not {self.factor!r}"
            raise InvalidTask(msg)
        if check_seconds("Retry(jitter)", self.jitter) > 1:
            msg = f"Retry(jitter) must be a share from 0 to 1, not {self.jitter!r}"
            raise InvalidTask(msg)
        object.__setattr__(self, "on", _check_errors("Retry(on)", self.on))
        object.__setattr__(self, "never", _check_errors("Retry(never)", self.never))

    def delay(self, failures: int, chance: float) -> float:
        """Seconds to wait after ``failures`` (>= 1); ``chance`` in [0, 1) draws the jitter."""
        try:
            backoff = self.initial * float(self.factor) ** (failures - 1)
        except OverflowError:
            backoff = self.maximum if self.initial else 0.0
        return min(self.maximum, backoff) * (1 - self.jitter * chance)

    def covers(self, error: BaseException) -> bool:
        """Whether ``error`` may be tried again at all."""
        on = cast("tuple[type[BaseException], ...]", self.on)
        never = cast("tuple[type[BaseException], ...]", self.never)
        return all(is_a(e, on) and not is_a(e, never) for e in leaves(error))


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors in a group of groups, or the error itself. (Not recursive: groups may be deep.)"""
    todo = [error]
    while todo:
        current = todo.pop()
        inner = members(current)
        if inner:
            todo += reversed(inner)
        else:
            yield current


_members = BaseExceptionGroup.__dict__["exceptions"].__get__


def members(error: BaseException) -> tuple[BaseException, ...]:
    """The errors in a group, not in the groups in it; none in an error that is not a group."""
    held: tuple[BaseException, ...] = _members(error) if is_a(error, BaseExceptionGroup) else ()
    return held


Kinds = type[BaseException] | tuple[type[BaseException], ...]


def is_a(error: BaseException | None, kinds: Kinds) -> bool:
    """``isinstance``, without asking the error's own ``__class__``: that is user code."""
    return issubclass(type(error), kinds)


class RetryLater(Exception):
    """Raise in a handler: I failed, try again in ``after`` seconds (``None``: the backoff)."""

    def __init__(self, after: float | None = None, message: str = "") -> None:
        super().__init__(message or "asked to be tried again")
        self.after = None if after is None else check_seconds("RetryLater(after)", after)


class Snooze(Exception):
    """Raise in a handler: not now, run me again in ``seconds``. No attempt is used, no cap."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"snoozed for {seconds} s")
        self.seconds = check_seconds("Snooze(seconds)", seconds)


class Discard(Exception):
    """Raise in a handler: this can never succeed. The task is dead at once, whatever its policy."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason or "discarded by its handler")
