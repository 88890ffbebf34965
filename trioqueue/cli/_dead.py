"""``trioqueue dead``: the dead letters, to look at, to run again, or to throw away."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Annotated, Final, final

from cyclopts import App, Parameter

from .. import DeadLetter, Inspector, State
from .._letters import dead_letter
from ._bulk import (
    COUNTED,
    AllFlag,
    BrokerUrl,
    JsonFlag,
    Operation,
    YesFlag,
    open_inspector,
    operate,
)
from ._dead_text import Found, as_json, describe, describe_list
from ._errors import Wrong
from ._exits import FAILED, OK
from ._text import complain, say, say_json
from ._types import SECONDS, within

app = App(
    name="dead",
    help="Look at dead letters, run them again, or throw them away.",
    help_epilogue="""\
Examples:

  trioqueue dead list --type resize --error "disk full"\n
  trioqueue dead show 0193e5c2\n
  trioqueue dead replay --all --type resize --older-than 3600\
""",
)


@Parameter(name="*")
@dataclass(frozen=True)
class Filters:
    """Which dead letters."""

    type: Annotated[str | None, Parameter(help="Only of this task type.")] = None
    error: Annotated[
        str | None, Parameter(help="Only those whose last error has this text in it.")
    ] = None
    older_than: Annotated[
        float,
        SECONDS,
        Parameter(help="Only those that died so many seconds ago, or before.", show_default=False),
    ] = 0.0
    limit: Annotated[int | None, within(1), Parameter(help="So many at most.")] = None

    def any(self) -> bool:
        """Whether anything is asked for."""
        return any(getattr(self, each.name) != each.default for each in fields(Filters))


@Parameter(name="*")
@dataclass(frozen=True)
class Chosen(Filters):
    """Which dead letters, for what cannot be undone."""

    all: AllFlag = False
    yes: YesFlag = False


@app.command(name="list")
async def list_(
    *, broker: BrokerUrl = None, filters: Filters | None = None, json: JsonFlag = False
) -> int:
    """List dead letters, oldest death first; 100 unless --limit says otherwise."""
    which = filters or Filters()
    limit = which.limit or 100
    async with open_inspector(broker) as inspector:
        letters = await inspector.dead_letters(
            which.type,
            error=which.error,
            older_than=which.older_than,
            limit=limit + 1,  # one more tells whether that is all
        )
    if json:
        say_json([as_json(letter) for letter in letters[:limit]])
        return OK
    say(*describe_list(letters[:limit], time.time()))
    if len(letters) > limit:
        say(f"There are more than --limit {limit:,}.")
    return OK


@app.command
async def show(*ids: str, broker: BrokerUrl = None, json: JsonFlag = False) -> int:
    """Show dead letters whole: arguments, errors with their tracebacks, what happened when."""
    if not ids:
        raise Wrong("dead show: give the id of a dead letter, or several")
    found: list[Found] = []
    async with open_inspector(broker) as inspector:
        for task_id in ids:
            task = await inspector.get(task_id)
            if task is None or task.state is not State.DEAD:
                complain(f"no dead letter {task_id!r}")
            else:
                found.append(Found(dead_letter(task), await inspector.history(task_id)))
    if json:
        say_json([as_json(*each) for each in found])
    else:
        say(*(line for each in found for line in describe(*each)))
    return OK if len(found) == len(ids) else FAILED


@app.command
async def replay(*ids: str, broker: BrokerUrl = None, chosen: Chosen | None = None) -> int:
    """Run dead letters again, with all their attempts: those of these ids, or --all."""

    async def again(inspector: Inspector, task_id: str) -> str:
        await inspector.replay(task_id)
        return "replayed"

    which = chosen or Chosen()
    operation = Operation("dead", "dead letters", "replay", "replayed", again)
    return await operate(broker, ids, which, operation, partial(Letters, chosen=which))


@app.command
async def purge(*ids: str, broker: BrokerUrl = None, chosen: Chosen | None = None) -> int:
    """Throw dead letters away for good: those of these ids, or --all."""

    async def away(inspector: Inspector, task_id: str) -> str:
        await inspector.purge(task_id)
        return "purged"

    which = chosen or Chosen()
    operation = Operation("dead", "dead letters", "purge", "purged", away)
    return await operate(broker, ids, which, operation, partial(Letters, chosen=which))


@final
class Letters:
    """The dead letters that filters let through, and that were dead when this began."""

    def __init__(self, inspector: Inspector, chosen: Chosen) -> None:
        self._inspector = inspector
        self._chosen = chosen
        self._began = time.monotonic()
        self.most: Final = chosen.limit

    async def begin(self) -> int | None:
        """Of all, the broker knows how many; of those that filters let through, nobody does."""
        if self._chosen.any():
            return None
        return (await self._inspector.counts()).dead

    async def types(self) -> Counter[str]:
        """How many there are of each type, as far as one counts."""
        most = min(COUNTED, self.most or COUNTED)
        return Counter(letter.type for letter in await self._fetch(most))

    async def ids(self, limit: int) -> Sequence[str]:
        """The first ones."""
        return [letter.id for letter in await self._fetch(limit)]

    async def _fetch(self, limit: int) -> Sequence[DeadLetter]:
        chosen = self._chosen
        return await self._inspector.dead_letters(
            chosen.type,
            error=chosen.error,
            # What dies again while the others are replayed is not theirs.
            older_than=chosen.older_than + time.monotonic() - self._began,
            limit=limit,
        )
