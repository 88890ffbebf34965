"""The audit: who did what to which task, on the logger ``trioqueue.web.audit``."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import final

from starlette.requests import Request

from ._guard import user_of
from ._text import one_line

logger = logging.getLogger("trioqueue.web.audit")


@final
class Said:
    """What the line says in the end. ``done``: how many, or whether."""

    def __init__(self) -> None:
        self.done: int | bool = False


@contextmanager
def note(request: Request, verb: str, target: str) -> Generator[Said]:
    """Log one operation at its end, however it ends.

    The record has ``user``, ``verb``, ``target``, ``done`` and ``error`` as attributes; a line is
    one line, whatever names and ids have in them.
    """
    said = Said()
    user, target = one_line(user_of(request.scope)), one_line(target)
    try:
        yield said
    except BaseException as error:
        why = one_line(str(error)) or type(error).__name__
        fields = {"user": user, "verb": verb, "target": target, "done": said.done, "error": why}
        logger.warning("%s: %s %s failed: %s", user, verb, target, why, extra=fields)
        raise
    fields = {"user": user, "verb": verb, "target": target, "done": said.done, "error": None}
    result = "" if said.done is True else f" ({said.done} done)"
    if said.done is False:
        result = " (too late: nothing was done)"
    logger.info("%s: %s %s%s", user, verb, target, result, extra=fields)
