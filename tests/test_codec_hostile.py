"""Whoever can write the broker can write any bytes: they are refused, and nothing else happens."""

import datetime
import decimal
import json
import re
import sys
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pydantic
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import trioqueue.brokers
from tests.codecs import (
    Chain,
    Color,
    Crate,
    Incomparable,
    Job,
    Loose,
    Many,
    Model,
    Options,
    Pair,
    Point,
    Start,
    Stop,
    look,
    plain_values,
    typed,
)
from trioqueue import InvalidArguments, TaskSet
from trioqueue.brokers._codec import TaskCodec, plain


class Fussy(msgspec.Struct):
    """Raises whatever it likes, for every value."""

    number: int

    def __post_init__(self) -> None:
        errors = [KeyError, RecursionError, MemoryError, AttributeError, OSError, StopIteration]
        raise errors[self.number % len(errors)]("no")


class FussyModel(pydantic.BaseModel):
    number: int

    def model_post_init(self, context: object, /) -> None:
        raise LookupError("no") if self.number else ValueError("Naught")


tasks = TaskSet()


@tasks.task
def bare(one, two=2, *rest, flag=False, **more):  # type: ignore[no-untyped-def]
    ...


@tasks.task
def scalars(
    a: str, b: int = 0, c: float = 0, d: bool = False, e: bytes = b"", f: None = None
) -> int | str | None: ...


@tasks.task
def texts(
    a: datetime.datetime, b: datetime.timedelta, c: uuid.UUID, d: decimal.Decimal, e: Color
) -> Many: ...


@tasks.task
def classes(
    job: Job,
    chain: Chain | None = None,
    point: Point | None = None,
    either: Start | Stop = ...,  # type: ignore[assignment]
) -> list[Crate]: ...


@tasks.task
def models(model: Model, more: dict[str, list[Model]] = {}) -> Model: ...  # noqa: B006  # type: ignore[empty-body]


@tasks.task
def containers(
    *all: set[tuple[int, ...]], **more: dict[int, list[Pair | None]]
) -> frozenset[Incomparable]: ...  # type: ignore[empty-body]


@tasks.task
def odd(
    a: Fussy | None = None, b: FussyModel | None = None, c: set[list[int]] = ...
) -> Options: ...  # type: ignore[assignment, empty-body]


@tasks.task
def loose(a: Loose, b: msgspec.Raw | None = None) -> Any: ...


CODEC = TaskCodec(tasks)
NAMES = [one.name for one in tasks]


def refused(read: Callable[..., Any], name: str, payload: bytes) -> Any:
    """What was read; ``None`` if it was refused, with a message that is no page."""
    try:
        return read(name, payload)
    except InvalidArguments as error:
        message = str(error)
    assert len(message) < 1000
    assert message.isprintable()
    return None


def read_by_all(payload: bytes) -> list[tuple[str, Any]]:
    """By every handler, as the arguments and as the result: the arguments that were accepted."""
    for name in NAMES:
        refused(CODEC.decode_result, name, payload)
    found = [(name, refused(CODEC.decode_arguments, name, payload)) for name in NAMES]
    return [(name, call) for name, call in found if call is not None]


#: JSON in which there are often values that one of the handlers asks for.
likely = st.sampled_from(
    [
        {"name": "a", "sizes": [1], "when": "2024-01-01T00:00:00Z"},
        {"number": 1, "rest": {"number": 2, "rest": None}},
        {"number": 3, "when": "2024-01-01", "ids": [str(uuid.UUID(int=1))], "inner": None},
        {"type": "Start", "at": 3},
        {"x": 1, "y": 2.5},
        [[1, 2], [3]],
        ["a", 1],
        "P1DT3S",
        "1e5",
        "red",
        "eHg=",
        "2024-01-01T00:00:00+01:00",
    ]
)
values = st.recursive(
    plain_values | likely,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
parameters = ["one", "two", "a", "b", "job", "model", "more", "chain", "either", "flag", "c", "ü"]
calls = st.tuples(
    st.lists(values, max_size=6), st.dictionaries(st.sampled_from(parameters), values, max_size=3)
)
payloads = st.one_of(calls, values).map(lambda value: json.dumps(value).encode())


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A payload of which some bytes are missing, doubled, or others."""
    payload = bytearray(draw(payloads))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(payload)))
        end = draw(st.integers(start, min(len(payload), start + 8)))
        piece = draw(
            st.binary(max_size=4)
            | st.sampled_from([b"[", b"]", b"{", b"}", b'"', b"\\", b"\\u", b"\\ud800", b",", b":"])
            | st.sampled_from([b"NaN", b"Infinity", b"1e999", b"-", b"9" * 5000, b"\x00", b"\xff"])
            | st.just(bytes(payload[start:end]) * 2)
        )
        payload[start:end] = piece
    return bytes(payload)


@pytest.mark.main
@given(st.binary() | payloads | damaged())
@example(b"")
@example(b"\xef\xbb\xbf[[],{}]")
@example('[["a"],{}]'.encode("utf-16"))
@example(b"[[],{}]\x00")
@example(b"[[],{}][[],{}]")
@example(b"[[],{},[]]")
@example(b"[[]]")
@example(b"[{},[]]")
@example(b"null")
@example(b'[[1],{"one":2}]')
@example(b'[[1],{"two":2,"two":"x"}]')
@example(b'[[1],{"\\ud800":2}]')
@example(b'[["\xff"],{}]')
@example(b'[[1],{"\xff":2}]')
@example(b'[["' + b"\\" * 301 + b'"],{}]')
@example(b"[[" + b"1" * 10_000 + b"],{}]")
@example(b"[[-" + b"1" * 10_000 + b"],{}]")
@example(b"[[1e400],{}]")
@example(b'[["1e999999999999"],{}]')
@example(b'[[null,{"number":1}],{}]')
@example(b'[[{"number":1}],{}]')
@example(b"[[null,null,[[1]]],{}]")
@example(b'[[{"type":"Start","type":"Stop","at":"x"}],{}]')
@example(b'[[],{"' + b"x" * 100_000 + b'":1}]')
def test_whatever_the_bytes_are(payload: bytes) -> None:
    """`InvalidArguments`, or a call that could have been submitted just so."""
    for name, (args, kwargs) in read_by_all(payload):
        if name in {"loose", "odd"}:  # msgspec.Raw is not looked into until it is read
            continue
        again = CODEC.encode_arguments(name, args, kwargs)
        assert look(CODEC.decode_arguments(name, again)) == look((args, kwargs))
    found = plain(payload)
    assert found is None or (type(found[0]) is tuple and type(found[1]) is dict)


@pytest.mark.parametrize("number", range(6))
def test_whatever_a_class_raises(number: int) -> None:
    payload = b'[[{"number":%d}],{}]' % number
    with pytest.raises(InvalidArguments, match=r"^odd\(a\): "):
        CODEC.decode_arguments("odd", payload)


def test_whatever_a_model_raises() -> None:
    with pytest.raises(InvalidArguments, match=r"^odd\(b\): LookupError: no"):
        CODEC.decode_arguments("odd", b'[[null,{"number":1}],{}]')

    with pytest.raises(InvalidArguments, match=r"^odd\(b\): value error, Naught$"):
        CODEC.decode_arguments("odd", b'[[null,{"number":0}],{}]')


def test_a_model_with_a_way_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def model_validate(value: object, **options: object) -> Any:
        raise ValueError("Mine")

    monkeypatch.setattr(FussyModel, "model_validate", model_validate)
    with pytest.raises(InvalidArguments, match=r"^odd\(b\): mine$"):
        CODEC.decode_arguments("odd", b'[[null,{"number":0}],{}]')


def test_what_cannot_be_in_a_set() -> None:
    with pytest.raises(InvalidArguments, match=r"^odd\(c\): unhashable type: 'list'"):
        CODEC.decode_arguments("odd", b'[[],{"c":[[1]]}]')


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"", "input data was truncated"),
        (b"\xff", "JSON is malformed: invalid character (byte 0)"),
        (b"{}", "expected `array`, got `object`"),
        (b"[[],[]]", "expected `object`, got `array` - at `$[1]`"),
        (b"[[],{},1]", "expected `array` of length 2"),
        (b"[[],{}]]", "JSON is malformed: trailing characters (byte 8)"),
        (b"[" * 200, "nested more than 100 levels deep, or it contains itself"),
    ],
)
def test_what_is_no_payload(payload: bytes, words: str) -> None:
    with pytest.raises(InvalidArguments) as caught:
        CODEC.decode_arguments("bare", payload)
    start = "bare: the payload is not `[args, kwargs]` in JSON: "
    assert str(caught.value) == start + words


@pytest.mark.parametrize("name", ["a\nb", "\x1b[31m", "x" * 100_000, "\u202e"])
def test_the_name_of_an_argument_may_be_anything(name: str) -> None:
    """In the message it is one line, and not a long one."""
    payload = json.dumps([[], {name: 3}]).encode()
    assert refused(CODEC.decode_arguments, "containers", payload) is None
    assert refused(CODEC.decode_arguments, "models", payload) is None


@pytest.mark.parametrize("payload", [None, 3, "[[],{}]", [[], {}], object()], ids=repr)
def test_what_is_not_bytes(payload: Any) -> None:
    assert plain(payload) is None
    words = re.escape("bare: the payload is not `[args, kwargs]` in JSON: it is `")
    with pytest.raises(InvalidArguments, match=words):
        CODEC.decode_arguments("bare", payload)
    with pytest.raises(InvalidArguments, match="the stored result of bare does not fit"):
        CODEC.decode_result("bare", payload)


def bombs(depth: int) -> list[bytes]:
    """Deep nesting: closed, open, of arrays, of objects, in the place of an argument."""
    opening, closing = b"[" * depth, b"]" * depth
    return [
        opening,
        closing,
        opening + closing,
        b'{"a":' * depth,
        b'{"a":' * depth + b"1" + b"}" * depth,
        b"[[" + opening + closing + b"],{}]",
        b'[[],{"one":' + opening + closing + b"}]",
        b"[[" + b'{"number":1,"rest":' * depth + b"null" + b"}" * depth + b"],{}]",
        b'[[{"name":"a","sizes":[]},' + b'{"number":1,"rest":' * depth + b"0" + b"}" * depth,
        b"[["
        + b'{"number":1,"when":"2024-01-01","inner":' * depth
        + b"null"
        + b"}" * depth
        + b"],{}]",
        b"[[" + b'[{"":' * depth + b"1" + b"}]" * depth + b"],{}]",
    ]


@pytest.mark.parametrize("depth", [101, 330, 1100, 20_000])
@pytest.mark.parametrize("kind", range(11))
def test_a_bomb_of_nesting(depth: int, kind: int) -> None:
    payload = bombs(depth)[kind]
    assert read_by_all(payload) == []
    assert plain(payload) is None


def on_a_stack_of(size: int, call: Callable[[], None]) -> None:
    """In a thread with this much of a stack, as a thread of a worker may have."""
    before = threading.stack_size(size)
    failed: list[Exception] = []

    def target() -> None:
        try:
            call()
        except Exception as error:
            failed.append(error)

    try:
        thread = threading.Thread(target=target)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert not failed, failed


def test_a_bomb_on_a_small_stack() -> None:
    """The deepest that is allowed can be read with little stack, and the rest is refused."""

    def deepest() -> None:
        value: Any = []
        for _ in range(99):
            value = [value]
        payload = json.dumps([[value], {}]).encode()
        assert CODEC.decode_arguments("bare", payload) == ((value,), {})
        for bomb in bombs(1000):
            read_by_all(bomb)

    on_a_stack_of(512 * 1024, deepest)


def test_the_deepest_can_be_written_and_read_far_down() -> None:
    """With 500 frames of 1000 in use, those of dataclasses that compare included."""
    chain: Chain | None = None
    for number in range(100):
        chain = Chain(number, chain)

    def down(frames: int) -> None:
        if frames:
            down(frames - 1)
        else:
            payload = CODEC.encode_arguments("classes", (Job("a", []), chain), {})
            backs.append(CODEC.decode_arguments("classes", payload)[0][1])

    backs: list[Any] = []
    assert sys.getrecursionlimit() == 1000
    down(500)
    assert look(backs) == look([chain])


@given(typed, st.data())
def test_tools_read_what_was_written_without_any_types(one: Any, data: st.DataObject) -> None:
    from tests.codecs import taking

    payload = taking(one[0]).encode_arguments("resize", (data.draw(one[1]),), {})
    assert plain(payload) == (tuple(json.loads(payload)[0]), {})


def test_there_is_no_pickle() -> None:
    """Nor anything else that runs what it reads."""
    folder = Path(trioqueue.brokers.__file__).parent
    found = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("_codec*.py")}
    assert len(found) == 5
    for text in found.values():
        assert not re.search(r"pickle|marshal|shelve|\beval\(|\bexec\(|__import__|importlib", text)
