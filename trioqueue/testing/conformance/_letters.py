"""Cases of dead letters: what is kept of them, finding, replaying and purging them."""

from __future__ import annotations

from typing import Any

from ... import Move, State, UnknownTask
from ._bench import Bench, raised, verdict
from ._case import Has, case
from ._places import ENDED, LIVE, bring


@case()
async def a_dead_letter_keeps_all_that_is_needed_to_run_it_again(bench: Bench) -> None:
    """The payload too, if it cannot even be decoded."""
    await bench.publish("1", type="send", queue="mail", key="k", payload=b"\xff{")
    await bench.end(await bench.take("1"), Move.RETRIED, error="first")
    await bench.end(await bench.take("1"), Move.DIED, error="last")
    (letter,) = await bench.inspector.dead_letters()
    assert (letter.id, letter.type, letter.queue, letter.key) == ("1", "send", "mail", "k")
    assert (letter.payload, letter.failures, letter.deliveries) == (b"\xff{", 2, 2)
    assert [error.message for error in letter.errors] == ["first", "last"]
    assert letter.error == letter.errors[-1]
    assert letter.died_at > 0


@case()
async def a_dead_letter_keeps_its_headers_and_a_replay_does(bench: Bench) -> None:
    await bench.dead("1", headers={"who": "me"})
    await bench.dead("2")
    assert [letter.headers for letter in await bench.inspector.dead_letters()] == [
        {"who": "me"},
        {},
    ]
    await bench.inspector.replay("1")
    assert (await bench.take("1")).task.options.headers == {"who": "me"}


@case()
async def a_dead_task_is_not_run_again_by_itself(bench: Bench) -> None:
    await bench.dead("1")
    await bench.sleep(20)
    assert await bench.claimed() == []
    assert await bench.state("1") is State.DEAD


async def _some_letters(bench: Bench) -> None:
    """Five letters: a1 b1 a2 b2 a3, a unit of time apart."""
    for n, (task_id, error) in enumerate(
        (("a1", "red"), ("b1", "red wine"), ("a2", "green"), ("b2", "green"), ("a3", "red"))
    ):
        lease = await bench.running(task_id, type=task_id[0])
        await bench.end(lease, Move.DIED, error=error)
        if n < 4:
            await bench.sleep(2)


async def _ids(bench: Bench, *args: str, **options: Any) -> list[str]:
    letters = await bench.inspector.dead_letters(*args, **options)
    return [letter.id for letter in letters]


@case()
async def dead_letters_come_oldest_death_first(bench: Bench) -> None:
    """Whenever the tasks were accepted."""
    assert await _ids(bench) == []
    await bench.publish("1", "2", "3")
    one, two, three = await bench.claim()
    for lease in (two, three, one):
        await bench.end(lease, Move.DIED)
        await bench.sleep(1)
    assert await _ids(bench) == ["2", "3", "1"]


@case()
async def the_newest_death_comes_first_if_asked_for(bench: Bench) -> None:
    """And the limit counts from there."""
    await _some_letters(bench)
    assert await _ids(bench, newest=True) == ["a3", "b2", "a2", "b1", "a1"]
    assert await _ids(bench, newest=True, limit=2) == ["a3", "b2"]
    assert await _ids(bench, "a", newest=True, error="red", limit=1) == ["a3"]
    assert await _ids(bench, newest=True, older_than=bench.seconds(3)) == ["a2", "b1", "a1"]


@case()
async def dead_letters_are_found_by_type_and_error(bench: Bench) -> None:
    """The error as people read it: ``Type: message``."""
    await _some_letters(bench)
    assert await _ids(bench) == ["a1", "b1", "a2", "b2", "a3"]
    assert await _ids(bench, "a") == ["a1", "a2", "a3"]
    assert await _ids(bench, "nobody") == []
    assert await _ids(bench, error="red") == ["a1", "b1", "a3"]
    assert await _ids(bench, error="ValueError: green") == ["a2", "b2"]
    assert await _ids(bench, error="blue") == []
    assert await _ids(bench, "b", error="red") == ["b1"]


@case()
async def dead_letters_are_found_by_age(bench: Bench) -> None:
    await _some_letters(bench)  # 8, 6, 4, 2 and 0 units ago
    assert await _ids(bench, older_than=bench.seconds(5)) == ["a1", "b1"]
    assert await _ids(bench, older_than=bench.seconds(3)) == ["a1", "b1", "a2"]
    assert await _ids(bench, older_than=bench.seconds(90)) == []


@case()
async def so_many_dead_letters_are_shown_as_asked(bench: Bench) -> None:
    await _some_letters(bench)
    assert await _ids(bench, limit=2) == ["a1", "b1"]
    assert await _ids(bench, "b", limit=1) == ["b1"]
    assert await _ids(bench, error="green", limit=9) == ["a2", "b2"]
    assert await _ids(bench, limit=None) == ["a1", "b1", "a2", "b2", "a3"]


@case()
async def the_error_looked_for_is_plain_text(bench: Bench) -> None:
    """No pattern of any kind, and it is the last error that counts."""
    await bench.publish("1")
    await bench.end(await bench.take("1"), Move.RETRIED, error="first")
    await bench.end(await bench.take("1"), Move.DIED, error="100% of a_b*c?")
    assert await _ids(bench, error="100% of a_b*c?") == ["1"]
    for text in ("first", "100% of aXb", "1%", "a*c", "ofXa"):
        assert await _ids(bench, error=text) == [], text


# --- replay ---------------------------------------------------------------------------------------


@case()
async def a_replay_makes_a_dead_letter_ready_again(bench: Bench) -> None:
    """Its failures are forgotten, its deliveries are not."""
    await bench.publish("1")
    await bench.end(await bench.take("1"), Move.RETRIED)
    await bench.end(await bench.take("1"), Move.DIED)
    task = await bench.inspector.replay("1")
    assert (task.id, task.state) == ("1", State.READY)
    task = await bench.get("1")
    assert (task.state, task.failures, task.deliveries, task.outcome) == (State.READY, 0, 2, None)
    assert await _ids(bench) == []
    counts = await bench.counts()
    assert (counts.submitted, counts.dead, counts.ready) == (1, 0, 1)
    assert counts.moves[Move.REPLAYED] == 1
    lease = await bench.take("1")
    assert (lease.token, lease.task.attempt) == (3, 1)
    await bench.end(lease, Move.SUCCEEDED)


@case()
async def a_replayed_task_comes_after_what_is_ready_already(bench: Bench) -> None:
    await bench.dead("1")
    await bench.publish("2")
    await bench.inspector.replay("1")
    await bench.publish("3")
    assert await bench.claimed() == ["2", "1", "3"]


@case()
async def a_task_may_die_and_be_replayed_again_and_again(bench: Bench) -> None:
    await bench.dead("1")
    for n in range(3):
        await bench.inspector.replay("1")
        await bench.end(await bench.take("1"), Move.DIED, error=f"again {n}")
    (letter,) = await bench.inspector.dead_letters()
    assert letter.error is not None
    assert (letter.error.message, letter.failures, letter.deliveries) == ("again 2", 1, 4)


@case(each=[*LIVE, *(place for place in ENDED if place != "died"), "unknown"])
async def only_a_dead_letter_is_replayed(bench: Bench, place: str) -> None:
    if place != "unknown":
        await bring(bench, "1", place)
    before = await bench.picture()
    error = await raised(UnknownTask, bench.inspector.replay, "1")
    assert error.task_id == "1"
    assert await bench.picture() == before


# --- purge ----------------------------------------------------------------------------------------


@case()
async def a_purged_letter_is_gone_for_good(bench: Bench) -> None:
    await bench.dead("1", "2")
    await bench.inspector.purge("1")
    assert await _ids(bench) == ["2"]
    assert await bench.state("1") is State.PURGED
    await raised(UnknownTask, bench.inspector.replay, "1")
    counts = await bench.counts()
    assert (counts.dead, counts.purged) == (1, 1)
    assert await bench.claimed() == []


@case(each=[*LIVE, *(place for place in ENDED if place != "died"), "unknown"])
async def only_a_dead_letter_is_purged(bench: Bench, place: str) -> None:
    if place != "unknown":
        await bring(bench, "1", place)
    before = await bench.picture()
    error = await raised(UnknownTask, bench.inspector.purge, "1")
    assert error.task_id == "1"
    assert await bench.picture() == before


@case()
async def a_letter_is_kept_while_its_old_holder_protests(bench: Bench) -> None:
    """A repeated settle of the death neither doubles nor revives it."""
    settlement = verdict(await bench.running("1"), Move.DIED)
    assert await bench.settle(settlement) == [True]
    assert await bench.settle(settlement) == [True]
    assert await bench.settle(verdict(settlement.lease, Move.SUCCEEDED)) == [False]
    assert await _ids(bench) == ["1"]
    assert len((await bench.get("1")).trace().errors) == 1


@case(Has.BOUNDED, dead_capacity=2)
async def the_oldest_letter_makes_room(bench: Bench) -> None:
    """Counted, and known by its end: it does not run again."""
    await bench.dead("1", "2", "3")
    assert await _ids(bench) == ["2", "3"]
    assert await bench.state("1") is State.EVICTED
    await raised(UnknownTask, bench.inspector.replay, "1")
    counts = await bench.counts()
    assert (counts.dead, counts.evicted) == (2, 1)
    assert [task.state for task in await bench.publish("1")] == [State.EVICTED]
