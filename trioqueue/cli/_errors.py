"""What becomes of an error that ends a command: an exit code, and one line that says it."""

from __future__ import annotations

from typing import cast

from .. import InvalidArguments, InvalidTask, NotRegistered, TrioqueueError
from ..brokers._url import redact
from ._exits import BROKEN_PIPE, FAILED, USAGE
from ._output import silence
from ._text import complain, one_line


class Wrong(Exception):
    """What was typed cannot be: the command ends with this one line, and `USAGE`."""


def only(error: BaseException) -> BaseException:
    """The error itself, out of the groups into which nurseries have wrapped it."""
    while isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        if len(group.exceptions) != 1:
            return group
        error = group.exceptions[0]
    return error


def judge(error: BaseException) -> int:
    """The exit code for an error that ended a command, once it was told; raises the untellable."""
    match only(error):
        case Wrong() | InvalidTask() | InvalidArguments() | NotRegistered() as wrong:
            return fail(USAGE, str(wrong))
        case TrioqueueError() as failure:
            return fail(FAILED, str(failure) or type(failure).__name__)
        case BrokenPipeError():
            silence()
            return BROKEN_PIPE  # our reader has seen enough: there is nothing to tell
        case OSError() as failure:
            silence()
            return fail(FAILED, failure.strerror or str(failure))
        case other:
            raise other


def fail(code: int, message: str) -> int:
    """Tell in one line what went wrong; of a URL in it, not the password."""
    complain(redact(one_line(message, 2_000)))
    return code
