"""Log lines for people: one line for each record, whatever it holds."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Final, final

from ._context import add_task_fields
from ._log import message_of

_DIM: Final = "\x1b[2m"
_PLAIN: Final = "\x1b[0m"
#: From this level on, this colour.
_COLORS: Final = (
    (logging.ERROR, "\x1b[31m"),
    (logging.WARNING, "\x1b[33m"),
    (logging.INFO, "\x1b[32m"),
)


@final
class HumanFormatter(logging.Formatter):
    """Formats a record as time, level, logger and message, and whose handler has logged it.

    As ``2026-11-24 17:12:03.250 INFO     app.images: opened [resize 01JD... attempt 2]``, in local
    time. Line breaks and escape codes in any of it are written as Python would write them, so
    nothing that is logged looks like another line; a traceback follows, indented. ``color``: for a
    terminal. ``process``: with the process's number, as ``app.images[4711]``, for programs of many.
    """

    def __init__(self, *, color: bool = False, process: bool = False) -> None:
        super().__init__()
        self._color = color
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line, and indented ones for its traceback."""
        add_task_fields(record)
        time = datetime.fromtimestamp(record.created).isoformat(" ", "milliseconds")
        name = f"{record.name}[{record.process}]" if self._process else record.name
        message = message_of(record)
        parts = (
            self._colored(_DIM, time),
            self._colored(_color_of(record.levelno), f"{_one_line(record.levelname):8}"),
            f"{_one_line(name)}: {_one_line(message)}",
            self._colored(_DIM, _one_line(_tag(record, message))),
        )
        return "\n".join((" ".join(filter(None, parts)), *self._details(record)))

    def _colored(self, color: str, text: str) -> str:
        return f"{color}{text}{_PLAIN}" if self._color and color and text else text

    def _details(self, record: logging.LogRecord) -> Iterator[str]:
        """The traceback and the stack, in lines that cannot be taken for records."""
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)  # kept, as logging does
        stack = self.formatStack(record.stack_info) if record.stack_info else None
        for text in filter(None, (record.exc_text, stack)):
            for line in text.splitlines():
                yield f"  {_one_line(line.expandtabs(4))}"


def _color_of(level: int) -> str:
    return next((color for least, color in _COLORS if level >= least), "")


def _tag(record: logging.LogRecord, message: str) -> str:
    """Whose line it is, unless the message says so itself, as those of `log_events` do."""
    facts = vars(record)
    names = [facts.get("task_type"), facts.get("task_id")]
    words = " ".join(str(name) for name in names if name is not None)
    if names[1] is None or words in message:
        return ""
    attempt = facts.get("attempt")
    return f"[{words}]" if attempt is None else f"[{words} attempt {attempt}]"


def _one_line(text: str) -> str:
    """What is not printable is escaped: it may break the line, hide it, or command the terminal."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )
