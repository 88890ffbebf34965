"""Memory brokers that break a promise about waiting for work and claiming it."""

from collections.abc import Callable
from typing import Any

import trio

from tests.broken.breaking import Wrapped, noticed_by
from trioqueue import Move, Options, State
from trioqueue._model import Task

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

    broker._lanes = Wrapped(broker._lanes, put=put_plainly)


@noticed_by("what_was_given_back_comes_first[released]", "a_revoked_task_is_ready_at_the_front")
def what_is_given_back_goes_to_the_end(broker: Any) -> None:
    put = broker._lanes.put
    broker._lanes = Wrapped(broker._lanes, put=lambda task, *, front=False: put(task))


@noticed_by("deliveries_only_grow", "a_lease_that_was_given_back_is_worth_nothing[released]")
def tokens_are_used_again(broker: Any) -> None:
    settle = broker.settle_nowait

    def settle_nowait(settlement: Any, now: float) -> bool:
        answer = settle(settlement, now)
        if answer and settlement.move is not Move.SUCCEEDED:
            settlement.lease.task.deliveries = 0
        return bool(answer) or settlement.lease.token == settlement.lease.task.deliveries

    broker.settle_nowait = settle_nowait
