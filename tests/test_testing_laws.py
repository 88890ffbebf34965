"""Each law of the ledger is broken by a history that breaks it, and by no obedient one."""

import dataclasses

import pytest
import trio

from trioqueue import Event, Options, Outcome, OutcomeKind, State, Statistics
from trioqueue.testing import LAWS, History
from trioqueue.testing._history import (
    Began,
    Closed,
    Ended,
    Left,
    Paused,
    Quiet,
    Replayed,
    Resumed,
    Seen,
    Stopped,
    Stopping,
    Told,
)
from trioqueue.testing._laws import breaches_of

AFTER = {
    "submitted": State.READY,
    "delayed": State.SCHEDULED,
    "due": State.READY,
    "started": State.RUNNING,
    "succeeded": State.SUCCEEDED,
    "retried": State.SCHEDULED,
    "snoozed": State.SCHEDULED,
    "released": State.READY,
    "lost": State.READY,
    "died": State.DEAD,
    "cancelled": State.CANCELLED,
    "expired": State.EXPIRED,
    "replayed": State.READY,
    "handed_back": State.HANDED_BACK,
}


def seen(name, id="t", *, at=0.0, delivery=0, attempt=1, type="a", full=(), **more):
    """An event of task ``id``; options of a submit and fields of the event by keyword."""
    options = more.pop("options", Options())
    kind = more.pop("kind", None)
    outcome = None if kind is None else Outcome(kind)
    event = Event(
        name, at, id, type, options.queue, attempt, delivery, AFTER.get(name), outcome, **more
    )
    return Seen(at, event, options, frozenset(full))


def began(id="t", token=1, *, at=0.0, type="a", **more):
    return Began(at, id, type, token, **more)


def ended(id="t", token=1, *, at=0.0, type="a", **more):
    return Ended(at, id, type, token, **more)


def numbers(**counts):
    fields = dict.fromkeys((field.name for field in dataclasses.fields(Statistics)), 0)
    return Statistics(**(fields | counts))


def quiet(*, at=0.0, tokens=None, **counts):
    more = {name: counts.pop(name) for name in ("over", "ended") if name in counts}
    return Quiet(at, numbers(**counts), tokens or {}, **more)


def left(*, at=0.0, tokens=None, unfinished=(), **counts):
    return Left(at, numbers(**counts), tokens or {}, unfinished)


def submitted(id="t", **more):
    """A task that its caller knows to be accepted."""
    return [seen("submitted", id, **more), Told(0.0, (id,))]


def started(id="t", delivery=1, **more):
    """A task whose handler is on its way."""
    return [
        seen("started", id, delivery=delivery, **more),
        began(id, delivery, type=more.get("type", "a")),
    ]


def succeeded(id="t", delivery=1, **more):
    return [
        ended(id, delivery, type=more.get("type", "a")),
        seen("succeeded", id, delivery=delivery, **more),
    ]


RUN = [*submitted(), *started(), *succeeded()]
STOP = Stopping(0.0, 5.0)
FAILED = ended(error=ValueError())
CUT = ended(error=trio.Cancelled._create(source="unknown"), stopped=True)

#: (law, what breaks it, the rest of the history's promises)
BROKEN = [
    ("conservation", [*RUN, quiet(submitted=1, ready=1)], {}),
    ("conservation", [*RUN, quiet(submitted=2, succeeded=1)], {}),
    ("conservation", [*RUN, quiet(submitted=1, succeeded=1, retried=1)], {}),
    ("conservation", [*submitted(), left(submitted=1, ready=1)], {}),
    ("conservation", [left(unfinished=("t",))], {}),
    ("nothing lost", [Told(0.0, ("t",))], {}),
    ("no ghost", [seen("submitted"), Told(0.0, (), trio.WouldBlock())], {}),
    ("no ghost", [began()], {}),
    ("no ghost", [*RUN, seen("replayed"), Replayed(0.0, "t", ValueError())], {}),
    ("no ghost", [*RUN, Replayed(0.0, "t")], {}),
    ("exact settle", [*submitted(), *started(), ended(), seen("released", delivery=1)], {}),
    ("exact settle", [*RUN, seen("succeeded", delivery=1)], {}),
    ("exact settle", [*submitted(), *started(), FAILED, seen("succeeded", delivery=1)], {}),
    ("fencing", [*submitted(), *started(delivery=2)], {}),
    ("fencing", [*submitted(), *started(), seen("released", delivery=2)], {}),
    ("fencing", [*submitted(), *started(), seen("retried", delivery=1)], {}),
    ("terminal", [*RUN, seen("started", delivery=2)], {}),
    ("terminal", [seen("started", delivery=1)], {}),
    ("terminal", [*submitted(), *submitted()], {}),
    ("terminal", [*submitted(), seen("cancelled"), seen("replayed")], {}),
    ("stops end", [STOP, Stopped(1.0)], {}),
    ("stops end", [*submitted(), *started(), STOP, ended(at=9.0)], {}),
    ("stops end", [STOP, quiet()], {}),
    ("stops end", [quiet(over=True)], {}),
    ("no orphan", [*submitted(), *started(), left()], {}),
    ("no orphan", [left(), began()], {}),
    ("no orphan", [*RUN, left(submitted=1, succeeded=1), Told(0.0, ("t",))], {}),
    ("limits hold", [began("t"), began("u")], {"workers": 1}),
    (
        "limits hold",
        [*submitted("t"), *submitted("u"), *started("t"), *started("u")],
        {"workers": 9, "limits": {"a": 1}},
    ),
    ("limits hold", [began("t"), began("u")], {"workers": 9, "limits": {"a": 1}}),
    (
        "capacity holds",
        [*submitted("t"), *submitted("u"), quiet(over=True, ended=True, submitted=2, ready=2)],
        {"capacity": 1},
    ),
    (
        "capacity holds",
        [*submitted(), *started(), FAILED, seen("retried", delivery=1), *submitted("u"), quiet()],
        {"capacity": 1},
    ),
    ("tokens never leak", [left(tokens={"a": 1})], {}),
    ("tokens never leak", [*RUN, quiet(tokens={"a": 1})], {}),
    ("tokens never leak", [*submitted(), *started(), quiet(tokens={"a": 0})], {}),
    ("no burned attempt", [*submitted(), *started(), CUT, seen("retried", delivery=1)], {}),
    ("no burned attempt", [*submitted(), *started(), CUT, seen("died", delivery=1)], {}),
    ("no burned attempt", [*submitted(), *started(), CUT, seen("cancelled", delivery=1)], {}),
    ("no burned attempt", [*submitted(), *started(attempt=2)], {}),
    ("isolation", [began(spoilt=("language",))], {}),
    ("isolation", [ended(stopped=True, toppled=True)], {}),
    (
        "isolation",
        [
            *submitted(),
            *started(),
            CUT._replace(stopped=False, stray=True),
            seen("released", delivery=1, kind=OutcomeKind.INTERRUPTED),
        ],
        {},
    ),
    ("nothing after stop", [Closed(0.0), seen("submitted")], {}),
    ("nothing after stop", [Closed(0.0), *RUN], {}),
    ("nothing after stop", [Closed(0.0), seen("replayed")], {}),
    ("nothing after stop", [STOP, seen("started")], {}),
    ("nothing after stop", [STOP, began()], {}),
    ("nothing after stop", [began(stopped=True)], {}),
    ("work conservation", [*submitted(), quiet(submitted=1, ready=1)], {}),
    (
        "work conservation",
        [*submitted(), *started(), *submitted("u", type="b"), quiet()],
        {"workers": 2, "limits": {"b": 1}},
    ),
    ("work conservation", [Paused(0.0, None), *submitted(), Resumed(0.0, None), quiet()], {}),
    ("order", [*submitted("t"), *submitted("u"), seen("started", "u", delivery=1)], {}),
    (
        "order",
        [
            *submitted("t", options=Options(priority=9)),
            *submitted("u", options=Options(priority=3)),
            seen("started", "u", delivery=1),
        ],
        {},
    ),
    ("order", [Paused(0.0, "default"), *submitted(), seen("started", delivery=1)], {}),
    (
        "order",
        [
            *submitted("t"),
            *started("t"),
            *submitted("u"),
            CUT,
            seen("released", "t", delivery=1),
            seen("started", "u", delivery=1),
        ],
        {},
    ),
    (
        "never early",
        [*submitted(), seen("started", delivery=1), began(timeout=5.0, deadline=4.0)],
        {},
    ),
    (
        "never early",
        [*submitted(), seen("started", delivery=1), began(timeout=5.0, deadline=5.01)],
        {},
    ),
    (
        "never early",
        [
            *submitted(),
            seen("started", delivery=1),
            began(timeout=5.0, deadline=5.0),
            seen("retried", at=4.0, delivery=1, kind=OutcomeKind.TIMEOUT),
        ],
        {},
    ),
    (
        "never early",
        [*submitted(), *started(), seen("retried", delivery=1, kind=OutcomeKind.TIMEOUT)],
        {},
    ),
    ("never early", [seen("delayed", delay=5.0), seen("due", at=4.0)], {}),
    ("never early", [*submitted(), seen("expired", at=4.0)], {}),
    (
        "never early",
        [*submitted(options=Options(expires=5.0)), seen("expired", at=4.0)],
        {},
    ),
    (
        "keys are unique",
        [*submitted("t", options=Options(key="k")), *submitted("u", options=Options(key="k"))],
        {},
    ),
]

OBEDIENT = [
    ([], {}),
    ([*RUN, left(submitted=1, succeeded=1)], {}),
    # A task that waits may be cancelled, and one that was interrupted is before all others.
    ([*submitted(), seen("cancelled"), left(submitted=1, cancelled=1)], {}),
    (
        [
            *submitted("t"),
            *submitted("u"),
            *started("t"),
            CUT,
            seen("released", "t", delivery=1),
            *started("t", delivery=2),
        ],
        {},
    ),
    # The type of the older task has no room.
    (
        [*submitted("t"), *submitted("u", type="b"), *started("u", type="b", full=["a"])],
        {"limits": {"a": 1}},
    ),
    # Nor is it sure to have any while its limit counts what others hold.
    (
        [*submitted("t"), *submitted("u", type="b"), *started("u", type="b")],
        {"limits": {"a": 1}, "elsewhere": True, "fleet": frozenset({"a"})},
    ),
    # A lost lease is over before its handler is; what that one returns counts for nothing.
    (
        [
            *submitted(),
            *started(),
            seen("lost", delivery=1),
            *started(delivery=2),
            ended(token=1),
            *succeeded(delivery=2),
        ],
        {"workers": 2},
    ),
    # A key is free again when its task has ended.
    (
        [
            *submitted("t", options=Options(key="k")),
            seen("cancelled", "t", options=Options(key="k")),
            *submitted("u", options=Options(key="k")),
        ],
        {},
    ),
    # An attempt that was started before a stop may have its entry, or its thread, still before it.
    ([*submitted(), seen("started", delivery=1), STOP, began(), *succeeded()], {}),
    ([*submitted(), seen("started", delivery=1), began(stopped=True)], {"middleware": True}),
    # Ctrl-C takes the whole pool down.
    (
        [*submitted(), *started(), CUT._replace(toppled=True), seen("released", delivery=1)],
        {"interrupted": True},
    ),
    # What a stop cannot cancel holds it up, within its rights.
    (
        [
            *submitted(),
            *started(),
            STOP,
            ended(at=9.0, error=ValueError(), stopped=True),
            seen("released", at=9.0, delivery=1),
            Stopped(9.0),
        ],
        {},
    ),
]


@pytest.mark.parametrize(
    ("law", "entries", "promises"), BROKEN, ids=[f"{n}-{case[0]}" for n, case in enumerate(BROKEN)]
)
def test_a_law_is_broken_by_what_breaks_it(law, entries, promises):
    breaches = breaches_of(History(entries=entries, **promises))

    assert law in {breach.law for breach in breaches}
    assert all(breach.what for breach in breaches)


@pytest.mark.parametrize(("entries", "promises"), OBEDIENT)
def test_an_obedient_history_breaks_none(entries, promises):
    assert breaches_of(History(entries=entries, **promises)) == ()


def test_every_law_has_a_history_that_breaks_it():
    assert {law for law, _, _ in BROKEN} == {law.name for law in LAWS}


def test_every_law_says_what_it_says():
    assert all(law.says for law in LAWS)
    assert len({law.name for law in LAWS}) == len(LAWS)


def test_each_law_is_broken_alone_where_it_can_be():
    """The checks are apart: for each there is a history that breaks no other."""
    alone = set()
    for law, entries, promises in BROKEN:
        found = {breach.law for breach in breaches_of(History(entries=entries, **promises))}
        if found == {law}:
            alone.add(law)
    assert alone == {law.name for law in LAWS}
