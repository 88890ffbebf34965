"""One parameter of a handler, or its result: what may stand there, written and read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ._codec_compare import (
    MAX_DEPTH,
    SCALARS,
    Difference,
    at,
    compare,
    find_not_finite,
    found,
    is_finite,
    locate,
    name_of,
    too_deep,
)
from ._codec_hooks import NoForm, encode, from_plain, to_plain_or_none

if TYPE_CHECKING:
    from ._codec_types import Hint

#: How msgspec says what is wrong: what it expected, what it got in terms of JSON, and where.
_WORDS = re.compile(
    r"(?P<what>.*?)(?P<got>, got `[^`]*`)?(?P<at> - at `\$(?P<path>[^`]*)`)?", re.DOTALL
)
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_LONGEST: Final = 400  # characters of what is not ours, in a message
TOO_DEEP: Final = f"nested more than {MAX_DEPTH} levels deep, or it contains itself"
_INSTEAD: Final = (
    "use plain values, or a dataclass, a msgspec.Struct or a pydantic model that the annotation "
    "names"
)
_MISSING: Final = object()

_encode_gaps = msgspec.json.Encoder(enc_hook=to_plain_or_none).encode


class Misfit(Exception):
    """A value or a text does not fit a slot. The message is for the user."""


class Slot:
    """What one annotation admits.

    A value fits if what a worker would get for it, read by the annotation, equals it; where there
    is no annotation (or an ``Any`` in it), if it is the very same, types included. So nothing turns
    into something else unnoticed.
    """

    __slots__ = ("_advice", "_decode", "_exact", "_kind", "_open")

    def __init__(self, hint: Hint, advice: str) -> None:
        """``advice``: what to do where a type is missing. Raises what msgspec has against it."""
        self._kind: Final = hint.type
        self._decode: Final = msgspec.json.Decoder(hint.type, dec_hook=from_plain).decode
        self._exact: Final = hint.exact
        self._open: Final = hint.open
        self._advice: Final = advice

    def dump(self, value: object) -> bytes:
        """``value`` as JSON. Raises `Misfit`."""
        try:
            text = encode(value)
        except Exception as error:  # msgspec's, a model's, a RecursionError
            raise Misfit(self._unwritable(value, error)) from None
        if self._open and too_deep(text):
            raise Misfit(TOO_DEEP)
        try:
            back = self._decode(text)
        except Exception as error:
            raise Misfit(self._unfit(value, error)) from None
        if type(value) not in SCALARS or back != value:
            self._check_same(value, back)
        return text

    def load(self, text: bytes | msgspec.Raw) -> Any:
        """The value that ``text`` stands for. Raises `Misfit`."""
        try:
            return self._decode(text)
        except Exception as error:  # whatever a class of the user's makes of hostile text, too
            raise Misfit(self._words(error)) from None

    def _check_same(self, value: object, back: object) -> None:
        try:
            if not self._exact and bool(back == value):
                return
        except Exception:  # the comparison is the user's code
            pass
        try:
            compare(value, back, exact=self._exact)
        except Difference as error:
            advice = f": {self._advice}" if error.untyped else ""
            raise Misfit(f"{error.message}{at(error.path)}{advice}") from None
        except Exception as error:
            raise Misfit(words(error)) from None

    def _unwritable(self, value: object, error: Exception) -> str:
        """Why ``value`` cannot be written, and which part of it is to blame."""
        if isinstance(error, RecursionError):
            return TOO_DEEP
        try:
            self._decode(_encode_gaps(value))
        except msgspec.ValidationError as gap:  # this knows what should be in its place
            return self._unfit(value, gap)
        except Exception:
            pass
        path, part, inner = locate(value, _failure)
        text = f"{words(inner)}{at(path)}"
        if not isinstance(inner, NoForm):
            return text
        return f"a key: {text}" if isinstance(part, dict) else f"{text}: {_INSTEAD}"

    def _unfit(self, value: object, error: Exception) -> str:
        """msgspec's words, with the type of what was really there instead of JSON's."""
        match = _match(error)
        if match is None:
            return words(error)
        part = _follow(value, match["path"] or "")
        if part is _MISSING and (lost := find_not_finite(value)) is not None:
            return f"a float that is no number, which JSON has no form for{at(lost)}"
        if part is _MISSING or not (match["got"] or match["what"].startswith("Invalid")):
            return self._words(error)
        cause = "" if is_finite(part) else ", which JSON has no form for"
        return f"{self._what(match)}, got {found(part)}{cause}{match['at'] or ''}"

    def _words(self, error: Exception) -> str:
        match = _match(error)
        if match is None:
            return words(error)
        return f"{self._what(match)}{match['got'] or ''}{match['at'] or ''}"

    def _what(self, match: re.Match[str]) -> str:
        """With the class instead of "object", JSON's word, where it is known which class."""
        what = lowered(match["what"])
        if match["got"]:
            what = what.replace("null", "None")
        if what == "expected `object`" and match["at"] is None and isinstance(self._kind, type):
            what = f"expected `{name_of(self._kind)}`"
        return what


def _match(error: Exception) -> re.Match[str] | None:
    return _WORDS.fullmatch(str(error)) if isinstance(error, msgspec.ValidationError) else None


def lowered(text: str) -> str:
    """As the end of a sentence; an abbreviation stays as it is."""
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def words(error: Exception) -> str:
    """An error as the end of a sentence."""
    if isinstance(error, RecursionError):
        return TOO_DEEP
    if isinstance(error, UnicodeEncodeError):
        return "text with a lone surrogate in it, which UTF-8 has no form for"
    if isinstance(error, UnicodeDecodeError):
        return "text that is not UTF-8"
    text = _text(error).partition("\n")[0]
    if "integer string conversion" in text:
        return "a whole number of thousands of digits, which Python does not write out: pass text"
    text = shortened(text)
    if isinstance(error, (msgspec.MsgspecError, TypeError, ValueError)):
        return lowered(text)
    return f"{type(error).__name__}: {text}"


def shortened(text: str) -> str:
    """What is not ours may be of any length."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _text(error: Exception) -> str:
    try:
        return str(error)
    except Exception:  # the error is the user's code as well
        return "(it has no message)"


def _failure(value: object) -> Exception | None:
    try:
        encode(value)
    except Exception as error:
        return error
    return None


def _follow(value: Any, path: str) -> Any:
    """The part of ``value`` that a path of msgspec's leads to, if it can be told."""
    while path:
        step = _STEP.match(path)
        if step is None:  # the values of a dict and the members of a set are all `[...]`
            return _MISSING
        name, index = step.groups()
        try:
            value = _get(value, name, index)
        except Exception:  # the value is not of the shape that was expected
            return _MISSING
        path = path[step.end() :]
    return value


def _get(value: Any, name: str | None, index: str | None) -> Any:
    if index is not None:
        return value[int(index)]
    if hasattr(value, "keys"):
        return value[name]
    return getattr(value, str(name))
