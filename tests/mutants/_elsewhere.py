"""Mutants of what lies between the pool and a broker elsewhere: feed, committer, keeper, remote."""

from typing import Final

from tests.mutants._mutant import Mutant

_STRIKES: Final = "test_cancel_durable.py::test_a_strike_at_every_71st_moment_breaks_no_law"

ELSEWHERE: Final = (
    # --- fetching ----------------------------------------------------------------------------
    Mutant(
        "more is claimed than can be started",
        "_feed.py",
        "most = idle + ahead - apart",
        "most = 1_000",
        "work conservation",
        ("test_feed.py::test_no_more_is_claimed_than_can_be_started",),
    ),
    Mutant(
        "a worker that looks in vain is not claimed for",
        "_feed.py",
        """\
        if not found:
            self._want()
""",
        "",
        "work conservation",
        (f"{_STRIKES}[every_end]", "test_cancel_durable.py"),
    ),
    Mutant(
        "the fetcher does not hear that a type has room again",
        "_feed.py",
        "        if self._left_out:\n",
        "        if False:\n",
        "work conservation",
        ("test_remote_queue.py::test_a_limit_holds_and_blocks_nobody_else",),
    ),
    Mutant(
        "a worker that looks in vain during a claim is not claimed for",
        "_feed.py",
        "if full or (self._left_out and self._missed):",
        "if full:",
        "work conservation",
        ("test_feed.py::test_room_that_comes_about_during_a_claim_is_used",),
    ),
    # --- limits in the whole fleet -----------------------------------------------------------
    Mutant(
        "a broker is not told of the limits of the fleet",
        "_feed.py",
        "        self._broker.limit_fleet(self._limits)\n",
        "",
        "limits hold",
        ("test_fleet.py::test_two_queues_run_no_more_than_the_limit_together",),
    ),
    Mutant(
        "every limit is the fleet's",
        "_remote.py",
        'if task_type.scope == "fleet" and task_type.limit is not None',
        "if task_type.limit is not None",
        "work conservation",
        ("test_fleet.py::test_a_limit_of_the_process_is_not_the_fleets",),
    ),
    Mutant(
        "slots of the fleet are claimed ahead",
        "_feed.py",
        "apart = ahead if self._limits else 0",
        "apart = 0",
        "work conservation",
        ("test_fleet.py::test_nobody_claims_a_slot_ahead",),
    ),
    Mutant(
        "a claim ahead forgets which types it has left out",
        "_feed.py",
        "self._left_out = any(count <= 0 for count in room.values())",
        "self._left_out = any(among[name] <= 0 for name in among)",
        "work conservation",
        ("test_fleet.py::test_what_is_claimed_ahead_does_not_hide_that_a_type_has_room_again",),
    ),
    Mutant(
        "a payload that does not decode takes the others with it",
        "_feed.py",
        """\
                self._end(Settlement(lease, Move.DIED, outcome))
                continue
""",
        """\
                self._end(Settlement(lease, Move.DIED, outcome))
                break
""",
        "life cycle",
        ("test_feed.py::test_a_payload_that_no_longer_fits_is_dead_and_kept",),
    ),
    # --- leases ------------------------------------------------------------------------------
    Mutant(
        "leases are renewed too late",
        "_keeper.py",
        "await trio.sleep_until(began + self._broker.lease / 3)",
        "await trio.sleep_until(began + self._broker.lease * 2)",
        "no orphan",
        ("test_feed.py::test_a_lease_is_renewed_for_as_long_as_it_takes",),
    ),
    Mutant(
        "what waits to be settled is not kept alive",
        "_keeper.py",
        "leases = [*self._held, *self._ending()]",
        "leases = [*self._held]",
        "exact settle",
        ("test_feed.py::test_a_settlement_waits_for_the_broker",),
    ),
    Mutant(
        "a lease that cannot be proven is kept for long",
        "_keeper.py",
        "await trio.sleep(min(max(soonest, 0.0), self._broker.lease / 4))",
        "await trio.sleep(self._broker.lease * 4)",
        "partition",
        ("test_feed.py::test_a_lease_that_cannot_be_renewed_ends_the_handler_in_time",),
    ),
    Mutant(
        "a handler goes on without its lease",
        "_feed.py",
        """\
            self._hand.remove(lease)
        elif self._consumer is not None:
            self._consumer.on_cancel(lease)

    def _on_cancel""",
        """\
            self._hand.remove(lease)

    def _on_cancel""",
        "no orphan",
        ("test_feed.py::test_a_lease_that_cannot_be_renewed_ends_the_handler_in_time",),
    ),
    Mutant(
        "what returned without its lease is written",
        "_feed.py",
        """\
        if lease.lost:
            return self._refuse(lease, outcome, now)
        settlement = Settlement""",
        """\
        settlement = Settlement""",
        "partition",
        ("test_feed.py::test_what_returns_too_late_is_not_written",),
    ),
    Mutant(
        "renewal ends before the handlers",
        "_feed.py",
        "keeping = trio.CancelScope(shield=True)",
        "keeping = trio.CancelScope()",
        "exact settle",
        ("test_feed.py::test_a_hard_stop_keeps_the_leases_until_the_last_handler_has_ended",),
    ),
    # --- settling and stopping ---------------------------------------------------------------
    Mutant(
        "what is in hand is kept by a stop",
        "_feed.py",
        """\
        self._give_back()

    def waiting""",
        """\

    def waiting""",
        "stops end",
        ("test_feed.py::test_what_has_not_started_is_released_at_once",),
    ),
    Mutant(
        "what had not started counts as interrupted",
        "_feed.py",
        "Outcome(OutcomeKind.HANDED_BACK)",
        "Outcome(OutcomeKind.INTERRUPTED)",
        "life cycle",
        ("test_feed.py::test_what_has_not_started_is_released_at_once",),
    ),
    Mutant(
        "the last settlements are not waited for",
        "_feed.py",
        "                    await self._committer.flush()\n",
        "",
        "exact settle",
        ("test_feed.py::test_leaving_waits_until_the_last_end_is_written",),
    ),
    Mutant(
        "nobody is told of a stored letter",
        "_committer.py",
        "elif settlement.move is Move.DIED:",
        "elif settlement.move is Move.RETRIED:",
        "life cycle",
        ("test_remote_queue.py::test_the_on_dead_hook_is_told_after_the_letter_is_stored",),
    ),
    Mutant(
        "a broker that is away takes the settlement with it",
        "_patience.py",
        """\
            await trio.sleep(delay)
            delay""",
        """\
            raise
            delay""",
        "exact settle",
        ("test_feed.py::test_a_settlement_waits_for_the_broker",),
    ),
    Mutant(
        "a close lets a submit that is under way through",
        "_remote.py",
        "return self._open.ended",
        "return False",
        "nothing after stop",
        (f"{_STRIKES}[every_end]", "test_cancel_durable.py"),
        ledger=True,
    ),
    Mutant(
        "nobody is told that the workers have ended",
        "_feed.py",
        "                self.over.end()\n",
        "",
        "stops end",
        ("test_feed.py::test_whoever_waits_is_told_when_nobody_works_any_more",),
    ),
)
