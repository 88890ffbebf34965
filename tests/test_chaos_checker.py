"""The judge of the crash proofs: each rule notices its violation, and nothing legal offends it."""

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from math import inf
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chaos_world import TERMS, TICK, Held, World
from trioqueue import Counts, State
from trioqueue.testing.chaos import (
    EXCUSES,
    RULES,
    Final,
    FinalState,
    check,
    open_witness,
    read_records,
)
from trioqueue.testing.chaos import _records as r
from trioqueue.testing.chaos._excuses import count_excuses, repeats
from trioqueue.testing.chaos._story import Attempt, Story

pytestmark = pytest.mark.main  # histories drawn by the hundred


def names(records: list[r.Record], final: FinalState) -> set[str]:
    return {violation.rule for violation in check(records, final, TERMS)}


def excuses(world: World) -> dict[str, int]:
    return dict(count_excuses(Story(world.records), TERMS))


def ticks(world: World, seconds: float) -> None:
    for _ in range(round(seconds / TICK)):
        world.tick()


def begun() -> tuple[World, Held]:
    """A world with one process that has one task in hand."""
    world = World()
    world.submit()
    held = world.claim(world.start())
    assert held is not None
    ticks(world, 0.2)
    return world, held


# --- every excuse is one ------------------------------------------------------------------------


def _retry(world: World, held: Held) -> None:
    world.end(world.processes["w1"], held, "raised")


def _snooze(world: World, held: Held) -> None:
    world.end(world.processes["w1"], held, "raised")
    world.records = [
        each._replace(move="snoozed") if isinstance(each, (r.Settling, r.Settled)) else each
        for each in world.records
    ]
    held.row.failures = 0


def _release(world: World, held: Held) -> None:
    world.end(world.processes["w1"], held, "cancelled")


def _replay(world: World, held: Held) -> None:
    world.end(world.processes["w1"], held, "died")
    world.operate("replay", held.row)


def _revoke(world: World, held: Held) -> None:
    world.operate("revoke", held.row)


def _crash(world: World, held: Held) -> None:
    world.end(world.processes["w1"], held, "returned", until="settling")


def _left(world: World, held: Held) -> None:
    world.kill(world.processes["w1"])
    world.records[-1] = world.records[-1]._replace(status=0)  # type: ignore[call-arg]


def _stopped(world: World, held: Held) -> None:
    world.stop(world.processes["w1"])
    ticks(world, 2)


def _cut_off(world: World, held: Held) -> None:
    world.cut_off(world.processes["w1"])
    ticks(world, 2)


def _outage(world: World, held: Held) -> None:
    world.fail(40)
    ticks(world, 2)


def _blocked(world: World, held: Held) -> None:
    world.stop(world.start())
    _not_renewed(world, 2)


def _starved(world: World, held: Held) -> None:
    world.starve(world.processes["w1"], 40)
    ticks(world, 2)


def _not_renewed(world: World, seconds: float) -> None:
    """Let time pass in which all beats and nobody renews, as behind a locked file."""
    for _ in range(round(seconds / TICK)):
        world.tick(renewing=False)


def _tried_in_vain(world: World, held: Held) -> None:
    _not_renewed(world, 0.8)
    world.write(r.Renewing(world.now, "w1", held.row.id, 1))
    _not_renewed(world, 1.2)


@pytest.mark.parametrize("name", EXCUSES)
def test_every_excuse_is_recognized_and_excuses(name: str) -> None:
    """What ran again for this reason is counted under its name, and is no violation."""
    world, held = begun()
    globals()[f"_{name.replace(' ', '_')}"](world, held)
    world.drain()
    assert excuses(world) == {name: 1}
    assert check(world.records, world.final(), TERMS) == []


def test_a_renewal_that_was_tried_in_vain_is_an_excuse() -> None:
    """The process had time, and the store did not answer."""
    world, held = begun()
    _tried_in_vain(world, held)
    world.drain()
    assert excuses(world) == {"starved": 1}
    assert names(world.records, world.final()) == set()


def test_who_had_time_and_did_not_even_try_has_no_excuse() -> None:
    world, _ = begun()
    _not_renewed(world, 2)
    world.drain()
    assert names(world.records, world.final()) == {"duplicated"}


def test_a_zombie_may_go_on_until_it_can_know() -> None:
    """A process that was stopped is not to blame for what its handler does within the margin."""
    world, held = begun()
    _stopped(world, held)
    other = world.start()
    assert world.claim(other) is not None
    ticks(world, 0.3)
    key = ("w1", held.row.id, 1)
    world.drain()
    zombie = [each for each in world.records if isinstance(each, r.Worked) and each[1:] == key]
    assert zombie[-1].at > held.expires + TERMS.margin
    assert check(world.records, world.final(), TERMS) == []
    late = world.records[-1].at + 10
    assert names([*world.records, r.Worked(late, *key)], world.final()) == {"out-of-lease"}


def test_a_thread_cannot_be_cancelled() -> None:
    """So it may go on, and its lateness is nobody's fault."""
    world, held = begun()
    _stopped(world, held)
    world.drain()
    late = r.Worked(world.now + 10, "w1", held.row.id, 1)
    assert names([*world.records, late], world.final()) == {"out-of-lease"}
    threads = [
        each._replace(thread=True) if isinstance(each, r.Began) else each for each in world.records
    ]
    assert names([*threads, late], world.final()) == set()


def test_who_was_told_that_the_lease_is_lost_must_stop() -> None:
    """Even though it had not run out by the clock: it was revoked."""
    world, held = begun()
    key = ("w1", held.row.id, 1)
    world.operate("revoke", held.row)
    world.write(r.Lost(world.now, *key))
    world.drain()
    told = [*world.records, r.Worked(world.now, *key)]
    assert names(told, world.final()) == {"out-of-lease"}


def test_a_claim_that_nobody_lived_to_hear_of_is_one() -> None:
    """It is known by its token alone, and what was cancelled after it may be given out again."""
    world = World()
    world.submit()
    world.claim(world.start(), heard=False)
    cancel = r.Operated(world.now + 0.1, "operator", "t1", "cancel", True)
    ticks(world, 2)
    world.drain()
    assert names([*world.records, cancel], world.final()) == set()


def test_a_claim_without_answer_is_an_explanation_and_none_is_not() -> None:
    world = World()
    world.submit()
    world.claim(world.start(), heard=False, dies=False)
    ticks(world, 2)
    world.drain()
    assert names(world.records, world.final()) == set()
    silent = [each for each in world.records if not isinstance(each, r.Unheard)]
    assert names(silent, world.final()) == {"unheard"}


def test_a_limit_lets_so_many_in() -> None:
    world = World()
    for _ in range(3):
        _scarce(world, 2)
    assert names(world.records, world.final()) == set()


@pytest.mark.parametrize("trouble", [_stopped, _revoke])
def test_a_zombie_has_no_slot_of_a_limit(trouble) -> None:
    """It may be at work still when others have its slot."""
    world = World()
    world.submit(kind="scarce")
    held = world.claim(world.start())
    assert held is not None
    world.tick()
    trouble(world, held)
    world.tick()
    _scarce(world, 2)
    world.records += [r.Worked(world.now, "w1", held.row.id, 1)]
    world.drain()
    assert check(world.records, world.final(), TERMS._replace(margin=9.0)) == []


@pytest.mark.parametrize("trouble", [_blocked, _tried_in_vain])
def test_what_happens_at_a_file_alone_is_no_excuse_over_a_network(trouble) -> None:
    world, held = begun()
    trouble(world, held)
    world.drain()
    assert check(world.records, world.final(), TERMS) == []
    found = check(world.records, world.final(), TERMS._replace(shared=False))
    assert [each.rule for each in found] == ["duplicated"]


def test_a_network_that_is_slow_or_cuts_connections_is_no_excuse() -> None:
    for kind in r.HARMLESS:
        world, _ = begun()
        world.write(r.Weather(world.now, "w1", kind))
        _not_renewed(world, 2)
        world.drain()
        assert names(world.records, world.final()) == {"duplicated"}


@pytest.mark.parametrize("answer", [0.3, None])
def test_a_revoke_that_was_begun_before_the_claim_is_an_excuse(answer: float | None) -> None:
    """It may have waited for the store, and taken the lease from whoever came in between."""
    world = World()
    world.submit()
    world.write(r.Operating(world.now, "operator", "t1", "revoke"))
    world.tick()
    held = world.claim(world.start())
    assert held is not None
    held.row.state = State.READY
    if answer is not None:
        world.write(r.Operated(world.now + answer, "operator", "t1", "revoke", True))
    world.drain()
    assert excuses(world) == {"revoke": 1}
    assert names(world.records, world.final()) == set()


def test_a_revoke_that_was_answered_before_the_claim_is_none() -> None:
    world = World()
    world.submit()
    world.operate("revoke", world.rows["t1"])
    world.tick()
    held = world.claim(world.start())
    assert held is not None
    world.tick()
    held.row.state = State.READY
    world.drain()
    assert names(world.records, world.final()) == {"duplicated"}


# --- legal histories ----------------------------------------------------------------------------

#: What may happen next, and how often.
_STEPS = {
    "submit": 4,
    "refuse": 1,
    "start": 1,
    "claim": 8,
    "claim unheard": 1,
    "claim unheard and die": 1,
    "returned": 4,
    "raised": 2,
    "died": 1,
    "cancelled": 1,
    "kill": 1,
    "stop": 2,
    "go on": 3,
    "starve": 1,
    "cut off": 1,
    "join": 2,
    "fail": 1,
    "revoke": 1,
    "replay": 2,
    "cancel": 1,
    "wait": 3,
}
_UNTIL = ["settled"] * 6 + ["end", "settling", "committed"]


def act(world: World, step: str, chance: random.Random) -> None:
    """Do one step, with whatever process and task ``chance`` picks, if there is any."""
    running, stopped = world.running(), [p for p in world.processes.values() if p.stopped]
    process = chance.choice(running or [world.start()])
    reached = world.reaches(process)
    match step:
        case "submit" | "refuse":
            world.submit(refused=step == "refuse")
        case "start":
            world.start()
        case "claim":
            world.claim(process)
        case "claim unheard" | "claim unheard and die":
            world.claim(process, heard=False, dies="die" in step)
        case "returned" | "raised" | "died" | "cancelled" if process.held and reached:
            world.end(process, chance.choice(process.held), step, until=chance.choice(_UNTIL))
        case "kill":
            world.kill(process)
        case "stop":
            world.stop(process)
        case "go on" if stopped:
            world.go_on(chance.choice(stopped))
        case "cut off" if not process.cut_off:
            world.cut_off(process)
        case "join" if process.cut_off:
            world.join(process)
        case "fail":
            world.fail(chance.randint(5, 30))
        case "starve":
            world.starve(process, chance.randint(5, 30))
        case "revoke" | "replay" | "cancel" if world.rows:
            world.operate(step, chance.choice(list(world.rows.values())))
        case "wait":
            ticks(world, chance.uniform(0.1, 1.5))


def _first_steps(world: World) -> None:
    """A refusal, a success, and a lease that ran out when its process was killed."""
    world.submit(refused=True)
    for task, until in (1, "settled"), (2, "end"), (2, "settled"):
        if len(world.rows) < task:
            world.submit()
        process = world.start()
        held = world.claim(process)
        assert held is not None
        world.tick()
        world.end(process, held, "returned", until=until)
        ticks(world, 2 * TERMS.lease)


@st.composite
def worlds(draw: st.DrawFn, most: int = 60) -> World:
    """A world after some random steps, drained. Shrinks to few steps, but not to simple ones."""
    chance = random.Random(draw(st.integers(0, 2**32)))
    world = World()
    _first_steps(world)
    for _ in range(draw(st.integers(0, most) | st.just(most))):
        act(world, *chance.choices(list(_STEPS), list(_STEPS.values())), chance)
        world.tick()
    world.drain()
    return world


@given(world=worlds())
def test_no_legal_history_is_blamed(world: World) -> None:
    assert check(world.records, world.final(), TERMS) == []


# --- one mutation, and exactly its violation ----------------------------------------------------


def _attempts(world: World) -> list[Attempt]:
    return [each for task in Story(world.records).tasks.values() for each in task.claims()]


def _last_attempts(world: World) -> list[Attempt]:
    tasks = Story(world.records).tasks.values()
    return [task.claims()[-1] for task in tasks if task.attempts]


def _pairs(world: World) -> list[tuple[Attempt, Attempt]]:
    """Repeats after a lease that ran out while nobody settled it."""
    return [
        (first, then)
        for first, then, excuse in repeats(Story(world.records), TERMS)
        if excuse in {"crash", "stopped", "starved"} and first.settling == inf
    ]


def _final(world: World, task_id: str, **changes: object) -> FinalState:
    final = world.final()
    task = final.tasks[task_id]._replace(**changes)  # type: ignore[arg-type]
    return replace(final, tasks={**final.tasks, task_id: task})


Mutant = tuple[list[r.Record], FinalState]


def _forgets_a_task(world: World) -> Mutant:
    final = world.final()
    tasks = dict(final.tasks)
    del tasks[next(iter(tasks))]
    return world.records, replace(final, tasks=tasks)


def _leaves_a_task(world: World) -> Mutant:
    task_id = _succeeded(world).id
    return world.records, replace(_final(world, task_id, state=State.READY), counts=None)


def _settles_what_never_returned(world: World) -> Mutant:
    task_id = _succeeded(world).id
    kept = [each for each in world.records if not (_is_return(each) and each.id == task_id)]
    return kept, world.final()


def _is_return(record: r.Record) -> bool:
    return isinstance(record, r.Ended) and record.how == "returned"


def _runs_what_was_refused(world: World) -> Mutant:
    refused = next(each for each in world.records if isinstance(each, r.Refused))
    key = (world.now, "w1", refused.id, 1)
    more = [r.Claimed(*key, world.now, world.now + 1), r.Began(*key)]
    return [*world.records, *more], world.final()


def _keeps_what_was_refused(world: World) -> Mutant:
    refused = next(each for each in world.records if isinstance(each, r.Refused))
    final = replace(world.final(), counts=None)
    return world.records, replace(
        final, tasks={**final.tasks, refused.id: Final(State.CANCELLED, 0, 0)}
    )


def _runs_what_nobody_submitted(world: World) -> Mutant:
    key = (world.now, "w1", "nobody's", 1)
    more = [r.Claimed(*key, world.now, world.now + 1), r.Began(*key)]
    return [*world.records, *more], world.final()


def _gives_out_too_early(world: World) -> Mutant:
    first, then = _pairs(world)[0]
    expires = then.claimed + 0.5
    more = r.Renewed(first.began, first.process, first.id, first.token, expires)
    return [*world.records, more], world.final()


def _gives_out_while_it_runs(world: World) -> Mutant:
    records, final = _gives_out_too_early(world)
    first, then = _pairs(world)[0]
    return [*records, r.Worked(then.began + 0.01, first.process, first.id, first.token)], final


def _settles_while_it_runs(world: World) -> Mutant:
    attempt = _succeeded(world)
    key = (attempt.id, attempt.token)
    records = [
        each._replace(move="retried")
        if isinstance(each, (r.Settling, r.Settled)) and each[2:4] == key
        else each
        for each in world.records
    ]
    now = world.now
    late = [
        r.Claimed(now, "w9", attempt.id, attempt.token + 1, now, now + 1),
        r.Began(now, "w9", attempt.id, attempt.token + 1),
        r.Renewed(now, attempt.process, *key, now + 1),
        r.Worked(now + 0.1, attempt.process, *key),
    ]
    return [*records, *late], _final(world, attempt.id, deliveries=attempt.token + 1, winner=None)


def _goes_on_for_ever(world: World) -> Mutant:
    attempt = _succeeded(world)
    late = r.Worked(world.now + 10, attempt.process, attempt.id, attempt.token)
    return [*world.records, late], world.final()


def _runs_again_after_its_end(world: World) -> Mutant:
    attempt = _succeeded(world)
    token = attempt.token + 1
    key = (world.now + 1, "w9", attempt.id, token)
    more = [r.Claimed(*key, world.now + 1, world.now + 9), r.Began(*key)]
    return [*world.records, *more], _final(world, attempt.id, deliveries=token, winner=token)


def _gives_out_what_was_cancelled(world: World) -> Mutant:
    attempt = next(each for each in _attempts(world) if each.token == 1)
    cancel = r.Operated(attempt.since - 0.0001, "operator", attempt.id, "cancel", True)
    return [*world.records, cancel], world.final()


def _accepts_an_old_token(world: World) -> Mutant:
    first, then = _pairs(world)[0]
    key = (first.process, first.id, first.token, "succeeded")
    late = [r.Settling(then.claimed + 0.1, *key), r.Settled(then.claimed + 0.2, *key, True)]
    return [*world.records, *late], world.final()


def _keeps_an_old_result(world: World) -> Mutant:
    first = next(first for first, then in _pairs(world) if then.move == "succeeded" and then.done)
    return world.records, _final(world, first.id, winner=first.token)


def _gives_a_token_to_two(world: World) -> Mutant:
    attempt = _attempts(world)[0]
    key = (attempt.claimed + 0.001, "w9", attempt.id, attempt.token)
    more = r.Claimed(*key, attempt.since, attempt.expires)
    return [*world.records, more], world.final()


def _begins_a_token_twice(world: World) -> Mutant:
    attempt = _attempts(world)[0]
    key = (attempt.began + 0.001, "w9", attempt.id, attempt.token)
    return [*world.records, r.Began(*key)], world.final()


def _lets_a_token_shrink(world: World) -> Mutant:
    attempt = _succeeded(world)
    return world.records, _final(world, attempt.id, deliveries=attempt.token - 1, winner=None)


def _hands_out_an_older_token(world: World) -> Mutant:
    first, then = _pairs(world)[0]
    records = [
        each._replace(since=then.claimed + 0.01, at=then.claimed + 0.02)
        if isinstance(each, r.Claimed) and (each.id, each.token) == (first.id, first.token)
        else each
        for each in world.records
    ]
    return records, world.final()


def _charges_a_lost_lease(world: World) -> Mutant:
    first, _ = _pairs(world)[0]
    return world.records, _final(world, first.id, failures=9)


def _charges_an_interruption(world: World) -> Mutant:
    first, _ = _pairs(world)[0]
    key = (first.process, first.id, first.token)
    at = max(first.busy)
    more = [r.Ended(at, *key, "cancelled"), r.Settling(at, *key, "died")]
    return [*world.records, *more], world.final()


def _counts_one_too_many(world: World) -> Mutant:
    final = world.final()
    assert isinstance(final.counts, Counts)
    counts = final.counts._replace(submitted=final.counts.submitted + 1)
    return world.records, replace(final, counts=counts)


def _counts_a_success_as_dead(world: World) -> Mutant:
    final = world.final()
    assert isinstance(final.counts, Counts)
    succeeded, dead = final.counts.succeeded, final.counts.dead
    counts = final.counts._replace(succeeded=succeeded - 1, dead=dead + 1)
    return world.records, replace(final, counts=counts)


def _counts_what_was_refused(world: World) -> Mutant:
    final = world.final()
    assert isinstance(final.counts, Counts)
    submitted, cancelled = final.counts.submitted, final.counts.cancelled
    counts = final.counts._replace(submitted=submitted + 1, cancelled=cancelled + 1)
    return world.records, replace(final, counts=counts)


def _damages_the_store(world: World) -> Mutant:
    return world.records, replace(world.final(), integrity="row 7 missing from an index")


def _succeeded(world: World) -> Attempt:
    """The last attempt of a task, which succeeded and was told so."""
    return next(
        each for each in _last_attempts(world) if each.move == "succeeded" and each.done is True
    )


def _gives_out_to_nobody(world: World) -> Mutant:
    world.submit()
    held = world.claim(world.start())
    assert held is not None
    world.end(world.processes[f"w{world.names}"], held, "returned")
    # More often than there are claims that had no answer.
    return world.records, _final(world, held.row.id, deliveries=1_000, winner=None)


def _lets_too_many_in(world: World) -> Mutant:
    _scarce(world, 3)
    return world.records, world.final()


def _scarce(world: World, number: int) -> None:
    """So many at once of what may be two at once."""
    for _ in range(number):
        world.submit(kind="scarce")
        held = world.claim(world.start())
        assert held is not None
        world.tick()
    for process in list(world.processes.values()):
        for held in list(process.held):
            world.end(process, held, "returned")


MUTATIONS: dict[Callable[[World], Mutant], str] = {
    _forgets_a_task: "lost",
    _leaves_a_task: "lost",
    _settles_what_never_returned: "lost",
    _runs_what_was_refused: "ghost",
    _keeps_what_was_refused: "ghost",
    _runs_what_nobody_submitted: "ghost",
    _gives_out_too_early: "duplicated",
    _gives_out_while_it_runs: "overlapping",
    _settles_while_it_runs: "overlapping",
    _goes_on_for_ever: "out-of-lease",
    _runs_again_after_its_end: "resurrected",
    _gives_out_what_was_cancelled: "resurrected",
    _accepts_an_old_token: "unfenced",
    _keeps_an_old_result: "unfenced",
    _gives_a_token_to_two: "token",
    _begins_a_token_twice: "token",
    _lets_a_token_shrink: "token",
    _hands_out_an_older_token: "token",
    _gives_out_to_nobody: "unheard",
    _lets_too_many_in: "crowded",
    _charges_a_lost_lease: "burned",
    _charges_an_interruption: "burned",
    _counts_one_too_many: "counts",
    _counts_a_success_as_dead: "counts",
    _counts_what_was_refused: "counts",
    _damages_the_store: "corrupt",
}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda each: each.__name__.strip("_"))
@given(world=worlds(20))
def test_one_mutation_breaks_exactly_its_rule(
    mutation: Callable[[World], Mutant], world: World
) -> None:
    assert names(*mutation(world)) == {MUTATIONS[mutation]}


def test_every_rule_has_a_mutation() -> None:
    assert set(MUTATIONS.values()) == {rule.name for rule in RULES}


def test_the_documents_say_what_is_checked() -> None:
    page = Path(__file__).parent.parent.joinpath("docs", "testing.md").read_text(encoding="utf-8")
    rules = [f"| {rule.name} | {rule.says} |" for rule in RULES]
    excuses = [f"| {name} | {says} |" for name, says in EXCUSES.items()]
    for head, rows in ("| rule | it says |", rules), ("| excuse | it says |", excuses):
        table = page.partition(f"{head}\n|---|---|\n")[2].partition("\n\n")[0]
        assert table.splitlines() == rows


# --- the file -----------------------------------------------------------------------------------


def test_what_was_written_is_read_in_order_of_time(tmp_path: Path) -> None:
    """Whoever wrote it, and whatever else is in the file."""
    path = tmp_path / "witness"
    records = [r.Beat(1.0, "a"), r.Claimed(2.5, "b", "t1", 3, 2.0, 9.0), r.Began(3.0, "b", "t1", 3)]
    with open_witness(path, "a") as one, open_witness(path, "b") as other:
        other.write(*records[1:])
        one.write(records[0])
        one.write()
    assert read_records(path) == records


@pytest.mark.main
def test_many_processes_write_whole_lines(tmp_path: Path) -> None:
    """At once, and in one write per call: nothing is mixed, nothing is missing."""
    code = (
        "import sys; from trioqueue.testing.chaos import open_witness; "
        "from trioqueue.testing.chaos._records import Beat\n"
        "with open_witness(sys.argv[1], sys.argv[2]) as witness:\n"
        "    for at in range(100): witness.write(*[Beat(at, sys.argv[2])] * 3)"
    )
    path = str(tmp_path / "witness")
    writers = [subprocess.Popen([sys.executable, "-c", code, path, name]) for name in "abc"]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    counts = Counter(read_records(path))
    assert len(counts) == 300
    assert set(counts.values()) == {3}


def test_a_torn_line_counts_as_never_written(tmp_path: Path) -> None:
    """And it takes nothing else with it."""
    path = tmp_path / "witness"
    with open_witness(path, "a") as witness:
        witness.write(r.Beat(1.0, "a"))
        with path.open("a") as file:
            file.write('\n["Claimed",2.0,"b","t1')
        witness.write(r.Beat(3.0, "a"))
        with path.open("a") as file:
            file.write('\n["Nonsense",2.0]\n["Beat"]\n')
    assert read_records(path) == [r.Beat(1.0, "a"), r.Beat(3.0, "a")]


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    with open_witness("/dev/full", "a") as witness, pytest.raises(OSError, match="No space"):
        witness.write(r.Beat(1.0, "a"))
