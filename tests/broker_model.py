"""A simple model of a durable broker: plain records, walked again at each step, and no SQL.

It knows what the contract says of acceptance, order, leases, time and ends. Nothing happens in it
by the clock alone: somebody has to `tend`. The clocks are set from outside. What the contract
leaves to a broker is in its `Ways`.
"""

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

#: Of all seconds whole ones pass: so nobody ever looks in the moment in which a lease ends, when
#: some may be patient still.
LEASE: Final = 9.5
RETENTION, TOMBSTONES = 50.0, 86_400.0
MAX_LOSSES = 1
#: By how much less than this a clock may be set back, and is taken to stand still.
STEP_BACK = 60.0
OPEN: Final = ("scheduled", "ready", "running")
ENDED: Final = ("succeeded", "cancelled", "expired", "purged")  # nothing but a tombstone is left
FRONT, BEHIND = 0, 1


@dataclass
class Job:
    """One accepted task. Times on the wall clock, but for ``lease_until``."""

    id: str
    type: str = "x"
    queue: str = "a"
    priority: int = 100
    delay: float = 0.0
    expires: float | None = None
    key: str | None = None
    headers: dict[str, str] | None = None
    payload: bytes = b""

    number: int = 0  # in order of acceptance
    state: str = ""
    accepted_at: float = 0.0
    due: float = math.inf
    expires_at: float = math.inf
    place: tuple[int, int] = (BEHIND, 0)
    deliveries: int = 0
    lease_until: float = math.inf
    asked: bool = False
    settled: int = 0  # the token of the last lease that was settled
    verdicts: dict[int, "Verdict"] = field(default_factory=dict[int, "Verdict"])  # by token
    failures: int = 0
    losses: int = 0
    interruptions: int = 0
    snoozes: int = 0
    errors: list[str] = field(default_factory=list[str])
    result: bytes | None = None
    end_kind: str = ""  # how it ended
    ended_at: float = 0.0
    end: int = 0  # in order of ending; tasks that end in one sweep end together
    aged: bool = False  # once, by the clock, its result was no longer kept
    gone: bool = False  # once, by the clock, it was to be forgotten
    history: list[tuple[str, float, int, str]] = field(
        default_factory=list[tuple[str, float, int, str]]
    )

    @property
    def is_open(self) -> bool:
        return self.state in OPEN


@dataclass(frozen=True)
class Verdict:
    """What a worker settles a lease with."""

    move: str
    kind: str
    delay: float = 0.0
    error: str | None = None  # it failed
    result: bytes | None = None


@dataclass(frozen=True)
class Ways:
    """What each broker does in its own way; those of a broker in a file.

    ``tends``: the verbs that do what it is time for; ``None`` is all of them. ``one_clock``: leases
    go by the wall clock of the server, which stands still when it is set back a little.
    ``told_by_holder``: an end is said to come from whoever held the lease, not from who wrote it.
    ``recalls``: every end of a lease is known, and not only the last. ``forgets_each``: by its own
    time, and not in order of ending. ``ties_by_id``: so goes what is due in the same instant.
    """

    tends: frozenset[str] | None = None
    one_clock: bool = False
    told_by_holder: bool = False
    recalls: bool = False
    forgets_each: bool = False
    ties_by_id: bool = False


class Unknown(Exception):
    """No such dead letter."""


class Taken(Exception):
    """A live task holds the key."""


@dataclass
class Model:
    ways: Ways = Ways()
    now: float = 1_000.0  # as the broker believes
    told: float = 1_000.0  # as the clock says
    seen: float = 0.0  # when somebody wrote last
    lease_now: float = 100.0
    jobs: dict[str, Job] = field(default_factory=dict[str, Job])  # those that are known
    forgotten: Counter[str] = field(default_factory=Counter[str])  # by their last state
    paused: set[str] = field(default_factory=set[str])
    all_paused: bool = False
    limits: dict[str, dict[str, int]] = field(
        default_factory=dict[str, dict[str, int]]
    )  # by opening
    moves: Counter[str] = field(default_factory=Counter[str])
    count: int = 0

    # --- what there is ----------------------------------------------------------------------------

    def in_state(self, *states: str) -> list[Job]:
        """In order of acceptance."""
        found = [job for job in self.jobs.values() if job.state in states]
        return sorted(found, key=lambda job: job.number)

    @property
    def letters(self) -> list[Job]:
        return sorted(self.in_state("dead"), key=lambda job: job.end)

    def current(self, number: int, token: int) -> Job | None:
        """The task that whoever has this lease may change."""
        job = self.numbered(number)
        held = job is not None and job.state == "running" and job.deliveries == token
        return job if held else None

    def numbered(self, number: int) -> Job | None:
        return next((job for job in self.jobs.values() if job.number == number), None)

    def holder(self, queue: str, key: str | None) -> Job | None:
        for job in self.jobs.values():
            if key is not None and job.is_open and (job.queue, job.key) == (queue, key):
                return job
        return None

    def is_paused(self, queue: str) -> bool:
        return self.all_paused or queue in self.paused

    def _next(self) -> int:
        self.count += 1
        return self.count

    def _note(self, job: Job, move: str, state: str, who: str = "") -> None:
        """Whatever happens to a task, happens here."""
        self.moves[move] += 1
        job.state = state
        if who and self.ways.told_by_holder:
            who = self.holder_of(job, job.deliveries) or who
        job.history.append((move, self.now, job.deliveries, who))

    def holder_of(self, job: Job, token: int) -> str:
        """Who was given the lease with this token."""
        starts = [entry for entry in job.history if entry[0] == "started" and entry[2] == token]
        return starts[-1][3] if starts else ""

    def said_of(self, job: Job, token: int) -> Verdict | None:
        """What the lease with this token was settled with, as far as a broker knows."""
        known = self.ways.recalls or job.settled == token
        return job.verdicts.get(token) if known else None

    # --- publish, claim, renew --------------------------------------------------------------------

    def publish(self, drafts: list[Job]) -> list[Job]:
        """Those that are there after it, for each draft."""
        self.tend()
        return [self._known(draft) or self._accept(draft) for draft in drafts]

    def _known(self, draft: Job) -> Job | None:
        return self.jobs.get(draft.id) or self.holder(draft.queue, draft.key)

    def _accept(self, job: Job) -> Job:
        self.jobs[job.id] = job
        job.number = self._next()
        job.accepted_at = self.now
        if job.expires is not None:
            job.expires_at = self.now + job.expires
        if job.delay:
            job.due = self.now + job.delay
            self._note(job, "delayed", "scheduled")
        else:
            job.place = (BEHIND, job.number)
            self._note(job, "submitted", "ready")
        return job

    def startable(self, types: set[str], queues: set[str] | None) -> list[Job]:
        """In the order in which they are to be started."""
        able = [
            job
            for job in self.in_state("ready")
            if job.type in types
            and (queues is None or job.queue in queues)
            and not self.is_paused(job.queue)
        ]
        return sorted(able, key=lambda job: (-job.priority, job.place))

    def claim(
        self, room: dict[str, int], most: int, queues: set[str] | None, who: str
    ) -> list[Job]:
        self.tend()
        held = Counter(job.type for job in self.in_state("running"))
        limits = self.limits.get(who, {})
        left = {type_: min(room[type_], limits.get(type_, 99) - held[type_]) for type_ in room}
        taken: list[Job] = []
        for job in self.startable(set(room), queues):
            if len(taken) < most and left[job.type] > 0:
                left[job.type] -= 1
                job.deliveries += 1
                job.lease_until = self._lease_clock + LEASE
                job.expires_at = math.inf
                self._note(job, "started", "running", who)
                taken.append(job)
        return taken

    def renew(self, held: list[tuple[int, int]]) -> list[bool]:
        """Whether each lease is kept. Who renews before the sweep has not lost it."""
        kept: list[bool] = []
        for number, token in held:
            job = self.current(number, token)
            kept.append(job is not None)
            if job is not None:
                job.lease_until = self._lease_clock + LEASE
        return kept

    # --- settle -----------------------------------------------------------------------------------

    def settle(self, job: Job, verdict: Verdict, who: str) -> None:
        """End the current lease."""
        job.settled = job.deliveries
        job.verdicts[job.settled] = verdict
        job.lease_until = math.inf
        if verdict.error is not None:
            job.failures += 1
            job.errors = [*job.errors, verdict.error][-10:]
        match verdict.move:
            case "released":
                job.interruptions += verdict.kind == "interrupted"
                job.place = (FRONT, job.number)
                self._note(job, "released", "ready", who)
            case "retried" | "snoozed":
                job.snoozes += verdict.move == "snoozed"
                job.due = self.now + verdict.delay
                self._note(job, verdict.move, "scheduled", who)
                if not verdict.delay:
                    self._become_due(job)
            case move:
                self._end(job, move, who, kind=verdict.kind)
                job.result = verdict.result

    def _become_due(self, job: Job) -> None:
        job.due = math.inf
        job.place = (BEHIND, self._next())
        self._note(job, "due", "ready")

    def _end(self, job: Job, move: str, who: str = "", *, kind: str = "", end: int = 0) -> None:
        job.due = job.expires_at = job.lease_until = math.inf
        job.ended_at, job.end = self.now, end or self._next()
        job.end_kind = kind or job.end_kind
        self._note(job, move, "dead" if move == "died" else move, who)

    # --- operating --------------------------------------------------------------------------------

    def cancel(self, task_id: str) -> bool:
        """Whether it was not too late."""
        self.tend()
        job = self.jobs.get(task_id)
        if job is None or not job.is_open:
            return False
        if job.state != "running":
            self._end(job, "cancelled", kind="cancelled")
        elif not job.asked:
            job.asked = True
            self.moves["cancel_requested"] += 1
            job.history.append(("cancel_requested", self.now, job.deliveries, ""))
        return True

    def run_now(self, task_id: str) -> bool:
        self.tend()
        job = self.jobs.get(task_id)
        if job is None or job.state != "scheduled":
            return False
        self._become_due(job)
        return True

    def revoke(self, task_id: str) -> bool:
        self.tend_in("revoke")
        job = self.jobs.get(task_id)
        if job is None or job.state != "running":
            return False
        self._lose(job, self._next())
        return True

    def _lose(self, job: Job, end: int) -> None:
        job.losses += 1
        job.lease_until = math.inf
        if job.losses > MAX_LOSSES:
            job.errors = [*job.errors, "lost"][-10:]
            self._end(job, "died", kind="lost", end=end)
        else:
            job.place = (FRONT, job.number)
            self._note(job, "lost", "ready")

    def replay(self, task_id: str) -> Job:
        self.tend_in("replay")
        job = self._letter(task_id)
        if self.holder(job.queue, job.key) is not None:
            raise Taken
        job.failures = job.losses = 0
        job.asked = False
        job.place = (BEHIND, self._next())
        self._note(job, "replayed", "ready")
        return job

    def purge(self, task_id: str) -> None:
        self.tend_in("purge")
        self._end(self._letter(task_id), "purged")

    def _letter(self, task_id: str) -> Job:
        job = self.jobs.get(task_id)
        if job is None or job.state != "dead":
            raise Unknown
        return job

    def pause(self, queue: str | None) -> None:
        self.tend_in("pause")
        if queue is None:
            self.all_paused = True
        else:
            self.paused.add(queue)

    def resume(self, queue: str | None) -> None:
        self.tend_in("resume")
        if queue is None:
            self.all_paused = False
            self.paused.clear()
        self.paused.discard(queue or "")

    # --- time -------------------------------------------------------------------------------------

    def pass_time(self, wall: float, lease: float) -> None:
        """The clocks alone change nothing, but for what is no longer kept."""
        self.told += wall
        self.lease_now += lease
        self.now = self.told
        back = self.seen - self.told
        if self.ways.one_clock and 0 < back < STEP_BACK:
            self.now = self.seen
        elif self.ways.one_clock and back > 0:
            for job in self.in_state("running"):  # they would last for ever
                job.lease_until = min(job.lease_until, self.now + LEASE)
        for job in self.in_state(*ENDED):
            job.aged |= self.now - job.ended_at >= RETENTION
            job.gone |= self.now - job.ended_at >= TOMBSTONES

    @property
    def _lease_clock(self) -> float:
        return self.now if self.ways.one_clock else self.lease_now

    def reboot(self) -> None:
        """No lease of another boot is worth anything."""
        self.lease_now = 5.0
        for job in self.in_state("running"):
            job.lease_until = -math.inf

    def tend_in(self, verb: str) -> None:
        """Do what it is time for, if this verb does."""
        if self.ways.tends is None or verb in self.ways.tends:
            self.tend()

    def tend(self) -> None:
        """Somebody looks at the clocks, and does what it is time for."""
        waiting = self.in_state("scheduled", "ready")
        for job in sorted(waiting, key=lambda job: job.expires_at):
            if job.expires_at <= self.now:
                self._end(job, "expired", kind="expired")
        by_id = self.ways.ties_by_id
        for job in sorted(
            self.in_state("scheduled"), key=lambda job: (job.due, job.id if by_id else "")
        ):
            if job.due <= self.now:
                self._become_due(job)
        end = self._next()
        for job in self.in_state("running"):
            if job.lease_until <= self._lease_clock:
                self._lose(job, end)
        # In the order in which they ended: should the clock have been set back, some may stay.
        for job in sorted(self.in_state(*ENDED), key=lambda job: job.end):
            if self.now - job.ended_at >= TOMBSTONES:
                self.forget(job)
            elif not self.ways.forgets_each:
                break

    def forget(self, job: Job) -> None:
        assert job.gone, "it is to be kept still"
        del self.jobs[job.id]
        self.forgotten[job.state] += 1

    # --- numbers ----------------------------------------------------------------------------------

    def counts(self) -> dict[str, int]:
        states = Counter(job.state for job in self.jobs.values()) + self.forgotten
        assert sum(states.values()) == self.moves["submitted"] + self.moves["delayed"]
        places = (*OPEN, *ENDED, "dead", "handed_back", "evicted")
        return {"submitted": sum(states.values()), **{place: states[place] for place in places}}

    def lanes(self) -> list[tuple[str, str, int, int, int, bool, float | None]]:
        found: list[tuple[str, str, int, int, int, bool, float | None]] = []
        for queue, type in sorted({(job.queue, job.type) for job in self.in_state(*OPEN)}):
            jobs = [job for job in self.in_state(*OPEN) if (job.queue, job.type) == (queue, type)]
            states = Counter(job.state for job in jobs)
            ready = [job.accepted_at for job in jobs if job.state == "ready"]
            oldest = max(0.0, self.now - ready[0]) if ready else None
            numbers = (states["scheduled"], states["ready"], states["running"])
            found.append((queue, type, *numbers, self.is_paused(queue), oldest))
        return found
