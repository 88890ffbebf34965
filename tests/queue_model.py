"""A simple model of a queue in memory: plain lists, walked again at each step, and no Trio.

It knows what the design says of acceptance, order, time and ends, for handlers that wait until they
are told how to end.
"""

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

WORKERS, CAPACITY, DELAYED, LETTERS, ATTEMPTS = 2, 4, 2, 2, 2
BACKOFF, SNOOZE = 10.0, 3.0
LIMITS: Final = {"free": 99, "capped": 1}
QUEUES: Final = {"free": "default", "capped": "other"}


class Full(Exception):
    """No room now."""


class Closed(Exception):
    """Nothing is accepted any more."""


class Taken(Exception):
    """A live task holds the key."""


@dataclass
class Job:
    id: str
    type: str
    priority: int = 100
    key: str | None = None
    expires_at: float = math.inf
    state: str = ""
    failures: int = 0
    started: bool = False
    order: int = 0  # among those that became ready
    due: float = math.inf
    apart: bool = False  # counts among the delayed ones
    urgent: bool = False  # due, and waiting for a place
    alarm: tuple[float, int] = (math.inf, 0)

    @property
    def is_open(self) -> bool:
        return self.state in {"scheduled", "ready", "running"}


@dataclass
class Batch:
    """A submit that has to wait."""

    label: int
    types: list[str]
    granted: bool = False


@dataclass
class Model:
    now: float = 0.0
    closed: bool = False
    jobs: dict[str, Job] = field(default_factory=dict[str, Job])
    letters: list[Job] = field(default_factory=list[Job])  # oldest first
    urgent: list[Job] = field(default_factory=list[Job])
    line: list[Batch] = field(default_factory=list[Batch])
    paused: set[str] = field(default_factory=set[str])
    moves: Counter[str] = field(default_factory=Counter[str])
    count: int = 0

    # --- what there is ---------------------------------------------------------------------------

    def in_state(self, state: str) -> list[Job]:
        return [job for job in self.jobs.values() if job.state == state]

    @property
    def used(self) -> int:
        """Places that are taken, or promised to who was let in."""
        promised = sum(len(batch.types) for batch in self.line if batch.granted)
        return promised + sum(job.is_open and not job.apart for job in self.jobs.values())

    @property
    def waiting(self) -> list[Batch]:
        return [batch for batch in self.line if not batch.granted]

    def fits(self, places: int) -> bool:
        return self.used + places <= CAPACITY

    def holder(self, queue: str, key: str | None) -> Job | None:
        for job in self.jobs.values():
            if key is not None and job.is_open and (QUEUES[job.type], job.key) == (queue, key):
                return job
        return None

    # --- accepting -------------------------------------------------------------------------------

    def check_room(self, places: int) -> None:
        """For who does not wait."""
        if self.closed:
            raise Closed
        if self.waiting or self.urgent or not self.fits(places):
            raise Full

    def check_delayed(self) -> None:
        if self.closed:
            raise Closed
        if sum(job.apart for job in self.jobs.values()) >= DELAYED:
            raise Full

    def accept(self, job: Job, delay: float = 0.0) -> None:
        self.jobs[job.id] = job
        if delay:
            job.state, job.due, job.apart = "scheduled", self.now + delay, True
        else:
            self._make_ready(job)
        self._set_alarm(job)

    def _make_ready(self, job: Job) -> None:
        self.count += 1
        job.state, job.order, job.due = "ready", self.count, math.inf

    def _set_alarm(self, job: Job) -> None:
        self.count += 1
        expires_at = math.inf if job.started else job.expires_at
        job.alarm = (min(job.due, expires_at), self.count)

    # --- time ------------------------------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        """Ring all that is due, in order; whoever works or submits has his turn after that."""
        self.now += seconds
        while True:
            waiting = [job for job in self.jobs.values() if job.state in {"scheduled", "ready"}]
            first = min(waiting, key=lambda job: job.alarm, default=None)
            if first is None or first.alarm[0] > self.now:
                return
            self._ring(first)
            self.let_in()

    def _ring(self, job: Job) -> None:
        if not job.started and self.now >= job.expires_at:
            self._end(job, "expired")
        elif job.apart and not self.fits(1):
            job.urgent, job.due = True, math.inf
            self.urgent.append(job)
            self._set_alarm(job)
        else:
            self._become_due(job)

    def _become_due(self, job: Job) -> None:
        job.apart = job.urgent = False
        self._make_ready(job)
        self._set_alarm(job)

    # --- what follows ----------------------------------------------------------------------------

    def let_in(self) -> None:
        """Places go to what is due first, then to those in line, strictly in order."""
        while self.urgent and self.fits(1):
            self._become_due(self.urgent.pop(0))
        while not self.closed and self.waiting and self.fits(len(self.waiting[0].types)):
            self.waiting[0].granted = True

    def start(self) -> None:
        """Give every free worker the first task that it may take."""
        while len(self.in_state("running")) < WORKERS:
            running = Counter(job.type for job in self.in_state("running"))
            able = [
                job
                for job in self.in_state("ready")
                if running[job.type] < LIMITS[job.type]
                and not self.paused & {QUEUES[job.type], "all"}
            ]
            if not able:
                return
            first = min(able, key=lambda job: (-job.priority, job.order))
            first.state, first.started, first.alarm = "running", True, (math.inf, 0)

    def close(self) -> None:
        self.closed = True
        self.line = [batch for batch in self.line if batch.granted]

    # --- ends ------------------------------------------------------------------------------------

    def _end(self, job: Job, state: str) -> None:
        job.state, job.apart, job.due = state, False, math.inf
        if job.urgent:
            job.urgent = False
            self.urgent.remove(job)

    def cancel(self, job: Job) -> bool:
        """Whether it is not too late."""
        possible = job.is_open
        if possible:
            self._end(job, "cancelled")
        return possible

    def finish(self, job: Job, how: str) -> None:
        """End an attempt of a running task."""
        match how:
            case "return":
                self._end(job, "succeeded")
            case "snooze":
                self.moves["snoozed"] += 1
                job.apart = sum(other.apart for other in self.jobs.values()) < DELAYED
                self._schedule(job, SNOOZE)
            case _:
                job.failures += 1
                if how == "discard" or job.failures == ATTEMPTS:
                    self._bury(job)
                else:
                    self.moves["retried"] += 1
                    self._schedule(job, BACKOFF)

    def _schedule(self, job: Job, delay: float) -> None:
        job.state, job.due = "scheduled", self.now + delay
        self._set_alarm(job)

    def _bury(self, job: Job) -> None:
        self._end(job, "dead")
        self.letters.append(job)
        if len(self.letters) > LETTERS:
            self.letters.pop(0).state = "evicted"

    def check_replay(self, job: Job) -> None:
        if self.closed:
            raise Closed
        if self.holder(QUEUES[job.type], job.key) is not None:
            raise Taken
        self.check_room(1)

    def replay(self, job: Job) -> None:
        self.letters.remove(job)
        self.moves["replayed"] += 1
        job.failures = 0
        self._make_ready(job)

    def purge(self, job: Job) -> None:
        self.letters.remove(job)
        job.state = "purged"

    # --- numbers ---------------------------------------------------------------------------------

    def statistics(self) -> dict[str, int]:
        states = Counter(job.state for job in self.jobs.values())
        ends = ("succeeded", "dead", "cancelled", "expired", "purged", "evicted")
        return {
            "submitted": len(self.jobs),
            "handed_back": 0,
            "waiting_submitters": len(self.waiting),
            "idle_workers": WORKERS - states["running"],
            **{place: states[place] for place in ("scheduled", "ready", "running", *ends)},
            **{move: self.moves[move] for move in ("retried", "snoozed", "replayed")},
        }
