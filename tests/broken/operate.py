"""Memory brokers that break a promise to those who look and operate."""

from dataclasses import replace
from typing import Any

from tests.broken.breaking import inspecting, noticed_by
from trioqueue import Options, QueuePaused, State, UnknownTask
from trioqueue._model import Task

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


# --- run_now -------------------------------------------------------------------------------------


@noticed_by("a_scheduled_task_becomes_due_now[scheduled]", "run_now_repeated")
def run_now_runs_nothing(broker: Any) -> None:
    broker.run_now = lambda task_id: task_id in broker._due


@noticed_by("what_is_not_scheduled_is_left_alone[ready]", "run_now_late", "run_now_gone")
def run_now_says_yes_to_all(broker: Any) -> None:
    run_now = broker.run_now
    broker.run_now = lambda task_id: run_now(task_id) or True


@noticed_by("without_room_it_waits_for_it_ahead_of_submitters")
def run_now_needs_no_room(broker: Any) -> None:
    run_now = broker.run_now

    def run_anyway(task_id: str) -> Any:
        task = broker.get(task_id)
        if task is None or task.state is not State.SCHEDULED:
            return run_now(task_id)
        broker._timer.cancel(task_id)
        broker._admit(task)
        return True

    broker.run_now = run_anyway


# --- newest --------------------------------------------------------------------------------------


@noticed_by("the_newest_come_first_if_asked_for[None]", "the_newest_death_comes_first_if_asked_for")
def the_newest_are_the_oldest_backwards(broker: Any) -> None:
    """The limit counts from the wrong end."""
    look = broker.inspector
    tasks, letters = look.tasks, look.dead_letters

    async def some_tasks(*args: Any, newest: bool = False, **options: Any) -> Any:
        found = await tasks(*args, **options)
        return found[::-1] if newest else found

    async def some_letters(*args: Any, newest: bool = False, **options: Any) -> Any:
        found = await letters(*args, **options)
        return found[::-1] if newest else found

    inspecting(broker, tasks=some_tasks, dead_letters=some_letters)


# --- headers -------------------------------------------------------------------------------------


@noticed_by("headers_travel_with_the_task", "a_dead_letter_keeps_its_headers_and_a_replay_does")
def headers_are_dropped(broker: Any) -> None:
    publish = broker.publish

    async def publish_bare(tasks: Any, *args: Any) -> Any:
        for task in tasks:
            if task.options.headers:
                task.options = replace(task.options, headers=None)
        return await publish(tasks, *args)

    broker.publish = publish_bare


@noticed_by("a_queue_at_work_is_seen_among_the_workers")
def nobody_works_here(broker: Any) -> None:
    broker.workers = lambda: ()


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
