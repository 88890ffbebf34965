"""The scripts by name, and what each of their calls begins with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from ._redis_line import Arg, load_script
from ._redis_rows import micros

# What a repeat would do a second time is not asked for again by itself; of the others each knows
# that it was done: by a task's id, a token, or the number of the call.
CLAIM: Final = load_script("claim")
PUBLISH: Final = load_script("publish", replicated=True)
SETTLE: Final = load_script("settle", replicated=True)
RENEW: Final = load_script("renew")
WAIT: Final = load_script("wait")
NUDGE: Final = load_script("nudge")
TEND: Final = load_script("tend")
CANCEL: Final = load_script("cancel")
PAUSE: Final = load_script("pause")
REGISTER: Final = load_script("register")
ENDED: Final = load_script("ended")
DRAINED: Final = load_script("drained")
REVOKE: Final = load_script("revoke", again=False)
REPLAY: Final = load_script("replay", again=False)
PURGE: Final = load_script("purge", again=False)

LOOK: Final = load_script("look")
TASKS: Final = load_script("tasks")
DEAD: Final = load_script("dead")
NUMBERS: Final = load_script("numbers")
LANES: Final = load_script("lanes")
WORKERS: Final = load_script("workers")


class Setting(NamedTuple):
    """What a broker was opened with. Durations in seconds.

    ``now``: Unix time for the scripts, instead of the server's, where a test has a clock of its
    own. ``poll``: how long a lost message can hold anything up.
    """

    identity: str
    lease: float
    margin: float  # by which the holder of a lease believes it to be shorter
    retention: float
    max_losses: int
    capacity: int | None
    waits_for_room: bool
    lease_clock: Callable[[], float]
    now: Callable[[], float] | None = None
    poll: float = 5.0
    remember: float = 86_400.0

    @property
    def tombstones(self) -> float:
        """How long an ended task is known by its id."""
        return max(self.retention, self.remember)

    def head(self, *, observed: bool, cluster: bool) -> tuple[Arg, ...]:
        """The first arguments of every script. ``observed``: somebody here wants to know all."""
        return (
            "" if self.now is None else micros(self.now()),
            self.identity,
            micros(self.lease),
            micros(self.retention),
            self.max_losses,
            int(observed),
            "SPUBLISH" if cluster else "PUBLISH",
            micros(self.poll),
            micros(self.tombstones),
        )
