"""The laws: what must hold of every history, each a check of its own.

``LAWS`` is the table. A check yields one sentence for each breach that it finds; an obedient
history yields none. A law of durable brokers alone (a partition, a repeat with an excuse) is not
here: in memory there is nothing that it could be broken by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from ._history import History
from ._laws_pool import (
    capacity_holds,
    isolation,
    limits_hold,
    no_orphan,
    nothing_after_stop,
    order,
    stops_end,
    tokens_never_leak,
    work_conservation,
)
from ._laws_tasks import (
    conservation,
    exact_settle,
    fencing,
    keys_are_unique,
    never_early,
    no_burned_attempt,
    no_ghost,
    nothing_lost,
    terminal,
)


class Law(NamedTuple):
    """A law: its name, what it says, and the check that finds its breaches."""

    name: str
    says: str
    check: Callable[[History], Iterator[str]]


LAWS: Final[tuple[Law, ...]] = (
    Law(
        "conservation",
        "every accepted task is in exactly one state, and the queue counts as the events do",
        conservation,
    ),
    Law("nothing lost", "what a caller was told is accepted is accepted", nothing_lost),
    Law(
        "no ghost",
        "a submit that was cancelled or refused leaves nothing behind and never runs",
        no_ghost,
    ),
    Law(
        "exact settle",
        "a handler that returned while it held its lease is settled once, as succeeded",
        exact_settle,
    ),
    Law("fencing", "only the holder of the current lease changes a task", fencing),
    Law(
        "terminal", "only a replay leaves a terminal state, and no other move is made up", terminal
    ),
    Law(
        "stops end", "a stop ends with its grace, or with the last handler that goes on", stops_end
    ),
    Law("no orphan", "when the block is left no handler is on its way", no_orphan),
    Law(
        "limits hold", "at no instant do more run than a limit, or the workers, allow", limits_hold
    ),
    Law("capacity holds", "no more tasks are open than there is room for", capacity_holds),
    Law(
        "tokens never leak",
        "a token is lent while a handler runs, and only then",
        tokens_never_leak,
    ),
    Law(
        "no burned attempt",
        "a stop, a lost lease or a snooze never counts as a failure of the task",
        no_burned_attempt,
    ),
    Law(
        "isolation",
        "what one handler does is not felt by its siblings, its successor or the pool",
        isolation,
    ),
    Law(
        "nothing after stop",
        "after a close nothing is accepted; after a stop no handler begins",
        nothing_after_stop,
    ),
    Law(
        "work conservation",
        "no worker is idle while a task that it may take is ready",
        work_conservation,
    ),
    Law(
        "order",
        "within a queue: priority, what a stop gave back, acceptance, among types with room",
        order,
    ),
    Law(
        "never early",
        "no timeout, delay or expiry comes early; a timeout is late by less than min(1 ms, 1 %)",
        never_early,
    ),
    Law("keys are unique", "no two open tasks of a queue hold the same key", keys_are_unique),
)


class Breach(NamedTuple):
    """One breach of one law."""

    law: str
    what: str

    def __str__(self) -> str:
        return f"{self.law}: {self.what}"


class LawBroken(AssertionError):
    """The history of a queue breaks a law. Either trioqueue has a bug, or its broker has.

    ``breaches`` says which laws, and how.
    """

    def __init__(self, breaches: tuple[Breach, ...], note: str = "") -> None:
        self.breaches = breaches
        lines = [f"{len(breaches)} breach(es) of the laws of trioqueue"]
        lines += [f"  {breach}" for breach in breaches[:10]]
        super().__init__("\n".join(lines) + note)


def breaches_of(history: History) -> tuple[Breach, ...]:
    """All breaches of all laws in a history."""
    return tuple(Breach(law.name, what) for law in LAWS for what in law.check(history))
