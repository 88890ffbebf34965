"""Worker processes on one SQLite file, for the cases that need more than one process.

As a module, `python -m benchmarks.crew BROKER WORKERS`, it is one of them. It says "ready" once all
is imported. At the first line on standard input it opens the queue and works; at the second, it
ends once nothing is open any more, and answers with a JSON object: which numbers it ran, and when
each began.
"""

import json
import subprocess
import sys
import time
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from benchmarks.measure import TIMEOUT, Ledger

# Seconds that a worker process may take to end after it was told to.
PATIENCE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Shift:
    """What one process did. Times on the machine's monotonic clock, in seconds."""

    numbers: Sequence[int]
    starts: Sequence[float]
    began: float
    ended: float
    cpu: float


class Member:
    """One worker process."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def wait_ready(self) -> None:
        """Until everything is imported."""
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            raise RuntimeError("a worker process did not come up")

    def tell(self) -> None:
        """Let it work, then let it end."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def shift(self) -> Shift:
        """Wait for its end."""
        output, _ = self._process.communicate(timeout=PATIENCE)
        if self._process.returncode != 0:
            raise RuntimeError(f"a worker process ended with {self._process.returncode}")
        return Shift(**json.loads(output))

    def stop(self) -> None:
        """At once, unless it has ended."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def verify(size: int, shifts: Iterable[Shift]) -> None:
    """LedgerError unless each number below `size` is in one shift, once."""
    ledger = Ledger(size)
    for shift in shifts:
        for number in shift.numbers:
            ledger.marks[number] += 1
    ledger.verify()


@contextmanager
def hired(count: int, broker: str, workers: int) -> Iterator[list[Member]]:
    """`count` worker processes, all ready; they have ended when the block is left."""
    command = [sys.executable, "-m", "benchmarks.crew", broker, str(workers)]
    with ExitStack() as stack:
        members = []
        for _ in range(count):
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            members.append(Member(process))
            stack.callback(members[-1].stop)
        for member in members:
            member.wait_ready()
        yield members


def work(broker: str, workers: int) -> Shift:
    """The other end."""
    import trio

    import trioqueue

    numbers, starts, now = array("q"), array("d"), time.monotonic
    tasks = trioqueue.TaskSet()

    @tasks.task(name="no-op", timeout=TIMEOUT, retry=trioqueue.Retry(attempts=4))
    async def handle(number: int) -> None:
        starts.append(now())
        numbers.append(number)

    async def main() -> Shift:
        cpu, began = time.process_time(), now()
        async with trioqueue.open_queue(tasks, broker=broker, workers=workers) as queue:
            await trio.to_thread.run_sync(sys.stdin.readline)
            await queue.drain()
            ended, cpu = now(), time.process_time() - cpu
        return Shift(list(numbers), list(starts), began, ended, cpu)

    print("ready", flush=True)
    sys.stdin.readline()
    return trio.run(main)


if __name__ == "__main__":
    done = work(sys.argv[1], int(sys.argv[2]))
    print(json.dumps({name: getattr(done, name) for name in Shift.__slots__}))
