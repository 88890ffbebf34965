"""Errors as text: bounded, holding no frame alive, and made of whatever a handler may raise."""

import gc
import weakref
from dataclasses import dataclass

import pytest
import trio

from trioqueue import Outcome, OutcomeKind
from trioqueue._decide import record_error

K = OutcomeKind


def failed(error: BaseException | None, kind: OutcomeKind = K.ERROR) -> Outcome:
    """As a worker has it: raised, so that it has a traceback."""
    if error is not None:
        with pytest.raises(type(error)):
            raise error
    return Outcome(kind, exception=error)


def test_an_error_becomes_text() -> None:
    record = record_error(failed(ValueError("no such file")), 3)
    assert (record.attempt, record.kind, record.type) == (3, "error", "ValueError")
    assert record.message == "no such file"
    assert "raise error" in record.traceback
    assert str(record) == "ValueError: no such file"
    assert str(record_error(failed(trio.TooSlowError()), 1)) == "trio.TooSlowError"


def test_a_timeout_without_an_error_has_a_record_too() -> None:
    record = record_error(failed(None, K.TIMEOUT), 1)
    assert (record.kind, record.type) == ("timeout", "TimeoutError")


@pytest.mark.main
def test_no_frame_stays_alive() -> None:
    """Tracebacks are dropped from the error, its causes and contexts, and a group's members."""

    class Big:
        pass

    def fail() -> tuple[BaseException, weakref.ref[Big]]:
        local = Big()
        inner = failed(KeyError("inner")).exception
        try:
            try:
                raise OSError("cause") from inner
            except OSError as cause:
                raise ExceptionGroup("group", [ValueError("member")]) from cause
        except ExceptionGroup as group:
            return group, weakref.ref(local)

    error, local = fail()
    text = record_error(Outcome(K.ERROR, exception=error), 1).traceback
    gc.collect()
    assert local() is None
    assert all(word in text for word in ("inner", "cause", "group", "member"))


def test_a_circle_of_causes_ends() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    assert record_error(failed(first), 1).message == "first"


def test_a_record_is_bounded() -> None:
    """Ten are kept for each dead letter: one error with a book for a message must not matter."""

    def recurse() -> None:
        recurse()

    with pytest.raises(RecursionError) as caught:
        recurse()
    for error in (caught.value, ValueError("x" * 1_000_000)):
        record = record_error(failed(error), 1)
        assert len(record.traceback) <= 10_000
        assert len(record.message) <= 10_000


class BrokenStr(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class ExitingStr(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


class BrokenNotes(Exception):
    @property
    def __notes__(self) -> list[str]:
        raise RuntimeError("no notes")


class BrokenCause(Exception):
    @property
    def __cause__(self) -> BaseException:  # type: ignore[override]
        raise RuntimeError("no cause")


@dataclass(frozen=True)
class Frozen(Exception):
    """Nothing can be assigned to it, ``__traceback__`` neither."""

    code: int = 3


BROKEN = (BrokenStr, ExitingStr, BrokenNotes, BrokenCause, Frozen)


@pytest.mark.parametrize("broken", BROKEN)
def test_an_error_that_is_broken_itself_has_a_record_all_the_same(
    broken: type[Exception],
) -> None:
    error = broken()
    record = record_error(failed(error), 1)
    assert broken.__name__ in record.type
    assert BaseException.__dict__["__traceback__"].__get__(error) is None
