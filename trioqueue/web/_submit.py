"""Submitting by form: JSON values, which the handler's annotations make what it asks for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final, cast, final

import msgspec
import trio
from starlette.requests import Request

from .. import Queue, Retry, TaskType
from .._errors import InvalidArguments, InvalidTask, NotRegistered
from ..brokers._open import codec_of
from ._api import Wrong, body_of
from ._audit import note
from ._source import Source
from ._text import cut, shown

#: Seconds that a submit waits for room.
_PATIENCE: Final = 5.0

_OPTIONS: Final = ("queue", "delay", "key", "priority", "id", "timeout", "expires", "headers")


@final
class Submits:
    """The endpoints that know the task types."""

    def __init__(self, source: Source, changed: Callable[[], None]) -> None:
        self._queue = source.queue
        self._changed = changed

    async def types(self, request: Request) -> object:
        """The task types, where they are known."""
        await trio.lowlevel.checkpoint()
        tasks = () if self._queue is None else self._queue._tasks
        return {"types": [_type_json(task_type) for task_type in tasks]}

    async def submit(self, request: Request) -> object:
        """Submit one task. Checked whole before anything is accepted."""
        queue = self._queue
        if queue is None:
            raise Wrong("the task types are not known here: give open_app(tasks=...)", 409)
        body = body_of(request, "type", "args", "kwargs", "options")
        task_type = _type_of(queue, body.get("type"))
        args, kwargs = _typed(task_type, body.get("args", []), body.get("kwargs", {}))
        options = _options(body.get("options", {}))
        submission = queue.options(**options)
        with note(request, "submit", task_type.name) as said:
            try:
                with trio.fail_after(_PATIENCE):
                    handle = await submission.submit(task_type, *args, **kwargs)
            except trio.TooSlowError:
                why = f"not accepted within {_PATIENCE:.0f} s: the queue may be full"
                raise Wrong(why, 503) from None
            said.done = True
        self._changed()
        return {"id": handle.id}


def _type_of(queue: Queue, name: object) -> TaskType[..., Any]:
    if not isinstance(name, str):
        raise Wrong("type must be the name of a task type")
    return queue._tasks[name]


def _typed(
    task_type: TaskType[..., Any], args: object, kwargs: object
) -> tuple[tuple[object, ...], Mapping[str, object]]:
    """Arguments as the handler wants them. Raises `InvalidArguments`, naming the one it is."""
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        raise Wrong("args must be a list, and kwargs an object")
    positional = tuple(cast("list[object]", args))
    task_type.check_arguments(positional, cast("dict[str, object]", kwargs))
    payload = msgspec.json.encode([positional, kwargs])
    return codec_of([task_type]).decode_arguments(task_type.name, payload)


def _options(given: object) -> dict[str, Any]:
    """Options by name; those that are null are as the type says. Raises `Wrong`."""
    if not isinstance(given, dict):
        raise Wrong("options must be an object")
    options = cast("dict[str, Any]", given)
    for name in options:
        if name not in _OPTIONS:
            raise Wrong(f"there is no option {name!r}; there are: {', '.join(_OPTIONS)}", 422)
    return {name: value for name, value in options.items() if value is not None}


# --- types ---------------------------------------------------------------------------------------


def _type_json(task_type: TaskType[..., Any]) -> dict[str, Any]:
    options, retry = task_type.options, task_type.retry
    why = _why_not(task_type)
    return {
        "name": task_type.name,
        "queue": options.queue,
        "priority": options.priority,
        "timeout": options.timeout,
        "expires": options.expires,
        "limit": task_type.limit,
        "scope": task_type.scope,
        "retry": _retry_text(retry),
        "attempts": retry.attempts,
        "parameters": [_parameter(each) for each in task_type._signature.parameters.values()],
        "doc": cut(inspect.getdoc(task_type.handler) or "", 4_000),
        "submittable": why is None,
        "why": why,
    }


def _retry_text(retry: Retry) -> str:
    return shown(retry, 300)


def _why_not(task_type: TaskType[..., Any]) -> str | None:
    """Why its arguments cannot be given as JSON, if they cannot."""
    try:
        codec_of([task_type])
    except (InvalidTask, InvalidArguments, NotRegistered) as error:
        return str(error)
    return None


def _parameter(parameter: inspect.Parameter) -> dict[str, Any]:
    empty = parameter.empty
    many = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    return {
        "name": parameter.name,
        "annotation": "" if parameter.annotation is empty else _annotation(parameter.annotation),
        "default": None if parameter.default is empty else shown(parameter.default, 300),
        "required": parameter.default is empty and not many,
        "kind": parameter.kind.name.lower(),
    }


def _annotation(annotation: object) -> str:
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return cut(text, 300)
