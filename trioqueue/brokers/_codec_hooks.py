"""What msgspec leaves to us: pydantic models, and the subclasses of plain types."""

from __future__ import annotations

import sys
from typing import Any, Final, cast

import msgspec

from ._codec_compare import name_of


def is_model(kind: Any) -> bool:
    """Whether this is a pydantic model. pydantic itself is not imported: whoever has one did."""
    base: Any = getattr(sys.modules.get("pydantic"), "BaseModel", None)
    return base is not None and issubclass(kind, base)


class NoForm(TypeError):
    """A value that neither JSON nor anybody here has a form for."""


def to_plain(value: Any) -> object:
    """What to write for a value that msgspec does not know. Raises `NoForm`."""
    if is_model(type(value)):
        return value.model_dump(mode="json", by_alias=False, round_trip=True, warnings=False)
    # A subclass of these is one as far as type checkers are concerned. (Of the others msgspec
    # knows the subclasses itself.)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    msg = f"`{name_of(value.__class__)}` has no form in JSON"
    raise NoForm(msg)


def to_plain_or_none(value: Any) -> object:
    """``None`` in place of what has no form: reading that tells what should be there."""
    try:
        return to_plain(value)
    except NoForm:
        return None


def from_plain(kind: Any, value: object) -> object:
    """Back again. By the names of the fields, since aliases differ between reading and writing."""
    if kind is object:
        return value
    try:
        return kind.model_validate(value, by_alias=False, by_name=True)
    except ValueError as error:
        raise ValueError(_first_problem(error)) from None


def _first_problem(error: ValueError) -> str:
    """A pydantic error in one line, without the input, which may be private."""
    if not hasattr(error, "errors"):
        return str(error)
    first, *others = cast("Any", error).errors(include_url=False, include_input=False)
    path = "".join(f".{part}" if isinstance(part, str) else f"[{part}]" for part in first["loc"])
    where = f"`{path.lstrip('.')}`: " if path else ""
    more = f" (and {len(others)} more)" if others else ""
    return f"{where}{first['msg']}{more}"


encode: Final = msgspec.json.Encoder(enc_hook=to_plain).encode
