"""Memory brokers that break a promise about waits, events and cancelled calls."""

from typing import Any

import trio

from tests.broken.breaking import inspecting, noticed_by
from trioqueue import Move
from trioqueue._model import Task

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
            found = [broker.get(what)] if isinstance(what, str) else [each.task for each in what]
            tasks = [task for task in found if task is not None]
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
