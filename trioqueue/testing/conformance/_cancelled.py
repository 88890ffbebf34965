"""Cases of calls that are cancelled: before they begin, and between any two of their steps."""

from __future__ import annotations

from typing import Final

import trio
import trio.testing

from ... import Move
from ..._model import Lease
from ._bench import Bench, verdict
from ._case import Has, case
from ._places import LATER
from ._verbs import LOOKS, VERBS, Call, Verb, look_by

#: Steps of the scheduler after which a call that still has not returned is a slow one.
_MANY: Final = 300
_VERBS: Final = {verb.name: verb for verb in VERBS}


class _Strike(trio.abc.Instrument):
    """Cancels a scope after so many steps of any Trio task."""

    def __init__(self, scope: trio.CancelScope, steps: int) -> None:
        self._scope = scope
        self._left = steps

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self._left -= 1
        if self._left == 0:
            self._scope.cancel()


async def struck(call: Call, steps: int) -> bool:
    """Call it, and cancel it after so many steps of the scheduler. Whether it was cancelled."""
    with trio.CancelScope() as scope:
        strike = _Strike(scope, steps)
        if not steps:
            scope.cancel()
        trio.lowlevel.add_instrument(strike)
        try:
            await call()
        finally:
            trio.lowlevel.remove_instrument(strike)
    return scope.cancelled_caught


async def _picture(bench: Bench, prefix: str) -> dict[str, object]:
    """What can be seen of the tasks and the queue of this prefix."""
    picture = await bench.picture()
    everything, paused = await bench.inspector.paused()
    found = {
        name.removeprefix(prefix): seen
        for name, seen in picture.items()
        if name.startswith(prefix) and seen is not None
    }
    return {**found, "paused": everything or prefix in paused}


async def _check(bench: Bench, verb: Verb, prefix: str, steps: int, after: object) -> bool:
    """Strike a call; what is seen then, and once it was repeated, must be as promised."""
    call = await verb.prepare(bench, prefix)
    before = await _picture(bench, prefix)
    assert verb.unseen or before != after, "it must have an effect"
    cancelled = await struck(call, steps)
    seen = await _picture(bench, prefix)
    if not cancelled:
        assert seen == after
        return False
    if verb.undone and Has.UNDONE in bench.suite.has:
        assert seen == before, "cancelled, it must have changed nothing"
    else:
        assert seen in (before, after), "cancelled half-way"
    if seen == before:
        await call()
        assert await _picture(bench, prefix) == after
    return True


@case(each=_VERBS)
async def a_call_that_was_cancelled_before_it_began(bench: Bench, name: str) -> None:
    """It raises Cancelled: every verb is a checkpoint. Then it is repeated."""
    verb = _VERBS[name]
    await (await verb.prepare(bench, "a/"))()
    after = await _picture(bench, "a/")
    assert await _check(bench, verb, "b/", 0, after), "it should have been cancelled"


@case(Has.UNDONE, each=["claim"])  # else what was taken is given back, a moment later
@case(each=[verb for verb in _VERBS if verb != "claim"])
async def a_call_that_is_cancelled_at_any_step(bench: Bench, name: str) -> None:
    """One step of the scheduler later in each round, until it returns first; then repeated."""
    verb = _VERBS[name]
    await (await verb.prepare(bench, "a/"))()
    after = await _picture(bench, "a/")
    for steps in range(1, _MANY):
        if not await _check(bench, verb, f"{steps}/", steps, after):
            return


async def always_undone(bench: Bench, name: str) -> None:
    """A cancelled call of this verb has changed nothing, for certain."""
    assert _VERBS[name].undone
    await a_call_that_is_cancelled_at_any_step(bench, name)


async def done_or_not(bench: Bench, name: str) -> None:
    """A cancelled call of this verb has had its whole effect, or none."""
    assert not _VERBS[name].undone
    await a_call_that_is_cancelled_at_any_step(bench, name)


@case(each=LOOKS)
async def a_look_that_was_cancelled_changes_nothing(bench: Bench, name: str) -> None:
    """It is a checkpoint too, and answers when it is repeated."""
    call = await look_by(bench, name)
    before = await bench.picture()
    assert await struck(call, 0), "it should have been cancelled"
    for steps in range(1, _MANY):
        if not await struck(call, steps):
            break
    await bench.promptly(call)
    assert await bench.picture() == before


only_looks = a_look_that_was_cancelled_changes_nothing


@case(each=(*_VERBS, *LOOKS))
async def a_call_is_a_full_checkpoint(bench: Bench, name: str) -> None:
    """Cancellable and a schedule point, each time: whoever calls in a loop blocks nobody."""
    call = await (_VERBS[name].prepare(bench, "a/") if name in _VERBS else look_by(bench, name))
    with trio.testing.assert_checkpoints():
        await call()


@case()
async def a_whole_life_cancelled_between_any_two_calls(bench: Bench) -> None:
    """The program is struck at each step in turn, and what is missing is done again."""
    for steps in range(_MANY):
        prefix = f"{steps}/"
        settled = await _live(bench, prefix, steps)
        if not settled:
            await _live(bench, prefix, None)
        counts = await bench.counts()
        assert (counts.succeeded, counts.running, counts.ready) == (steps + 1, 0, 0)
        if settled:
            return


async def _live(bench: Bench, prefix: str, steps: int | None) -> bool:
    """One task from publish to success, whatever has been done already. Whether it got there."""
    task_id = f"{prefix}1"
    held: list[Lease] = []

    async def live() -> None:
        await bench.broker.publish([bench.task(task_id)])
        if (await bench.get(task_id)).outcome is None:
            await bench.broker.wait_ready()
            held.extend(await bench.broker.claim({"type": 9}, 9))
            await bench.broker.renew(held)
            await bench.broker.settle([verdict(lease, Move.SUCCEEDED) for lease in held])

    if steps is None:
        await live()
        return True
    cancelled = await struck(live, steps)
    left = [lease for lease in held if lease.task.id == task_id]
    await bench.settle(*(verdict(lease, Move.RELEASED) for lease in left))
    return not cancelled


@case()
async def a_cancelled_wait_for_an_end_changes_nothing(bench: Bench) -> None:
    (task,) = await bench.publish("1")
    before = await bench.picture()
    await bench.waits(bench.broker.wait_settled, task)
    assert await bench.picture() == before
    await bench.end(await bench.take("1"), Move.SUCCEEDED)
    await bench.promptly(bench.broker.wait_settled, task)


@case(Has.REMOTE)
async def a_cancelled_drain_changes_nothing(bench: Bench) -> None:
    await bench.publish("1", delay=LATER)
    before = await bench.picture()
    await bench.waits(bench.broker.wait_drained, ["type"], None)
    assert await struck(lambda: bench.broker.wait_drained(["type"], None), 0)
    assert await bench.picture() == before


@case()
async def a_cancelled_call_does_not_disturb_one_beside_it(bench: Bench) -> None:
    """Two publish at once, one of them is cancelled: the other's tasks are all there."""
    for steps in range(6):
        ids = [f"{steps}.{n}" for n in range(3)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bench.broker.publish, [bench.task(task_id) for task_id in ids])
            ghost = [bench.task(f"ghost {steps}")]
            cancelled = await struck(lambda ghost=ghost: bench.broker.publish(ghost), steps)  # type: ignore[misc]
        assert all(await bench.states(ids))
        if cancelled and Has.UNDONE in bench.suite.has:
            assert await bench.state(f"ghost {steps}") is None
