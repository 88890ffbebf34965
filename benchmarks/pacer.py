"""Arrivals at a steady rate, made outside the measured process.

A pacer in the program under test either spins (and steals the turns that it should measure) or
sleeps in epoll, whose timeout is whole milliseconds: at 10k/s that means bursts of ten. So another
process sleeps until each due time and writes one byte to a socket; the measured process waits for
input, as a server does, and submits one task per byte.

As a module, `python -m benchmarks.pacer FD RATE COUNT`, it is that other process.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# Seconds: enough for the interpreter to be up and the first arrival to be on time.
START_DELAY = 0.05


def send_arrivals(fd: int, rate: int, count: int) -> None:
    """Write `count` bytes to `fd`, one by one, `rate` a second, each at its own absolute time.

    After a wake-up later than one interval the schedule begins anew: catching up would send a
    burst that tells of this process' scheduling and not of the measured one's latency.
    """
    interval = 1 / rate
    due = time.monotonic() + START_DELAY
    for _ in range(count):
        ahead = due - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
        elif ahead < -interval:
            due -= ahead
        os.write(fd, b".")
        due += interval


@contextmanager
def arrivals(rate: int, count: int) -> Iterator[socket.socket]:
    """Start the pacer; give the socket, not blocking, on which its bytes arrive."""
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", "benchmarks.pacer", str(theirs.fileno()), str(rate)]
    ours.setblocking(False)
    with ours, theirs:
        process = subprocess.Popen([*command, str(count)], pass_fds=[theirs.fileno()])
        try:
            yield ours
        finally:
            process.kill()
            process.wait()


def _leave_the_measured_core() -> None:
    """Undo the pinning that was inherited, if there is another core."""
    if sys.platform == "linux":
        mine = os.sched_getaffinity(0)
        others = set(range(os.cpu_count() or 1)) - mine
        if others:
            with suppress(OSError):  # a container may forbid them
                os.sched_setaffinity(0, others)


if __name__ == "__main__":
    _leave_the_measured_core()
    with suppress(BrokenPipeError, KeyboardInterrupt):
        send_arrivals(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
