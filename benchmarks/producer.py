"""What the Redis cases do with the producer of a system, whatever loop it runs on."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias


@dataclass(frozen=True, slots=True)
class Producer:
    """One that is connected."""

    put: Callable[[int], Awaitable[object]]  # one task, known to be accepted
    fill: Callable[[Sequence[int]], Awaitable[object]]  # many, the quickest way that there is
    sleep: Callable[[float], Awaitable[object]]


#: What is done with it. It may block its loop only where nothing else has to go on.
Plan: TypeAlias = Callable[[Producer], Awaitable[None]]


#: Of one client of redis-py: workers that run 100 tasks at once fail with the 100 of its default.
CONNECTIONS: Final = 1_000


def roomy(url: str) -> str:
    """The server's address for a client of redis-py."""
    return f"{url}?max_connections={CONNECTIONS}"


def batches(numbers: Sequence[int], size: int) -> list[Sequence[int]]:
    """One after the other, none longer than `size`."""
    return [numbers[first : first + size] for first in range(0, len(numbers), size)]
