"""Between a task's arguments and the bytes that a durable broker keeps: JSON, typed, checked.

A payload is the JSON text ``[args, kwargs]``. Each argument is written and read by its own
annotation, when a task is submitted and again when it is claimed, so that whatever a worker is
given is what its handler asks for. Defaults are not written: they are the handler's when it runs.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar, final

import msgspec

from .._errors import InvalidArguments, InvalidTask, NotRegistered
from ._codec_compare import MAX_DEPTH, found, too_deep
from ._codec_hooks import encode
from ._codec_slot import TOO_DEEP, Misfit, Slot, shortened, words
from ._codec_types import resolve

if TYPE_CHECKING:
    from .._registry import TaskType

T = TypeVar("T")

_split = msgspec.json.Decoder(tuple[list[msgspec.Raw], dict[str, msgspec.Raw]]).decode
_read = msgspec.json.Decoder(tuple[list[Any], dict[str, Any]]).decode
_DEPTH: Final = MAX_DEPTH + 2  # an argument, in the args, in the payload


@final
class TaskCodec:
    """A `Codec` for the tasks of these types.

    Raises `InvalidTask` if the annotations of a handler are such that its arguments, or its result,
    could never be stored. Every verb raises `NotRegistered` for a type that is not among them.
    """

    def __init__(self, types: Iterable[TaskType[..., Any]]) -> None:
        self._forms: Final = {one.name: _Form(one) for one in types}

    def encode_arguments(
        self, type: str, args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> bytes:
        """The payload. Raises `InvalidArguments`, naming the argument and what it should be."""
        return self._form(type).dump(args, kwargs)

    def decode_arguments(
        self, type: str, payload: bytes
    ) -> tuple[tuple[object, ...], Mapping[str, object]]:
        """Back again. Raises `InvalidArguments`, whatever the payload is."""
        return self._form(type).load(payload)

    def encode_result(self, type: str, value: object) -> bytes:
        """What the handler returned. Raises `InvalidArguments` if it cannot be stored."""
        form = self._form(type)
        try:
            return form.result.dump(value)
        except Misfit as error:
            msg = f"{type} returned {found(value)}, which cannot be stored: {error}"
            raise InvalidArguments(msg) from None

    def decode_result(self, type: str, result: bytes) -> object:
        """Back again. Raises `InvalidArguments`, whatever the bytes are."""
        form = self._form(type)
        try:
            if too_deep(result):
                raise Misfit(TOO_DEEP)
            return form.result.load(result)
        except (Misfit, TypeError, AttributeError) as error:
            msg = f"the stored result of {type} does not fit its annotation: {error}"
            raise InvalidArguments(msg) from None

    def _form(self, type: str) -> _Form:
        try:
            return self._forms[type]
        except KeyError:
            msg = f"no task named {type!r} is registered"
            raise NotRegistered(msg) from None


class _Form:
    """The signature of one handler, with a `Slot` for each parameter and for the result."""

    def __init__(self, type: TaskType[..., Any]) -> None:
        self._type: Final = type
        self._positional: Final[list[Slot]] = []
        self._names: Final[list[str]] = []  # of the positional ones
        self._named: Final[dict[str, Slot]] = {}
        self._rest: Slot | None = None  # what `*args` takes
        self._rest_name = ""
        self._extra: Slot | None = None  # what `**kwargs` takes
        signature = inspect.signature(type.handler)
        for parameter in signature.parameters.values():
            self._add(parameter)
        self.result: Final = self._slot(
            "return",
            signature.return_annotation,
            f"the result of {type.name}",
            "annotate what the handler returns",
        )
        #: By the number of positional arguments and the names of the others: few in practice.
        self._plan: Final = functools.lru_cache(maxsize=32)(self._make_plan)

    def _add(self, parameter: inspect.Parameter) -> None:
        slot = self._slot(
            parameter.name,
            parameter.annotation,
            f"{self._type.name}({parameter.name})",
            "annotate the parameter",
        )
        match parameter.kind:
            case parameter.VAR_POSITIONAL:
                self._rest, self._rest_name = slot, parameter.name
                return
            case parameter.VAR_KEYWORD:
                self._extra = slot
                return
            case parameter.POSITIONAL_ONLY | parameter.POSITIONAL_OR_KEYWORD:
                self._positional.append(slot)
                self._names.append(parameter.name)
            case _:
                pass
        if parameter.kind is not parameter.POSITIONAL_ONLY:
            self._named[parameter.name] = slot

    def _slot(self, name: str, annotation: Any, where: str, advice: str) -> Slot:
        hint = resolve(self._type.handler, name, annotation, where)
        if hint.exact and hint.type not in (Any, object):
            advice = "name the type in the annotation, instead of Any"
        try:
            return Slot(hint, advice)
        except Exception as error:
            raise InvalidTask(f"{where}: {words(error)}") from None

    def _make_plan(self, count: int, names: tuple[str, ...]) -> tuple[Slot, ...]:
        """The slots of a call with ``count`` positional arguments and these keywords, in order.

        Raises `InvalidArguments` if the handler cannot be called like this.
        """
        self._type.check_arguments((None,) * count, dict.fromkeys(names))
        slots = self._positional[:count]
        if self._rest is not None:
            slots += [self._rest] * (count - len(slots))
        for name in names:
            slot = self._named.get(name, self._extra)
            assert slot is not None
            slots.append(slot)
        return tuple(slots)

    def _refused(
        self, error: Misfit, index: int, count: int, names: tuple[str, ...]
    ) -> InvalidArguments:
        """Named after the parameter; what is in ``*args`` has a number."""
        if index >= count:
            name = names[index - count]  # from a payload it may be anything
            label = name if name.isidentifier() else repr(name)
        elif index < len(self._names):
            label = self._names[index]
        else:
            label = f"*{self._rest_name}[{index - len(self._names)}]"
        return InvalidArguments(f"{self._type.name}({shortened(label)}): {error}")

    def dump(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> bytes:
        names = tuple(kwargs)
        texts: list[bytes] = []
        slots = self._plan(len(args), names)
        try:
            for slot, value in zip(slots, _values(args, kwargs)):  # noqa: B905 - a hot path
                texts.append(slot.dump(value))
        except Misfit as error:
            raise self._refused(error, len(texts), len(args), names) from None
        if not names:
            return b"[[%b],{}]" % b",".join(texts)
        return _join(texts, len(args), names)

    def load(self, payload: bytes) -> tuple[tuple[object, ...], Mapping[str, object]]:
        args, kwargs = self._open(payload)
        names = tuple(kwargs)
        values: list[object] = []
        try:
            slots = self._plan(len(args), names)
        except InvalidArguments as error:
            msg = f"{shortened(str(error))} (the signature has changed since this was submitted?)"
            raise InvalidArguments(msg) from None
        try:
            for slot, text in zip(slots, _values(args, kwargs)):  # noqa: B905 - a hot path
                values.append(slot.load(text))
        except Misfit as error:
            raise self._refused(error, len(values), len(args), names) from None
        if not names:
            return tuple(values), {}
        return tuple(values[: len(args)]), dict(zip(names, values[len(args) :], strict=True))

    def _open(self, payload: Any) -> tuple[list[msgspec.Raw], dict[str, msgspec.Raw]]:
        """The arguments, each as the text that it is."""
        try:
            if not too_deep(payload, _DEPTH):
                return _split(payload)
            problem = TOO_DEEP
        except Exception as error:
            problem = words(error) if isinstance(payload, bytes) else f"it is {found(payload)}"
        msg = f"{self._type.name}: the payload is not `[args, kwargs]` in JSON: {problem}"
        raise InvalidArguments(msg)


def _values(args: Sequence[T], kwargs: Mapping[str, T]) -> Sequence[T]:
    """All arguments, in the order in which a plan has their slots."""
    return [*args, *kwargs.values()] if kwargs else args


def _join(texts: Sequence[bytes], count: int, names: tuple[str, ...]) -> bytes:
    """The payload of arguments that are JSON already, ``count`` of them positional."""
    try:
        named = [b"%b:%b" % (encode(n), t) for n, t in zip(names, texts[count:], strict=True)]
    except UnicodeEncodeError as error:  # possible in `**kwargs`
        raise InvalidArguments(f"the name of an argument is {words(error)}") from None
    return b"[[%b],{%b}]" % (b",".join(texts[:count]), b",".join(named))


def plain(payload: bytes) -> tuple[tuple[object, ...], dict[str, object]] | None:
    """A payload as plain JSON values, for tools that know no handler; ``None``: it is none."""
    try:
        if too_deep(payload, _DEPTH):
            return None
        args, kwargs = _read(payload)
    except Exception:  # whatever is wrong with it
        return None
    return tuple(args), kwargs
