"""The same to many: in chunks, with a bar, and with an account of what was done and refused."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Final, NamedTuple, Protocol, final

import trio
from cyclopts import Parameter

from .. import BrokerFailed, BrokerUnavailable, Inspector, TrioqueueError
from ..brokers._url import open_broker_url
from ._broker import BrokerOption, broker_url
from ._errors import Wrong
from ._exits import FAILED, OK
from ._interrupt import Interrupt, interruptible
from ._progress import Count, progress
from ._text import complain, say
from ._types import FLAG

#: How many are operated on at once: they share transactions, and none waits for long.
AT_ONCE: Final = 100
#: Ids that are fetched in one go.
CHUNK: Final = 500
#: Looked at to say what a question is about; more are "more than" that.
COUNTED: Final = 10_000

BrokerUrl = Annotated[
    BrokerOption,
    Parameter(help="Where the tasks are kept, such as sqlite:///jobs.db or redis://host."),
]
JsonFlag = Annotated[bool, FLAG, Parameter(help="Print JSON instead of text.")]
AllFlag = Annotated[bool, FLAG, Parameter(help="All that the filters let through.")]
YesFlag = Annotated[bool, FLAG, Parameter(help="Ask nothing.")]

#: Does it to the task of an id, and returns the word for what was done.
Act = Callable[[Inspector, str], Awaitable[str]]
#: The next ids, or none at the end.
More = Callable[[], Awaitable[Sequence[str]]]


class Refused(Exception):
    """It cannot be done to this task; the others are not concerned."""


@asynccontextmanager
async def open_inspector(broker: str | None) -> AsyncGenerator[Inspector]:
    """The broker, which must be there already, for as long as the block lasts."""
    async with open_broker_url(broker_url(broker), create=False) as opened:
        yield opened


def check_choice(command: str, ids: Sequence[str], every: bool, filtered: bool) -> None:
    """`Wrong` unless either ids are given, or --all with or without filters."""
    if ids and (every or filtered):
        raise Wrong(f"{command}: give ids, or --all and filters, not both")
    if not ids and not every:
        hint = "to do it to all that the filters let through, add --all"
        raise Wrong(f"{command}: {hint if filtered else 'give ids, or --all'}")


class Chosen(Protocol):
    """What a command line says of what cannot be undone."""

    @property
    def all(self) -> bool:
        """All that the filters let through."""
        ...

    @property
    def yes(self) -> bool:
        """Ask nothing."""
        ...

    def any(self) -> bool:
        """Whether there are filters."""
        ...


class Selection(Protocol):
    """What the filters let through, of what was there when this began."""

    @property
    def most(self) -> int | None:
        """The --limit."""
        ...

    async def begin(self) -> int | None:
        """Before anything else; how many there are, if that is known without looking at them."""
        ...

    async def types(self) -> Counter[str]:
        """How many there are of each type, as far as one counts: `COUNTED`."""
        ...

    async def ids(self, limit: int) -> Sequence[str]:
        """The first ones that are there now."""
        ...


class Operation(NamedTuple):
    """``noun``: what they are; ``verb`` and ``idle``: what is done, and was done to none."""

    group: str
    noun: str
    verb: str
    idle: str
    act: Act


def may_ask(yes: bool) -> bool:
    """Whether there is somebody to ask."""
    return not yes and sys.stdin is not None and sys.stdin.isatty() and sys.stderr is not None


def confirmed(verb: str, noun: str, types: Counter[str]) -> bool:
    """Ask; anything but yes is no."""
    what = ", ".join(f"{count:,} {name}" for name, count in types.most_common())
    more = "more than " if types.total() >= COUNTED else ""
    print(f"{verb} {more}{types.total():,} {noun} ({what})? [y/N] ", end="", file=sys.stderr)
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


@final
class Once:
    """Those ids, each once, in chunks."""

    def __init__(self, ids: Sequence[str]) -> None:
        self._ids = list(dict.fromkeys(ids))

    async def __call__(self) -> Sequence[str]:
        """See `More`."""
        await trio.lowlevel.checkpoint()
        chunk, self._ids = self._ids[:CHUNK], self._ids[CHUNK:]
        return chunk


@final
class Pages:
    """Ids from a list that changes while they are operated on, each once, ``most`` in all.

    ``fetch(limit)``: the first ones that are in the list now. Those that were refused stay there.
    """

    def __init__(
        self, fetch: Callable[[int], Awaitable[Sequence[str]]], most: int | None = None
    ) -> None:
        self._fetch = fetch
        self._left = most
        self._seen: set[str] = set()
        self._stay = 0  # so many of those seen may be at the head of the list

    async def __call__(self) -> Sequence[str]:
        """See `More`."""
        if self._left == 0:
            return ()
        ids = await self._fetch(CHUNK + self._stay)
        fresh = [each for each in dict.fromkeys(ids) if each not in self._seen]
        known = len(ids) - len(fresh)
        fresh = fresh[: CHUNK if self._left is None else min(CHUNK, self._left)]
        if self._left is not None:
            self._left -= len(fresh)
        self._seen.update(fresh)
        self._stay = known + len(fresh)
        return fresh


@final
class Bulk:
    """An operation on many tasks, and what became of it."""

    def __init__(self, verb: str, inspector: Inspector, act: Act, total: int | None) -> None:
        self._verb = verb
        self._inspector = inspector
        self._act = act
        self._count = Count(total)
        self.done: Counter[str] = Counter()
        self.refused = 0

    async def run(self, more: More, idle: str) -> int:
        """Do it to all; returns the exit code. ``idle``: the word, if there was nothing to do.

        A signal or a broker that fails ends it, and what was done until then is said.
        """
        try:
            interrupt = await self._until_signalled(more)
        except BaseException:
            if self.done:
                self._tell(idle)
            raise
        self._tell(idle)
        if interrupt.number is not None:
            return interrupt.tell("the rest is as it was")
        return FAILED if self.refused else OK

    def _tell(self, idle: str) -> None:
        said = ", ".join(f"{count:,} {word}" for word, count in sorted(self.done.items()))
        say(said or f"0 {idle}")

    async def _until_signalled(self, more: More) -> Interrupt:
        async with interruptible() as interrupt, progress(self._verb, self._count):
            while ids := await more():
                await self._do(ids)
        return interrupt

    async def _do(self, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), AT_ONCE):
            refused: list[str] = []
            async with trio.open_nursery() as nursery:
                for task_id in ids[start : start + AT_ONCE]:
                    nursery.start_soon(self._one, task_id, refused)
            for line in sorted(refused):
                complain(line)

    async def _one(self, task_id: str, refused: list[str]) -> None:
        try:
            self.done[await self._act(self._inspector, task_id)] += 1
        except (BrokerFailed, BrokerUnavailable):
            raise
        except (TrioqueueError, Refused) as error:
            self.refused += 1
            refused.append(f"{task_id}: {error}")
        self._count.done += 1


async def operate(
    broker: str | None,
    ids: Sequence[str],
    chosen: Chosen,
    operation: Operation,
    select: Callable[[Inspector], Selection],
) -> int:
    """Do it to these ids, or to all that are selected; say what was done. Returns the exit code."""
    group, noun, verb, idle, act = operation
    check_choice(f"{group} {verb}", ids, chosen.all, chosen.any())
    async with open_inspector(broker) as inspector:
        if ids:
            return await Bulk(verb, inspector, act, len(ids)).run(Once(ids), idle)
        selection = select(inspector)
        total = await selection.begin()
        if may_ask(chosen.yes):
            types = await selection.types()
            if types and not confirmed(verb, noun, types):
                complain("nothing was done")
                return FAILED
            total = total or (types.total() if types.total() < COUNTED else None)
        pages = Pages(selection.ids, selection.most)
        return await Bulk(verb, inspector, act, total).run(pages, idle)
