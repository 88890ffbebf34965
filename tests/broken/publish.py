"""Memory brokers that break a promise about what is accepted, and when it is due."""

from typing import Any

import trio

from tests.broken.breaking import Wrapped, noticed_by
from trioqueue import Options
from trioqueue._model import Task

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
    broker._timer = Wrapped(broker._timer, set=lambda task_id, _when: put(task_id, 0.0))


@noticed_by(
    "tasks_become_ready_in_the_order_in_which_they_are_due", "many_delayed_tasks_are_all_due"
)
def nothing_is_ever_due(broker: Any) -> None:
    broker._timer = Wrapped(broker._timer, set=lambda _task_id, _when: None)


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
