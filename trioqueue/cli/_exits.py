"""The exit codes of every command, in one table."""

from typing import Final

OK: Final = 0
FAILED: Final = 1  # something of ours, or the output, failed
USAGE: Final = 2  # bad arguments, or a missing extra
INTERRUPTED: Final = 130  # 128 + SIGINT, as shells have it
BROKEN_PIPE: Final = 141  # 128 + SIGPIPE: nobody reads our output any more
TERMINATED: Final = 143  # 128 + SIGTERM
