"""What the page asks of the broker: lists, one task, failures, dead letters. Reads alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Final, final

import trio
from starlette.requests import Request

from .. import HistoryEntry, State, UnknownTask
from .._failures import Groups, failure_of_letter, failure_of_task
from .._model import Task
from ._api import Wrong, limit_in, number_in, text_in
from ._cache import Cache
from ._letters import COUNTED, Filter, matching_letters
from ._recorder import Recorder
from ._rows import Start, last_error, last_start, letter_json, row, str_of, timeline_json, whole
from ._source import Source, worker_json
from ._text import cut, shown

#: Seconds that a list may be old.
FRESH: Final = 1.0

#: Tasks of each state that are searched for a text, and looked at for failures.
SEARCHED: Final = 2_000

#: Running tasks of a list whose histories are asked for: when they have started, and where.
_STARTS: Final = 100

#: Tasks that are matched, and failures that are grouped, until the rest of the program has a turn.
_AT_ONCE: Final = 100

_ENDED: Final = (State.DEAD, State.SUCCEEDED, State.CANCELLED, State.EXPIRED)


@final
class Looks:
    """The endpoints that look."""

    def __init__(self, source: Source, recorder: Recorder, cache: Cache) -> None:
        self._source = source
        self._inspector = source.inspector
        self._recorder = recorder
        self._cache = cache

    # --- numbers and workers ----------------------------------------------------------------------

    async def lanes(self, request: Request) -> object:
        """The open tasks by queue and type."""
        return await self._cache.get("lanes", FRESH, self._read_lanes)

    async def _read_lanes(self) -> object:
        lanes = await self._inspector.lanes()
        everything, queues = await self._inspector.paused()
        return {
            "lanes": [lane._asdict() for lane in lanes],
            "paused": {"all": everything, "queues": list(queues)},
        }

    async def workers(self, request: Request) -> object:
        """The worker processes."""
        return {"workers": await self._workers()}

    async def _workers(self) -> list[dict[str, Any]]:
        async def read() -> list[dict[str, Any]]:
            return [worker_json(worker) for worker in await self._source.workers()]

        return await self._cache.get("workers", FRESH, read)

    # --- tasks ------------------------------------------------------------------------------------

    async def tasks(self, request: Request) -> object:
        """Tasks by state, type, queue and text, the newest first."""
        limit = limit_in(request, 100, 500)
        states = _states(text_in(request, "state"))
        type_, queue = text_in(request, "type"), text_in(request, "queue")
        text = text_in(request, "text")
        read = partial(self._find, states, type_, queue, text, limit)
        return await self._cache.get(("tasks", states, type_, queue, text, limit), FRESH, read)

    async def _find(
        self,
        states: Sequence[State | None],
        type_: str | None,
        queue: str | None,
        text: str | None,
        limit: int,
    ) -> object:
        at_most = limit + 1 if text is None else SEARCHED
        found: dict[str, Task] = {}
        more = False
        searched = 0
        if text is not None:
            exact = await self._inspector.get(text)
            if exact is not None:
                found[exact.id] = exact
        for state in states:
            tasks = await self._source.tasks(state, at_most, type=type_, queue=queue)
            searched += len(tasks)
            more = more or len(tasks) == at_most
            found |= {task.id: task for task in await _matching(tasks, text)}
        newest = sorted(found.values(), key=lambda task: task.accepted_at, reverse=True)
        return {
            "tasks": await self._rows(newest[:limit]),
            "more": more or len(newest) > limit,
            "searched": searched,
        }

    async def _rows(self, tasks: Sequence[Task]) -> list[dict[str, Any]]:
        await self._recorder.sort_out()
        starts: dict[str, Start | None] = {}
        if not self._source.in_memory:
            running = [task.id for task in tasks if task.state is State.RUNNING]
            async with trio.open_nursery() as nursery:
                for task_id in running[:_STARTS]:
                    nursery.start_soon(self._look_up_start, task_id, starts)
        rows = [row(task, self._source, self._recorder, starts.get(task.id)) for task in tasks]
        await self._name_workers(rows)
        return rows

    async def _look_up_start(self, task_id: str, starts: dict[str, Start | None]) -> None:
        starts[task_id] = last_start(await self._history(task_id))

    async def _history(self, task_id: str) -> Sequence[HistoryEntry]:
        try:
            return await self._inspector.history(task_id)
        except UnknownTask:  # it has gone meanwhile
            return ()

    async def _name_workers(self, rows: Iterable[dict[str, Any]]) -> None:
        """Say which process a worker's id stands for, as far as that is known still."""
        unnamed = [each for each in rows if each["worker"]]
        if unnamed:
            names = {worker["id"]: worker["name"] for worker in await self._workers()}
            for each in unnamed:
                each["worker_name"] = names.get(each["worker"])

    async def task(self, request: Request) -> object:
        """One task with all that is known of it."""
        task_id = text_in(request, "id")
        task = None if task_id is None else await self._inspector.get(task_id)
        if task is None:
            raise Wrong(f"no task {task_id!r} is known: never accepted, or ended too long ago", 404)
        history = await self._history(task.id)
        await self._recorder.sort_out()
        heard = self._recorder.timeline(task.id)
        about = row(task, self._source, self._recorder, last_start(history)) | whole(task)
        about |= timeline_json(history, heard, self._source)
        await self._name_workers([about, *about["timeline"]])
        return about

    # --- failures and dead letters ----------------------------------------------------------------

    async def failures(self, request: Request) -> object:
        """What fails, by type and error: dead letters, and tasks that are tried again."""
        return await self._cache.get("failures", 2 * FRESH, self._read_failures)

    async def _read_failures(self) -> object:
        letters = await self._source.dead_letters(limit=SEARCHED)
        retried = await self._source.tasks(State.SCHEDULED, SEARCHED)
        await self._recorder.sort_out()
        failures = [failure_of_letter(letter) for letter in letters]
        failures += [
            failure
            for task in retried
            if (failure := failure_of_task(task, self._failed_at(task.id))) is not None
        ]
        errors = {each.id: each.error for each in failures}
        found = Groups()
        for number, failure in enumerate(failures):
            found.add(failure)
            if number % _AT_ONCE == _AT_ONCE - 1:
                await trio.lowlevel.checkpoint()
        groups: list[dict[str, Any]] = []
        for group in found.listed():
            error = errors[group.example_id]
            groups.append(
                {
                    "type": group.type,
                    "error": group.error,
                    "group": group.error,
                    "count": group.count,
                    "dead": group.dead,
                    "retrying": group.retrying,
                    "last_at": group.last_at,
                    "state": group.state,
                    "example_id": group.example_id,
                    "example_error": None if error is None else cut(str_of(error), 2_000),
                }
            )
        more = SEARCHED in (len(letters), len(retried))
        return {"groups": groups, "searched": len(letters) + len(retried), "more": more}

    def _failed_at(self, task_id: str) -> float | None:
        at = self._recorder.failed_at(task_id)
        return None if at is None else self._source.unix(at)

    async def dead(self, request: Request) -> object:
        """Dead letters by type, error and age, the newest death first."""
        limit = limit_in(request, 100, 1_000)
        wanted = Filter(
            text_in(request, "type"),
            text_in(request, "error"),
            text_in(request, "group"),
            number_in(request, "older_than", 0, 0, 1e9),
            number_in(request, "before", 0, 0, 1e12),
        )
        letters = await self._cache.get(
            ("dead", wanted), FRESH, partial(matching_letters, self._source, wanted)
        )
        return {
            "letters": [letter_json(letter) for letter in letters[:limit]],
            "more": len(letters) > limit,
            "total": min(len(letters), COUNTED),
            "total_capped": len(letters) > COUNTED,
            "now": self._source.wall_clock(),
        }


def _states(name: str | None) -> tuple[State | None, ...]:
    """The states that are meant; ``None`` among them: the open ones."""
    if name is None or name == "all":
        return (None, *_ENDED)
    if name == "open":
        return (None,)
    try:
        return (State(name),)
    except ValueError:
        raise Wrong(f"state must be one of {', '.join(State)}, open or all") from None


async def _matching(tasks: Sequence[Task], text: str | None) -> list[Task]:
    """Those with this text in id, type, arguments or error, whatever its case."""
    if text is None:
        return list(tasks)
    wanted = text.casefold()
    found: list[Task] = []
    for index, task in enumerate(tasks):
        if index % _AT_ONCE == 0:
            await trio.lowlevel.checkpoint()
        if any(wanted in part.casefold() for part in _texts(task)):
            found.append(task)
    return found


def _texts(task: Task) -> Iterable[str]:
    yield task.id
    yield task.type
    yield from (shown(value, 2_000) for value in task.args)
    yield from (f"{name}={shown(value, 2_000)}" for name, value in task.kwargs.items())
    error = last_error(task)
    if error is not None:
        yield str_of(error)
