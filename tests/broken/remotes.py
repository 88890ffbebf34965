"""SQLite brokers that break one promise each of those that only a broker elsewhere makes."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import trio

from trioqueue import HistoryEntry, Move, Options, QueuePaused, State, Task

Break = Callable[[Any], None]


@dataclass(frozen=True)
class BrokenRemote:
    """``apply`` breaks each opening, or ``options`` do; ``cases`` must go red then."""

    name: str
    cases: tuple[str, ...]
    apply: Break = lambda _broker: None
    options: dict[str, Any] = field(default_factory=dict)
    #: Every opening gets a file of its own.
    apart: bool = False


BROKEN_REMOTES: dict[str, BrokenRemote] = {}


def noticed_by(*cases: str) -> Callable[[Break], Break]:
    def register(apply: Break) -> Break:
        name = apply.__name__
        BROKEN_REMOTES[name] = BrokenRemote(name, cases, apply)
        return apply

    return register


def _opened(name: str, *cases: str, apart: bool = False, **options: Any) -> None:
    BROKEN_REMOTES[name] = BrokenRemote(name, cases, options=options, apart=apart)


_opened(
    "leases_never_expire",
    "a_lease_that_is_not_renewed_is_lost",
    "a_worker_that_waits_is_woken_for_a_lost_lease",
    "leases_that_expire_again_and_again_make_a_dead_letter",
    "what_a_dead_process_held_goes_to_another",
    lease_clock=lambda: 0.0,
)
_opened(
    "results_are_kept_for_ever", "a_result_is_dropped_before_the_end_is_forgotten", retention=1e9
)
_opened(
    "openings_share_nothing",
    "what_one_publishes_the_other_claims",
    "a_publish_here_wakes_who_waits_there",
    "what_was_stored_is_there_when_it_is_opened_again[died]",
    "one_submits_and_another_works",
    apart=True,
)


# --- leases --------------------------------------------------------------------------------------


@noticed_by("a_lease_that_is_renewed_does_not_expire", "a_long_handler_keeps_its_lease")
def renew_prolongs_nothing(broker: Any) -> None:
    async def renew(leases: Any) -> Any:
        await trio.lowlevel.checkpoint()
        return []

    broker.renew = renew


@noticed_by("a_lease_tells_until_when_it_can_be_proven")
def a_lease_tells_of_no_end(broker: Any) -> None:
    claim = broker.claim

    async def claim_for_ever(room: Any, most: int, queues: Any = None) -> Any:
        leases = await claim(room, most, queues)
        for lease in leases:
            lease.expires = float("inf")
        return leases

    broker.claim = claim_for_ever


@noticed_by(
    "the_clock_alone_takes_no_lease_away[succeeded]",
    "a_late_renewal_before_the_sweep_keeps_the_lease",
)
def the_clock_takes_leases_away(broker: Any) -> None:
    settle, renew = broker.settle, broker.renew

    async def sweep(leases: Any) -> None:
        for lease in leases:
            if lease.expires < broker.lease_time():
                await broker.revoke(lease.task.id)

    async def settle_in_time(settlements: Any) -> Any:
        await sweep([each.lease for each in settlements])
        return await settle(settlements)

    async def renew_in_time(leases: Any) -> Any:
        await sweep(leases)
        return await renew(leases)

    broker.settle, broker.renew = settle_in_time, renew_in_time


@noticed_by("only_what_was_not_renewed_is_lost", "a_lease_that_is_renewed_does_not_expire")
def renewing_is_losing(broker: Any) -> None:
    renew = broker.renew

    async def renew_and_lose(leases: Any) -> Any:
        await renew(leases)
        return list(leases)

    broker.renew = renew_and_lose


@noticed_by("who_watches_hears_of_a_cancellation", "a_cancellation_there_reaches_who_runs_it_here")
def nobody_may_watch(broker: Any) -> None:
    broker.watch = lambda _on_cancel, _on_dead: None


# --- several openings ----------------------------------------------------------------------------


@noticed_by("each_opening_has_its_own_identity")
def all_openings_are_one(broker: Any) -> None:
    broker.identity = "the one"


@noticed_by(
    "a_publish_here_wakes_who_waits_there",
    "an_end_here_is_heard_of_there[succeeded]",
    "a_drain_there_waits_for_what_runs_here",
)
def nobody_hears_of_the_others(broker: Any) -> None:
    desk = broker._desk
    desk.__class__ = type("Deaf", (type(desk),), {"poke": lambda _: None})


@noticed_by("the_fence_holds_between_openings")
def every_settlement_is_fine(broker: Any) -> None:
    settle = broker.settle

    async def settle_true(settlements: Any) -> Any:
        return [True for _ in await settle(settlements)]

    broker.settle = settle_true


@noticed_by("two_openings_never_claim_the_same")
def what_others_hold_is_taken(broker: Any) -> None:
    claim = broker.claim

    async def claim_all(room: Any, most: int, queues: Any = None) -> Any:
        for task in await broker.tasks(State.RUNNING):
            if task.order not in broker._held:
                await broker.revoke(task.id)
        return await claim(room, most, queues)

    broker.claim = claim_all


@noticed_by("a_pause_there_stops_claims_here", "a_pause_outlasts_the_opening")
def a_pause_is_ones_own(broker: Any) -> None:
    paused: set[str | None] = set()
    claim = broker.claim

    async def pause(queue: str | None = None) -> None:
        await trio.lowlevel.checkpoint()
        paused.add(queue)

    async def resume(queue: str | None = None) -> None:
        await trio.lowlevel.checkpoint()
        paused.discard(queue)

    async def told() -> Any:
        await trio.lowlevel.checkpoint()
        return None in paused, sorted(queue for queue in paused if queue is not None)

    async def claim_unless(room: Any, most: int, queues: Any = None) -> Any:
        return await claim({} if paused else room, most, queues)

    broker.pause, broker.resume, broker.paused, broker.claim = pause, resume, told, claim_unless


@noticed_by("a_settlement_may_be_repeated_by_another_opening")
def only_ones_own_settlements_are_repeated(broker: Any) -> None:
    settle, mine = broker.settle, []

    async def settle_mine(settlements: Any) -> Any:
        held = [each.lease in broker._held.values() or each in mine for each in settlements]
        mine.extend(settlements)
        answers = await settle(settlements)
        return [answer and own for answer, own in zip(answers, held, strict=True)]

    broker.settle = settle_mine


@noticed_by("who_held_a_lease_may_settle_by_another_opening")
def only_the_claiming_opening_settles(broker: Any) -> None:
    settle = broker.settle

    async def settle_held(settlements: Any) -> Any:
        held = [each for each in settlements if each.lease in broker._held.values()]
        answers = dict(zip(map(id, held), await settle(held), strict=True))
        return [answers.get(id(each), False) for each in settlements]

    broker.settle = settle_held


@noticed_by("what_is_due_wakes_who_has_not_published_it", "the_order_outlasts_the_opening")
def only_what_was_published_here_is_claimed(broker: Any) -> None:
    publish, claim, wait_ready, mine = broker.publish, broker.claim, broker.wait_ready, set()

    async def publish_mine(tasks: Any, closed: Any = None) -> Any:
        mine.update(task.id for task in tasks)
        return await publish(tasks, closed)

    async def claim_mine(room: Any, most: int, queues: Any = None) -> Any:
        return [lease for lease in await claim(room, most, queues) if lease.task.id in mine]

    async def wait_mine(types: Any = None, queues: Any = None) -> None:
        if not mine:
            await trio.sleep_forever()
        await wait_ready(types, queues)

    broker.publish, broker.claim, broker.wait_ready = publish_mine, claim_mine, wait_mine


@noticed_by("two_openings_publish_the_same_once")
def each_opening_has_ids_and_keys_of_its_own(broker: Any) -> None:
    publish = broker.publish

    async def publish_own(tasks: Any, closed: Any = None) -> Any:
        own = [Task(f"{broker.identity}.{t.id}", t.type, (), {}, Options()) for t in tasks]
        for task in own:
            task.payload = b"[[],{}]"
        return await publish(own, closed)

    broker.publish = publish_own


@noticed_by("without_workers_leaving_takes_no_time")
def only_what_is_held_here_is_known(broker: Any) -> None:
    get = broker.get

    async def get_held(task_id: str) -> Any:
        task = await get(task_id)
        return task if task is not None and task.order in broker._held else None

    broker.get = get_held


@noticed_by("an_id_alone_is_enough_to_wait[succeeded]")
def who_waits_learns_the_state_alone(broker: Any) -> None:
    wait = broker.wait_settled

    async def wait_settled(task: Any) -> None:
        kind = task.type
        await wait(task)
        task.type, task.options = kind, Options()

    broker.wait_settled = wait_settled


@noticed_by("dead_letters_are_operated_from_anywhere", "all_openings_count_the_same")
def the_dead_are_ones_own(broker: Any) -> None:
    look, counts = broker.dead_letters, broker.counts

    async def dead_letters(*args: Any, **filters: Any) -> Any:
        return [] if not broker._desk_used else await look(*args, **filters)

    async def count() -> Any:
        real = await counts()
        return real if broker._desk_used else real._replace(dead=0, cancelled=real.dead)

    settle = broker.settle
    broker._desk_used = False

    async def settle_here(settlements: Any) -> Any:
        broker._desk_used = True
        return await settle(settlements)

    broker.dead_letters, broker.counts, broker.settle = dead_letters, count, settle_here


# --- draining ------------------------------------------------------------------------------------


@noticed_by(
    "wait_drained_returns_when_nothing_is_open",
    "wait_drained_waits_for_retries_and_delays",
    "a_cancelled_drain_changes_nothing",
    "wait_drained_late",
    "wait_drained_cancelled",
)
def a_drain_does_not_wait(broker: Any) -> None:
    async def wait_drained(types: Any, queues: Any) -> None:
        await trio.lowlevel.checkpoint()

    broker.wait_drained = wait_drained


@noticed_by("wait_drained_raises_for_a_paused_queue", "wait_drained_repeated")
def a_drain_waits_for_ever(broker: Any) -> None:
    wait_drained = broker.wait_drained

    async def wait(types: Any, queues: Any) -> None:
        await trio.sleep(5 * broker.lease)
        try:
            await wait_drained(types, queues)
        except QueuePaused:
            await trio.sleep_forever()

    broker.wait_drained = wait


# --- workers and history -------------------------------------------------------------------------


@noticed_by(
    "a_worker_is_shown_as_it_registered_itself",
    "a_worker_is_seen_from_another_opening",
    "register_repeated",
)
def nobody_is_registered(broker: Any) -> None:
    async def register(worker: Any) -> None:
        await trio.lowlevel.checkpoint()

    broker.register = register


@noticed_by(
    "a_worker_that_said_goodbye_is_not_live", "a_worker_that_is_silent_for_a_lease_is_not_live"
)
def every_worker_lives(broker: Any) -> None:
    look = broker.workers

    async def workers() -> Any:
        return [replace(record, live=True) for record in await look()]

    broker.workers = workers


@noticed_by("the_longest_lived_worker_comes_first", "registering_again_is_a_sign_of_life")
def workers_are_shown_as_at_first(broker: Any) -> None:
    register, seen = broker.register, set()

    async def register_once(worker: Any) -> None:
        if worker.id not in seen:
            seen.add(worker.id)
            await register(replace(worker, started_at=-worker.started_at))

    broker.register = register_once


@noticed_by(
    "the_history_tells_what_happened_oldest_first",
    "the_history_of_an_ended_task_is_kept_with_it",
    "the_history_is_of_this_task_alone",
)
def history_is_told_backwards(broker: Any) -> None:
    look = broker.history

    async def history(task_id: str) -> Any:
        entries = list(await look(task_id))[::-1]
        return [*entries, HistoryEntry(Move.STARTED, 0.0, 0, "")]

    broker.history = history


@noticed_by("the_history_has_a_bound")
def history_grows_without_end(broker: Any) -> None:
    look = broker.history

    async def history(task_id: str) -> Any:
        return [*[HistoryEntry(Move.DUE, 0.0, 0, "")] * 500, *await look(task_id)]

    broker.history = history
