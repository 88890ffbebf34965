"""A little world of processes, leases and a broker that obeys: it writes legal histories.

Time goes on in ticks. In each, every process that runs beats, renews what it holds, drops what it
has lost, and works. What happens besides is told from outside (`World.act`).
"""

from dataclasses import dataclass, field
from math import inf

from trioqueue import Counts, State
from trioqueue.testing.chaos import Final, FinalState, Terms
from trioqueue.testing.chaos import _records as r

TICK = 0.05
TERMS = Terms(lease=1.0, margin=0.4, limits={"scarce": 2})


@dataclass
class Row:
    """The broker's truth about one task."""

    id: str
    state: State = State.READY
    token: int = 0
    expires: float = -inf
    failures: int = 0
    winner: int | None = None


@dataclass
class Held:
    """A lease, as its holder knows it."""

    row: Row
    token: int
    expires: float
    renewed: float


@dataclass
class Process:
    name: str
    held: list[Held] = field(default_factory=list)
    stopped: bool = False
    starved_until: float = -inf
    cut_off: bool = False


class World:
    def __init__(self) -> None:
        self.now = 1000.0
        self.records: list[r.Record] = []
        self.rows: dict[str, Row] = {}
        self.processes: dict[str, Process] = {}
        self.names = 0
        self.refused = 0
        self.down_until = -inf

    # --- time ----------------------------------------------------------------------------------

    def write(self, *records: r.Record) -> None:
        self.records += records

    def tick(self, *, renewing: bool = True) -> None:
        """Let time pass. ``renewing``: whoever has to renew a lease does."""
        self.now += TICK
        if self.now >= self.down_until:
            self.write(r.Beat(self.now, r.STORE))
        for process in self.running():
            self.write(r.Beat(self.now, process.name))
            for held in list(process.held):
                self._keep(process, held, renewing)

    def _keep(self, process: Process, held: Held, renewing: bool) -> None:
        key = (held.row.id, held.token)
        if self.now > held.expires or not self._is_current(held):
            self.write(r.Worked(self.now, process.name, *key))  # its last step, as a zombie
            self.write(r.Ended(self.now, process.name, *key, "cancelled"))
            process.held.remove(held)
            return
        if renewing and self.reaches(process) and self.now - held.renewed > TERMS.lease / 3:
            held.renewed, held.expires = self.now, self.now + TERMS.lease
            held.row.expires = held.expires
            self.write(r.Renewing(self.now, process.name, *key))
            self.write(r.Renewed(self.now, process.name, *key, held.expires))
        self.write(r.Worked(self.now, process.name, *key))

    def reaches(self, process: Process) -> bool:
        return self.now >= self.down_until and not process.cut_off

    def _is_current(self, held: Held) -> bool:
        return held.row.state is State.RUNNING and held.row.token == held.token

    def running(self) -> list[Process]:
        return [
            process
            for process in self.processes.values()
            if not process.stopped and process.starved_until < self.now
        ]

    # --- what happens --------------------------------------------------------------------------

    def start(self) -> Process:
        self.names += 1
        process = Process(f"w{self.names}")
        self.processes[process.name] = process
        self.write(r.Beat(self.now, process.name))
        return process

    def submit(self, *, refused: bool = False, kind: str = "t") -> None:
        task_id = f"{kind}{len(self.rows) + self.refused + 1}"
        self.write(r.Submitting(self.now, "producer", task_id))
        if refused:
            self.refused += 1
            self.write(r.Refused(self.now, "producer", task_id, "closed"))
        else:
            self.rows[task_id] = Row(task_id)
            self.write(r.Accepted(self.now, "producer", task_id))

    def claim(self, process: Process, *, heard: bool = True, dies: bool = True) -> Held | None:
        """Take the first ready task. ``heard``: the process hears of it; ``dies``: else it dies."""
        if heard and not self.reaches(process):
            return None
        for row in self.rows.values():
            if row.state is State.RUNNING and row.expires < self.now:
                row.state = State.READY
        row = next((row for row in self.rows.values() if row.state is State.READY), None)
        if row is None:
            return None
        row.state, row.token, row.expires = State.RUNNING, row.token + 1, self.now + TERMS.lease
        if not heard:
            if dies:
                self.kill(process)
            else:
                self.write(r.Unheard(self.now, process.name, self.now - 0.001))
            return None
        held = Held(row, row.token, row.expires, self.now)
        process.held.append(held)
        key = (process.name, row.id, row.token)
        self.write(r.Claimed(self.now, *key, self.now - 0.001, row.expires))
        self.write(r.Began(self.now + 0.001, *key))
        return held

    def end(self, process: Process, held: Held, how: str, *, until: str = "settled") -> None:
        """End an attempt: ``how`` is a handler's end, or "died", for an error without a retry.

        ``until``: dies after its handler's "end", in "settling" or "committed", or lives.
        """
        row, key = held.row, (process.name, held.row.id, held.token)
        process.held.remove(held)
        self.write(r.Ended(self.now, *key, "raised" if how == "died" else how))
        if until == "end":
            return self.kill(process)
        move, state = {
            "returned": ("succeeded", State.SUCCEEDED),
            "raised": ("retried", State.READY),
            "died": ("died", State.DEAD),
            "cancelled": ("released", State.READY),
        }[how]
        self.write(r.Settling(self.now + 0.001, *key, move))
        if until == "settling":
            return self.kill(process)
        done = self._is_current(held)
        if done:
            row.state = state
            row.failures += how in ("raised", "died")
            row.winner = held.token if how == "returned" else None
        if until == "committed":
            return self.kill(process)
        self.write(r.Settled(self.now + 0.002, *key, move, done))
        return None

    def kill(self, process: Process) -> None:
        del self.processes[process.name]
        self.write(r.Killed(self.now + 0.003, process.name, "kill"))
        self.write(r.Died(self.now + 0.004, process.name, -9))

    def stop(self, process: Process) -> None:
        process.stopped = True
        self.write(r.Stopped(self.now, process.name))

    def go_on(self, process: Process) -> None:
        process.stopped = False
        self.write(r.Continued(self.now, process.name))

    def cut_off(self, process: Process) -> None:
        process.cut_off = True
        self.write(r.Weather(self.now, process.name, "blackhole"))

    def join(self, process: Process) -> None:
        process.cut_off = False
        self.write(r.Weather(self.now, process.name, ""))

    def fail(self, ticks: int) -> None:
        """The store is away for so long."""
        self.down_until = self.now + ticks * TICK

    def starve(self, process: Process, ticks: int) -> None:
        process.starved_until = self.now + ticks * TICK

    def operate(self, verb: str, row: Row) -> None:
        done = False
        if verb == "revoke" and row.state is State.RUNNING:
            row.state, done = State.READY, True
        elif verb == "replay" and row.state is State.DEAD:
            row.state, row.failures, done = State.READY, 0, True
        elif verb == "cancel" and row.state is State.READY:
            row.state, done = State.CANCELLED, True
        self.write(r.Operating(self.now + 0.003, "operator", row.id, verb))
        self.write(r.Operated(self.now + 0.004, "operator", row.id, verb, done))

    # --- the end -------------------------------------------------------------------------------

    def drain(self) -> None:
        """All stopped processes go on; then a clean one does what there is left to do."""
        for process in list(self.processes.values()):
            if process.stopped:
                self.go_on(process)
            process.starved_until = -inf
            if process.cut_off:
                self.join(process)
        self.down_until = -inf
        self.tick()
        for process in list(self.processes.values()):
            for held in list(process.held):
                self.end(process, held, "returned")
        for _ in range(int(TERMS.lease / TICK) + 2):
            self.tick()
        clean = self.start()
        while (held := self.claim(clean)) is not None:
            self.end(clean, held, "returned")
            self.tick()

    def final(self) -> FinalState:
        tasks = {
            row.id: Final(row.state, row.token, row.failures, row.winner)
            for row in self.rows.values()
        }
        by_state = {state: sum(row.state is state for row in self.rows.values()) for state in State}
        numbers = {state.value: count for state, count in by_state.items()}
        counts = Counts(
            submitted=len(tasks), **numbers, moves={}, capacity=None, waiting_submitters=0
        )
        return FinalState(tasks, counts)
