"""Where the lines of a worker process go: ``--log-format`` and ``--log-level``."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Annotated, Literal, get_args

from cyclopts import Parameter, Token

from ..observe import add_task_context, configure_logging

LogFormat = Literal["human", "json"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]


def any_case(type_: object, tokens: Sequence[Token]) -> str:
    """A level's name; in small letters it is known too."""
    level = tokens[0].value.upper()
    if level not in get_args(LogLevel):
        msg = f'"{tokens[0].value}" is not one of {", ".join(get_args(LogLevel))}.'
        raise ValueError(msg)
    return level


LogLevelOption = Annotated[LogLevel | None, Parameter(converter=any_case)]


def log_to_stderr(format: LogFormat | None = None, level: LogLevel | None = None) -> None:
    """Show what is logged, unless the user's module has configured logging itself.

    Its own handlers then only learn whose line it is. What is asked for by a flag is done all the
    same: the format replaces what writes to the console already.
    """
    logging.getLogger("trioqueue").setLevel(level or logging.INFO)
    if format is None and logging.root.handlers:
        if level is not None:
            logging.root.setLevel(level)
        add_task_context()
        return
    for handler in logging.root.handlers[:]:
        if getattr(handler, "stream", handler) in (sys.stdout, sys.stderr):
            logging.root.removeHandler(handler)
    configure_logging(format or "human", level or "INFO", process=True)
