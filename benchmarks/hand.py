"""The worker process of a Redis case.

As a module, `python -m benchmarks.hand SYSTEM URL CONCURRENCY SIZE`, it is that process. It says
"ready" once its system is imported, and begins at the first line on standard input. It says how
many tasks it has begun after the first of them and after `SIZE`. At the second line, or at the end
of its input, it ends as gracefully as its system can, and answers with a `crew.Shift`.
"""

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import IO, Protocol, cast

from benchmarks.crew import Member, Shift
from benchmarks.producer import Plan


class Tally:
    """Which tasks began, and when; kept by the handler itself, whatever the system says."""

    def __init__(self, size: int, report: Callable[[int], None]) -> None:
        self._log: list[tuple[int, float]] = []  # one append per task: handlers may be threads
        self._milestones = [size, 1]
        self._next = self._milestones.pop()
        self._report = report
        self.began = self.ended = self.cpu = 0.0

    def record(self, number: int) -> None:
        """What a handler does."""
        self._log.append((number, time.monotonic()))
        if len(self._log) >= self._next:
            self._reach()

    def _reach(self) -> None:
        count = self._next
        if self._milestones:  # the first: what a start costs is not what a task costs
            self._next = self._milestones.pop()
            self.began, self.cpu = time.monotonic(), time.process_time()
        else:
            self._next = sys.maxsize
            self.ended, self.cpu = time.monotonic(), time.process_time() - self.cpu
        self._report(count)

    def shift(self) -> Shift:
        numbers, starts = zip(*self._log, strict=True) if self._log else ((), ())
        return Shift(numbers, starts, self.began, self.ended, self.cpu)


class System(Protocol):
    """A task queue, as a producer and as a worker; modules of `benchmarks.cases` define them."""

    def produce(self, url: str, plan: Plan) -> None:
        """Open a producer in this process, and follow the plan."""
        ...

    def work(self, url: str, concurrency: int, tally: Tally, wait: Callable[[], object]) -> None:
        """Run tasks, `concurrency` at once, until `wait` returns; `wait` blocks its thread."""
        ...


def system(name: str) -> System:
    """`module:attribute` of benchmarks.cases; imports the peer."""
    module, _, attribute = name.partition(":")
    return cast("System", getattr(import_module(f"benchmarks.cases.{module}"), attribute))


class Hand(Member):
    """One worker process, seen from outside."""

    def wait_reached(self, count: int) -> None:
        """Until it says that it has begun so many tasks."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line != f"{count}\n":
            raise RuntimeError(f"the worker process said {line!r} instead of {count}")


@contextmanager
def hired(name: str, url: str, concurrency: int, size: int) -> Iterator[Hand]:
    """A worker process on its way up; it has ended when the block is left."""
    command = [sys.executable, "-m", "benchmarks.hand", name, url, str(concurrency), str(size)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    hand = Hand(process)
    try:
        yield hand
    finally:
        hand.stop()


def _own_output() -> IO[str]:
    """Standard output for us alone: whatever a peer prints goes to standard error."""
    ours = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return ours


def main(name: str, url: str, concurrency: int, size: int) -> None:
    """The other end."""
    output = _own_output()

    def say(text: object) -> None:
        print(text, file=output, flush=True)

    logging.basicConfig(level=logging.WARNING)
    queue, tally = system(name), Tally(size, say)
    say("ready")
    sys.stdin.readline()
    queue.work(url, concurrency, tally, sys.stdin.readline)
    done = tally.shift()
    say(json.dumps({slot: getattr(done, slot) for slot in Shift.__slots__}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
