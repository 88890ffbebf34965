"""Memory brokers that break a promise about leases and how they end."""

from typing import Any

import trio

from tests.broken.breaking import after_settling, noticed_by
from trioqueue import Move, OutcomeKind
from trioqueue._model import Outcome

# --- settle --------------------------------------------------------------------------------------


@noticed_by(
    "a_zombie_cannot_settle_what_somebody_else_runs[succeeded]",
    "a_forged_token_opens_nothing[1]",
)
def tokens_are_ignored(broker: Any) -> None:
    settle = broker.settle_nowait

    def settle_nowait(settlement: Any, now: float) -> Any:
        current = settlement.lease.task.lease
        if current is not None:
            settlement.lease = current
        return settle(settlement, now)

    broker.settle_nowait = settle_nowait


@noticed_by("a_settlement_repeated_is_true_again_without_a_second_effect[died]", "settle_repeated")
def a_repeated_settlement_is_refused(broker: Any) -> None:
    seen: set[int] = set()
    settle = broker.settle

    async def settle_once(settlements: Any) -> Any:
        answers = await settle(settlements)
        new = [id(each) not in seen for each in settlements]
        seen.update(map(id, settlements))
        kept.extend(settlements)  # or an id is used again
        return [a and n for a, n in zip(answers, new, strict=True)]

    kept: list[object] = []
    broker.settle = settle_once


@noticed_by("a_second_verdict_on_the_same_lease_is_refused[died]", "settle_gone")
def settle_is_always_true(broker: Any) -> None:
    settle = broker.settle

    async def settle_true(settlements: Any) -> Any:
        await settle(settlements)
        return [True] * len(settlements)

    broker.settle = settle_true


@noticed_by("a_batch_is_answered_one_by_one")
def a_batch_is_answered_as_one(broker: Any) -> None:
    settle = broker.settle

    async def settle_all(settlements: Any) -> Any:
        answers = await settle(settlements)
        return [all(answers)] * len(answers)

    broker.settle = settle_all


@noticed_by("a_call_that_is_cancelled_at_any_step[settle_succeeded]", "settle_cancelled")
def settle_is_cancelled_half_way(broker: Any) -> None:
    async def settle(settlements: Any) -> Any:
        answers = []
        for each in settlements:
            await trio.lowlevel.checkpoint()
            answers.append(broker.settle_nowait(each, trio.current_time()))
        return answers

    broker.settle = settle


@noticed_by(
    "a_move_counts_what_is_its_own[released]",
    "what_is_not_the_tasks_fault_uses_no_attempt[released]",
)
def a_release_counts_as_a_failure(broker: Any) -> None:
    def change(settlement: Any) -> None:
        settlement.lease.task.failures += 1

    after_settling(broker, Move.RELEASED, change)


@noticed_by("what_was_claimed_and_not_started_is_given_back_uncounted")
def every_release_is_an_interruption(broker: Any) -> None:
    def change(settlement: Any) -> None:
        if settlement.outcome.kind is OutcomeKind.HANDED_BACK:
            settlement.lease.task.trace().interruptions += 1

    after_settling(broker, Move.RELEASED, change)


@noticed_by("a_retry_is_the_next_attempt", "a_move_counts_what_is_its_own[retried]")
def a_retry_counts_no_failure(broker: Any) -> None:
    def change(settlement: Any) -> None:
        settlement.lease.task.failures = 0

    after_settling(broker, Move.RETRIED, change)


@noticed_by("a_result_is_stored_with_the_success[json]", "whoever_waited_finds_the_result")
def results_are_dropped(broker: Any) -> None:
    def change(settlement: Any) -> None:
        settlement.lease.task.outcome = Outcome(OutcomeKind.RETURNED)

    after_settling(broker, Move.SUCCEEDED, change)


@noticed_by("the_last_errors_are_kept_oldest_first", "a_dead_task_tells_of_what_it_died[timeout]")
def errors_are_dropped(broker: Any) -> None:
    def change(settlement: Any) -> None:
        settlement.lease.task.trace().errors = ()

    after_settling(broker, Move.RETRIED, change)
    after_settling(broker, Move.DIED, change)


@noticed_by("the_payload_comes_with_every_attempt")
def payloads_are_dropped_by_a_retry(broker: Any) -> None:
    def change(settlement: Any) -> None:
        settlement.lease.task.payload = None

    after_settling(broker, Move.RETRIED, change)
    after_settling(broker, Move.DIED, change)


@noticed_by("the_counts_tell_how_often_each_move_happened")
def moves_are_not_counted(broker: Any) -> None:
    class Uncounted(dict[Move, int]):
        def __setitem__(self, move: Move, number: int) -> None:
            if move in {Move.CANCELLED, Move.EXPIRED, Move.HANDED_BACK, Move.PURGED}:
                super().__setitem__(move, number)

    broker._moves = Uncounted(broker._moves)


# --- renew and revoke ----------------------------------------------------------------------------


@noticed_by("renew_tells_which_leases_were_lost", "renew_late", "renew_gone")
def renew_loses_nothing(broker: Any) -> None:
    async def renew(leases: Any) -> Any:
        await trio.lowlevel.checkpoint()
        return []

    broker.renew = renew


@noticed_by("renewing_what_one_holds_loses_nothing", "renew_repeated")
def renew_loses_everything(broker: Any) -> None:
    async def renew(leases: Any) -> Any:
        await trio.lowlevel.checkpoint()
        return list(leases)

    broker.renew = renew


@noticed_by("one_loss_too_many_makes_a_dead_letter", "who_waits_hears_of_the_last_loss")
def losses_have_no_limit(broker: Any) -> None:
    revoke = broker.revoke

    def forgiving(task_id: str) -> Any:
        task = broker.get(task_id)
        if task is not None and task.trail is not None:
            task.trail.losses = min(task.trail.losses, 5)
        return revoke(task_id)

    broker.revoke = forgiving


@noticed_by("what_does_not_run_has_no_lease_to_revoke[ready]", "revoke_gone", "revoke_repeated")
def revoke_says_yes_to_all(broker: Any) -> None:
    revoke = broker.revoke
    broker.revoke = lambda task_id: revoke(task_id) or True
