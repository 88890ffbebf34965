"""``trioqueue tasks``: tasks of any state, to look at, to cancel, to try again now."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Annotated, Final, Literal, final

from cyclopts import App, Parameter

from .. import HistoryEntry, Inspector, State, Task
from ._bulk import (
    COUNTED,
    AllFlag,
    BrokerUrl,
    JsonFlag,
    Operation,
    Refused,
    YesFlag,
    open_inspector,
    operate,
)
from ._errors import Wrong
from ._exits import FAILED, OK
from ._task_text import describe_task, describe_tasks, matches, task_json
from ._text import complain, say, say_json
from ._types import FLAG, within

app = App(
    name="tasks",
    help="Look at tasks, cancel them, or try them again now.",
    help_epilogue="""\
Examples:

  trioqueue tasks list --state running\n
  trioqueue tasks list --text cat.png --newest --json\n
  trioqueue tasks show 0193e5c2\n
  trioqueue tasks cancel --all --type resize --state ready\n
  trioqueue tasks retry --all --state scheduled --queue mail\
""",
)

#: Tasks that are looked through for a text.
SEARCHED: Final = 10_000

Word = Literal["scheduled", "ready", "running", "succeeded", "dead", "cancelled", "expired"]


@Parameter(name="*")
@dataclass(frozen=True)
class Filters:
    """Which tasks."""

    state: Annotated[
        Word | None, Parameter(help="Only in this state; otherwise those that are open.")
    ] = None
    type: Annotated[str | None, Parameter(help="Only of this task type.")] = None
    queue: Annotated[str | None, Parameter(help="Only in this queue.")] = None
    text: Annotated[
        str | None,
        Parameter(help="Only with this text in the arguments, the id, the key or a header."),
    ] = None
    limit: Annotated[int | None, within(1), Parameter(help="So many at most.")] = None

    def any(self) -> bool:
        """Whether anything is asked for."""
        return any(getattr(self, each.name) is not None for each in fields(Filters))


@Parameter(name="*")
@dataclass(frozen=True)
class Chosen(Filters):
    """Which tasks, for what cannot be undone."""

    all: AllFlag = False
    yes: YesFlag = False


NewestFlag = Annotated[
    bool, FLAG, Parameter(help="The newest first; otherwise in the order of their acceptance.")
]


@app.command(name="list")
async def list_(
    *,
    broker: BrokerUrl = None,
    filters: Filters | None = None,
    newest: NewestFlag = False,
    json: JsonFlag = False,
) -> int:
    """List tasks: those that are open, or of one state; 100 unless --limit says otherwise."""
    which = filters or Filters()
    limit = which.limit or 100
    async with open_inspector(broker) as inspector:
        most = limit + 1 if which.text is None else SEARCHED
        found = await fetch(inspector, which, most, newest=newest)
    shown = [task for task in found if which.text is None or matches(task, which.text)]
    if json:
        say_json([task_json(task) for task in shown[:limit]])
        return OK
    say(*describe_tasks(shown[:limit], time.time()))
    if len(shown) > limit:
        say(f"There are more than --limit {limit:,}.")
    elif which.text is not None and len(found) == SEARCHED:
        say(f"Only the {'last' if newest else 'first'} {SEARCHED:,} were looked through.")
    return OK


async def fetch(
    inspector: Inspector, which: Filters, limit: int, *, newest: bool = False
) -> Sequence[Task]:
    """By all filters but the text, which no broker knows."""
    state = None if which.state is None else State(which.state)
    return await inspector.tasks(
        state, type=which.type, queue=which.queue, limit=limit, newest=newest
    )


@app.command
async def show(*ids: str, broker: BrokerUrl = None, json: JsonFlag = False) -> int:
    """Show tasks whole: arguments, headers, errors with tracebacks, outcome, what happened when."""
    if not ids:
        raise Wrong("tasks show: give the id of a task, or several")
    found: list[tuple[Task, Sequence[HistoryEntry]]] = []
    async with open_inspector(broker) as inspector:
        for task_id in ids:
            task = await inspector.get(task_id)
            if task is None:
                complain(unknown(task_id))
            else:
                found.append((task, await inspector.history(task_id)))
    if json:
        say_json([task_json(*each) for each in found])
    else:
        say(*(line for each in found for line in describe_task(*each)))
    return OK if len(found) == len(ids) else FAILED


@app.command
async def cancel(*ids: str, broker: BrokerUrl = None, chosen: Chosen | None = None) -> int:
    """Cancel tasks that wait, and ask running ones to end: those of these ids, or --all.

    Of all, those that are open: scheduled, ready, running.
    """
    which = chosen or Chosen()
    if which.state not in {None, "scheduled", "ready", "running"}:
        raise Wrong(f"tasks cancel: what is {which.state} has ended")
    operation = Operation("tasks", "tasks", "cancel", "cancelled", cancel_one)
    return await operate(broker, ids, which, operation, partial(Tasks, chosen=which))


async def cancel_one(inspector: Inspector, task_id: str) -> str:
    """Cancel it; says whether it has to end by itself now."""
    task = await known(inspector, task_id)
    if not await inspector.cancel(task_id):
        task = await known(inspector, task_id)
        raise Refused(f"it has ended: {task.state}")
    return "asked to end" if task.state is State.RUNNING else "cancelled"


@app.command
async def retry(*ids: str, broker: BrokerUrl = None, chosen: Chosen | None = None) -> int:
    """Try tasks again now: a dead letter from the start, a scheduled one before it is due.

    By these ids, or --all of --state dead or --state scheduled.
    """
    which = chosen or Chosen()
    if which.all and which.state not in {"dead", "scheduled"}:
        raise Wrong("tasks retry: with --all say which, --state dead or --state scheduled")
    operation = Operation("tasks", "tasks", "retry", "retried", retry_one)
    return await operate(broker, ids, which, operation, partial(Tasks, chosen=which))


async def retry_one(inspector: Inspector, task_id: str) -> str:
    """By its state."""
    task = await known(inspector, task_id)
    match task.state:
        case State.DEAD:
            await inspector.replay(task_id)
            return "replayed"
        case State.SCHEDULED if await inspector.run_now(task_id):
            return "made due now"
        case State.SCHEDULED:
            raise Refused("it has just become due")
        case state:
            raise Refused(f"it is {state}, and neither dead nor scheduled")


async def known(inspector: Inspector, task_id: str) -> Task:
    """The task, or `Refused`."""
    task = await inspector.get(task_id)
    if task is None:
        raise Refused("no such task")
    return task


def unknown(task_id: str) -> str:
    """The line for an id that is none."""
    return f"{task_id}: no such task"


@final
class Tasks:
    """The tasks that filters let through, and that were there when this began."""

    def __init__(self, inspector: Inspector, chosen: Chosen) -> None:
        self._inspector = inspector
        self._chosen = chosen
        self._last = 0.0  # when the newest one was accepted
        self.most: Final = chosen.limit

    async def begin(self) -> None:
        """Those that come from now on do not count: a busy producer would never let us end."""
        newest = await fetch(self._inspector, self._chosen, 1, newest=True)
        self._last = newest[0].accepted_at if newest else 0.0

    async def types(self) -> Counter[str]:
        """How many there are of each type, as far as one counts."""
        most = min(COUNTED, self.most or COUNTED)
        return Counter(task.type for task in (await self._fetch(COUNTED))[:most])

    async def ids(self, limit: int) -> Sequence[str]:
        """The first ones."""
        return [task.id for task in await self._fetch(limit)]

    async def _fetch(self, limit: int) -> Sequence[Task]:
        text = self._chosen.text
        most = limit if text is None else limit + SEARCHED
        tasks = await fetch(self._inspector, self._chosen, most)
        return [
            task
            for task in tasks
            if task.accepted_at <= self._last and (text is None or matches(task, text))
        ]
