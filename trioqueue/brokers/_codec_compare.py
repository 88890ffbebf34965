"""What survives the way to JSON and back, and where the part is that does not.

Nothing here knows of annotations: a value is compared with what came back in its place.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, time
from decimal import Decimal
from itertools import accumulate
from typing import Any, Final

#: Deeper is refused, on both ends: far more than data needs, and far less than the stack of a
#: worker has left (a level costs up to three of Python's 1000 frames when dataclasses compare).
MAX_DEPTH: Final = 100

#: What JSON has of its own, as Python types: what comes back where no type is asked for.
SCALARS: Final = frozenset({type(None), bool, int, float, str})
PLAIN: Final = SCALARS | {list, dict}

_STEPS: Final = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # as signed bytes: +1 and -1
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))


def too_deep(text: bytes, most: int = MAX_DEPTH) -> bool:
    """Whether JSON is nested more than ``most`` levels deep. Needs no stack, however deep it is."""
    if text.count(b"[") + text.count(b"{") <= most:
        return False
    # Without escapes, every second piece between quotes is the inside of a string.
    pieces = text.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
    steps = b"".join(pieces[::2]).translate(_STEPS, _NO_BRACKETS)
    return max(accumulate(memoryview(steps).cast("b")), default=0) > most


def name_of(kind: type) -> str:
    """A class as a user would write it."""
    module, name = kind.__module__, kind.__qualname__
    return name if module == "builtins" else f"{module}.{name}"


def is_finite(value: object) -> bool:
    """Whether JSON has a form for this, if it is a float."""
    return not isinstance(value, float) or math.isfinite(value)


def found(value: object) -> str:
    """What was found, for a message: its type, or the value where the type is not the point."""
    if value is None or not is_finite(value):
        return f"`{value}`"
    return f"`{name_of(type(value))}`"


def at(path: str) -> str:
    """The end of a message: where in the value, unless it is the value itself."""
    return f" - at `${path}`" if path else ""


# --- the parts of a value ------------------------------------------------------------------------


def _fields(kind: Any) -> Sequence[str]:
    """The fields of a dataclass, a struct or an attrs class; of anything else none."""
    if hasattr(kind, "__struct_fields__"):
        return kind.__struct_fields__  # type: ignore[no-any-return]
    if dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind)]
    return [field.name for field in getattr(kind, "__attrs_attrs__", ())]


def _parts(value: Any) -> Collection[Any]:
    """The values directly inside ``value``, in order."""
    if isinstance(value, dict):
        return value.values()  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, (list, tuple, set, frozenset)):
        return value  # pyright: ignore[reportUnknownVariableType]
    return [getattr(value, name, None) for name in _fields(type(value))]


def _step(value: Any, index: int) -> str:
    """The piece of the path that leads to one of the parts."""
    if isinstance(value, dict):
        return f"[{list(value)[index]!r:.60}]"  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, (list, tuple, set, frozenset)):
        return f"[{index}]"
    return f".{_fields(type(value))[index]}"


def locate(
    value: object, fails: Callable[[object], Exception | None]
) -> tuple[str, object, Exception]:
    """The innermost part for which ``fails`` has an error: its path, itself, and that error.

    ``value`` itself fails.
    """
    path, error = "", fails(value)
    assert error is not None
    for _ in range(MAX_DEPTH):
        for index, part in enumerate(_parts(value)):
            if (inner := fails(part)) is not None:
                path, error, value = path + _step(value, index), inner, part
                break
        else:
            break
    return path, value, error


def find_not_finite(value: object, depth: int = MAX_DEPTH) -> str | None:
    """The path of the first NaN or infinity in here."""
    if not is_finite(value):
        return ""
    for index, part in enumerate(_parts(value) if depth else ()):
        path = find_not_finite(part, depth - 1)
        if path is not None:
            return _step(value, index) + path
    return None


# --- the comparison ------------------------------------------------------------------------------


class Difference(Exception):
    """What came back is not what went in. The path grows on the way out.

    ``untyped``: it would, if an annotation had said so.
    """

    def __init__(self, message: str, path: str = "", *, untyped: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.untyped = untyped


def compare(value: object, back: object, *, exact: bool) -> None:
    """Raise `Difference` unless ``back``, which came back for ``value``, is fit to stand for it.

    ``exact``: somewhere in here no type is asked for, so what JSON lacks has turned into something
    else without anybody having said so. Otherwise a value may become what the annotation says if
    it is equal: an ``int`` a ``float``, a tuple a list, a member of a ``StrEnum`` a ``str``.
    """
    if not is_finite(value):
        raise Difference(f"`{value}`, which JSON has no form for")
    if type(value) is not type(back) and not _may_become(value, back, exact=exact):
        msg = f"{found(value)} would come back as {found(back)}"
        raise Difference(msg, untyped=exact)
    if isinstance(back, dict):
        _compare_keys(value, back, exact=exact)
    elif not isinstance(back, (list, tuple)) and not _fields(type(back)):
        if not _equal(value, back):
            raise Difference(f"{found(value)} would not come back the same")
        return
    mine, theirs = _parts(value), _parts(back)
    if len(mine) != len(theirs):
        raise Difference(f"{len(mine)} parts would come back as {len(theirs)}")
    for index, (one, other) in enumerate(zip(mine, theirs, strict=True)):
        if one is other or (type(one) is type(other) and type(one) in SCALARS and one == other):
            continue  # only to be quick
        try:
            compare(one, other, exact=exact)
        except Difference as inner:
            path = _step(value, index) + inner.path
            raise Difference(inner.message, path, untyped=inner.untyped) from None


def _compare_keys(value: Any, back: Any, *, exact: bool) -> None:
    """Both in order: JSON keeps it, and keys that fell together are missing."""
    if len(value) != len(back):
        raise Difference(f"{len(value)} keys would come back as {len(back)}")
    for key, other in zip(value, back, strict=True):
        if type(key) is not str or key != other:
            try:
                compare(key, other, exact=exact)
            except Difference as inner:
                msg = f"the key {key!r:.60}: {inner.message}"
                raise Difference(msg, untyped=inner.untyped) from None


def _may_become(value: Any, back: Any, *, exact: bool) -> bool:
    """Whether another type is in order, provided that the contents are equal."""
    if type(value) is int and type(back) is float:
        return True  # as type checkers have it; without an annotation an int comes back as an int
    if exact and type(back) in PLAIN:
        return False
    if isinstance(value, (list, tuple)) and isinstance(back, (list, tuple)):
        return True
    if isinstance(value, dict) and isinstance(back, dict):
        return True
    return _equal(value, back)


def _equal(value: Any, back: Any) -> bool:
    """Equality for what has no parts, with the ones that are never equal to themselves."""
    try:
        if value == back:
            return True
    except Exception:  # the comparison is the user's code; that of a signalling NaN raises, too
        pass
    if isinstance(value, Decimal) and isinstance(back, Decimal):
        return str(value) == str(back)  # NaN
    if isinstance(value, (datetime, time)) and isinstance(back, (datetime, time)):
        # In the hour that a zone repeats, Python calls times of different zones never equal.
        return value.isoformat() == back.isoformat()
    return False
