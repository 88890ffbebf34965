"""Cases of events: told after the change, in order, and so that folding them gives the state.

(That they fold, and that the sum of what they tell is what the counts say, is looked at in every
case.)
"""

from __future__ import annotations

from ... import Event, Move, OutcomeKind, State
from ._bench import Bench, verdict
from ._case import case
from ._places import ENDED, LIVE, bring


@case(each={**LIVE, **ENDED})
async def the_events_of_a_task_lead_to_where_it_is(bench: Bench, place: str) -> None:
    await bring(bench, "1", place)
    names = bench.names("1")
    assert names[0] == ("delayed" if place == "scheduled" else "submitted")
    assert len(names) == len(bench.events)
    told = {"scheduled", "ready", "running", "released", "revoked"}
    last = {"revoked": "lost", "ready": "submitted", "scheduled": "delayed", "running": "started"}
    if place in told:
        assert names[-1] == last.get(place, place)
    last_event = bench.events[-1]
    assert last_event.state is {**LIVE, **ENDED}[place]


@case()
async def a_long_life_is_told_in_order(bench: Bench) -> None:
    await bench.publish("1", delay=1)
    await bench.sleep(2)
    await bench.end(await bench.take("1"), Move.RETRIED, delay=1)
    await bench.sleep(2)
    await bench.end(await bench.take("1"), Move.SNOOZED)
    await bench.take("1")
    await bench.inspector.revoke("1")
    await bench.end(await bench.take("1"), Move.RELEASED)
    await bench.end(await bench.take("1"), Move.DIED)
    await bench.inspector.replay("1")
    await bench.end(await bench.take("1"), Move.SUCCEEDED)
    assert bench.names() == [
        *("delayed", "due", "started", "retried", "due", "started", "snoozed", "due", "started"),
        *("lost", "started", "released", "started", "died", "replayed", "started", "succeeded"),
    ]


@case()
async def an_event_says_what_it_is_about(bench: Bench) -> None:
    await bench.publish("1", type="send", queue="mail")
    await bench.end(await bench.take("1"), Move.RETRIED, delay=4)
    await bench.sleep(5)
    await bench.end(await bench.take("1"), Move.SUCCEEDED)
    assert {(e.task_id, e.task_type, e.queue) for e in bench.events} == {("1", "send", "mail")}
    assert [(e.name, e.attempt, e.delivery, e.state) for e in bench.events] == [
        ("submitted", 1, 0, State.READY),
        ("started", 1, 1, State.RUNNING),
        ("retried", 1, 1, State.SCHEDULED),
        ("due", 2, 1, State.READY),
        ("started", 2, 2, State.RUNNING),
        ("succeeded", 2, 2, State.SUCCEEDED),
    ]
    retried = bench.events[2]
    assert retried.delay == bench.seconds(4)
    assert retried.outcome is not None
    assert retried.outcome.kind is OutcomeKind.ERROR
    assert [e.time for e in bench.events] == sorted(e.time for e in bench.events)


@case()
async def a_start_says_how_long_the_task_has_waited(bench: Bench) -> None:
    await bench.publish("1")
    await bench.sleep(4)
    await bench.take("1")
    assert bench.about(bench.events[-1].waited, 4)


@case()
async def a_batch_is_told_in_its_order(bench: Bench) -> None:
    await bench.publish("b", "a", "c")
    leases = await bench.claim()
    await bench.settle(*(verdict(lease, Move.SUCCEEDED) for lease in leases))
    assert [e.task_id for e in bench.events] == ["b", "a", "c"] * 3


@case()
async def what_did_not_happen_is_not_told(bench: Bench) -> None:
    """Duplicates, repeats, refusals: no event that would change a state."""
    settlement = await bench.end(await bench.running("1", key="k"), Move.RETRIED, delay=9)
    seen = len(bench.events)
    await bench.publish("1")
    await bench.publish("2", key="k")
    await bench.settle(settlement)
    await bench.settle(verdict(settlement.lease, Move.SUCCEEDED))
    await bench.inspector.revoke("1")
    await bench.claim()
    assert set(bench.names()[seen:]) <= {"refused"}


@case()
async def a_request_to_cancel_is_told(bench: Bench) -> None:
    lease = await bench.running("1")
    await bench.inspector.cancel("1")
    await bench.broker.renew([lease])
    await bench.end(lease, Move.CANCELLED)
    assert bench.names() == ["submitted", "started", "cancel_requested", "cancelled"]


@case()
async def an_observer_hears_of_what_has_happened_already(bench: Bench) -> None:
    """It never sees a task that is not yet what the event says."""
    seen: list[tuple[str, State | None]] = []
    bench.broker.events.add(lambda event: seen.append((event.task_id, event.state)))
    await bench.publish("1")
    assert seen == [("1", State.READY)]
    await bench.take("1")
    assert seen[1:] == [("1", State.RUNNING)]
    assert await bench.state("1") is State.RUNNING


@case()
async def without_observers_everything_goes_on(bench: Bench) -> None:
    bench.broker.events.observers = ()
    await bench.publish("1")
    await bench.end(await bench.take("1"), Move.RETRIED, delay=1)
    await bench.sleep(2)
    await bench.end(await bench.take("1"), Move.SUCCEEDED)
    assert await bench.state("1") is State.SUCCEEDED
    assert bench.events == []
    bench.forget_events()
    later: list[Event] = []
    bench.broker.events.add(later.append)
    await bench.publish("2")
    assert [event.task_id for event in later] == ["2"]
