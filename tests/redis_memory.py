"""What a task costs in the memory of a server: ``python -m tests.redis_memory``."""

from __future__ import annotations

import trio
import trio.testing

from tests.redis_broker import open_virtual
from tests.redis_server import Redis, Server, fresh_name
from trioqueue import Move, Options, Task
from trioqueue.testing.conformance._bench import verdict

NUMBER = 5_000
PAYLOADS = (20, 100, 1_000, 10_000)


async def measure(server: Redis, payload: int, *, key: bool, result: int) -> list[float]:
    """Bytes for a task that is ready, that runs, and that has ended."""

    def used() -> int:
        return int(server.info("memory")["used_memory"])

    before = used()
    found: list[float] = []
    async with open_virtual(server, fresh_name(), lease=1e6) as broker:
        for first in range(0, NUMBER, 500):
            tasks = []
            for n in range(first, first + 500):
                options = Options(key=f"key of the task {n:09}") if key else Options()
                task = Task(f"{n:030}", "send_mail", (), {}, options)
                task.payload = b"x" * payload
                tasks.append(task)
            await broker.publish(tasks)
        found.append((used() - before) / NUMBER)
        leases = []
        while taken := await broker.claim({"send_mail": 500}, 500):
            leases += taken
        found.append((used() - before) / NUMBER)
        for first in range(0, NUMBER, 500):
            ends = [
                verdict(lease, Move.SUCCEEDED, result=b"x" * result)
                for lease in leases[first : first + 500]
            ]
            await broker.settle(ends)
        found.append((used() - before) / NUMBER)
    return found


def main() -> None:
    """Print a table."""
    print("payload  key  result   ready  running  ended")
    for payload in PAYLOADS:
        for key, result in ((False, 4), (True, 4), (False, 100)):
            with Server() as server:
                row = trio.run(
                    lambda *args: measure(*args, key=key, result=result),  # noqa: B023
                    server,
                    payload,
                    clock=trio.testing.MockClock(autojump_threshold=0),
                )
            numbers = "  ".join(f"{number:6.0f}" for number in row)
            print(f"{payload:7}  {'yes' if key else 'no ':3}  {result:6}  {numbers}")


if __name__ == "__main__":
    main()
