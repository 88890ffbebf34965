"""Short stories for `tests.broker_machine`: what rules drawn by chance seldom do in a row."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.broker_draws import as_settlement, ends
from tests.broker_machine import AFTER_LEASE, BrokerMachine, numbers, seats
from tests.broker_model import RETENTION, Job, Verdict

ALL = {"x": 9, "y": 9}


def some(*states: str) -> Any:
    """For rules that need a task in one of these states."""
    return precondition(lambda self: self.model.in_state(*states))


class BrokerStories(BrokerMachine):
    """See the module."""

    @rule(seat=seats, verdicts=st.lists(ends, min_size=1, max_size=3))
    def work_off(self, seat: int, verdicts: list[Verdict]) -> None:
        """As a worker does: claim, settle, and so on."""
        for verdict in verdicts:
            if not self.model.in_state("running"):
                self.claim(seat, ALL, 1, None)
            if self.held:  # not if it died when it had claimed, and nobody was told
                held = self._pick(0)
                self._settle(seat, [(held, as_settlement(held.lease, verdict))])

    @some("running")
    @rule(seat=seats, verdict=ends)
    def settle_all(self, seat: int, verdict: Verdict) -> None:
        for _ in self.model.in_state("running"):
            if not self.held:  # it has died meanwhile, or when it had claimed
                return
            held = self._pick(0)
            self._settle(seat, [(held, as_settlement(held.lease, verdict))])

    @rule(seat=seats, limit=st.integers(2, 4))
    def claim_within_limits(self, seat: int, limit: int) -> None:
        """Of what is held in all queues together; then there are no limits again."""
        self.publish(
            seat, [Job(f"{queue}{self.steps}.{n}", queue=queue) for queue in "ab" for n in "12"]
        )
        for queue in "ab":
            self.claim(seat, {"x": 1}, 1, frozenset(queue))
        self.limit_fleet(seat, {"x": limit})
        self.claim(seat, ALL, 99, None)
        self.limit_fleet(seat, {})

    @some("ready")
    @rule(seat=seats, most=st.sampled_from([2, 99]))
    def bury(self, seat: int, most: int) -> None:
        """Dead letters are rare else."""
        self.claim(seat, ALL, most, None)
        self.settle_all(seat, Verdict("died", "discard", 0.0, "buried"))

    @some("running")
    @rule(seat=seats, seconds=st.sampled_from([0.0, AFTER_LEASE]))
    def lose_all(self, seat: int, seconds: float) -> None:
        """Each of the running tasks: by hand, or as time passes."""
        if seconds:
            self._set_clocks(0.0, seconds, looks=True)
        for job in self.model.in_state("running"):
            with self.verb("revoke", seat) as broker:
                assert self.do(broker.revoke, job.id) is self.model.revoke(job.id)

    @some("ready")
    @rule(seat=seats, times=st.integers(1, 2))
    def lose_again_and_again(self, seat: int, times: int) -> None:
        """Lost too often, it is a dead letter; what comes back is the first one again."""
        for _ in range(times):
            self.claim(seat, ALL, 1, None)
            self.lose_all(seat, 0.0)

    @precondition(lambda self: self.held)
    @rule(seat=seats, verdict=ends, renews=st.booleans())
    def tell_late(self, seat: int, verdict: Verdict, renews: bool) -> None:
        """The lease has expired, and nobody has swept it yet."""
        self._set_clocks(0.0, AFTER_LEASE, looks=False)
        if renews:
            self.renew(seat, [0, 2])
        else:
            held = self._pick(0)
            self._settle(seat, [(held, as_settlement(held.lease, verdict))])

    @rule(seat=seats, ids=st.tuples(numbers, numbers))
    def publish_for_soon(self, seat: int, ids: tuple[int, int]) -> None:
        """What is accepted first becomes ready last."""
        later, now = (f"soon {number}" for number in ids)
        self.publish(seat, [Job(later, delay=3.0), Job(now)])
        self._set_clocks(3.0, 0.0, looks=True)

    @precondition(lambda self: any(job.key for job in self.model.letters))
    @rule(seat=seats, number=numbers)
    def take_the_key_of_a_letter(self, seat: int, number: int) -> None:
        letters = [job for job in self.model.letters if job.key]
        letter = letters[number % len(letters)]
        self.publish(seat, [Job(f"heir {number}", queue=letter.queue, key=letter.key)])

    @some("succeeded")
    @rule()
    def go_too_far_and_back(self) -> None:
        """Results are dropped by a clock that was wrong."""
        self._set_clocks(RETENTION, 0.0, looks=True)
        self._set_clocks(-RETENTION, 0.0, looks=False)
