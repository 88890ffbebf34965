"""What a case is: one promise of a broker, as an async function, and what it needs of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, final

if TYPE_CHECKING:
    from ._bench import Bench


class Has(StrEnum):
    """What a broker has, beyond the verbs of `Broker` and `Inspector`. Declared, never guessed."""

    LOCAL = "local"  #: it is in the same process: every verb at once (``*_nowait``), ``close()``
    BOUNDED = "bounded"  #: it has bounds: opened with ``capacity=``, ``dead_capacity=``
    UNDONE = "undone"  #: a cancelled publish, claim or replay changed nothing: no network
    QUEUES = "queues"  #: ``open_queue(broker=...)`` takes it
    REMOTE = "remote"  #: it is a `RemoteBroker`
    SHARED = "shared"  #: several openings of one store, which outlives them
    LEASES = "leases"  #: leases expire by a clock
    SKIPS = "skips"  #: ``skip`` lets that clock jump while nothing else happens
    WORKERS = "workers"  #: worker processes are registered
    HISTORY = "history"  #: what happened to a task is kept
    FORGETS = "forgets"  #: ``forget`` makes it forget what has ended
    RETENTION = "retention"  #: it keeps results for ``retention`` seconds, and the ends for longer


#: What a broker in the same process has, such as the one in memory.
LOCAL_BROKER: Final = frozenset({Has.LOCAL, Has.BOUNDED, Has.UNDONE, Has.QUEUES, Has.FORGETS})
#: What a broker in a file or behind a network has.
REMOTE_BROKER: Final = frozenset(Has) - {Has.LOCAL, Has.BOUNDED}

CaseFunction = Callable[..., Awaitable[None]]


@final
@dataclass(frozen=True, slots=True)
class Case:
    """One promise. ``name`` says it, ``subject`` is the verb or the theme that it belongs to.

    ``needs``: what a broker must have, or the promise says nothing about it. ``options``: what the
    broker has to be opened with.
    """

    name: str
    subject: str
    needs: frozenset[Has]
    function: CaseFunction
    args: tuple[Any, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])

    async def play(self, bench: Bench) -> None:
        """Try it on the broker of ``bench``; `AssertionError` if the promise is not kept."""
        await self.function(bench, *self.args)


_cases: dict[str, Case] = {}


def case(
    *needs: Has, each: Iterable[Any] | None = None, **options: Any
) -> Callable[[CaseFunction], CaseFunction]:
    """Register a case, or one for ``each`` argument; the module's name is its subject."""

    def register(function: CaseFunction) -> CaseFunction:
        subject = function.__module__.rpartition("._")[2]
        name = function.__name__
        if each is None:
            add(Case(name, subject, frozenset(needs), function, (), options))
        else:
            for value in each:
                full = f"{name}[{_word(value)}]"
                add(Case(full, subject, frozenset(needs), function, (value,), options))
        return function

    return register


def add(new: Case) -> None:
    """Register a case; `ValueError` if there is one of its name."""
    if new.name in _cases:
        msg = f"two cases have the name {new.name}"
        raise ValueError(msg)
    _cases[new.name] = new


def _word(value: object) -> str:
    """A short name for an argument."""
    text = getattr(value, "__name__", None) or str(value)
    return text.replace(" ", "_")


def cases(has: Collection[Has] = tuple(Has)) -> tuple[Case, ...]:
    """The cases that say something about a broker that ``has`` these, by subject."""
    found = [case for case in _cases.values() if case.needs <= frozenset(has)]
    return tuple(sorted(found, key=lambda case: case.subject))
