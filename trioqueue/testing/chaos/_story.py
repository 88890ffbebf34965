"""The records told again, by task and by process: what the rules of the checker look at."""

from __future__ import annotations

from collections.abc import Iterable
from functools import singledispatchmethod
from math import inf

from ._attempts import Attempt as Attempt
from ._attempts import ProcessStory as ProcessStory
from ._attempts import TaskStory as TaskStory
from ._records import (
    HARMLESS,
    Accepted,
    Asked,
    Beat,
    Began,
    Claimed,
    Continued,
    Died,
    Ended,
    Killed,
    Lost,
    Operated,
    Operating,
    Record,
    Refused,
    Renewed,
    Renewing,
    Settled,
    Settling,
    Stopped,
    Submitting,
    Unheard,
    Weather,
    Worked,
)


class Story:
    """All records, sorted into tasks and processes."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.tasks: dict[str, TaskStory] = {}
        self.processes: dict[str, ProcessStory] = {}
        for record in sorted(records, key=lambda record: record.at):
            self._tell(record)

    def task(self, task_id: str) -> TaskStory:
        """The story of one task, begun if it is new."""
        return self.tasks.setdefault(task_id, TaskStory(task_id))

    def process(self, name: str) -> ProcessStory:
        """The story of one process, begun if it is new."""
        return self.processes.setdefault(name, ProcessStory())

    def attempt(self, task_id: str, token: int) -> Attempt:
        """The story of one delivery, begun if it is new."""
        return self.task(task_id).attempts.setdefault(token, Attempt(task_id, token))

    # --- one record ----------------------------------------------------------------------------

    @singledispatchmethod
    def _tell(self, record: Record) -> None:
        raise TypeError(record)

    @_tell.register
    def _(self, record: Submitting) -> None:
        task = self.task(record.id)
        task.submitting = min(task.submitting, record.at)
        task.refused = ""  # this time it may be accepted

    @_tell.register
    def _(self, record: Accepted) -> None:
        task = self.task(record.id)
        task.accepted = min(task.accepted, record.at)

    @_tell.register
    def _(self, record: Refused) -> None:
        self.task(record.id).refused = record.why

    @_tell.register
    def _(self, record: Claimed) -> None:
        attempt = self.attempt(record.id, record.token)
        if attempt.claimed < inf:
            attempt.twice.append(f"claimed by {attempt.process} and by {record.process}")
            return
        attempt.process = record.process
        attempt.since, attempt.claimed = record.since, record.at
        attempt.expires = max(attempt.expires, record.expires)

    @_tell.register
    def _(self, record: Renewing) -> None:
        self.attempt(record.id, record.token).tries.append(record.at)

    @_tell.register
    def _(self, record: Renewed) -> None:
        attempt = self.attempt(record.id, record.token)
        attempt.expires = max(attempt.expires, record.expires)

    @_tell.register
    def _(self, record: Lost) -> None:
        attempt = self.attempt(record.id, record.token)
        attempt.learnt = min(attempt.learnt, record.at)

    @_tell.register
    def _(self, record: Began) -> None:
        attempt = self.attempt(record.id, record.token)
        if attempt.began < inf:
            attempt.twice.append(f"begun by {attempt.process} and by {record.process}")
            return
        attempt.process = attempt.process or record.process
        attempt.began, attempt.thread = record.at, record.thread
        attempt.busy.append(record.at)

    @_tell.register
    def _(self, record: Worked) -> None:
        self.attempt(record.id, record.token).busy.append(record.at)

    @_tell.register
    def _(self, record: Ended) -> None:
        attempt = self.attempt(record.id, record.token)
        attempt.how = record.how
        if record.how == "returned":  # what is cut short may take its time to clean up
            attempt.busy.append(record.at)

    @_tell.register
    def _(self, record: Settling) -> None:
        attempt = self.attempt(record.id, record.token)
        attempt.tries.append(record.at)
        if record.at < attempt.settling:
            attempt.settling, attempt.move = record.at, record.move

    @_tell.register
    def _(self, record: Settled) -> None:
        attempt = self.attempt(record.id, record.token)
        attempt.done = attempt.done or record.done

    @_tell.register
    def _(self, record: Operating) -> None:
        self.task(record.id).operations.append(record)

    @_tell.register
    def _(self, record: Operated) -> None:
        self.task(record.id).operations.append(record)

    @_tell.register
    def _(self, record: Beat) -> None:
        self.process(record.process).beats.append(record.at)

    @_tell.register
    def _(self, record: Stopped) -> None:
        self.process(record.process).stops.append((record.at, inf))

    @_tell.register
    def _(self, record: Continued) -> None:
        stops = self.process(record.process).stops
        stops[-1] = (stops[-1][0], record.at)

    @_tell.register
    def _(self, record: Weather) -> None:
        if record.kind in HARMLESS:
            return
        weather = self.process(record.process).weather
        if weather and weather[-1][1] == inf:
            weather[-1] = (weather[-1][0], record.at)
        if record.kind:
            weather.append((record.at, inf))

    @_tell.register
    def _(self, record: Unheard) -> None:
        self.process(record.process).unheard.append((record.since, record.at))

    @_tell.register(Killed)
    @_tell.register(Asked)
    def _(self, record: Killed | Asked) -> None:
        self.process(record.process)

    @_tell.register
    def _(self, record: Died) -> None:
        process = self.process(record.process)
        process.status, process.died = record.status, record.at
