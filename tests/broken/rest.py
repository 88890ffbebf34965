"""Memory brokers that break what is easily overlooked."""

from typing import Any

from tests.broken.breaking import after_settling, inspecting, noticed_by
from trioqueue import Move, State
from trioqueue._model import Task

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

    after_settling(broker, Move.RETRIED, change)


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
