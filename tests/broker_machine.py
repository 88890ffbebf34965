"""A state machine that uses a durable broker by its raw verbs, as a model of it foretells.

Two openings of one store are used by turns; the process dies, between the verbs and in them; both
clocks go, jump, and are set back. After each rule all is compared.
"""

import copy
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from tests.broker_draws import (
    as_settlement,
    as_task,
    as_verdict,
    drafts,
    ends,
    ids,
    lanes,
    limits,
    rooms,
)
from tests.broker_look import compare
from tests.broker_model import LEASE, RETENTION, Job, Taken, Unknown, Verdict
from tests.broker_store import STAGES
from tests.broker_world import BrokerWorld, Held
from trioqueue import KeyTaken, UnknownTask
from trioqueue._model import Lease, Settlement

seats = st.integers(0, 1)
numbers = st.integers(0, 40)
AFTER_LEASE = 10.0


class BrokerMachine(BrokerWorld):
    """See the module."""

    # --- producers --------------------------------------------------------------------------------

    @initialize(batch=st.lists(drafts, min_size=2, max_size=5))
    def begin(self, batch: list[Job]) -> None:
        self.publish(0, batch)

    @rule(seat=seats, ids=st.lists(ids, min_size=1, max_size=3))
    def publish_plainly(self, seat: int, ids: list[str]) -> None:
        self.publish(seat, [Job(task_id) for task_id in ids])

    @rule(seat=seats, batch=st.lists(drafts, min_size=1, max_size=4))
    def publish(self, seat: int, batch: list[Job]) -> None:
        batch = [copy.deepcopy(draft) for draft in batch]  # Hypothesis may hand out one twice
        for place, draft in enumerate(batch):
            draft.payload = f'[["{self.steps}.{place}"],{{}}]'.encode()
        tasks = [as_task(draft) for draft in batch]
        with self.verb("publish", seat) as broker:
            found = self.do(broker.publish, tasks)
            there = self.model.publish(batch)
            assert [(task.id, task.payload) for task in found] == [
                (job.id, job.payload if job.is_open or job.state == "dead" else None)
                for job in there
            ]
            assert [task.state for task in found] == [job.state for job in there]
            for task, draft, answer, job in zip(tasks, batch, found, there, strict=True):
                assert (answer is task) is (job is draft)

    # --- workers ----------------------------------------------------------------------------------

    @rule(seat=seats, room=rooms, most=st.integers(0, 6), queues=lanes)
    def claim(
        self, seat: int, room: dict[str, int], most: int, queues: frozenset[str] | None
    ) -> None:
        with self.verb("claim", seat) as broker:
            leases = self.do(broker.claim, room, most, queues)
            jobs = self.model.claim(room, most, queues, broker.identity)
            assert [lease.task.id for lease in leases] == [job.id for job in jobs]
            for lease, job in zip(leases, jobs, strict=True):
                assert (lease.token, lease.cancel_requested) == (job.deliveries, job.asked)
                assert self.model.lease_now < lease.expires <= self.model.lease_now + LEASE
                compare(lease.task, job, self.model)
                self.held.append(Held(lease, job.number, lease.token))

    @rule(seat=seats, limits=limits)
    def limit_fleet(self, seat: int, limits: dict[str, int]) -> None:
        """Until that opening is closed; the other one has limits of its own, or none."""
        broker = self.seats.get(seat) or self.seats[0]
        broker.limit_fleet(limits)
        self.model.limits[broker.identity] = limits

    @precondition(lambda self: self.model.in_state("ready"))
    @rule(seat=seats, most=st.sampled_from([1, 2, 99]))
    def claim_of_all(self, seat: int, most: int) -> None:
        self.claim(seat, {"x": 9, "y": 9}, most, None)

    @precondition(lambda self: self.held)
    @rule(seat=seats, which=st.lists(numbers, max_size=4))
    def renew(self, seat: int, which: list[int]) -> None:
        chosen = [self._pick(number) for number in which]
        with self.verb("renew", seat) as broker:
            lost = self.do(broker.renew, [held.lease for held in chosen])
            kept = self.model.renew([(held.number, held.token) for held in chosen])
            assert list(lost) == [
                held.lease for held, is_kept in zip(chosen, kept, strict=True) if not is_kept
            ]
            for held in chosen:
                job = self.model.current(held.number, held.token)
                if job is not None:
                    assert held.lease.cancel_requested is job.asked
                    assert held.lease.expires > self.model.lease_now
            self.model.tend_in("renew")

    @precondition(lambda self: self.held)
    @rule(
        seat=seats,
        verdicts=st.lists(st.tuples(numbers, st.booleans(), ends), min_size=1, max_size=4),
    )
    def settle_leases(self, seat: int, verdicts: list[tuple[int, bool, Verdict]]) -> None:
        """Current leases and old ones; some with what was said of them already."""
        said: list[tuple[Held, Settlement]] = []
        for number, again, verdict in verdicts:
            held = self._pick(number)
            earlier = [one for other, one in said if other is held] or [held.told]
            repeated = earlier[-1] if again else None
            said.append((held, repeated or as_settlement(held.lease, verdict)))
        self._settle(seat, said)

    @precondition(lambda self: self.held)
    @rule(seat=seats, number=numbers, token=st.integers(-1, 4), verdict=ends)
    def settle_by_a_forged_lease(
        self, seat: int, number: int, token: int, verdict: Verdict
    ) -> None:
        held = self._pick(number)
        # A broker may believe the copy that the holder has.
        holders = [one for one in self.held if (one.number, one.token) == (held.number, token)]
        if self.model.ways.recalls and self.model.current(held.number, token) and not holders:
            return
        lease = Lease(copy.copy((holders or [held])[-1].lease.task), token, 0.0)
        forged = Held(lease, held.number, token)
        self._settle(seat, [(forged, as_settlement(lease, verdict))])

    def _settle(self, seat: int, said: list[tuple[Held, Settlement]]) -> None:
        # What a lease does not know of is taken for a reply that was lost, and told again.
        said = [
            (held, settlement)
            for held, settlement in said
            if held.told or not self._is_ours(held.number, held.token)
        ]
        # By another opening than the holder's, a repeat is not known for one.
        repeats = all(self._is_held_by(seat, held) for held, _ in said)
        with self.verb("settle", seat, repeats=repeats) as broker:
            answers = self.do(broker.settle, [settlement for _, settlement in said])
            for (held, settlement), answer in zip(said, answers, strict=True):
                self._follow(held, settlement, answer=answer, who=broker.identity)
            self.model.tend_in("settle")

    def _follow(self, held: Held, settlement: Settlement, *, answer: bool, who: str) -> None:
        """What one settlement must have done, and answered."""
        model, verdict = self.model, as_verdict(settlement)
        if (job := model.current(held.number, held.token)) is not None:
            assert answer is True
            model.settle(job, verdict, who)
            held.told = settlement
            return
        job = model.numbered(held.number)
        if held.told is not None:
            assert answer is (held.told is settlement)
        elif job is None or (said := model.said_of(job, held.token)) is None:
            assert answer is False
        else:
            # Who asks does not know of an answer: what was done is to be told, as that.
            assert answer is True or said != verdict
            held.told = settlement if answer else None
        model.moves["refused"] += not answer

    def _is_held_by(self, seat: int, held: Held) -> bool:
        job = self.model.numbered(held.number)
        broker = self.seats.get(seat) or self.seats[0]
        return job is not None and self.model.holder_of(job, held.token) == broker.identity

    def _is_ours(self, number: int, token: int) -> bool:
        """Whether an opening that lives had this lease, and is known to have ended it."""
        if not self.model.ways.recalls:
            return False
        job = self.model.numbered(number)
        settled = job is not None and self.model.said_of(job, token) is not None
        holders = {broker.identity for broker in self.seats.values()}
        return settled and job is not None and self.model.holder_of(job, token) in holders

    def _pick(self, number: int) -> Held:
        """An even number: a lease that is current, if there is one; odd: any, the latest first."""
        current = [held for held in self.held if self.model.current(held.number, held.token)]
        among = (number % 2 == 0 and current) or self.held
        return among[-1 - number // 2 % len(among)]

    # --- operating --------------------------------------------------------------------------------

    def _name(self, number: int, *states: str) -> str:
        """An id, mostly one of a task in one of these states."""
        jobs = self.model.in_state(*states) if number % 4 else []
        jobs = jobs or list(self.model.jobs.values())
        return jobs[number // 4 % len(jobs)].id if jobs and number < 40 else "nobody"

    @rule(seat=seats, number=numbers)
    def cancel(self, seat: int, number: int) -> None:
        task_id = self._name(number, "scheduled", "ready", "running")
        with self.verb("cancel", seat) as broker:
            assert self.do(broker.cancel, task_id) is self.model.cancel(task_id)

    @precondition(lambda self: self.model.in_state("scheduled"))
    @rule(seat=seats, number=numbers)
    def run_now(self, seat: int, number: int) -> None:
        task_id = self._name(number, "scheduled")
        with self.verb("run_now", seat) as broker:
            assert self.do(broker.run_now, task_id) is self.model.run_now(task_id)

    @precondition(lambda self: self.model.in_state("running"))
    @rule(seat=seats, number=numbers)
    def revoke(self, seat: int, number: int) -> None:
        task_id = self._name(number, "running")
        with self.verb("revoke", seat) as broker:
            assert self.do(broker.revoke, task_id) is self.model.revoke(task_id)

    @precondition(lambda self: self.model.letters)
    @rule(seat=seats, number=numbers)
    def replay(self, seat: int, number: int) -> None:
        task_id = self._name(number, "dead")
        with self.verb("replay", seat) as broker:
            found = self._try(broker.replay, task_id)
            try:
                job = self.model.replay(task_id)
            except Unknown:
                assert isinstance(found, UnknownTask)
            except Taken:
                assert isinstance(found, KeyTaken)
            else:
                compare(found, job, self.model)

    @precondition(lambda self: self.model.letters)
    @rule(seat=seats, number=numbers)
    def purge(self, seat: int, number: int) -> None:
        task_id = self._name(number, "dead")
        with self.verb("purge", seat) as broker:
            found = self._try(broker.purge, task_id)
            try:
                self.model.purge(task_id)
            except Unknown:
                assert isinstance(found, UnknownTask)
            else:
                assert found is None

    def _try(self, call: Any, *args: Any) -> Any:
        try:
            return self.do(call, *args)
        except (UnknownTask, KeyTaken) as error:
            return error

    @rule(seat=seats, queue=st.sampled_from([None, "a", "b"]))
    def pause(self, seat: int, queue: str | None) -> None:
        with self.verb("pause", seat) as broker:
            self.do(broker.pause, queue)
            self.model.pause(queue)

    @rule(seat=seats, queue=st.sampled_from([None, None, "a", "b"]))
    def resume(self, seat: int, queue: str | None) -> None:
        with self.verb("resume", seat) as broker:
            self.do(broker.resume, queue)
            self.model.resume(queue)

    # --- time -------------------------------------------------------------------------------------

    @rule(
        seconds=st.sampled_from([1.0, 3.0, AFTER_LEASE, RETENTION, 90_000.0]), looks=st.booleans()
    )
    def time_passes(self, seconds: float, looks: bool) -> None:
        """Nobody does what it is time for, before somebody ``looks``, or writes."""
        self._set_clocks(seconds, seconds, looks=looks)

    @rule(seconds=st.sampled_from([-100_000.0, -60.0, -4.0, 4.0, 3_600.0]), looks=st.booleans())
    def the_wall_clock_is_set(self, seconds: float, looks: bool) -> None:
        self._set_clocks(seconds, 0.0, looks=looks)

    @rule(seconds=st.sampled_from([3.0, AFTER_LEASE, 40.0]))
    def an_alarm_rings(self, seconds: float) -> None:
        """Time passes, and nobody calls."""
        self._look()
        self.model.pass_time(seconds, seconds)
        self.advance(seconds)
        self.model.tend()

    def _set_clocks(self, wall: float, lease: float, *, looks: bool) -> None:
        if wall < 0 and self.model.ways.one_clock:
            self._look()  # what nobody has seen, the clock is not set back from
        self.model.pass_time(wall, lease)
        if looks or any(job.gone for job in self.model.jobs.values()):
            self._look()

    # --- openings, and their ends -----------------------------------------------------------------

    @precondition(lambda self: len(self.seats) == 1)
    @rule()
    def open_a_second_time(self) -> None:
        self._sit(1)

    @precondition(lambda self: self.dies_at is None)
    @rule(boots=st.sampled_from([False, False, True]))
    def close_and_open(self, boots: bool) -> None:
        """Without a word about the leases."""
        self._leave()
        self._boot(boots)
        self._sit(0)

    @precondition(lambda self: self.dies_at is None)
    @rule(boots=st.sampled_from([False, False, True]))
    def die(self, boots: bool) -> None:
        """Between two verbs."""
        self.store.die()
        self._boot(boots)
        self._be_another()

    def _boot(self, boots: bool) -> None:
        if boots and self.store.boot():
            self.model.reboot()

    @precondition(lambda self: self.dies_at is None)
    @rule(stage=st.sampled_from(STAGES))
    def die_in_the_next_verb(self, stage: str) -> None:
        self.dies_at = stage

    @rule()
    def lose_the_next_reply(self) -> None:
        self.loses_reply = True
