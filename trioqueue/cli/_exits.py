"""The exit codes of every command, in one table."""

from typing import Final

OK: Final = 0
FAILED: Final = 1  # something of ours, the broker, or the output failed; a check found a problem
USAGE: Final = 2  # bad arguments, a module that cannot be imported, or a missing extra
LEFT_RUNNING: Final = 3  # ended by force: handlers were still running at the hard limit
INTERRUPTED: Final = 130  # 128 + SIGINT, as shells have it
BROKEN_PIPE: Final = 141  # 128 + SIGPIPE: nobody reads our output any more
TERMINATED: Final = 143  # 128 + SIGTERM
