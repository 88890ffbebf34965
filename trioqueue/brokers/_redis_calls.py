"""The scripts by name, and what each of their calls begins with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from ._redis_line import ENDS, LOOKS, TENDS, WRITES, Arg, load_script
from ._redis_rows import micros

# What a repeat would do a second time is not asked for again by itself; of the others each knows
# that it was done: by a task's id, a token, or the number of the call.
CLAIM: Final = load_script("claim", TENDS)
PUBLISH: Final = load_script("publish", TENDS, replicated=True, grows=True)
SETTLE: Final = load_script("settle", ENDS, replicated=True)
RENEW: Final = load_script("renew", WRITES)
WAIT: Final = load_script("wait", TENDS)
NUDGE: Final = load_script("nudge", WRITES)
TEND: Final = load_script("tend", TENDS)
CANCEL: Final = load_script("cancel", TENDS)
PAUSE: Final = load_script("pause", WRITES)
REGISTER: Final = load_script("register", WRITES)
ENDED: Final = load_script("ended", LOOKS)
DRAINED: Final = load_script("drained", LOOKS)
REVOKE: Final = load_script("revoke", ENDS, again=False)
RUN_NOW: Final = load_script("run_now", TENDS, again=False)
REPLAY: Final = load_script("replay", ENDS, again=False, grows=True)
PURGE: Final = load_script("purge", ENDS, again=False)

LOOK: Final = load_script("look", LOOKS)
TASKS: Final = load_script("tasks", LOOKS)
DEAD: Final = load_script("dead", LOOKS)
NUMBERS: Final = load_script("numbers", LOOKS)
LANES: Final = load_script("lanes", LOOKS)
WORKERS: Final = load_script("workers", LOOKS)


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
