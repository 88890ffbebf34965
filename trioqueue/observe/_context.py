"""Whose line is it: the task's facts on every record that its handler logs, without its help.

A filter, because a handler's filters run where the line is logged: in the context of the task, and
before a ``QueueHandler`` hands the record to a thread that knows nothing of it. (A record factory
could not set these attributes: ``logging`` refuses an ``extra`` of a name that is there already.)
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Final, final

from .._running import running_lease

#: The same names as those of `log_events`.
FIELDS: Final = ("task_id", "task_type", "queue", "attempt", "delivery")

_NOTHING: Final[Mapping[str, object]] = dict.fromkeys(FIELDS)


def add_task_fields(record: logging.LogRecord) -> None:
    """Give a record the fields of the task that is being run here, or ``None`` for each.

    What the record has already stays: it was given as ``extra``, or it was seen before, where it
    was logged. One that names another task itself gets nothing of this one.
    """
    facts = vars(record)
    fields = _fields()
    task_id = fields["task_id"]
    if task_id is not None and "task_id" in facts:
        named = facts["task_id"]
        if not isinstance(named, str) or named != task_id:
            fields = _NOTHING
    for name, value in fields.items():
        facts.setdefault(name, value)


def _fields() -> Mapping[str, object]:
    lease = running_lease()
    if lease is None:
        return _NOTHING
    task = lease.task
    return dict(
        zip(
            FIELDS,
            (task.id, task.type, task.options.queue, task.attempt, lease.token),
            strict=True,
        )
    )


@final
class TaskContextFilter(logging.Filter):
    """Lets every record through, with the fields of the task whose handler has logged it.

    ``task_id``, ``task_type``, ``queue``, ``attempt`` and ``delivery`` become attributes of the
    record, so that any formatter can show them; ``None`` for a line that no handler has logged. An
    ``extra`` of the same name stays what it is. It belongs on handlers (a logger's filter does not
    see what its children log), on a ``QueueHandler`` and not behind its queue.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields; always true."""
        add_task_fields(record)
        return True


def add_task_context(*handlers: logging.Handler) -> None:
    """Put a `TaskContextFilter` on these handlers; without any: on all that loggers have now.

    Before their own filters, which may then ask for the fields. Doing it again does nothing.
    """
    for handler in handlers or _all_handlers():
        if not any(isinstance(each, TaskContextFilter) for each in handler.filters):
            handler.filters.insert(0, TaskContextFilter())


def _all_handlers() -> Iterator[logging.Handler]:
    yield from logging.root.handlers
    for logger in list(logging.root.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):  # else a place for one
            yield from logger.handlers
