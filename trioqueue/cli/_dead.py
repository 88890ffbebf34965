"""``trioqueue dead``: the dead letters, to look at, to run again, or to throw away."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Final

import trio
from cyclopts import App, Parameter

from .. import BrokerFailed, BrokerUnavailable, Inspector, State, TrioqueueError
from .._letters import dead_letter
from ..brokers._url import open_broker_url
from ._broker import BrokerOption, broker_url
from ._dead_text import Found, as_json, describe, describe_list
from ._errors import Wrong
from ._exits import FAILED, OK
from ._text import complain, say, say_json
from ._types import FLAG, SECONDS, within

#: How many are replayed or purged at once: they share transactions, and none waits for long.
AT_ONCE: Final = 100

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

BrokerUrl = Annotated[
    BrokerOption,
    Parameter(help="Where the tasks are kept, such as sqlite:///jobs.db or redis://host."),
]
JsonFlag = Annotated[bool, FLAG, Parameter(help="Print JSON instead of text.")]


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


@Parameter(name="*")
@dataclass(frozen=True)
class Chosen(Filters):
    """Which dead letters, for what cannot be undone."""

    all: Annotated[bool, FLAG, Parameter(help="All that the filters let through.")] = False
    yes: Annotated[bool, FLAG, Parameter(help="Ask nothing.")] = False


@asynccontextmanager
async def open_inspector(broker: str | None) -> AsyncGenerator[Inspector]:
    """The broker, which must be there already, for as long as the block lasts."""
    async with open_broker_url(broker_url(broker), create=False) as opened:
        yield opened


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

    async def again(inspector: Inspector, task_id: str) -> None:
        await inspector.replay(task_id)

    return await operate(broker, ids, chosen or Chosen(), "replay", "replayed", again)


@app.command
async def purge(*ids: str, broker: BrokerUrl = None, chosen: Chosen | None = None) -> int:
    """Throw dead letters away for good: those of these ids, or --all."""

    async def away(inspector: Inspector, task_id: str) -> None:
        await inspector.purge(task_id)

    return await operate(broker, ids, chosen or Chosen(), "purge", "purged", away)


async def operate(
    broker: str | None,
    ids: Sequence[str],
    chosen: Chosen,
    verb: str,
    done: str,
    act: Callable[[Inspector, str], Awaitable[None]],
) -> int:
    """Do it to all that are meant, and say what was done."""
    check_choice(ids, chosen, verb)
    async with open_inspector(broker) as inspector:
        if not ids:
            letters = await inspector.dead_letters(
                chosen.type,
                error=chosen.error,
                older_than=chosen.older_than,
                limit=chosen.limit,
            )
            types = Counter(letter.type for letter in letters)
            ids = [letter.id for letter in letters]
            if ids and not chosen.yes and not confirmed(verb, types):
                complain("nothing was done")
                return FAILED
        failures = await do_all(inspector, ids, act)
    say(f"{len(ids) - len(failures):,} {done}")
    for failure in failures:
        complain(failure)
    return FAILED if failures else OK


def check_choice(ids: Sequence[str], chosen: Chosen, verb: str) -> None:
    """`Wrong` unless either ids are given, or --all with or without filters."""
    filtered = Filters(chosen.type, chosen.error, chosen.older_than, chosen.limit) != Filters()
    if ids and (chosen.all or filtered):
        raise Wrong(f"dead {verb}: give ids, or --all and filters, not both")
    if not ids and not chosen.all:
        hint = "to do it to all that the filters let through, add --all"
        raise Wrong(f"dead {verb}: give ids, or --all" if not filtered else f"dead {verb}: {hint}")


def confirmed(verb: str, types: Counter[str]) -> bool:
    """Ask, if there is somebody to ask."""
    if sys.stdin is None or not sys.stdin.isatty() or sys.stderr is None:
        return True
    what = ", ".join(f"{count:,} {name}" for name, count in types.most_common())
    print(f"{verb} {types.total():,} dead letters ({what})? [y/N] ", end="", file=sys.stderr)
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


async def do_all(
    inspector: Inspector, ids: Sequence[str], act: Callable[[Inspector, str], Awaitable[None]]
) -> list[str]:
    """Do it to each; returns what was refused, as lines.

    A broker that fails ends it; what was done until then stays done.
    """
    refused: list[str] = []

    async def one(task_id: str) -> None:
        try:
            await act(inspector, task_id)
        except (BrokerFailed, BrokerUnavailable):
            raise
        except TrioqueueError as error:
            refused.append(f"{task_id}: {error}")

    for start in range(0, len(ids), AT_ONCE):
        async with trio.open_nursery() as nursery:
            for task_id in dict.fromkeys(ids[start : start + AT_ONCE]):
                nursery.start_soon(one, task_id)
    return sorted(refused)
