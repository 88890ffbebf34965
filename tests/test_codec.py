"""The codec: what is submitted is what the handler is called with, of the type that it asks for."""

from __future__ import annotations

import copy
import datetime
import decimal
import functools
import json
import math
import typing
import zoneinfo
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import codecs_future
from tests.codecs import (
    TYPES,
    Chain,
    Color,
    Crate,
    Incomparable,
    Job,
    Model,
    Pair,
    Point,
    Shade,
    Size,
    codec_of,
    look,
    passed,
    plain_values,
    taking,
    there_and_back,
    typed,
)
from trioqueue import InvalidArguments, NotRegistered, TaskSet
from trioqueue._broker import Codec
from trioqueue.brokers._codec import TaskCodec, plain

if typing.TYPE_CHECKING:
    from tests.codecs import Typed


@given(typed, st.data())
def test_what_is_of_the_type_comes_back_the_same(one: Typed, data: st.DataObject) -> None:
    """Value and type, all the way down; as an argument, by name, and as a result."""
    annotation, values = one
    value = data.draw(values)
    codec = taking(annotation)
    assert look(passed(codec, value)) == look(value)
    args, kwargs = there_and_back(codec, value=value)
    assert (args, look(kwargs)) == ((), look({"value": value}))
    result = codec.decode_result("resize", codec.encode_result("resize", value))
    assert look(result) == look(value)


@given(typed, typed, st.data())
def test_what_is_accepted_comes_back_equal(one: Typed, other: Typed, data: st.DataObject) -> None:
    """Whatever is submitted for whatever annotation: refused, or equal to what was submitted."""
    value = data.draw(other[1])
    codec = taking(one[0])
    try:
        payload = codec.encode_arguments("resize", (value,), {})
    except InvalidArguments:
        return
    (back,), _ = codec.decode_arguments("resize", payload)
    assert same(value, back)


def same(value: Any, back: Any) -> bool:
    """Equal, but for what an annotation may turn a value into."""
    if isinstance(value, (list, tuple)) and isinstance(back, (list, tuple)):
        pairs = zip(value, back, strict=True)
        return len(value) == len(back) and all(same(one, other) for one, other in pairs)
    if isinstance(value, dict):
        return list(value) == list(back) and same([*value.values()], [*back.values()])
    return bool(value == back) or look(value) == look(back)


@given(st.sampled_from(TYPES), st.data())
def test_without_an_annotation_only_the_very_same_is_accepted(
    one: Typed, data: st.DataObject
) -> None:
    def resize(value):  # type: ignore[no-untyped-def]
        ...

    value = data.draw(one[1])
    try:
        back = passed(codec_of(resize), value)
    except InvalidArguments:
        assert one[0] is not Any
    else:
        assert look(back) == look(value)


@given(plain_values)
def test_the_payload_is_json_for_everybody(value: object) -> None:
    """``[args, kwargs]``, as any other language reads it."""

    def resize(value: Any, *, again: Any) -> None: ...

    payload = codec_of(resize).encode_arguments("resize", (value,), {"again": value})
    assert look(json.loads(payload)) == look([[value], {"again": value}])
    assert look(plain(payload)) == look(((value,), {"again": value}))


def test_it_is_a_codec() -> None:
    codec: Codec = TaskCodec(TaskSet())
    with pytest.raises(NotRegistered, match="no task named 'resize'"):
        codec.encode_arguments("resize", (), {})
    for verb in codec.decode_arguments, codec.encode_result, codec.decode_result:
        with pytest.raises(NotRegistered, match="no task named 'resize'"):
            verb("resize", b"null")


# --- what an annotation may turn a value into ----------------------------------------------------


class Text(str):
    """A ``str`` as far as type checkers are concerned."""

    __slots__ = ()


class Whole(int):
    """An ``int`` as far as type checkers are concerned."""


class Real(float):
    """A ``float`` as far as type checkers are concerned."""


MOMENT = datetime.datetime(2024, 1, 1)
PARIS = zoneinfo.ZoneInfo("Europe/Paris")


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (float, 3, 3.0),
        (list[float], [1, 2.5], [1.0, 2.5]),
        (list[int], (1, 2), [1, 2]),
        (tuple[int, ...], [1, 2], (1, 2)),
        (Sequence[int], (1, 2), [1, 2]),
        (Mapping[str, list[int]], {"a": (1,)}, {"a": [1]}),
        (Pair, ("a", 1), Pair("a", 1)),
        (tuple[Pair, float, Any], (("a", 1), 2, 3), (Pair("a", 1), 2.0, 3)),
        (str, Shade.DARK, "dark"),
        (str, Text("a"), "a"),
        (int, Size.LARGE, 2),
        (int, Whole(3), 3),
        (float, Real(1.5), 1.5),
        (list[str], [Text("a"), Shade.DARK], ["a", "dark"]),
        (Shade, "dark", Shade.DARK),
        (set[int], frozenset({1}), {1}),
        (bytes, bytearray(b"x"), b"x"),
        (int, 10**4000, 10**4000),
    ],
)
def test_a_value_becomes_what_the_annotation_says(
    annotation: object, value: object, expected: object
) -> None:
    """As type checkers allow it, provided that it is equal."""
    assert look(passed(taking(annotation), value)) == look(expected)


@pytest.mark.parametrize(
    "value",
    [
        datetime.datetime(2024, 10, 27, 2, 30, fold=0, tzinfo=PARIS),
        datetime.datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=PARIS),
        datetime.datetime(2024, 3, 31, 2, 30, tzinfo=PARIS),
        datetime.datetime(2024, 7, 1, tzinfo=PARIS),
    ],
)
def test_a_moment_keeps_its_offset(value: datetime.datetime) -> None:
    """In the hour that occurs twice, and in the one that does not occur, too. The zone is lost."""
    back = passed(taking(datetime.datetime), value)
    assert (back.isoformat(), back.utcoffset()) == (value.isoformat(), value.utcoffset())


@pytest.mark.parametrize("text", ["NaN", "-sNaN123", "Infinity", "1E+99999", "-0.00"])
def test_decimals_of_all_kinds(text: str) -> None:
    assert str(passed(taking(decimal.Decimal), decimal.Decimal(text))) == text


def test_an_int_stays_one_without_an_annotation_and_inside_any() -> None:
    assert look(passed(taking(list[Any]), [1, 1.0, True])) == look([1, 1.0, True])


def test_classes_without_a_comparison_are_compared_by_their_fields() -> None:
    """The one with a field that does not survive is refused, the others are not."""
    value = Incomparable(3, datetime.date(2024, 1, 1))
    assert look(passed(taking(Incomparable), value)) == look(value)
    value.when = datetime.datetime(2024, 1, 1, 12)
    with pytest.raises(InvalidArguments, match=r"at `\$.when`"):
        passed(taking(Incomparable), value)


def test_a_comparison_that_raises_is_not_asked_again() -> None:
    class Odd(msgspec.Struct, eq=False):
        number: int

        def __eq__(self, other: object) -> bool:
            raise KeyError("no")

    assert passed(taking(Odd), Odd(3)).number == 3


# --- calls ---------------------------------------------------------------------------------------


def all_kinds(
    first: int, /, second: str, third: float = 0.5, *rest: Color, flag: bool = False, **more: bytes
) -> None: ...


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((1, "a"), {}),
        ((1,), {"second": "a"}),
        ((1, "a", 2.0), {}),
        ((1, "a"), {"third": 2.0, "flag": True}),
        ((1, "a", 2.0, Color.RED, Color.BLUE), {"flag": True, "x": b"x", "y": b"y"}),
        ((1, "a"), {"first": b"positional only, so this is another one"}),
        ((1, "a"), {"self": b"", "args": b"", "type": b"", "é\n": b""}),
    ],
)
def test_every_kind_of_parameter(args: tuple[object, ...], kwargs: dict[str, object]) -> None:
    """Defaults are not stored: the handler that runs has its own."""
    back = there_and_back(codec_of(all_kinds), *args, **kwargs)
    assert look(back) == look((args, kwargs))


@pytest.mark.parametrize(
    ("args", "kwargs", "words"),
    [
        ((), {}, r"missing a required argument: 'first'"),
        ((1,), {}, r"missing a required argument: 'second'"),
        ((1, "a"), {"second": "b"}, r"multiple values for argument 'second'"),
        ((1, 2), {}, r"^resize\(second\): expected `str`, got `int`$"),
        ((1,), {"second": 2}, r"^resize\(second\): expected `str`, got `int`$"),
        ((1, "a", 0.0, Color.RED, 4), {}, r"^resize\(\*rest\[1\]\): expected `str`, got `int`$"),
        ((1, "a"), {"flag": 1}, r"^resize\(flag\): expected `bool`, got `int`$"),
        ((1, "a"), {"x": 1}, r"^resize\(x\): expected `bytes`, got `int`$"),
        ((1, "a"), {"\ud800": b""}, r"the name of an argument is text with a lone surrogate"),
    ],
)
def test_a_call_that_does_not_fit(
    args: tuple[object, ...], kwargs: dict[str, object], words: str
) -> None:
    with pytest.raises(InvalidArguments, match=words):
        codec_of(all_kinds).encode_arguments("resize", args, kwargs)


def handler(parameters: str) -> Callable[..., object]:
    return typing.cast("Callable[..., object]", eval(f"lambda {parameters}: None"))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("a", "a, b=1", None),
        ("a", "a, **more", None),
        ("a", "*all", None),
        ("a, b", "a", "too many positional arguments"),
        ("a", "a, b", "missing a required argument: 'b'"),
        ("a", "a, *, b", "missing a required.* argument: 'b'"),
        ("a", "", "too many positional arguments"),
    ],
)
def test_a_signature_that_has_changed_since(old: str, new: str, words: str | None) -> None:
    """A rolling deploy: what can be called is called, the rest is named."""
    args = (1,) * len(old.split(","))
    payload = codec_of(handler(old)).encode_arguments("resize", args, {})
    codec = codec_of(handler(new))
    if words is None:
        assert codec.decode_arguments("resize", payload) == (args, {})
        return
    with pytest.raises(InvalidArguments, match=words) as caught:
        codec.decode_arguments("resize", payload)
    assert "the signature has changed since this was submitted?" in str(caught.value)


def test_a_keyword_that_is_gone() -> None:
    payload = codec_of(lambda *, a, b: ...).encode_arguments("resize", (), {"a": 1, "b": 2})
    with pytest.raises(InvalidArguments, match="unexpected keyword argument 'b'"):
        codec_of(lambda *, a: ...).decode_arguments("resize", payload)


def test_an_annotation_that_has_changed_since() -> None:
    payload = taking(str).encode_arguments("resize", ("a",), {})
    with pytest.raises(InvalidArguments, match=r"^resize\(value\): expected `int`, got `str`$"):
        taking(int).decode_arguments("resize", payload)


# --- handlers of all kinds -----------------------------------------------------------------------


class Service:
    def method(self, value: Color) -> Color: ...  # type: ignore[empty-body]

    @staticmethod
    def static(value: Color) -> Color: ...  # type: ignore[empty-body]

    def __call__(self, value: Color) -> Color: ...  # type: ignore[empty-body]


def after(prefix: str, value: Color) -> Color: ...  # type: ignore[empty-body]


@functools.wraps(after)
def wrapped(*args: Any, **kwargs: Any) -> Any: ...


@pytest.mark.parametrize(
    "handler",
    [
        Service().method,
        Service.static,
        Service(),
        functools.partial(after, "x"),
        functools.partial(wrapped, "x"),
        functools.partial(functools.partial(Service().method)),
        codecs_future.later,
    ],
)
def test_annotations_that_are_text_are_found(handler: Callable[..., object]) -> None:
    """This module's own are, and so is each handler's module what they are looked up in."""
    codec = codec_of(handler)
    assert passed(codec, Color.RED) is Color.RED
    assert codec.decode_result("resize", codec.encode_result("resize", Color.RED)) is Color.RED


def test_a_decorated_handler_is_looked_up_where_it_was_written() -> None:
    line = codecs_future.Line(Color.RED, 2)
    assert passed(codec_of(codecs_future.count), line) == line


def test_classes_in_text_inside_of_classes_are_found() -> None:
    value = codecs_future.Order([codecs_future.Line(Color.RED, 2)], Job("a", [1]))
    codec = codec_of(codecs_future.place)
    assert look(passed(codec, value)) == look(value)


# --- copies, not the objects ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Any, {"a": [1, {"b": []}]}),
        (Job, Job("a", [1, 2], {"x": 1.5})),
        (list[Model], [Model(**{"the number": 3, "when": "2024-01-01T00:00:00", "ids": []})]),
        (bytearray, bytearray(b"abc")),
        (set[int], {1, 2}),
        (Crate, Crate("a")),
        (Point, Point(1)),
    ],
)
def test_nothing_is_shared(annotation: object, value: Any) -> None:
    """Neither with the caller's objects, nor between two attempts; and nothing is changed."""
    codec = taking(annotation)
    before = copy.deepcopy(value)
    payload = codec.encode_arguments("resize", (value,), {})
    assert look(value) == look(before)
    (one,), first = codec.decode_arguments("resize", payload)
    (two,), second = codec.decode_arguments("resize", payload)
    assert first is not second
    mine, theirs, others = ({id(part) for part in mutable(it)} for it in (value, one, two))
    assert mine
    assert not mine & theirs
    assert not theirs & others


def mutable(value: Any) -> list[Any]:
    """All the objects in a value that could be told from a copy."""
    found = [value] if not isinstance(value, (str, int, float, type(None), Color)) else []
    inside = value if isinstance(value, list) else getattr(value, "__dict__", {}).values()
    for part in value.values() if isinstance(value, dict) else inside:
        found += mutable(part)
    return found


# --- results -------------------------------------------------------------------------------------


def test_results() -> None:
    def resize() -> None: ...

    codec = codec_of(resize)
    assert codec.encode_result("resize", None) == b"null"
    assert codec.decode_result("resize", b"null") is None
    with pytest.raises(
        InvalidArguments,
        match=r"^resize returned `int`, which cannot be stored: expected `None`, got `int`$",
    ):
        codec.encode_result("resize", 3)
    with pytest.raises(
        InvalidArguments,
        match=r"^the stored result of resize does not fit its annotation: expected `None`, got",
    ):
        codec.decode_result("resize", b"3")


def test_results_without_an_annotation() -> None:
    codec = codec_of(lambda: ...)
    assert codec.encode_result("resize", {"a": [1, None]}) == b'{"a":[1,null]}'
    with pytest.raises(
        InvalidArguments,
        match=r"^resize returned `tuple`, which cannot be stored: `tuple` would come back as "
        r"`list`: annotate what the handler returns$",
    ):
        codec.encode_result("resize", (1, 2))
    with pytest.raises(InvalidArguments, match=r"`nan`, which JSON has no form for - at `\$\[0\]`"):
        codec.encode_result("resize", [math.nan])


@pytest.mark.parametrize("never", [typing.NoReturn, typing.Never])
def test_a_handler_that_never_returns(never: object) -> None:
    def resize() -> Any: ...

    resize.__annotations__["return"] = never
    assert codec_of(resize).encode_result("resize", None) == b"null"


class Sum(pydantic.BaseModel, extra="forbid"):
    terms: pydantic.Json[list[int]]

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def total(self) -> int:
        return sum(self.terms)


def test_a_model_with_more_to_it_than_its_fields() -> None:
    """What is computed is computed again, and what is read from text is written as text."""
    value = Sum.model_validate({"terms": "[1, 2]"})
    assert passed(taking(Sum), value) == value
    assert passed(taking(Sum), value).total == 3


# --- depth ---------------------------------------------------------------------------------------


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


def chain(length: int) -> Chain:
    value: Chain | None = None
    for number in range(length):
        value = Chain(number, value)
    assert value is not None
    return value


@pytest.mark.parametrize(("annotation", "build"), [(Any, nested), (Chain, chain)])
def test_nesting_has_a_bound(annotation: object, build: Callable[[int], object]) -> None:
    """The same on both ends, so that what was accepted can be read on a deeper stack, too."""
    codec = taking(annotation)
    assert look(passed(codec, build(100))) == look(build(100))
    for depth in 101, 300:
        with pytest.raises(
            InvalidArguments,
            match=r"^resize\(value\): nested more than 100 levels deep, or it contains itself$",
        ):
            codec.encode_arguments("resize", (build(depth),), {})


def test_a_model_is_bound_as_well() -> None:
    """By us, and by pydantic, which has a bound of its own."""

    def model(depth: int) -> Model:
        inner = None
        for number in range(depth):
            inner = Model.model_construct(number=number, when=MOMENT, ids=[], inner=inner)
        assert inner is not None
        return inner

    codec = taking(Model)
    assert look(passed(codec, model(99))) == look(model(99))
    for depth, words in (101, "nested more than 100 levels deep"), (300, "depth"):
        with pytest.raises(InvalidArguments, match=words):
            codec.encode_arguments("resize", (model(depth),), {})


def test_brackets_in_text_are_no_depth() -> None:
    """However they are quoted, and however many there are beside each other."""
    value = ['"[' * 300, "\\" * 301 + '"{' * 300, {"[" * 300: "]" * 7}, [[]] * 300, "\\"]
    assert passed(taking(Any), value) == value
    value.append(nested(99))
    assert passed(taking(Any), value) == value
    value.append(nested(100))
    with pytest.raises(InvalidArguments, match="nested more than"):
        passed(taking(Any), value)


@given(plain_values, st.integers(0, 6))
def test_depth_is_measured_exactly(value: object, most: int) -> None:
    from trioqueue.brokers._codec_compare import too_deep

    def depth(part: Any) -> int:
        if isinstance(part, (list, dict)):
            inside = part.values() if isinstance(part, dict) else part
            return 1 + max(map(depth, inside), default=0)
        return 0

    assert too_deep(json.dumps(value).encode(), most) is (depth(value) > most)
