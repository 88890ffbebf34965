"""What a user registers: task types with their policies, in a plain registry without state.

Pure like ``_model``. Everything that can be wrong with a policy or with a call's arguments is found
here, at the line that gives it.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, TypeVar, cast, final, overload

from ._errors import InvalidArguments, InvalidTask, NotRegistered
from ._model import DEFAULT_PRIORITY, Options

if TYPE_CHECKING:
    from ._letters import DeadLetter

P = ParamSpec("P")
R = TypeVar("R")


class Unset(Enum):
    """The type of "not given", where ``None`` means "without"."""

    UNSET = "unset"

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET


def check_seconds(name: str, value: object, *, zero: bool = True) -> float:
    """``value`` as finite seconds, or an `InvalidTask` that says what was expected."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        msg = f"{name} must be a number of seconds, not {value!r}"
        raise InvalidTask(msg)
    try:
        seconds = float(value)
    except OverflowError:  # an int of hundreds of digits
        seconds = math.inf
    if not math.isfinite(seconds) or seconds < 0 or (seconds == 0 and not zero):
        least = "0 or more" if zero else "more than 0"
        msg = f"{name} must be a finite number of seconds, {least}, not {_short(value)}"
        raise InvalidTask(msg)
    return seconds


def _short(value: object) -> str:
    """``repr``, but never a page of it."""
    try:
        text = repr(value)
    except ValueError:  # Python refuses to write out an int of thousands of digits
        return "a number of thousands of digits"
    return text if len(text) <= 100 else f"{text[:100]}..."


def check_count(name: str, value: object, least: int, most: int | None = None) -> int:
    """``value`` as a whole number within the bounds, or an `InvalidTask`."""
    if isinstance(value, bool) or not isinstance(value, int):
        msg = f"{name} must be a whole number, not {value!r}"
        raise InvalidTask(msg)
    if value < least or (most is not None and value > most):
        bounds = f"{least} or more" if most is None else f"{least} to {most}"
        msg = f"{name} must be {bounds}, not {value!r}"
        raise InvalidTask(msg)
    return value


def check_name(name: str, value: object) -> str:
    """``value`` as a non-empty printable string, or an `InvalidTask`."""
    if not isinstance(value, str) or not value or not value.isprintable():
        msg = f"{name} must be a non-empty printable string, not {value!r}"
        raise InvalidTask(msg)
    return value


def _check_errors(name: str, value: object) -> tuple[type[BaseException], ...]:
    errors = value if isinstance(value, tuple) else (value,)
    for error in errors:
        if not (isinstance(error, type) and issubclass(error, BaseException)):
            msg = f"{name} must be exception classes, not {error!r}"
            raise InvalidTask(msg)
    return errors


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
        """Seconds to wait after ``failures`` failures (>= 1); ``chance`` in [0, 1) draws the jitter."""
        try:
            backoff = self.initial * self.factor ** (failures - 1)
        except OverflowError:
            backoff = self.maximum if self.initial else 0.0
        return min(self.maximum, backoff) * (1 - self.jitter * chance)

    def covers(self, error: BaseException) -> bool:
        """Whether ``error`` may be tried again at all."""
        on = cast("tuple[type[BaseException], ...]", self.on)
        never = cast("tuple[type[BaseException], ...]", self.never)
        return all(isinstance(e, on) and not isinstance(e, never) for e in leaves(error))


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors in a group of groups, or the error itself. (Not recursive: groups may be deep.)"""
    todo = [error]
    while todo:
        current = todo.pop()
        if isinstance(current, BaseExceptionGroup):
            todo += reversed(current.exceptions)
        else:
            yield current


class RetryLater(Exception):
    """Raise in a handler: this attempt failed, try again ``after`` seconds (``None``: the backoff)."""

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


def _is_async(handler: object) -> bool:
    call = getattr(handler, "__call__", None)  # noqa: B004 - the bound method itself is wanted
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(call)


def _check_handler(handler: object, name: str | None) -> str:
    """The task's name, or an error that says why ``handler`` cannot be one."""
    if not callable(handler) or isinstance(handler, type):
        msg = f"a task must be a function, not {handler!r}"
        raise InvalidTask(msg)
    if isinstance(handler, TaskType):
        msg = f"{handler!r} is a task already: decorate the plain function"
        raise InvalidTask(msg)
    if inspect.isasyncgenfunction(handler) or inspect.isgeneratorfunction(handler):
        msg = f"{handler!r} is a generator function: a task returns one value, it does not yield"
        raise InvalidTask(msg)
    chosen = name if name is not None else getattr(handler, "__name__", None)
    if chosen is None or chosen == "<lambda>":
        msg = f"{handler!r} has no name of its own: pass name="
        raise InvalidTask(msg)
    return check_name("name", chosen)


@final
class Call(Generic[R]):
    """A task type with its arguments, checked: what ``bind`` returns and ``submit_many`` takes."""

    __slots__ = ("args", "kwargs", "type")

    def __init__(
        self, type: TaskType[..., R], args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> None:
        self.type = type
        self.args = args
        self.kwargs = kwargs

    def __repr__(self) -> str:
        return f"<Call {self.type.name} args={self.args!r} kwargs={dict(self.kwargs)!r}>"


class TaskType(Generic[P, R]):
    """A registered handler and its policy. Made by ``@tasks.task``; callable as the function.

    ``limit``: how many may run at once (``None``: as many as there are workers). ``timeout``:
    seconds for one attempt (``None``: without).
    """

    def __init__(
        self,
        handler: Callable[..., Any],
        *,
        name: str | None = None,
        queue: str = "default",
        timeout: float | None = None,
        limit: int | None = None,
        retry: Retry | None = None,
        priority: int = DEFAULT_PRIORITY,
        expires: float | None = None,
    ) -> None:
        self.name: Final = _check_handler(handler, name)
        functools.update_wrapper(self, handler)
        self.handler: Final = handler
        self.is_async: Final = _is_async(handler)
        self.limit: Final = None if limit is None else check_count("limit", limit, 1)
        if retry is not None and not isinstance(retry, Retry):
            msg = f"retry must be a trioqueue.Retry, not {retry!r}"
            raise InvalidTask(msg)
        self.retry: Final = Retry() if retry is None else retry
        self.options: Final = make_options(
            Options(), queue=queue, priority=priority, timeout=timeout, expires=expires
        )
        self._signature = inspect.signature(handler)
        self._counts = _positional_counts(self._signature)
        #: This many positional arguments, and no others, surely fit. (For the fast path of submit.)
        self.plain: Final = self._counts[0] if self._counts[0] <= self._counts[1] else -1

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Call the plain function, past any queue."""
        return self.handler(*args, **kwargs)

    def bind(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        """The call of this task with these arguments, for ``submit_many``.

        Raises `InvalidArguments` if they do not fit the handler's signature.
        """
        self.check_arguments(args, kwargs)
        return Call(self, args, kwargs)

    def check_arguments(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> None:
        """`InvalidArguments` unless the handler could be called like this.

        Only positional arguments, as many as fit, need no more than two comparisons; anything else
        takes ``Signature.bind``, which is 20 times as slow and has the words for the error.
        """
        least, most = self._counts
        if kwargs or not least <= len(args) <= most:
            try:
                self._signature.bind(*args, **kwargs)
            except TypeError as error:
                msg = f"{self.name}{self._signature}: {error}"
                raise InvalidArguments(msg) from None

    def __repr__(self) -> str:
        return f"<TaskType {self.name}>"


class AsyncTaskType(TaskType[P, R]):
    """A `TaskType` whose handler is an ``async def``."""

    if TYPE_CHECKING:

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]: ...


class ThreadTaskType(TaskType[P, R]):
    """A `TaskType` whose handler is a plain ``def`` and runs in a worker thread."""

    if TYPE_CHECKING:

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...


def _positional_counts(signature: inspect.Signature) -> tuple[int, float]:
    """How many positional arguments make a valid call without keywords: (least, most)."""
    least, most = 0, 0.0
    for parameter in signature.parameters.values():
        required = parameter.default is parameter.empty
        match parameter.kind:
            case parameter.POSITIONAL_ONLY | parameter.POSITIONAL_OR_KEYWORD:
                most += 1
                least += required
            case parameter.VAR_POSITIONAL:
                most = math.inf
            case parameter.KEYWORD_ONLY if required:
                return 1, 0  # no such call is valid
            case _:
                pass
    return least, most


def make_options(
    base: Options,
    *,
    queue: str | Unset = UNSET,
    priority: int | Unset = UNSET,
    timeout: float | None | Unset = UNSET,
    expires: float | None | Unset = UNSET,
    delay: float | Unset = UNSET,
    key: str | None | Unset = UNSET,
) -> Options:
    """``base`` with what is given put in, checked."""
    return Options(
        base.queue if queue is UNSET else check_name("queue", queue),
        base.priority if priority is UNSET else check_count("priority", priority, 0, 255),
        base.timeout
        if timeout is UNSET
        else (None if timeout is None else check_seconds("timeout", timeout, zero=False)),
        base.expires
        if expires is UNSET
        else (None if expires is None else check_seconds("expires", expires, zero=False)),
        base.delay if delay is UNSET else check_seconds("delay", delay),
        base.key if key is UNSET else (None if key is None else check_name("key", key)),
    )


Lifespan = Callable[[], AbstractAsyncContextManager[Any]]
Around = Callable[[Any], AbstractAsyncContextManager[Any]]


def _check_manager(name: str, factory: object) -> None:
    if factory is None:
        return
    generator = inspect.isasyncgenfunction(factory) or inspect.isgeneratorfunction(factory)
    if not callable(factory) or _is_async(factory) or generator:
        msg = (
            f"{name} must be a function that returns an async context manager "
            f"(decorate it with contextlib.asynccontextmanager), not {factory!r}"
        )
        raise InvalidTask(msg)


def check_hook(name: str, hook: object) -> None:
    """`InvalidTask` unless ``hook`` can be called, and called without waiting."""
    if not callable(hook) or _is_async(hook):
        msg = f"{name} must be a plain (not async) function, not {hook!r}: it must never block"
        raise InvalidTask(msg)


@final
class TaskSet:
    """A plain registry of task types: no connection, no global state, made at import time.

    ``retry`` and ``timeout`` are the defaults of all its types. ``on_dead`` is called with each
    `DeadLetter`, after it was stored. ``lifespan`` returns an async context manager that each
    worker process enters once; its value is ``current_task().state``. ``around`` is called with
    the `CurrentTask` and returns an async context manager that is entered round every attempt,
    inside its timeout.
    """

    def __init__(
        self,
        *,
        retry: Retry | None = None,
        timeout: float | None = None,
        on_dead: Callable[[DeadLetter], object] | None = None,
        lifespan: Lifespan | None = None,
        around: Around | None = None,
    ) -> None:
        if retry is not None and not isinstance(retry, Retry):
            msg = f"retry must be a trioqueue.Retry, not {retry!r}"
            raise InvalidTask(msg)
        if on_dead is not None:
            check_hook("on_dead", on_dead)
        _check_manager("lifespan", lifespan)
        _check_manager("around", around)
        self.retry: Final = Retry() if retry is None else retry
        self.timeout: Final = (
            None if timeout is None else check_seconds("timeout", timeout, zero=False)
        )
        self.on_dead: Final = on_dead
        self.lifespan: Final = lifespan
        self.around: Final = around
        self._types: dict[str, TaskType[..., Any]] = {}

    @overload
    def task(self, handler: Callable[P, Awaitable[R]], /) -> AsyncTaskType[P, R]: ...
    @overload
    def task(self, handler: Callable[P, R], /) -> ThreadTaskType[P, R]: ...
    @overload
    def task(
        self,
        *,
        name: str | None = None,
        queue: str = "default",
        timeout: float | None | Unset = UNSET,
        limit: int | None = None,
        retry: Retry | None = None,
        priority: int = DEFAULT_PRIORITY,
        expires: float | None = None,
    ) -> _Decorator: ...
    def task(self, handler: Callable[..., Any] | None = None, /, **policy: Any) -> Any:
        """Register a function as a task type. Used bare, or with the type's policy.

        ``timeout``: seconds for one attempt. ``limit``: how many run at once. ``retry``: see
        `Retry`. ``queue``, ``priority``, ``expires``: the defaults of its tasks. ``name``: the
        function's own unless given.

        Raises `InvalidTask` for a value that cannot be, a duplicate name, or something that is not
        a function.
        """
        if handler is None:
            return functools.partial(self._register, policy)
        return self._register(policy, handler)

    def _register(self, policy: dict[str, Any], handler: Callable[..., Any]) -> TaskType[..., Any]:
        policy = {"retry": self.retry} | {k: v for k, v in policy.items() if v is not UNSET}
        policy.setdefault("timeout", self.timeout)
        if policy["retry"] is None:
            policy["retry"] = self.retry
        kind = AsyncTaskType if _is_async(handler) else ThreadTaskType
        task_type: TaskType[..., Any] = kind(handler, **policy)
        if task_type.name in self._types:
            other = self._types[task_type.name].handler
            msg = f"a task named {task_type.name!r} is registered already ({other!r}): pass name="
            raise InvalidTask(msg)
        self._types[task_type.name] = task_type
        return task_type

    def __getitem__(self, name: str) -> TaskType[..., Any]:
        try:
            return self._types[name]
        except KeyError:
            known = ", ".join(sorted(self._types)) or "none"
            msg = f"no task named {name!r} is registered (registered: {known})"
            raise NotRegistered(msg) from None

    def __contains__(self, name: object) -> bool:
        return name in self._types

    def __iter__(self) -> Iterator[TaskType[..., Any]]:
        return iter(tuple(self._types.values()))

    def __len__(self) -> int:
        return len(self._types)


class _Decorator:
    """What ``@tasks.task(...)`` returns, for type checkers."""

    if TYPE_CHECKING:

        @overload
        def __call__(self, handler: Callable[P, Awaitable[R]], /) -> AsyncTaskType[P, R]: ...
        @overload
        def __call__(self, handler: Callable[P, R], /) -> ThreadTaskType[P, R]: ...
        def __call__(self, handler: Any, /) -> Any: ...
