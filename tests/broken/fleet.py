"""SQLite brokers that break what is promised of limits that hold in the whole fleet."""

from functools import partial
from typing import Any

import trio

from tests.broken.remotes import noticed_by
from trioqueue import State
from trioqueue.brokers._sqlite_jobs import READY, Wait
from trioqueue.brokers._sqlite_look import is_anything_ready

_END_OF_ONE = "every_end_of_a_lease_frees_its_slot[{}]"
#: Those after which the task itself is not ready at once.
_ENDS = [
    _END_OF_ONE.format(move) for move in ("succeeded", "retried", "died", "snoozed", "cancelled")
]


@noticed_by(
    "no_claim_takes_more_than_the_limit_leaves",
    "room_and_limit_hold_both",
    "all_openings_together_hold_no_more_than_the_limit",
    "at_no_instant_are_more_held_than_the_limit",
    "the_limit_holds_over_all_queues",
    "a_full_type_stands_in_nobodys_way",
    "each_opening_keeps_to_its_own_limits",
    "a_lease_that_is_renewed_keeps_its_slot",
    "ready_tasks_of_a_full_type_do_not_make_anybody_spin",
    "queues_of_two_openings_run_no_more_than_the_limit",
)
def there_are_no_limits(broker: Any) -> None:
    def limit_fleet(_: Any) -> None:
        pass

    broker.limit_fleet = limit_fleet


def counted_by_hand(broker: Any, count: Any) -> None:
    """Claims that hold to what ``count(type, queues)`` says is held, and are all but atomic."""
    limits: dict[str, int] = {}
    claim = broker.claim

    def limit_fleet(new: Any) -> None:
        limits.clear()
        limits.update(new)

    async def claim_within(room: Any, most: int, queues: Any = None) -> Any:
        room = dict(room)
        for name in limits.keys() & room.keys():
            room[name] = min(room[name], limits[name] - await count(name, queues))
        return await claim(room, most, queues)

    broker.limit_fleet, broker.claim = limit_fleet, claim_within


@noticed_by("at_no_instant_are_more_held_than_the_limit")
def slots_are_counted_before_the_claim(broker: Any) -> None:
    async def running(name: str, _: Any) -> int:
        held = len(await broker.tasks(State.RUNNING, type=name))
        await trio.lowlevel.checkpoint()
        return held

    counted_by_hand(broker, running)


@noticed_by(
    "all_openings_together_hold_no_more_than_the_limit",
    "at_no_instant_are_more_held_than_the_limit",
    "who_has_no_limits_is_held_to_none",
    "what_a_dead_process_held_frees_its_slot_in_time",
    *(*_ENDS, _END_OF_ONE.format("released")),
    "a_task_that_is_asked_to_cancel_keeps_its_slot",
    "a_revoked_lease_frees_its_slot[revoke_there]",
    "a_late_settlement_frees_no_slot",
)
def slots_are_ones_own(broker: Any) -> None:
    async def held(name: str, _: Any) -> int:
        await trio.lowlevel.checkpoint()
        return sum(lease.task.type == name for lease in broker._held.values())

    counted_by_hand(broker, held)


@noticed_by("the_limit_holds_over_all_queues")
def slots_are_counted_by_queue(broker: Any) -> None:
    async def running(name: str, queues: Any) -> int:
        lanes = await broker.lanes()
        return sum(
            lane.running
            for lane in lanes
            if lane.type == name and (queues is None or lane.queue in queues)
        )

    counted_by_hand(broker, running)


@noticed_by("a_full_type_stands_in_nobodys_way")
def a_full_type_stops_every_claim(broker: Any) -> None:
    claim = broker.claim

    async def claim_unless_full(room: Any, most: int, queues: Any = None) -> Any:
        lanes = await broker.lanes()
        full = any(lane.running >= broker._limits.get(lane.type, 9) for lane in lanes)
        return await claim({} if full else room, most, queues)

    broker.claim = claim_unless_full


# --- whose limits --------------------------------------------------------------------------------

_strictest: dict[str, dict[str, int]] = {}


@noticed_by("each_opening_keeps_to_its_own_limits", "who_has_no_limits_is_held_to_none")
def the_strictest_limit_binds_all(broker: Any) -> None:
    shared = _strictest.setdefault(broker._desk._engine.path, {})
    broker._limits = shared

    def limit_fleet(limits: Any) -> None:
        for name, limit in limits.items():
            shared[name] = min(limit, shared.get(name, limit))

    broker.limit_fleet = limit_fleet


@noticed_by("new_limits_replace_the_old_ones")
def old_limits_stay(broker: Any) -> None:
    def limit_fleet(limits: Any) -> None:
        broker._limits = {**broker._limits, **limits}

    broker.limit_fleet = limit_fleet


# --- what frees a slot, and what does not --------------------------------------------------------


@noticed_by(
    *_ENDS,
    "who_waits_in_the_same_opening_is_told_of_a_free_slot",
    "settlements_of_one_batch_free_a_slot_each",
)
def slots_are_never_given_back(broker: Any) -> None:
    """But for what is held again by the same task."""
    taken: set[str] = set()

    async def ever(_name: str, _: Any) -> int:
        taken.update(task.id for task in await broker.tasks(State.RUNNING))
        return len(taken)

    counted_by_hand(broker, ever)
    claim = broker.claim

    async def claim_and_note(room: Any, most: int, queues: Any = None) -> Any:
        leases = await claim(room, most, queues)
        taken.update(lease.task.id for lease in leases)
        return leases

    broker.claim = claim_and_note


@noticed_by(
    *_ENDS,
    "who_waits_in_the_same_opening_is_told_of_a_free_slot",
    "the_last_loss_frees_its_slot",
    "each_opening_keeps_to_its_own_limits",
)
def who_waits_is_not_told_of_free_slots(broker: Any) -> None:
    wait_ready = broker.wait_ready

    async def wait(types: Any = None, queues: Any = None) -> None:
        for lane in await broker.lanes():
            if lane.ready and lane.running >= broker._limits.get(lane.type, 1_000):
                await trio.sleep_forever()
        await wait_ready(types, queues)

    broker.wait_ready = wait


@noticed_by(
    "a_revoked_lease_frees_its_slot[revoke_here]",
    "a_revoked_lease_frees_its_slot[revoke_there]",
    "the_last_loss_frees_its_slot",
    "a_lease_that_expires_frees_its_slot",
    "what_a_dead_process_held_frees_its_slot_in_time",
)
def what_was_lost_holds_its_slot(broker: Any) -> None:
    """As with a counter that only a settlement takes down."""

    async def ever(name: str, _: Any) -> int:
        tasks = [*await broker.tasks(State.RUNNING, type=name), *await broker.tasks(State.READY)]
        tasks += await broker.tasks(State.DEAD)
        lost = [task for task in tasks if task.trail and task.trail.losses]
        return len({task.id for task in [*lost, *await broker.tasks(State.RUNNING, type=name)]})

    counted_by_hand(broker, ever)


@noticed_by("a_lease_that_is_renewed_keeps_its_slot")
def only_new_leases_hold_slots(broker: Any) -> None:
    begun: dict[str, float] = {}

    async def young(name: str, _: Any) -> int:
        running = [task.id for task in await broker.tasks(State.RUNNING, type=name)]
        for task_id in running:
            begun.setdefault(task_id, trio.current_time())
        return sum(begun[task_id] > trio.current_time() - broker.lease for task_id in running)

    counted_by_hand(broker, young)


@noticed_by("a_task_that_is_asked_to_cancel_keeps_its_slot")
def a_request_to_cancel_frees_a_slot(broker: Any) -> None:
    async def going_on(name: str, _: Any) -> int:
        tasks = await broker.tasks(State.RUNNING, type=name)
        histories = [await broker.history(task.id) for task in tasks]
        return sum(history[-1].name != "cancel_requested" for history in histories)

    counted_by_hand(broker, going_on)


def _taken_down(broker: Any, when: Any) -> None:
    """A slot too many is free for each ``when(...)`` of what has been done."""
    free = 0

    async def running(name: str, _: Any) -> int:
        return len(await broker.tasks(State.RUNNING, type=name)) - free

    def note(number: int) -> None:
        nonlocal free
        free += number

    counted_by_hand(broker, running)
    when(note)


@noticed_by("what_ends_without_having_run_frees_no_slot")
def a_cancelled_task_frees_a_slot(broker: Any) -> None:
    cancel = broker.cancel

    def when(note: Any) -> None:
        async def cancel_and_free(task_id: str) -> Any:
            done = await cancel(task_id)
            note(done)
            return done

        broker.cancel = cancel_and_free

    _taken_down(broker, when)


@noticed_by("a_late_settlement_frees_no_slot")
def every_settlement_frees_a_slot(broker: Any) -> None:
    settle = broker.settle

    def when(note: Any) -> None:
        async def settle_and_free(settlements: Any) -> Any:
            answers = await settle(settlements)
            note(answers.count(False))
            return answers

        broker.settle = settle_and_free

    _taken_down(broker, when)


_repeated: dict[str, int] = {}


@noticed_by("a_settlement_that_is_repeated_frees_one_slot")
def every_repeat_frees_a_slot(broker: Any) -> None:
    settle, path = broker.settle, broker._desk._engine.path
    _repeated[path] = 0

    async def running(name: str, _: Any) -> int:
        return len(await broker.tasks(State.RUNNING, type=name)) - _repeated[path]

    async def settle_and_free(settlements: Any) -> Any:
        repeats = sum(each.lease.settled is not None for each in settlements)
        answers = await settle(settlements)
        _repeated[path] += repeats
        return answers

    counted_by_hand(broker, running)
    broker.settle = settle_and_free


# --- waiting -------------------------------------------------------------------------------------


@noticed_by(
    "ready_tasks_of_a_full_type_do_not_make_anybody_spin",
    "who_comes_too_late_for_a_free_slot_waits_again",
    "a_full_type_stands_in_nobodys_way",
    "who_has_no_limits_is_held_to_none",
    "new_limits_replace_the_old_ones",
)
def waiting_knows_no_limits(broker: Any) -> None:
    async def wait(types: Any = None, queues: Any = None) -> None:
        look = partial(is_anything_ready, types=types, queues=queues, limits={})
        await broker._desk.wait(Wait(READY, look))

    broker.wait_ready = wait
