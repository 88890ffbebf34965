"""What the tests of the codec share: classes to annotate with, strategies, and an exact look."""

import dataclasses
import datetime
import decimal
import enum
import functools
import typing
import uuid
from collections.abc import Callable, Hashable
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import attrs
import msgspec
import pydantic
from hypothesis import strategies as st

from trioqueue import TaskSet
from trioqueue.brokers._codec import TaskCodec

UTC = datetime.UTC


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


class Shade(enum.StrEnum):
    DARK = "dark"


class Right(enum.Flag):
    READ = 1
    WRITE = 2


@dataclasses.dataclass
class Job:
    name: str
    sizes: list[int]
    scale: dict[str, float] = dataclasses.field(default_factory=dict)
    when: datetime.datetime | None = None


@dataclasses.dataclass
class Urgent(Job):
    """Goes for a `Job` with type checkers, but has more to it."""

    by: str = ""


@dataclasses.dataclass
class Loose:
    number: int
    notes: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(eq=False)
class Incomparable:
    number: int
    when: datetime.date


@dataclasses.dataclass
class Chain:
    number: int
    rest: "Chain | None" = None


class Point(msgspec.Struct, frozen=True):
    x: int
    y: float = 0.0


class Start(msgspec.Struct, tag=True):
    at: int


class Stop(msgspec.Struct, tag=True):
    why: str


@attrs.define
class Crate:
    label: str
    weight: int = 0


class Pair(NamedTuple):
    key: str
    number: int = 0


class Options(TypedDict, total=False):
    width: int
    deep: bool


class Model(pydantic.BaseModel):
    number: int = pydantic.Field(alias="the number", ge=0)
    when: datetime.datetime
    ids: list[uuid.UUID] = []
    inner: "Model | None" = None


Many = Annotated[int, msgspec.Meta(ge=1, le=9)]


def codec_of(handler: Callable[..., object], name: str = "resize") -> TaskCodec:
    """A codec for this handler alone."""
    tasks = TaskSet()
    tasks.task(name=name)(handler)
    return TaskCodec(tasks)


def taking(annotation: object) -> TaskCodec:
    """A codec for ``resize(value: annotation) -> annotation``."""

    def resize(value: Any) -> Any: ...

    resize.__annotations__ = {"value": annotation, "return": annotation}
    return codec_of(resize)


def passing_on(function: Callable[..., object]) -> Callable[..., object]:
    """A decorator from another module than the function's."""

    @functools.wraps(function)
    def inner(*args: object, **kwargs: object) -> object:
        return function(*args, **kwargs)

    return inner


def there_and_back(codec: TaskCodec, *args: object, **kwargs: object) -> tuple[Any, Any]:
    return codec.decode_arguments("resize", codec.encode_arguments("resize", args, kwargs))


def passed(codec: TaskCodec, value: object) -> Any:
    """What the handler would be called with if this was its one argument."""
    (back,), kwargs = there_and_back(codec, value)
    assert kwargs == {}
    return back


def look(value: Any) -> Hashable:
    """All that there is to see in a value, types included."""
    kind = type(value)
    if isinstance(value, dict):
        return kind, tuple((look(key), look(item)) for key, item in value.items())
    if isinstance(value, (set, frozenset)):
        return kind, frozenset(map(look, value))
    if isinstance(value, (list, tuple)):
        return kind, tuple(map(look, value))
    if isinstance(value, (datetime.datetime, datetime.time)):
        return kind, value.isoformat()
    if isinstance(value, memoryview):
        return kind, bytes(value)
    if isinstance(value, enum.Enum):
        return kind, value.value
    if isinstance(value, msgspec.Struct):
        return kind, look(msgspec.structs.astuple(value))
    if isinstance(value, pydantic.BaseModel):
        return kind, look(dict(value))
    if dataclasses.is_dataclass(kind):
        return kind, look([getattr(value, field.name) for field in dataclasses.fields(kind)])
    if attrs.has(kind):
        return kind, look(attrs.astuple(value, recurse=False))
    return kind, repr(value)


# --- strategies ----------------------------------------------------------------------------------

Typed = tuple[Any, st.SearchStrategy[Any]]  # an annotation, and values that are of that type

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
zones = st.sampled_from([None, UTC, datetime.timezone(datetime.timedelta(hours=-3, minutes=-30))])
moments = st.datetimes(timezones=zones)
floats = st.floats(allow_nan=False, allow_infinity=False)
plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | floats | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
models = st.recursive(
    st.none(),
    lambda inner: st.builds(
        lambda **fields: Model(**{"the number": fields.pop("number")}, **fields),
        number=st.integers(0, 10**30),
        when=moments,
        ids=st.lists(st.uuids(), max_size=2),
        inner=inner,
    ),
    max_leaves=3,
).filter(bool)

#: Types whose values may be keys of a JSON object.
KEYS: list[Typed] = [
    (str, texts),
    (int, st.integers()),
    (bytes, st.binary(max_size=20)),
    (datetime.datetime, moments),
    (datetime.date, st.dates()),
    (datetime.timedelta, st.timedeltas()),
    (uuid.UUID, st.uuids()),
    (decimal.Decimal, st.decimals(allow_nan=False)),
    (Color, st.sampled_from(Color)),
    (Size, st.sampled_from(Size)),
    (Literal["a", "b", 3], st.sampled_from(["a", "b", 3])),
    (Annotated[int, msgspec.Meta(ge=0)], st.integers(min_value=0)),
]
HASHABLE: list[Typed] = [
    *KEYS,
    (None, st.none()),
    (bool, st.booleans()),
    (float, floats),
    (datetime.time, st.times(timezones=zones)),
    (Shade, st.sampled_from(Shade)),
    (Right, st.sampled_from([Right.READ, Right.WRITE, Right.READ | Right.WRITE])),
    (Point, st.builds(Point, st.integers(), floats)),
    (Pair, st.builds(Pair, texts, st.integers())),
    (int | str | None, st.integers() | texts | st.none()),
]
TYPES: list[Typed] = [
    *HASHABLE,
    (bytearray, st.binary(max_size=20).map(bytearray)),
    (memoryview, st.binary(max_size=20).map(memoryview)),
    (Job, st.builds(Job, texts, st.lists(st.integers()), when=st.none() | moments)),
    (Loose, st.builds(Loose, st.integers(), st.dictionaries(texts, plain_values, max_size=2))),
    (Incomparable, st.builds(Incomparable, st.integers(), st.dates())),
    (
        Chain,
        st.recursive(st.none(), lambda inner: st.builds(Chain, st.integers(), inner)).filter(bool),
    ),
    (Start | Stop, st.builds(Start, st.integers()) | st.builds(Stop, texts)),
    (Crate, st.builds(Crate, texts, st.integers())),
    (Options, st.fixed_dictionaries({}, optional={"width": st.integers(), "deep": st.booleans()})),
    (Model, models),
    (Model | None, models | st.none()),
    (Any, plain_values),
    (object, plain_values),
    (list, st.lists(plain_values, max_size=3)),
    (dict[str, object], st.dictionaries(texts, plain_values, max_size=3)),
]


def _set(kind: Any, item: Typed) -> Typed:
    return kind[item[0]], st.sets(item[1], max_size=4).map(kind)


def _list(item: Typed) -> Typed:
    return list[item[0]], st.lists(item[1], max_size=3)  # type: ignore[valid-type]


def _tuple(*items: Typed) -> Typed:
    kinds = tuple(kind for kind, _ in items)
    return tuple[kinds], st.tuples(*[values for _, values in items])  # type: ignore[valid-type]


def _dict(key: Typed, item: Typed) -> Typed:
    kind = dict[key[0], item[0]]  # type: ignore[valid-type]
    return kind, st.dictionaries(key[1], item[1], max_size=3)


def _optional(item: Typed) -> Typed:
    return typing.Optional[item[0]], st.none() | item[1]  # noqa: UP045 - `None | None` is an error


#: A type out of many, with a strategy for its values.
typed = st.recursive(
    st.sampled_from(TYPES),
    lambda inner: st.one_of(
        st.builds(_list, inner),
        st.builds(_tuple, inner, inner),
        st.builds(_optional, inner),
        st.builds(_dict, st.sampled_from(KEYS), inner),
        st.builds(_set, st.sampled_from([set, frozenset]), st.sampled_from(HASHABLE)),
    ),
    max_leaves=4,
)
