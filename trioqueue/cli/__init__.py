"""The command line. Needs the extra ``cli``; this module alone does without, to say so."""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

from ._exits import INTERRUPTED, TERMINATED, USAGE

_MISSING = "trioqueue: the command line needs the extra 'cli': pip install 'trioqueue[cli]'"


def main() -> NoReturn:
    """The entry point of the command ``trioqueue``: runs ``sys.argv`` and exits the process."""
    # Until a command receives it properly. Not an exception: it could hit any line of any code.
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = _run_command_line()
    except KeyboardInterrupt:  # while nothing was going on yet, or any more
        print("trioqueue: interrupted", file=sys.stderr)
        code = INTERRUPTED
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # one more, while Python shuts down, says nothing
    _let_go_of_the_log()
    sys.exit(code)


def _run_command_line() -> int:
    if sys.argv[1:2] == ["health"]:
        from ._probe import quick

        if (code := quick(sys.argv[2:])) is not None:
            return code
    try:
        from ._app import run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"cyclopts", "rich"}:
            raise
        print(_MISSING, file=sys.stderr)
        return USAGE
    return run(sys.argv[1:])


def _let_go_of_the_log() -> None:
    """If nobody reads standard error any more, that is no reason for another exit code."""
    if sys.stderr is not None:
        try:
            sys.stderr.flush()
        except OSError:  # Python would try once more, and exit with 120
            devnull = os.open(os.devnull, os.O_WRONLY)
            os.dup2(devnull, 2)
            os.close(devnull)


def _terminate(number: int, frame: object) -> NoReturn:
    os._exit(TERMINATED)
