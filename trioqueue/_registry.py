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
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, ParamSpec, TypeVar, final, overload

from ._checks import (
    UNSET,
    Unset,
    check_count,
    check_headers,
    check_hook,
    check_manager,
    check_name,
    check_seconds,
    check_type,
    is_async,
)
from ._errors import InvalidArguments, InvalidTask, NotRegistered
from ._model import DEFAULT_PRIORITY, Options
from ._retry import Retry

if TYPE_CHECKING:
    from ._letters import DeadLetter

P = ParamSpec("P")
R = TypeVar("R")


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


def _check_scope(scope: object, limit: int | None) -> Literal["process", "fleet"]:
    """Where a limit counts: in each process by itself, or in all that share a broker."""
    if not isinstance(scope, str) or scope not in {"process", "fleet"}:
        msg = f"scope must be 'process' or 'fleet', not {scope!r}"
        raise InvalidTask(msg)
    if scope == "fleet" and limit is None:
        msg = "scope='fleet' says where a limit counts, and there is none: pass limit= as well"
        raise InvalidTask(msg)
    return "fleet" if scope == "fleet" else "process"


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

    ``limit``: how many may run at once (``None``: as many as there are workers); ``scope``: in each
    process, or in the whole fleet. ``timeout``: seconds for one attempt (``None``: without).
    """

    def __init__(
        self,
        handler: Callable[..., Any],
        *,
        name: str | None = None,
        queue: str = "default",
        timeout: float | None = None,
        limit: int | None = None,
        scope: Literal["process", "fleet"] = "process",
        retry: Retry | None = None,
        priority: int = DEFAULT_PRIORITY,
        expires: float | None = None,
    ) -> None:
        self.name: Final = _check_handler(handler, name)
        functools.update_wrapper(self, handler)
        self.handler: Final = handler
        self.is_async: Final = is_async(handler)
        self.limit: Final = None if limit is None else check_count("limit", limit, 1)
        self.scope: Final = _check_scope(scope, limit)
        self.retry: Final = Retry() if retry is None else check_type("retry", retry, Retry)
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
        if kwargs or len(args) != self.plain:
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
    headers: Mapping[str, str] | None | Unset = UNSET,
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
        base.headers
        if headers is UNSET
        else (None if headers is None else check_headers("headers", headers)),
    )


Lifespan = Callable[[], AbstractAsyncContextManager[Any]]
Around = Callable[[Any], AbstractAsyncContextManager[Any]]


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
        if on_dead is not None:
            check_hook("on_dead", on_dead)
        check_manager("lifespan", lifespan)
        check_manager("around", around)
        self.retry: Final = Retry() if retry is None else check_type("retry", retry, Retry)
        self.timeout: Final = (
            None if timeout is None else check_seconds("timeout", timeout, zero=False)
        )
        self.on_dead: Final = on_dead
        self.lifespan: Final = lifespan
        self.around: Final = around
        self._types: dict[str, TaskType[..., Any]] = {}

    # Overlapping on purpose: the first that fits is meant, and a coroutine function fits the first.
    @overload
    def task(  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload]
        self, handler: Callable[P, Awaitable[R]], /
    ) -> AsyncTaskType[P, R]: ...
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
        scope: Literal["process", "fleet"] = "process",
        retry: Retry | None = None,
        priority: int = DEFAULT_PRIORITY,
        expires: float | None = None,
    ) -> _Decorator: ...
    def task(
        self,
        handler: Callable[..., Any] | None = None,
        *,
        name: str | None = None,
        queue: str = "default",
        timeout: float | None | Unset = UNSET,
        limit: int | None = None,
        scope: Literal["process", "fleet"] = "process",
        retry: Retry | None = None,
        priority: int = DEFAULT_PRIORITY,
        expires: float | None = None,
    ) -> Any:
        """Register a function as a task type. Used bare, or with the type's policy.

        ``timeout``: seconds for one attempt. ``limit``: how many run at once; with the ``scope``
        "fleet": in all processes and queues that share a broker, counted when a task is claimed.
        ``retry``: see `Retry`. ``queue``, ``priority``, ``expires``: the defaults of its tasks.
        ``name``: the function's own unless given.

        Raises `InvalidTask` for a value that cannot be, a duplicate name, or something that is not
        a function.
        """
        policy: dict[str, Any] = {
            "name": name,
            "queue": queue,
            "timeout": self.timeout if timeout is UNSET else timeout,
            "limit": limit,
            "scope": scope,
            "retry": self.retry if retry is None else retry,
            "priority": priority,
            "expires": expires,
        }
        if handler is None:
            return functools.partial(self._register, policy)
        return self._register(policy, handler)

    def _register(self, policy: dict[str, Any], handler: Callable[..., Any]) -> TaskType[..., Any]:
        task_type: TaskType[..., Any]
        if is_async(handler):
            task_type = AsyncTaskType[..., Any](handler, **policy)
        else:
            task_type = ThreadTaskType[..., Any](handler, **policy)
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
        def __call__(  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload]
            self, handler: Callable[P, Awaitable[R]], /
        ) -> AsyncTaskType[P, R]: ...
        @overload
        def __call__(self, handler: Callable[P, R], /) -> ThreadTaskType[P, R]: ...
        def __call__(self, handler: Any, /) -> Any: ...
