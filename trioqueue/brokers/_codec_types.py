"""From a handler's annotations to types that JSON can hold, or an error that says what to do.

All of it happens once, when a codec is made: an annotation that can never work is found then.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple, NoReturn

from msgspec import inspect as shapes

from .._errors import InvalidTask
from ._codec_compare import name_of
from ._codec_hooks import is_model

#: What to annotate instead of what is often annotated.
_INSTEAD = {
    "pathlib.Path": "`str`",
    "pathlib.PurePath": "`str`",
    "re.Pattern": "`str`",
    "complex": "`tuple[float, float]`",
    "collections.abc.Iterable": "`Sequence`",
    "collections.abc.Iterator": "`Sequence`",
    "collections.abc.Callable": "`str`, the name of what is to be called,",
    "collections.deque": "`list`",
    "collections.Counter": "`dict`",
    "collections.OrderedDict": "`dict`",
    "collections.defaultdict": "`dict`",
}
_ANYTHING = "a dataclass, a msgspec.Struct, a pydantic model or a plain type"

#: Keys of JSON objects are text, so these are the kinds of keys that have a text.
_KEYS = (
    shapes.AnyType,
    shapes.StrType,
    shapes.IntType,
    shapes.FloatType,
    shapes.BytesType,
    shapes.DateTimeType,
    shapes.DateType,
    shapes.TimeType,
    shapes.TimeDeltaType,
    shapes.UUIDType,
    shapes.DecimalType,
    shapes.EnumType,
    shapes.LiteralType,
)


class Hint(NamedTuple):
    """A type that has been found to be in order.

    ``exact``: it has an Any in it. ``open``: a value may be nested as deeply as it likes, since
    the type is recursive, or has an Any or a model in it.
    """

    type: Any
    exact: bool
    open: bool


def resolve(handler: Callable[..., Any], name: str, annotation: Any, where: str) -> Hint:
    """The type that ``annotation`` stands for, checked. ``where``: for errors, the task and all."""
    if annotation is inspect.Parameter.empty:
        return Hint(Any, exact=True, open=True)
    kind = _meant(_evaluate(handler, name, annotation, where))
    try:
        shape = shapes.type_info(kind)
        return _check(kind, shape)
    except Exception as error:  # msgspec's TypeError, a NameError inside a dataclass, a bad Meta
        raise InvalidTask(f"{where}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    if isinstance(error, NameError):
        return (
            f"{error}, which a class in the annotation refers to: define {error.name} at the top "
            "of that class's module, and import it there for real, not only for type checkers"
        )
    text = str(error)
    if text.startswith("Type unions"):
        return f"{text}: keep one of them, or make them tagged msgspec.Struct types"
    if text.endswith("is not supported"):
        return f"{text}: annotate {_ANYTHING}"
    return text


def _evaluate(handler: Callable[..., Any], name: str, annotation: Any, where: str) -> Any:
    """An annotation that may be text, or have text in it, as the type that it names."""
    function = _function(handler)
    holder = SimpleNamespace(__annotations__={name: annotation})
    local = {one.__name__: one for one in getattr(function, "__type_params__", ())}
    scope = getattr(function, "__globals__", {})
    try:
        return typing.get_type_hints(holder, scope, local, include_extras=True)[name]
    except NameError as error:
        msg = (
            f"{where}: the annotation {annotation!r} cannot be resolved ({error}): define "
            f"{error.name} at the top of the handler's module, and import it there for real, "
            "not only for type checkers"
        )
        raise InvalidTask(msg) from None
    except Exception as error:  # text that is no Python, a subscript of what has none
        msg = f"{where}: the annotation {annotation!r} is not a type ({error})"
        raise InvalidTask(msg) from None


def _function(handler: Any) -> Any:
    """The function behind a partial, a wrapper, a bound method or an object with ``__call__``."""
    while True:
        if isinstance(handler, functools.partial):
            handler = handler.func
        elif hasattr(handler, "__wrapped__"):
            handler = handler.__wrapped__
        elif hasattr(handler, "__globals__") or not inspect.isfunction(type(handler).__call__):
            return handler  # the latter: something written in C, which has no annotations
        else:
            handler = type(handler).__call__


def _meant(kind: Any) -> Any:
    """The few special forms that msgspec does not know, as types that say the same to it."""
    if kind in (NoReturn, typing.Never):
        return None
    if kind is typing.LiteralString:
        return str
    if isinstance(kind, (typing.ParamSpecArgs, typing.ParamSpecKwargs)):
        return Any
    return kind


def _check(kind: Any, shape: shapes.Type) -> Hint:
    """Walk all that a type is made of. Raises TypeError for what JSON cannot hold."""
    exact = open_ended = False
    seen: set[int] = set()  # all are part of ``shape``, so no id is used again
    waiting = [shape]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            open_ended = open_ended or not isinstance(one, _LEAVES)
            continue
        seen.add(id(one))
        if isinstance(one, shapes.AnyType) or is_object(one):
            exact = open_ended = True
        elif isinstance(one, (shapes.CustomType, shapes.RawType)):
            open_ended = True
            if isinstance(one, shapes.CustomType):
                _check_class(one.cls)
        elif isinstance(one, shapes.DictType):
            _check_keys(one.key_type)
        waiting.extend(_inside(one))
    return Hint(kind, exact, open_ended)


def is_object(shape: shapes.Type) -> bool:
    return isinstance(shape, shapes.CustomType) and shape.cls is object


#: Shapes with nothing inside: seeing one of these again is no recursion.
_LEAVES = (*_KEYS, shapes.NoneType, shapes.BoolType, shapes.ByteArrayType, shapes.MemoryViewType)


def _inside(shape: Any) -> Iterator[shapes.Type]:
    for name in shape.__struct_fields__:
        value: Any = getattr(shape, name)
        many = isinstance(value, tuple)
        for one in value if many else (value,):  # pyright: ignore[reportUnknownVariableType]
            if isinstance(one, shapes.Field):
                yield one.type
            elif isinstance(one, shapes.Type):
                yield one


def _check_keys(shape: shapes.Type) -> None:
    kinds = shape.types if isinstance(shape, shapes.UnionType) else (shape,)
    for one in kinds:
        if not isinstance(one, _KEYS) and not is_object(one):
            word = type(one).__name__.removesuffix("Type").lower()
            msg = f"the keys of a JSON object are text, which a {word} has no form for: use `str`"
            raise TypeError(msg)


def _check_class(kind: Any) -> None:
    if is_model(kind):
        if "by_name" not in inspect.signature(kind.model_validate).parameters:
            msg = f"`{name_of(kind)}` needs pydantic 2.11 or newer"
            raise TypeError(msg)
        return
    name = name_of(kind)
    instead = _INSTEAD.get(name, _ANYTHING)
    msg = f"`{name}` has no form in JSON: annotate {instead} and convert in the handler"
    raise TypeError(msg)
