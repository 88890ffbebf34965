"""Memory brokers that break one promise each, and the cases of the conformance suite that notice.

Each is the real broker with one of its verbs replaced, so that everything else about it is right.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import trio

from trioqueue import Move, Options, OutcomeKind, QueuePaused, State, UnknownTask
from trioqueue._model import Outcome, Task

Break = Callable[[Any], None]


@dataclass(frozen=True)
class Broken:
    """``apply`` breaks an open memory broker; ``cases`` must go red then."""

    name: str
    apply: Break
    cases: tuple[str, ...]


BROKEN: dict[str, Broken] = {}


def noticed_by(*cases: str) -> Callable[[Break], Break]:
    def register(apply: Break) -> Break:
        name = apply.__name__
        BROKEN[name] = Broken(name, apply, cases)
        return apply

    return register


def inspecting(broker: Any, **verbs: Any) -> None:
    """Replace verbs of the broker's inspector."""
    own = broker.inspector
    names = [name for name in dir(own) if not name.startswith("_")]
    wrapped = SimpleNamespace(**{name: getattr(own, name) for name in names} | verbs)
    kind = type(broker)
    broker.__class__ = type("Broken", (kind,), {"inspector": property(lambda _: wrapped)})


class _Wrapped:
    """Something with slots, some of whose methods are replaced."""

    def __init__(self, inner: Any, **methods: object) -> None:
        self._inner = inner
        vars(self).update(methods)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __contains__(self, thing: object) -> bool:
        return thing in self._inner


# --- publish -------------------------------------------------------------------------------------


@noticed_by(
    "publish_cancelled",
    "a_call_that_is_cancelled_at_any_step[publish]",
    "a_call_that_was_cancelled_before_it_began[publish]",
)
def publish_is_cancelled_after_its_effect(broker: Any) -> None:
    async def publish(tasks: Any, closed: Any = None) -> Any:
        accepted = broker.publish_nowait(tasks)
        await trio.lowlevel.checkpoint()
        return accepted

    broker.publish = publish


@noticed_by("a_call_is_a_full_checkpoint[publish]")
def publish_is_no_checkpoint(broker: Any) -> None:
    async def publish(tasks: Any, closed: Any = None) -> Any:
        return broker.publish_nowait(tasks)

    broker.publish = publish


@noticed_by("two_publish_at_the_same_time", "a_large_batch_is_accepted_whole_and_in_order")
def publish_takes_a_batch_apart(broker: Any) -> None:
    async def publish(tasks: Any, closed: Any = None) -> Any:
        accepted = []
        for task in reversed(tasks):
            accepted += broker.publish_nowait([task])
            await trio.lowlevel.checkpoint()
        return accepted[::-1]

    broker.publish = publish


@noticed_by(
    "the_id_of_an_ended_task_answers_with_its_end[succeeded]",
    "the_end_of_a_task_is_known_for_a_while[cancelled_waiting]",
    "publish_late",
)
def ended_tasks_are_forgotten_at_once(broker: Any) -> None:
    broker._remember = lambda _task: None
    broker._ended = broker._ended_before = _Nothing()


class _Nothing(dict[str, Task]):
    def __setitem__(self, key: str, value: Task) -> None:
        pass


@noticed_by("a_live_task_holds_its_key[ready]", "the_empty_key_is_a_key")
def keys_are_forgotten(broker: Any) -> None:
    broker._keys = _Forgetful()


class _Forgetful(dict[Any, Task]):
    def __setitem__(self, key: object, value: Task) -> None:
        pass

    def __delitem__(self, key: object) -> None:
        pass


@noticed_by("a_key_is_unique_within_its_queue_only")
def keys_have_no_scope(broker: Any) -> None:
    class Keys(dict[Any, Task]):
        def __contains__(self, key: Any) -> bool:
            return any(name == key[1] for _, name in self)

        def __getitem__(self, key: Any) -> Task:
            return next(task for (_, name), task in self.items() if name == key[1])

    broker._keys = Keys()


@noticed_by("a_task_that_has_ended_holds_no_key[succeeded]")
def keys_are_held_for_ever(broker: Any) -> None:
    class Keys(dict[Any, Task]):
        def __delitem__(self, key: object) -> None:
            pass

    broker._keys = Keys()


@noticed_by("the_payload_arrives_as_it_was_given[not_text]", "a_task_is_kept_as_it_was_given")
def payloads_and_options_are_mangled(broker: Any) -> None:
    accept = broker._enter

    def enter(task: Task, now: float) -> None:
        task.payload = (task.payload or b"").decode(errors="replace").encode()
        if task.options.timeout is not None:
            task.options = Options(queue=task.options.queue, key=task.options.key)
        accept(task, now)

    broker._enter = enter


# --- time ----------------------------------------------------------------------------------------


@noticed_by(
    "a_delayed_task_is_ready_when_it_is_due_and_not_before",
    "what_comes_again_later_is_not_ready_before[retried]",
    "wait_ready_does_not_spin[delayed]",
)
def delays_are_ignored(broker: Any) -> None:
    put = broker._timer.set
    broker._timer = _Wrapped(broker._timer, set=lambda task_id, _when: put(task_id, 0.0))


@noticed_by(
    "tasks_become_ready_in_the_order_in_which_they_are_due", "many_delayed_tasks_are_all_due"
)
def nothing_is_ever_due(broker: Any) -> None:
    broker._timer = _Wrapped(broker._timer, set=lambda _task_id, _when: None)


@noticed_by(
    "a_task_that_is_claimed_too_late_has_expired[0]",
    "an_expired_task_is_never_claimed_even_if_nobody_looked",
    "who_waits_hears_of_an_expiry",
)
def nothing_ever_expires(broker: Any) -> None:
    broker._expires_at = lambda _task: float("inf")


@noticed_by("a_task_that_has_started_once_does_not_expire_any_more[released]")
def what_has_started_expires_still(broker: Any) -> None:
    def expires_at(task: Task) -> float:
        expires = task.options.expires
        return float("inf") if expires is None else task.accepted_at + expires

    broker._expires_at = expires_at
    follow = broker._follow

    def follow_and_set(task: Task, *, left: bool) -> None:
        follow(task, left=left)
        if not left:
            broker._set_alarm(task)

    broker._follow = follow_and_set


# --- wait_ready ----------------------------------------------------------------------------------


@noticed_by(
    "wait_ready_waits_while_nothing_is",
    "wait_ready_does_not_spin[foreign_type]",
    "wait_ready_waits_for_its_own_types",
)
def wait_ready_never_waits(broker: Any) -> None:
    async def wait_ready(types: Any = None, queues: Any = None) -> None:
        await trio.lowlevel.checkpoint()

    broker.wait_ready = wait_ready


@noticed_by(
    "wait_ready_wakes[publish]", "wait_ready_wakes[release]", "everybody_who_waits_is_woken"
)
def wait_ready_is_never_told(broker: Any) -> None:
    broker._notify = lambda: None


@noticed_by("wait_ready_changes_nothing", "a_look_that_was_cancelled_changes_nothing[wait_ready]")
def wait_ready_takes_a_task(broker: Any) -> None:
    wait = broker.wait_ready

    async def wait_ready(types: Any = None, queues: Any = None) -> None:
        await wait(types, queues)
        broker.claim_nowait(lambda _: True, trio.current_time())

    broker.wait_ready = wait_ready


# --- claim ---------------------------------------------------------------------------------------


def _claiming(broker: Any, change: Callable[..., Any]) -> None:
    """Replace ``claim`` by one that calls ``change(claim, room, most, queues)``."""
    claim = broker.claim

    async def claim_changed(room: Any, most: int, queues: Any = None) -> Any:
        return await change(claim, room, most, queues)

    broker.claim = claim_changed


@noticed_by("a_claim_takes_in_the_order_of_acceptance", "what_is_tried_again_comes_last[retried]")
def the_last_comes_first(broker: Any) -> None:
    async def change(claim: Any, room: Any, most: int, queues: Any) -> Any:
        found = list(await claim(room, 1_000, queues))
        for lease in found[: max(len(found) - most, 0)]:
            lease.task.lease = None
            lease.task.state = State.READY
            broker._running -= 1
            broker._lanes.put(lease.task)
        return found[::-1][:most]

    _claiming(broker, change)


@noticed_by(
    "two_who_claim_at_the_same_time_never_get_the_same",
    "a_claimed_task_runs_under_its_own_lease",
)
def a_task_is_claimed_twice(broker: Any) -> None:
    last: list[Any] = []

    async def change(claim: Any, room: Any, most: int, queues: Any) -> Any:
        found = list(await claim(room, most, queues)) or [
            lease for lease in last if lease.task.lease is lease
        ]
        last[:] = found
        return found

    _claiming(broker, change)


@noticed_by("claim_cancelled", "a_call_that_is_cancelled_at_any_step[claim]")
def claim_is_cancelled_after_its_effect(broker: Any) -> None:
    async def change(claim: Any, room: Any, most: int, queues: Any) -> Any:
        found = await claim(room, most, queues)
        await trio.lowlevel.checkpoint()
        return found

    _claiming(broker, change)


@noticed_by("a_claim_takes_no_more_than_asked")
def claim_takes_too_many(broker: Any) -> None:
    _claiming(broker, lambda claim, room, most, queues: claim(room, most + 1, queues))


@noticed_by("a_claim_takes_no_more_of_a_type_than_there_is_room_for")
def claim_looks_at_types_only(broker: Any) -> None:
    async def change(claim: Any, room: Any, most: int, queues: Any) -> Any:
        return await claim({name: most for name, places in room.items() if places}, most, queues)

    _claiming(broker, change)


@noticed_by("an_unknown_type_is_never_taken", "types_and_queues_are_looked_at_together")
def claim_takes_any_type(broker: Any) -> None:
    async def change(claim: Any, room: Any, most: int, queues: Any) -> Any:
        types = {task.type: most for task in broker.tasks()}
        return await claim(types if room else room, most, queues)

    _claiming(broker, change)


@noticed_by("a_claim_takes_from_its_queues_only")
def claim_takes_from_any_queue(broker: Any) -> None:
    _claiming(broker, lambda claim, room, most, queues: claim(room, most, None))


@noticed_by("a_claim_does_not_wait_for_work", "claim_repeated")
def claim_waits_for_work(broker: Any) -> None:
    async def change(claim: Any, room: Any, most: int, queues: Any) -> Any:
        if room:
            await broker.wait_ready()
        return await claim(room, most, queues)

    _claiming(broker, change)


@noticed_by("a_higher_priority_comes_first", "a_later_task_of_a_higher_priority_overtakes")
def priorities_are_ignored(broker: Any) -> None:
    put = broker._lanes.put

    def put_plainly(task: Task, *, front: bool = False) -> None:
        options = task.options
        task.options = Options(queue=options.queue)
        put(task, front=front)
        task.options = options

    broker._lanes = _Wrapped(broker._lanes, put=put_plainly)


@noticed_by("what_was_given_back_comes_first[released]", "a_revoked_task_is_ready_at_the_front")
def what_is_given_back_goes_to_the_end(broker: Any) -> None:
    put = broker._lanes.put
    broker._lanes = _Wrapped(broker._lanes, put=lambda task, *, front=False: put(task))


@noticed_by("deliveries_only_grow", "a_lease_that_was_given_back_is_worth_nothing[released]")
def tokens_are_used_again(broker: Any) -> None:
    settle = broker.settle_nowait

    def settle_nowait(settlement: Any, now: float) -> bool:
        answer = settle(settlement, now)
        if answer and settlement.move is not Move.SUCCEEDED:
            settlement.lease.task.deliveries = 0
        return bool(answer) or settlement.lease.token == settlement.lease.task.deliveries

    broker.settle_nowait = settle_nowait


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


def _after_settling(broker: Any, move: Move, change: Callable[[Any], None]) -> None:
    settle = broker.settle_nowait

    def settle_nowait(settlement: Any, now: float) -> Any:
        lease = settlement.lease
        held = lease.task.lease is lease
        answer = settle(settlement, now)
        if held and settlement.move is move:
            change(settlement)
        return answer

    broker.settle_nowait = settle_nowait


@noticed_by(
    "a_move_counts_what_is_its_own[released]",
    "what_is_not_the_tasks_fault_uses_no_attempt[released]",
)
def a_release_counts_as_a_failure(broker: Any) -> None:
    def change(settlement: Any) -> None:
        settlement.lease.task.failures += 1

    _after_settling(broker, Move.RELEASED, change)


@noticed_by("what_was_claimed_and_not_started_is_given_back_uncounted")
def every_release_is_an_interruption(broker: Any) -> None:
    def change(settlement: Any) -> None:
        if settlement.outcome.kind is OutcomeKind.HANDED_BACK:
            settlement.lease.task.trace().interruptions += 1

    _after_settling(broker, Move.RELEASED, change)


@noticed_by("a_retry_is_the_next_attempt", "a_move_counts_what_is_its_own[retried]")
def a_retry_counts_no_failure(broker: Any) -> None:
    def change(settlement: Any) -> None:
        settlement.lease.task.failures = 0

    _after_settling(broker, Move.RETRIED, change)


@noticed_by("a_result_is_stored_with_the_success[json]", "whoever_waited_finds_the_result")
def results_are_dropped(broker: Any) -> None:
    def change(settlement: Any) -> None:
        settlement.lease.task.outcome = Outcome(OutcomeKind.RETURNED)

    _after_settling(broker, Move.SUCCEEDED, change)


@noticed_by("the_last_errors_are_kept_oldest_first", "a_dead_task_tells_of_what_it_died[timeout]")
def errors_are_dropped(broker: Any) -> None:
    def change(settlement: Any) -> None:
        settlement.lease.task.trace().errors = ()

    _after_settling(broker, Move.RETRIED, change)
    _after_settling(broker, Move.DIED, change)


@noticed_by("the_payload_comes_with_every_attempt")
def payloads_are_dropped_by_a_retry(broker: Any) -> None:
    def change(settlement: Any) -> None:
        settlement.lease.task.payload = None

    _after_settling(broker, Move.RETRIED, change)
    _after_settling(broker, Move.DIED, change)


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


# --- cancel --------------------------------------------------------------------------------------


@noticed_by("a_waiting_task_is_cancelled_at_once[ready]", "cancelling_one_leaves_the_others")
def only_what_runs_is_cancelled(broker: Any) -> None:
    cancel = broker.cancel

    def cancel_running(task_id: str) -> Any:
        task = broker.get(task_id)
        return cancel(task_id) if task is not None and task.lease else True

    broker.cancel = cancel_running


@noticed_by("a_running_tasks_holder_is_asked", "renew_tells_what_is_to_be_cancelled")
def the_holder_is_not_asked(broker: Any) -> None:
    cancel = broker.cancel

    def cancel_waiting(task_id: str) -> Any:
        task = broker.get(task_id)
        return True if task is not None and task.lease else cancel(task_id)

    broker.cancel = cancel_waiting


@noticed_by("nobody_is_cancelled_for_an_unknown_id", "cancel_late", "cancel_gone")
def cancel_says_yes_to_all(broker: Any) -> None:
    cancel = broker.cancel
    broker.cancel = lambda task_id: cancel(task_id) or True


# --- pause ---------------------------------------------------------------------------------------


@noticed_by("a_paused_queue_is_passed_over", "when_all_are_paused_nothing_is_claimed")
def a_pause_pauses_nothing(broker: Any) -> None:
    broker.pause = lambda queue=None: None


@noticed_by("one_queue_resumed_is_paused_still_while_all_are")
def resuming_one_resumes_all(broker: Any) -> None:
    resume = broker.resume
    broker.resume = lambda queue=None: resume()


@noticed_by("resuming_all_resumes_each", "paused_tells_what_is_paused")
def resuming_all_leaves_each(broker: Any) -> None:
    resume = broker.resume

    def resume_less(queue: str | None = None) -> None:
        kept = set(broker._paused)
        resume(queue)
        if queue is None:
            broker._paused |= kept

    broker.resume = resume_less


# --- dead letters --------------------------------------------------------------------------------


@noticed_by("a_replay_makes_a_dead_letter_ready_again")
def a_replay_remembers_the_failures(broker: Any) -> None:
    revive = broker._revive

    def revive_as_it_was(task: Task) -> Any:
        failures = task.failures
        revive(task)
        task.failures = failures
        return task

    broker._revive = revive_as_it_was


@noticed_by("a_replay_onto_a_key_that_is_held_is_refused")
def a_replay_takes_the_key(broker: Any) -> None:
    broker._replayable = broker._letter


@noticed_by("a_purged_letter_is_gone_for_good", "purge_repeated")
def a_purge_purges_nothing(broker: Any) -> None:
    purge = broker.purge
    broker.purge = lambda task_id: purge(task_id) if broker.get(task_id) is None else None


@noticed_by("dead_letters_are_found_by_type_and_error", "dead_letters_are_found_by_age")
def dead_letters_are_not_filtered(broker: Any) -> None:
    look = broker.inspector.dead_letters

    async def dead_letters(type: Any = None, *, limit: Any = None, **_filters: Any) -> Any:
        return await look(limit=limit)

    inspecting(broker, dead_letters=dead_letters)


@noticed_by("dead_letters_come_oldest_death_first", "so_many_dead_letters_are_shown_as_asked")
def dead_letters_come_newest_first(broker: Any) -> None:
    look = broker.dead_letters
    broker.dead_letters = lambda type=None: look(type)[::-1]


@noticed_by("only_a_dead_letter_is_purged[ready]", "purge_gone", "replay_gone")
def unknown_tasks_are_no_error(broker: Any) -> None:
    own = broker.inspector

    def quiet(verb: Any) -> Any:
        async def call(task_id: str) -> Any:
            try:
                return await verb(task_id)
            except UnknownTask:
                return None

        return call

    verbs = {name: quiet(getattr(own, name)) for name in ("replay", "purge", "history")}
    inspecting(broker, **verbs)


# --- looking -------------------------------------------------------------------------------------


@noticed_by("tasks_are_found_by_type_and_queue", "so_many_tasks_are_listed_as_asked")
def tasks_are_not_filtered(broker: Any) -> None:
    look = broker.inspector.tasks

    async def tasks(state: Any = None, **_filters: Any) -> Any:
        return await look(state, limit=1_000)

    inspecting(broker, tasks=tasks)


@noticed_by("an_unknown_id_is_nothing", "get_gone")
def get_makes_something_up(broker: Any) -> None:
    get = broker.get
    broker.get = lambda task_id: get(task_id) or Task(task_id, "type", (), {}, Options())


@noticed_by("an_empty_broker_counts_nothing", "the_counts_follow_every_step")
def counts_are_one_too_many(broker: Any) -> None:
    counts = broker.counts

    def one_more() -> Any:
        real = counts()
        return real._replace(submitted=real.submitted + 1, succeeded=real.succeeded + 1)

    broker.counts = one_more


@noticed_by("accepted_tasks_are_answered_in_order_and_ready", "a_batch_may_repeat_itself")
def the_sum_does_not_hold(broker: Any) -> None:
    counts = broker.counts
    broker.counts = lambda: counts()._replace(ready=0)


@noticed_by("lanes_show_the_open_tasks_by_queue_and_type")
def lanes_come_in_no_order(broker: Any) -> None:
    look = broker.inspector.lanes

    async def lanes() -> Any:
        return list(await look())[::-1]

    inspecting(broker, lanes=lanes)


@noticed_by("a_paused_queue_with_tasks_would_be_waited_for_for_ever[ready]")
def a_drain_of_a_paused_queue_goes_on(broker: Any) -> None:
    is_drained = broker.is_drained

    def drained(types: Any, queues: Any) -> Any:
        try:
            return is_drained(types, queues)
        except QueuePaused:
            return False

    broker.is_drained = drained


@noticed_by("other_types_and_queues_are_not_waited_for")
def a_drain_waits_for_all(broker: Any) -> None:
    is_drained = broker.is_drained
    broker.is_drained = lambda types, queues: is_drained({t.type for t in broker.tasks()}, None)


@noticed_by("an_open_task_is_in_the_way[scheduled]", "an_open_task_is_in_the_way[running]")
def a_drain_sees_what_is_ready_alone(broker: Any) -> None:
    broker.is_drained = lambda types, queues: (
        not any(task.type in types and task.state is State.READY for task in broker.tasks())
    )


# --- waiting for the end, events, stops ----------------------------------------------------------


@noticed_by("who_waits_hears_of_a_cancellation", "wait_settled_repeated")
def nobody_hears_of_the_end(broker: Any) -> None:
    async def wait_settled(task: Task) -> None:
        await trio.sleep_forever()

    broker.wait_settled = wait_settled


@noticed_by("who_comes_before_the_end_waits[running]", "wait_settled_gone")
def nobody_waits_for_the_end(broker: Any) -> None:
    async def wait_settled(task: Task) -> None:
        await trio.lowlevel.checkpoint()

    broker.wait_settled = wait_settled


@noticed_by("a_long_life_is_told_in_order", "an_event_says_what_it_is_about")
def what_is_due_is_not_told(broker: Any) -> None:
    emit = broker._emit
    broker._emit = lambda name, *args: None if name is Move.DUE else emit(name, *args)


@noticed_by("the_events_of_a_task_lead_to_where_it_is[purged]", "a_request_to_cancel_is_told")
def only_workers_and_submits_are_told(broker: Any) -> None:
    broker._emit = lambda *_args: None


@noticed_by("whoever_is_closed_meanwhile_accepts_nothing", "whoever_is_not_closed_accepts")
def nobody_is_asked_whether_it_is_closed(broker: Any) -> None:
    publish = broker.publish
    broker.publish = lambda tasks, _closed=None: publish(tasks)


@noticed_by("a_closed_broker_accepts_nothing", "a_close_ends_the_wait_for_room")
def a_close_closes_nothing(broker: Any) -> None:
    broker.close = lambda: None


@noticed_by("a_full_broker_lets_a_publish_wait_until_one_ends", "where_it_would_wait_it_says_so")
def there_is_always_room(broker: Any) -> None:
    broker._room.capacity = 1_000


# --- no checkpoints, half done -------------------------------------------------------------------


@noticed_by(
    "a_call_is_a_full_checkpoint[settle_died]",
    "a_call_is_a_full_checkpoint[pause]",
    "a_call_that_was_cancelled_before_it_began[claim]",
)
def no_verb_is_a_checkpoint(broker: Any) -> None:
    async def claim(room: Any, most: int, queues: Any = None) -> Any:
        found: list[Any] = []
        while len(found) < most and (
            lease := broker.claim_nowait(lambda name: name in room, trio.current_time(), queues)
        ):
            found.append(lease)
        return found

    async def settle(settlements: Any) -> Any:
        return [broker.settle_nowait(each, trio.current_time()) for each in settlements]

    async def renew(leases: Any) -> Any:
        return [lease for lease in leases if lease.task.lease is not lease]

    async def replay(task_id: str) -> Any:
        return broker.replay_nowait(task_id)

    def at_once(verb: Any) -> Any:
        async def call(*args: Any) -> Any:
            return verb(*args)

        return call

    broker.claim, broker.settle, broker.renew = claim, settle, renew
    verbs = ("cancel", "revoke", "pause", "resume", "purge")
    inspecting(broker, replay=replay, **{name: at_once(getattr(broker, name)) for name in verbs})


@noticed_by(
    "a_call_that_is_cancelled_at_any_step[cancel_waiting]",
    "a_call_that_is_cancelled_at_any_step[purge]",
    "a_call_that_is_cancelled_at_any_step[renew]",
    "revoke_cancelled",
)
def verbs_go_by_a_detour(broker: Any) -> None:
    """In the middle the task looks like nothing that it was or will be."""

    def detour(verb: Any) -> Any:
        async def call(what: Any) -> Any:
            tasks = [broker.get(what)] if isinstance(what, str) else [each.task for each in what]
            for task in tasks:
                task.failures += 7
            await trio.lowlevel.checkpoint()
            for task in tasks:
                task.failures -= 7
            return await verb(what)

        return call

    own = broker.inspector
    broker.renew = detour(broker.renew)
    verbs = ("cancel", "revoke", "purge")
    inspecting(broker, **{name: detour(getattr(own, name)) for name in verbs})


@noticed_by("a_call_that_is_cancelled_at_any_step[resume]", "resume_cancelled")
def a_resume_resumes_nothing(broker: Any) -> None:
    broker.resume = lambda queue=None: None


@noticed_by("pause_repeated")
def a_pause_counts(broker: Any) -> None:
    """As often as it was paused it must be resumed."""
    pauses: list[str | None] = []
    pause, resume = broker.pause, broker.resume

    def pause_more(queue: str | None = None) -> None:
        pauses.append(queue)
        pause(queue)

    def resume_one(queue: str | None = None) -> None:
        if queue in pauses:
            pauses.remove(queue)
        if queue not in pauses:
            resume(queue)

    broker.pause, broker.resume = pause_more, resume_one


@noticed_by("resume_repeated")
def a_second_resume_is_a_pause(broker: Any) -> None:
    resume = broker.resume

    def toggle(queue: str | None = None) -> None:
        if queue is None or queue in broker._paused:
            resume(queue)
        else:
            broker.pause(queue)

    broker.resume = toggle


# --- odds and ends -------------------------------------------------------------------------------


@noticed_by("a_claim_at_once_takes_admitted_types_only")
def a_claim_at_once_takes_any_type(broker: Any) -> None:
    claim = broker.claim_nowait
    broker.claim_nowait = lambda _admits, now, queues=None: claim(lambda _: True, now, queues)


@noticed_by("a_forgotten_id_is_a_new_task", "publish_gone", "tasks_gone")
def nothing_is_ever_forgotten(broker: Any) -> None:
    broker._grow_old = lambda: None


@noticed_by("the_counts_remember_what_was_forgotten")
def the_counts_forget_too(broker: Any) -> None:
    grow_old = broker._grow_old

    def forget() -> None:
        grow_old()
        broker._submitted -= broker._succeeded
        broker._succeeded = 0

    broker._grow_old = forget


@noticed_by("a_full_broker_answers_for_what_it_knows")
def what_is_known_needs_room(broker: Any) -> None:
    broker._count_new = lambda tasks, _room: len(tasks)


@noticed_by(
    "a_known_id_answers_with_the_task_that_is_there",
    "the_id_of_a_live_task_answers_with_it[running]",
    "publish_repeated",
)
def publish_answers_with_what_it_was_given(broker: Any) -> None:
    publish = broker.publish

    async def publish_and_echo(tasks: Any, closed: Any = None) -> Any:
        known = [broker.get(task.id) is not None for task in tasks]
        accepted = await publish(tasks, closed)
        return [t if k else a for t, k, a in zip(tasks, known, accepted, strict=True)]

    broker.publish = publish_and_echo
    broker._knows = lambda task, knows=broker._knows: _merge(broker, task) or knows(task)


def _merge(broker: Any, task: Task) -> bool:
    """Let the last submit of an id win, in what it brings along."""
    known = broker.get(task.id)
    if known is not None:
        known.payload, known.type = task.payload, task.type
    return known is not None


@noticed_by("publishing_nothing_changes_nothing", "settling_nothing_answers_nothing")
def an_empty_batch_is_an_error(broker: Any) -> None:
    def checked(verb: Any) -> Any:
        async def call(batch: Any, *more: Any) -> Any:
            if not batch:
                raise ValueError("an empty batch")
            return await verb(batch, *more)

        return call

    broker.publish, broker.settle = checked(broker.publish), checked(broker.settle)


@noticed_by("a_lane_tells_how_long_its_oldest_ready_task_has_waited")
def the_time_of_acceptance_is_lost(broker: Any) -> None:
    enter = broker._enter
    broker._enter = lambda task, now: enter(task, now - 50)


@noticed_by("a_start_says_how_long_the_task_has_waited", "an_event_says_what_it_is_about")
def events_say_little(broker: Any) -> None:
    class Terse(type(broker.events)):  # type: ignore[misc]
        __slots__ = ()

        def task(self, name: str, time: float, task: Task, *_: Any, **__: Any) -> None:
            state, task.state = task.state, None
            super().task(name, time, task)
            task.state = state

    broker.events.__class__ = Terse


@noticed_by("an_empty_broker_is_drained", "an_ended_task_is_not[succeeded]")
def a_drain_never_ends(broker: Any) -> None:
    broker.is_drained = lambda types, queues: False


@noticed_by("an_open_task_is_in_the_way[ready]")
def a_drain_ends_at_once(broker: Any) -> None:
    broker.is_drained = lambda types, queues: True


@noticed_by("an_open_task_has_no_outcome")
def a_retry_leaves_an_outcome(broker: Any) -> None:
    def change(settlement: Any) -> None:
        settlement.lease.task.outcome = settlement.outcome

    _after_settling(broker, Move.RETRIED, change)


@noticed_by("get_repeated", "get_shows_a_task_where_it_is[died]")
def get_answers_from_a_cache(broker: Any) -> None:
    get, cache = broker.get, {}

    def get_once(task_id: str) -> Any:
        task = get(task_id)
        if task is None or task_id in cache:
            return cache.get(task_id)
        copy = Task(task.id, task.type, task.args, task.kwargs, task.options)
        for name in ("state", "deliveries", "failures", "trail", "payload", "lease", "outcome"):
            setattr(copy, name, getattr(task, name))
        cache[task_id] = copy
        return copy

    def enter(task: Task, now: float, enter: Any = broker._enter) -> None:
        enter(task, now)
        get_once(task.id)

    broker.get, broker._enter = get_once, enter


@noticed_by("get_shows_a_task_where_it_is[running]", "get_shows_a_task_where_it_is[ready]")
def get_shows_no_type(broker: Any) -> None:
    look = broker.inspector.get

    async def get(task_id: str) -> Any:
        task = await look(task_id)
        if task is not None:
            task.type = ""
        return task

    inspecting(broker, get=get)


@noticed_by("looking_changes_nothing")
def looking_counts(broker: Any) -> None:
    look = broker.inspector.tasks

    async def tasks(*args: Any, **filters: Any) -> Any:
        found = await look(*args, **filters)
        for task in found:
            task.deliveries += 1
        return found

    inspecting(broker, tasks=tasks)


@noticed_by("names_may_be_any_text", "the_payload_arrives_as_it_was_given[json]")
def everything_is_made_printable(broker: Any) -> None:
    enter = broker._enter

    def enter_printable(task: Task, now: float) -> None:
        task.type = task.type.encode("ascii", "replace").decode().strip()
        task.payload = (task.payload or b"") + b"\n"
        enter(task, now)

    broker._enter = enter_printable


@noticed_by("no_worker_is_known_at_first")
def a_worker_is_made_up(broker: Any) -> None:
    async def workers() -> Any:
        return [object()]

    inspecting(broker, workers=workers)


@noticed_by("settling_at_once_is_fenced_and_repeatable_too[retried]")
def settling_at_once_is_always_true(broker: Any) -> None:
    settle = broker.settle_nowait
    broker.settle_nowait = lambda settlement, now: settle(settlement, now) or True


@noticed_by("the_end_of_a_task_is_known_for_a_while[died]")
def dead_letters_are_shown_to_nobody(broker: Any) -> None:
    get = broker.get

    def get_living(task_id: str) -> Any:
        task = get(task_id)
        return None if task is not None and task.state is State.DEAD else task

    broker.get = get_living
