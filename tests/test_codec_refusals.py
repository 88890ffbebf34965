"""What the codec refuses, and that each refusal names the task, the parameter, the place."""

import collections
import datetime
import decimal
import enum
import math
import pathlib
import re
import subprocess
import sys
import types
import typing
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Literal, ParamSpec, TypeVar

import attrs
import msgspec
import pydantic
import pytest

from tests.codecs import (
    Chain,
    Color,
    Incomparable,
    Job,
    Loose,
    Many,
    Model,
    Options,
    Pair,
    Point,
    Shade,
    Urgent,
    codec_of,
    passed,
    taking,
)
from trioqueue import InvalidArguments, InvalidTask

MOMENT = datetime.datetime(2024, 1, 1)


class Strange:
    """A class that nobody knows."""


class Text(str):
    __slots__ = ()


class Private(msgspec.Struct):
    number: int

    def __post_init__(self) -> None:
        if self.number < 0:
            raise ValueError("Negative")
        if self.number > 9:
            raise ZeroDivisionError("more than 9")


@attrs.define
class Hidden:
    _weight: int = 0


class Secret(pydantic.BaseModel):
    word: pydantic.SecretStr


class Raw(pydantic.BaseModel):
    content: bytes


ROOT = pathlib.Path(__file__).parent.parent
STRANGE = f"{__name__}.Strange"
CURE = "use plain values, or a dataclass, a msgspec.Struct or a pydantic model that the annotation"
DEEP = "nested more than 100 levels deep, or it contains itself"


def myself() -> list[Any]:
    value: list[Any] = []
    value.append({"again": value})
    return value


def loop() -> Chain:
    value = Chain(1)
    value.rest = value
    return value


def unvalidated(**fields: object) -> Model:
    return Model.model_construct(**typing.cast("Any", fields))


TYPED: list[tuple[Any, Any, str]] = [
    # of the wrong type: msgspec would read some of these for the right one
    (str, 3, "expected `str`, got `int`"),
    (str, None, "expected `str`, got `None`"),
    (str, b"x", "`bytes` would come back as `str`"),
    (str, MOMENT, "`datetime.datetime` would come back as `str`"),
    (str, uuid.UUID(int=3), "`uuid.UUID` would come back as `str`"),
    (str, pathlib.PurePosixPath("x"), "expected `str`, got `pathlib.PurePosixPath`"),
    (str | None, 3, "expected `str | None`, got `int`"),
    (None, 3, "expected `None`, got `int`"),
    (int, True, "expected `int`, got `bool`"),
    (int, 1.0, "expected `int`, got `float`"),
    (int, "1", "expected `int`, got `str`"),
    (float, decimal.Decimal(1), "expected `float`, got `decimal.Decimal`"),
    (bytes, "eA==", "`str` would come back as `bytes`"),
    (datetime.date, MOMENT, "invalid RFC3339 encoded date, got `datetime.datetime`"),
    (datetime.datetime, "2024-01-01T00:00:00", "`str` would come back as `datetime.datetime`"),
    (uuid.UUID, str(uuid.UUID(int=3)), "`str` would come back as `uuid.UUID`"),
    (decimal.Decimal, 1.1, "`float` would come back as `decimal.Decimal`"),
    (Color, "red", f"`str` would come back as `{Color.__module__}.Color`"),
    (Color, "green", "invalid enum value 'green', got `str`"),
    (Literal["a", "b"], "c", "invalid enum value 'c', got `str`"),
    (list[int], {1}, "`set` would come back as `list`"),
    (set[int], [1], "`list` would come back as `set`"),
    (set[str], "abc", "expected `array`, got `str`"),
    (list[set[int]], [{1}, [2]], "`list` would come back as `set` - at `$[1]`"),
    (tuple[int, str], (1,), "expected `array` of length 2"),
    (Pair, ("a",), "1 parts would come back as 2"),
    (dict[int, str], {"1": "a"}, "the key '1': `str` would come back as `int`"),
    (dict[int | str, str], {1: "a", "1": "b"}, "2 keys would come back as 1"),
    (dict[int | str, str], {1: "a"}, "the key 1: `int` would come back as `str`"),
    (dict[str, str], {None: "a"}, "a key: `NoneType` has no form in JSON"),
    (dict[str, str], {Strange: "a"}, "a key: `type` has no form in JSON"),
    (list[int], range(3), "expected `array`, got `range`"),
    (list[int], (x for x in "a"), "expected `array`, got `generator`"),
    (Many, 10, "expected `int` <= 9"),
    (list[Many], [1, 0], "expected `int` >= 1 - at `$[1]`"),
    # where in it
    (Job, "a", f"expected `{Job.__module__}.Job`, got `str`"),
    (Job, {"name": "a", "sizes": []}, f"`dict` would come back as `{Job.__module__}.Job`"),
    (Job, Job("a", [1, typing.cast("Any", "2")]), "expected `int`, got `str` - at `$.sizes[1]`"),
    (Job, Job("a", [typing.cast("Any", MOMENT)]), "expected `int`, got `datetime.datetime` - at "
     "`$.sizes[0]`"),
    (Job, Job("a", typing.cast("Any", [Strange()])), f"expected `int`, got `{STRANGE}` - at "
     "`$.sizes[0]`"),
    (dict[str, Job], {"k": Job("a", [typing.cast("Any", "2")])}, "expected `int`, got `str` - at "
     "`$[...].sizes[0]`"),
    (Options, {"width": "a"}, "expected `int`, got `str` - at `$.width`"),
    (Options, {"width": 1, "depth": 2}, "2 keys would come back as 1"),
    # what would lose something
    (Job, Urgent("a", [], by="me"), f"`{Job.__module__}.Urgent` would come back as "
     f"`{Job.__module__}.Job`"),
    (list[Job], [Urgent("a", [])], f"`{Job.__module__}.Urgent` would come back as "
     f"`{Job.__module__}.Job` - at `$[0]`"),
    (Incomparable, Incomparable(1, typing.cast("Any", "2024-01-01")), "`str` would come back as "
     "`datetime.date` - at `$.when`"),
    (Hidden, Hidden(3), "`int` would not come back the same - at `$._weight`"),
    (datetime.datetime, MOMENT.replace(tzinfo=datetime.timezone(datetime.timedelta(seconds=1))),
     "`datetime.datetime` would not come back the same"),
    (float, 2**53 + 1, "`int` would not come back the same"),
    (float, 10**400, "number out of range"),
    # what JSON has no form for
    (float, math.nan, "expected `float`, got `nan`, which JSON has no form for"),
    (float | None, math.inf, "`inf`, which JSON has no form for"),
    (list[float], [1.0, -math.inf], "expected `float`, got `-inf`, which JSON has no form for - at "
     "`$[1]`"),
    (dict[str, float], {"a": math.nan}, "a float that is no number, which JSON has no form for - "
     "at `$['a']`"),
    (Point, Point(1, math.nan), "expected `float`, got `nan`, which JSON has no form for - at "
     "`$.y`"),
    (str, "a\ud800", "text with a lone surrogate in it, which UTF-8 has no form for"),
    (list[str], ["a", "\udfff"], "text with a lone surrogate in it, which UTF-8 has no form for - "
     "at `$[1]`"),
    (dict[str, Job], {"a": Job("\ud800", [])}, "text with a lone surrogate in it, which UTF-8 has "
     "no form for - at `$['a'].name`"),
    (dict[str, int], {"\ud800": 1}, "text with a lone surrogate in it, which UTF-8 has no form"),
    (int, 10**5000, "a whole number of thousands of digits, which Python does not write out: pass "
     "text"),
    (list[int], [1, -(10**5000)], "a whole number of thousands of digits, which Python does not "
     "write out: pass text - at `$[1]`"),
    (Chain, loop(), DEEP),
    # what the user's classes say
    (Private, Private(3), ""),
    (list[Any], [myself()], DEEP),
    (Model, unvalidated(number=-1, when=MOMENT, ids=[], inner=None), "`number`: Input should be "
     "greater than or equal to 0"),
    (dict[str, list[Model]], {"a": [unvalidated(number="x", when="y", ids=[3], inner=None)]},
     "`number`: Input should be a valid integer, unable to parse string as an integer (and 2 "
     "more) - at `$[...][0]`"),
    (Model, {"number": 3, "when": "2024-01-01"}, f"`dict` would come back as "
     f"`{Model.__module__}.Model`"),
    (Secret, Secret(word=pydantic.SecretStr("x")), f"`{__name__}.Secret` would not come back the "
     "same"),
    (Raw, Raw(content=b"\xff"), "text that is not UTF-8"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("annotation", "value", "words"),
    [pytest.param(*case, id=f"{number}-{case[2]:.30}") for number, case in enumerate(TYPED)],
)
def test_a_value_that_does_not_fit(annotation: object, value: object, words: str) -> None:
    """The same words for an argument and for a result."""
    codec = taking(annotation)
    if not words:
        assert passed(codec, value) == value
        return
    with pytest.raises(InvalidArguments) as caught:
        codec.encode_arguments("resize", (value,), {})
    assert str(caught.value).startswith("resize(value): ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(InvalidArguments) as caught:
        codec.encode_result("resize", value)
    assert re.match(r"resize returned `[\w.]+`, which cannot be stored: ", str(caught.value))
    assert words in str(caught.value)


UNTYPED: list[tuple[Any, str]] = [
    ((1,), "`tuple` would come back as `list`: annotate the parameter"),
    ([1, {"a": (1,)}], "`tuple` would come back as `list` - at `$[1]['a']`: annotate the param"),
    ({1}, "`set` would come back as `list`: annotate the parameter"),
    (b"x", "`bytes` would come back as `str`: annotate the parameter"),
    ([MOMENT], "`datetime.datetime` would come back as `str` - at `$[0]`: annotate the parameter"),
    (uuid.UUID(int=3), "`uuid.UUID` would come back as `str`: annotate the parameter"),
    (decimal.Decimal(3), "`decimal.Decimal` would come back as `str`: annotate the parameter"),
    (Shade.DARK, "Shade` would come back as `str`: annotate the parameter"),
    (Text("a"), "Text` would come back as `str`: annotate the parameter"),
    (collections.OrderedDict(a=1), "`collections.OrderedDict` would come back as `dict`: annotate"),
    (Job("a", []), "Job` would come back as `dict`: annotate the parameter"),
    (Point(1), "Point` would come back as `dict`: annotate the parameter"),
    (Model(**{"the number": 3}, when=MOMENT), "Model` would come back as `dict`: annotate the"),
    ({1: "a"}, "the key 1: `int` would come back as `str`: annotate the parameter"),
    ({Shade.DARK: "a"}, "Shade` would come back as `str`: annotate the parameter"),
    ({(1, 2): "a"}, "a key: `tuple` has no form in JSON"),
    (Strange(), f"`{STRANGE}` has no form in JSON: {CURE} names"),
    ({"a": [Strange()]}, f"`{STRANGE}` has no form in JSON - at `$['a'][0]`: {CURE} names"),
    (Job("a", [typing.cast("Any", Strange())]), f"`{STRANGE}` has no form in JSON - at "
     f"`$.sizes[0]`: {CURE} names"),
    (Strange, f"`type` has no form in JSON: {CURE} names"),
    (lambda: 3, f"`function` has no form in JSON: {CURE} names"),
    (range(3), f"`range` has no form in JSON: {CURE} names"),
    (3j, f"`complex` has no form in JSON: {CURE} names"),
    (types.SimpleNamespace(a=1), f"`types.SimpleNamespace` has no form in JSON: {CURE} names"),
    (math.nan, "`nan`, which JSON has no form for"),
    ({"a": [math.inf]}, "`inf`, which JSON has no form for - at `$['a'][0]`"),
    (["\ud800"], "text with a lone surrogate in it, which UTF-8 has no form for - at `$[0]`"),
    (10**5000, "a whole number of thousands of digits"),
    (myself(), DEEP),
    (loop(), DEEP),
]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "words"),
    [pytest.param(*case, id=f"{number}-{case[1]:.30}") for number, case in enumerate(UNTYPED)],
)
def test_a_value_that_needs_an_annotation(value: object, words: str) -> None:
    """Neither as something else, nor with a loss: it says to annotate, and what."""

    def bare(value):  # type: ignore[no-untyped-def]
        ...

    for codec in codec_of(bare), taking(Any), taking(object):
        with pytest.raises(InvalidArguments) as caught:
            codec.encode_arguments("resize", (value,), {})
        message = str(caught.value)
        assert message.startswith("resize(value): ")
        assert words in message
        # Only where it would help.
        assert ("annotate" in message) == ("would come back as" in message)


def test_an_any_inside_is_as_strict() -> None:
    codec = taking(Loose)
    with pytest.raises(InvalidArguments) as caught:
        passed(codec, Loose(1, {"a": (1, 2)}))
    assert str(caught.value) == (
        "resize(value): `tuple` would come back as `list` - at `$.notes['a']`: name the type in "
        "the annotation, instead of Any"
    )


def test_what_a_class_raises_is_told() -> None:
    """A ValueError by msgspec, with the place; others as they are."""
    codec = taking(list[Private])
    for number, words in (-1, r"negative - at `\$\[0\]`"), (10, "ZeroDivisionError: more than 9"):
        value = Private(3)
        value.number = number
        with pytest.raises(InvalidArguments, match=rf"^resize\(value\): {words}$"):
            passed(codec, [value])


def test_an_error_that_is_long_or_has_no_text() -> None:
    class Wordy(msgspec.Struct):
        def __post_init__(self) -> None:
            raise KeyError("x" * 10_000)

    class Mute(msgspec.Struct):
        def __post_init__(self) -> None:
            class Silent(Exception):
                def __str__(self) -> str:
                    raise RuntimeError("no")

            raise Silent

    with pytest.raises(InvalidArguments) as caught:
        taking(Wordy).decode_arguments("resize", b"[[{}],{}]")
    assert len(str(caught.value)) < 600
    with pytest.raises(InvalidArguments, match=r"Silent: \(it has no message\)$"):
        taking(Mute).decode_arguments("resize", b"[[{}],{}]")


# --- annotations that can never work -------------------------------------------------------------

T = TypeVar("T")
Bound = TypeVar("Bound", bound=Strange)
P = ParamSpec("P")


class Holder(msgspec.Struct):
    inside: dict[str, list[pathlib.Path]]


class Tuples(enum.Enum):
    ONE = (1,)


class Generic(typing.Generic[T]):
    pass


NO_FORM = "has no form in JSON: annotate"
ANYTHING = "a dataclass, a msgspec.Struct, a pydantic model or a plain type"
NEVER: list[tuple[Any, str]] = [
    (Strange, f"`{STRANGE}` {NO_FORM} {ANYTHING} and convert in the handler"),
    (Strange | None, f"`{STRANGE}` {NO_FORM} {ANYTHING}"),
    (list[dict[str, Strange]], f"`{STRANGE}` {NO_FORM} {ANYTHING}"),
    (Holder, f"`pathlib.Path` {NO_FORM} `str` and convert in the handler"),
    (Bound, f"`{STRANGE}` {NO_FORM} {ANYTHING}"),
    (Generic[int], f"`{__name__}.Generic` {NO_FORM} {ANYTHING}"),
    (Annotated[Strange, "how odd"], f"`{STRANGE}` {NO_FORM} {ANYTHING}"),
    (type[int], f"`type` {NO_FORM} {ANYTHING}"),
    (Iterable[int], f"`collections.abc.Iterable` {NO_FORM} `Sequence`"),
    (Callable[[], int], f"`collections.abc.Callable` {NO_FORM} `str`, the name of what is to be"),
    (collections.deque[int], f"`collections.deque` {NO_FORM} `list`"),
    (collections.OrderedDict[str, int], f"`collections.OrderedDict` {NO_FORM} `dict`"),
    (complex, f"`complex` {NO_FORM} `tuple[float, float]`"),
    (Job | Loose, "more than one dataclass or attrs type"),
    (Job | Loose, "keep one of them, or make them tagged msgspec.Struct types"),
    (datetime.datetime | str, "more than one str-like type"),
    (list[int] | tuple[int, ...], "more than one array-like"),
    (Model | Job, "keep one of them, or make them tagged msgspec.Struct types"),
    (Model | str, "keep one of them, or make them tagged msgspec.Struct types"),
    (dict[tuple[int, int], str], "the keys of a JSON object are text, which a tuple has no form"),
    (dict[bool, str], "the keys of a JSON object are text, which a bool has no form"),
    (dict[str | None, str], "the keys of a JSON object are text, which a none has no form for"),
    (dict[Point, str], "the keys of a JSON object are text, which a struct has no form for"),
    (dict[Model, str], "the keys of a JSON object are text, which a custom has no form for"),
    (Tuples, "Enums must contain either all str or all int values"),
    (enum.Enum, "Enum types must have at least one item"),
    (Annotated[int, msgspec.Meta(min_length=3)], "Can only set `min_length` on a str"),
    (typing.AnyStr, "constraints are currently unsupported"),
    (typing.Self, f"Type 'typing.Self' is not supported: annotate {ANYTHING}"),
    (3, f"Type '3' is not supported: annotate {ANYTHING}"),
    ("3 +", "the annotation '3 +' is not a type"),
    ("Nowhere", "the annotation 'Nowhere' cannot be resolved (name 'Nowhere' is not defined): "
     "define Nowhere at the top of the handler's module, and import it there for real"),
    (list["Nowhere"], "define Nowhere at the top of the handler's module"),  # noqa: F821
    ("list[Nowhere]", "define Nowhere at the top of the handler's module"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("annotation", "words"),
    [pytest.param(*case, id=f"{number}-{case[1]:.30}") for number, case in enumerate(NEVER)],
)
def test_an_annotation_that_can_never_work(annotation: object, words: str) -> None:
    """Found when the codec is made, for parameters of every kind and for results."""

    def resize(good: int, *value: Any) -> None: ...

    resize.__annotations__["value"] = annotation
    with pytest.raises(InvalidTask) as caught:
        codec_of(resize)
    assert str(caught.value).startswith("resize(value): ")
    assert words in str(caught.value)

    def crop() -> Any: ...

    crop.__annotations__["return"] = annotation
    with pytest.raises(InvalidTask) as caught:
        codec_of(crop, name="crop")
    assert str(caught.value).startswith("the result of crop: ")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (T, 1),
        (P.args, [1]),
        (typing.LiteralString, "a"),
        (Sequence, [1]),
        (typing.NewType("Id", int), 1),
        (Annotated[str, "doc"], "a"),
        (Annotated[int, msgspec.Meta(title="Number")], 1),
    ],
)
def test_annotations_that_msgspec_or_json_call_something_else(
    annotation: object, value: object
) -> None:
    assert passed(taking(annotation), value) == value


def test_classes_inside_of_a_function() -> None:
    """Found where the annotation is the class itself; as text they cannot be, and it says so."""

    class Local(msgspec.Struct):
        number: int

    def fine(value: Local) -> None: ...

    def text(value: "Local") -> None: ...

    assert passed(codec_of(fine), Local(3)) == Local(3)
    with pytest.raises(InvalidTask, match=r"^resize\(value\): the annotation 'Local' cannot be"):
        codec_of(text)


def test_a_class_that_refers_to_what_is_not_there() -> None:
    class Torn(msgspec.Struct):
        other: "Elsewhere"  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(InvalidTask, match="name 'Elsewhere' is not defined, which a class in the"):
        taking(list[Torn])


# --- without pydantic ----------------------------------------------------------------------------

WITHOUT = """
import sys
sys.modules["pydantic"] = None  # an import of it raises
import dataclasses
from trioqueue import InvalidArguments, InvalidTask, TaskSet
from trioqueue.brokers._codec import TaskCodec

@dataclasses.dataclass
class Job:
    name: str

class Strange: ...

tasks = TaskSet()

@tasks.task
def good(job: Job, other) -> list[Job]: ...

codec = TaskCodec(tasks)
payload = codec.encode_arguments("good", (Job("a"), [1]), {})
assert codec.decode_arguments("good", payload) == ((Job("a"), [1]), {})
assert codec.decode_result("good", codec.encode_result("good", [Job("a")])) == [Job("a")]
try:
    codec.encode_arguments("good", (Job("a"), Strange()), {})
except InvalidArguments as error:
    print(error)

@tasks.task
def bad(value: Strange): ...

try:
    TaskCodec(tasks)
except InvalidTask as error:
    print(error)
"""
LEFT_ALONE = """
import sys
from trioqueue import TaskSet
from trioqueue.brokers._codec import TaskCodec
tasks = TaskSet()
tasks.task(name="good")(lambda value: ...)
TaskCodec(tasks).encode_arguments("good", ([1],), {})
print("pydantic" in sys.modules)
"""


def run(code: str) -> str:
    command = [sys.executable, "-c", code]
    answer = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_pydantic_is_not_needed() -> None:
    first, second = run(WITHOUT).splitlines()
    assert first.startswith("good(other): `__main__.Strange` has no form in JSON: use plain values")
    assert second.startswith("bad(value): `__main__.Strange` has no form in JSON: annotate")


def test_pydantic_is_not_imported() -> None:
    assert run(LEFT_ALONE) == "False\n"


def test_an_old_pydantic_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 2.11, fields with aliases could not be read by their names."""

    def model_validate(value: object, *, strict: bool | None = None) -> Any: ...

    monkeypatch.setattr(Model, "model_validate", model_validate)
    with pytest.raises(InvalidTask, match=r"Model` needs pydantic 2\.11 or newer"):
        taking(list[Model])
