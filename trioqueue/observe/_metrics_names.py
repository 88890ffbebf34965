"""The names of what is counted, and what they mean: the table in docs/metrics.md is this one."""

from __future__ import annotations

from typing import Final, NamedTuple

from .._model import Move, OutcomeKind

PREFIX: Final = "trioqueue_"

#: How attempts fail.
FAILURE_KINDS: Final = (
    OutcomeKind.ERROR.value,
    OutcomeKind.TIMEOUT.value,
    OutcomeKind.CRASH.value,
    OutcomeKind.RETRY_LATER.value,
    OutcomeKind.DISCARD.value,
    OutcomeKind.INVALID.value,
    OutcomeKind.LOST.value,
)
#: Why a task was given back.
RELEASE_REASONS: Final = ("interrupted", "not_started")


class Count(NamedTuple):
    """A counter of each lane. ``values``: of its own label, if it has one."""

    name: str
    help: str
    label: str = ""
    values: tuple[str, ...] = ("",)


COUNTS: Final = (
    Count("tasks_submitted", "Tasks that were accepted."),
    Count("tasks_started", "Attempts that were begun: claims."),
    Count("tasks_succeeded", "Tasks that succeeded."),
    Count("tasks_failed", "Attempts that failed, by the kind of failure.", "kind", FAILURE_KINDS),
    Count("tasks_retried", "Failed attempts after which the task is tried again."),
    Count("tasks_dead", "Tasks that became dead letters."),
    Count(
        "tasks_released",
        "Claims that were given back: cut short by a stop, or never started.",
        "reason",
        RELEASE_REASONS,
    ),
    Count("tasks_snoozed", "Attempts that put their task off."),
    Count("tasks_cancelled", "Tasks that were cancelled by request."),
    Count("tasks_expired", "Tasks that expired before their first start."),
    Count(
        "tasks_handed_back", "Tasks that a queue in memory gave back, unfinished, when it stopped."
    ),
    Count("tasks_replayed", "Dead letters that were made ready again."),
    Count("tasks_purged", "Dead letters that were thrown away."),
    Count("tasks_evicted", "Dead letters that had to make room for later ones."),
    Count("leases_lost", "Leases that were taken away: expired and swept, or revoked."),
    Count("settlements_refused", "Ends of attempts that came too late: the lease was lost."),
)

WAITING: Final = (
    "task_waiting_seconds",
    "Time from a task's acceptance to its first start, a delay included.",
)
DURATION: Final = ("task_duration_seconds", "Running time of the attempts that ended.")

#: Event -> the counter that it is counted in, besides those that the kind of the outcome decides.
COUNTED_AS: Final = {
    Move.SUBMITTED.value: "tasks_submitted",
    Move.DELAYED.value: "tasks_submitted",
    Move.STARTED.value: "tasks_started",
    Move.SUCCEEDED.value: "tasks_succeeded",
    Move.RETRIED.value: "tasks_retried",
    Move.DIED.value: "tasks_dead",
    Move.SNOOZED.value: "tasks_snoozed",
    Move.CANCELLED.value: "tasks_cancelled",
    Move.EXPIRED.value: "tasks_expired",
    Move.HANDED_BACK.value: "tasks_handed_back",
    Move.REPLAYED.value: "tasks_replayed",
    Move.PURGED.value: "tasks_purged",
    Move.EVICTED.value: "tasks_evicted",
    Move.LOST.value: "leases_lost",
    "refused": "settlements_refused",
}

#: At scrape time, from the broker: name -> (help, labels). All are gauges but the last.
SEEN: Final = {
    "broker_up": ("Whether the broker answered this scrape in time.", ()),
    "open_tasks": ("Tasks that are scheduled, ready or running.", ("queue", "type", "state")),
    "oldest_ready_age_seconds": ("Age of the oldest ready task, 0 without.", ("queue", "type")),
    "unserved_tasks": ("Ready tasks that no live worker takes.", ("queue", "type")),
    "queue_paused": ("Whether a queue is paused, by itself or with all.", ("queue",)),
    "paused": ("Whether everything is paused.", ()),
    "dead_letters": ("Dead letters that are kept.", ()),
    "capacity": ("Tasks for which the broker has room; absent without a bound.", ()),
    "waiting_submitters": ("Submitters of this process that wait for room.", ()),
    "worker_processes": ("Worker processes that are alive.", ()),
    "worker_slots": ("Tasks that the live worker processes run at once.", ()),
    "worker_running": ("Tasks that the live worker processes held when last heard of.", ()),
    "worker_heartbeat_age_seconds": ("Age of the oldest heartbeat of a live worker process.", ()),
    "broker_moves": ("What the broker has counted itself, by move, in all processes.", ("move",)),
}
BUILD: Final = ("build", "The version of trioqueue.")
