"""Logging set up in one call, for programs that have not set it up themselves."""

from __future__ import annotations

import logging
import os
import sys
from typing import Literal, TextIO, final

from ._context import add_task_context
from ._human import HumanFormatter
from ._log import JsonFormatter


@final
class _Console(logging.StreamHandler[TextIO]):
    """Of a class of its own, so that doing it again replaces it. Escapes what its stream lacks."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        encoding = getattr(self.stream, "encoding", None)
        if encoding is None or text.isascii():
            return text
        return text.encode(encoding, "backslashreplace").decode(encoding)


def configure_logging(
    format: Literal["human", "json"] = "human",
    level: int | str = "INFO",
    stream: TextIO | None = None,
    *,
    process: bool = False,
) -> logging.Handler:
    """Write what all loggers log, from ``level`` on, as lines on ``stream`` (standard error).

    Lines that a handler logs say which task, attempt and delivery it is. ``format``: ``"human"``
    (`HumanFormatter`, in colour on a terminal unless ``NO_COLOR`` is set) or ``"json"``
    (`JsonFormatter`). ``process``: with the process's number. Handlers that the root logger has
    already stay, but for the one of an earlier call, and say it too if they have the formatter for
    it. Returns the new handler. Raises `ValueError` for a format or level that is none.
    """
    number = level if isinstance(level, int) else logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        msg = f"configure_logging(level={level!r}): no level is named so"
        raise ValueError(msg)
    formatter = _formatter(format, stream or sys.stderr, process=process)
    for old in logging.root.handlers[:]:
        if isinstance(old, _Console):
            logging.root.removeHandler(old)
    target = stream or sys.stderr
    handler: logging.Handler = logging.NullHandler() if target is None else _Console(target)
    handler.setFormatter(formatter)
    logging.root.addHandler(handler)
    logging.root.setLevel(number)
    add_task_context()
    return handler


def _formatter(format: str, stream: TextIO | None, *, process: bool) -> logging.Formatter:
    match format:
        case "human":
            return HumanFormatter(color=_wants_color(stream), process=process)
        case "json":
            return JsonFormatter(process=process)
        case _:
            msg = f'configure_logging(format={format!r}): expected "human" or "json"'
            raise ValueError(msg)


def _wants_color(stream: TextIO | None) -> bool:
    """On a terminal that understands colour, unless somebody does not want any."""
    if stream is None or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty()
