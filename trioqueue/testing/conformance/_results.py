"""Cases of what is kept of an attempt: results, outcomes, errors."""

from __future__ import annotations

from typing import Final

from ... import ErrorRecord, Move, OutcomeKind, State
from ..._model import Outcome, Settlement
from ._bench import Bench
from ._case import case

RESULTS: Final = {"json": b'{"a": 1}', "null": b"null", "not_text": b"\xff\x00", "empty": b""}
#: As many errors as are kept.
KEPT: Final = 10


async def _outcome(bench: Bench, task_id: str) -> Outcome:
    """The outcome of a task that has ended."""
    outcome = (await bench.get(task_id)).outcome
    assert outcome is not None
    return outcome


@case(each=RESULTS)
async def a_result_is_stored_with_the_success(bench: Bench, name: str) -> None:
    await bench.end(await bench.running("1"), Move.SUCCEEDED, result=RESULTS[name])
    outcome = await _outcome(bench, "1")
    assert (outcome.kind, outcome.value) == (OutcomeKind.RETURNED, RESULTS[name])
    assert outcome.stored
    assert outcome.error is None


@case()
async def whoever_waited_finds_the_result(bench: Bench) -> None:
    (task,) = await bench.publish("1")
    await bench.end(await bench.take("1"), Move.SUCCEEDED, result=b"[42]")
    await bench.promptly(bench.broker.wait_settled, task)
    assert task.state is State.SUCCEEDED
    assert task.outcome is not None
    assert task.outcome.value == b"[42]"


@case()
async def a_result_that_cannot_be_stored_is_a_success_all_the_same(bench: Bench) -> None:
    """With the error kept, for whoever asks for the result."""
    outcome = Outcome(OutcomeKind.RETURNED)
    outcome.stored = False
    outcome.error = ErrorRecord(1, "returned", "TypeError", "a socket is no JSON", "")
    settlement = Settlement(await bench.running("1"), Move.SUCCEEDED, outcome)
    assert await bench.settle(settlement) == [True]
    assert await bench.state("1") is State.SUCCEEDED
    found = await _outcome(bench, "1")
    assert (found.kind, found.stored, found.value) == (OutcomeKind.RETURNED, False, None)
    assert found.error == outcome.error


@case(each=["late", "cancel_ignored"])
async def a_flag_of_the_outcome_is_kept(bench: Bench, flag: str) -> None:
    outcome = Outcome(OutcomeKind.RETURNED, b"1")
    setattr(outcome, flag, True)
    settlement = Settlement(await bench.running("1"), Move.SUCCEEDED, outcome)
    settlement.result = b"1"
    assert await bench.settle(settlement) == [True]
    found = await _outcome(bench, "1")
    assert {name: getattr(found, name) for name in ("late", "cancel_ignored")} == {
        "late": flag == "late",
        "cancel_ignored": flag == "cancel_ignored",
    }


@case(
    each=[
        OutcomeKind.ERROR,
        OutcomeKind.TIMEOUT,
        OutcomeKind.CRASH,
        OutcomeKind.RETRY_LATER,
        OutcomeKind.DISCARD,
        OutcomeKind.INVALID,
    ]
)
async def a_dead_task_tells_of_what_it_died(bench: Bench, kind: OutcomeKind) -> None:
    outcome = Outcome(kind, None, 0.25, KeyError("what"))
    settlement = Settlement(await bench.running("1"), Move.DIED, outcome, failed=True)
    assert await bench.settle(settlement) == [True]
    found = await _outcome(bench, "1")
    assert found.kind is kind
    assert found.error is not None
    assert (found.error.kind, found.error.type) == (kind, "KeyError")
    assert "what" in found.error.message
    assert (await bench.get("1")).trace().errors == (found.error,)


@case()
async def a_cancelled_task_says_so(bench: Bench) -> None:
    lease = await bench.running("1")
    assert await bench.inspector.cancel("1")
    await bench.end(lease, Move.CANCELLED)
    assert (await _outcome(bench, "1")).kind is OutcomeKind.CANCELLED


@case()
async def an_open_task_has_no_outcome(bench: Bench) -> None:
    await bench.publish("1")
    assert (await bench.get("1")).outcome is None
    lease = await bench.take("1")
    assert (await bench.get("1")).outcome is None
    await bench.end(lease, Move.RETRIED, delay=5)
    assert (await bench.get("1")).outcome is None


@case()
async def the_last_errors_are_kept_oldest_first(bench: Bench) -> None:
    """A task with ten thousand attempts must not grow with them."""
    await bench.publish("1")
    for n in range(1, KEPT + 4):
        await bench.end(await bench.take("1"), Move.RETRIED, error=f"error {n}")
    errors = (await bench.get("1")).trace().errors
    assert [(e.attempt, e.message) for e in errors] == [
        (n, f"error {n}") for n in range(4, KEPT + 4)
    ]
    assert {(e.type, e.kind) for e in errors} == {("ValueError", "error")}


@case()
async def the_worker_sees_the_errors_of_earlier_attempts(bench: Bench) -> None:
    await bench.end(await bench.running("1"), Move.RETRIED, error="first")
    lease = await bench.take("1")
    assert [error.message for error in lease.task.trace().errors] == ["first"]


@case()
async def what_is_released_or_snoozed_leaves_no_error(bench: Bench) -> None:
    await bench.end(await bench.running("1"), Move.RELEASED)
    await bench.end(await bench.take("1"), Move.SNOOZED)
    assert (await bench.get("1")).trace().errors == ()
