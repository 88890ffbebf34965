"""The ledger notices a real queue that was broken on purpose: one sabotage for each law.

A law that no sabotage can break is a law that would not notice a bug. ("No orphan" is missing: Trio
itself does not let a handler outlive the nursery that it runs in.)
"""

from contextvars import ContextVar

import pytest
import trio

from trioqueue import Move, Outcome, OutcomeKind, Retry, TaskSet
from trioqueue import _pool as worker_module
from trioqueue._model import Settlement
from trioqueue._worker import Worker
from trioqueue.brokers._lanes import Lanes
from trioqueue.testing import LAWS, LawBroken, lose_lease, open_test_queue, run

VARIABLE: ContextVar[str] = ContextVar("variable")
tasks = TaskSet(retry=Retry(attempts=2, initial=0.1, jitter=0))


@tasks.task
async def quick():
    pass


@tasks.task
async def slow():
    await trio.sleep(1)


@tasks.task(limit=1)
async def capped():
    await trio.sleep(1)


@tasks.task(timeout=2)
async def endless():
    await trio.sleep_forever()


@tasks.task
async def leaky():
    VARIABLE.set("leaked")


SABOTAGES = {}


def breaks(law):
    def register(program):
        SABOTAGES.setdefault(law, []).append(program)
        return program

    return register


@breaks("conservation")
async def _miscounts(queue, _):
    counts = queue._broker.counts
    vars(queue._broker)["counts"] = lambda: counts()._replace(succeeded=7)
    await queue.submit(quick)


@breaks("nothing lost")
async def _forgets_what_it_accepted(queue, _):
    vars(queue._broker)["accept_nowait"] = lambda task: task
    queue.submit_nowait(quick)


@breaks("no ghost")
async def _waits_after_the_effect(queue, _):
    publish = queue._broker.publish

    async def publish_and_wait(made):
        accepted = await publish(made)
        scope.cancel()
        await trio.lowlevel.checkpoint()
        return accepted

    vars(queue._broker)["publish"] = publish_and_wait
    with trio.CancelScope() as scope:
        await queue.submit_many([quick.bind()])


@breaks("exact settle")
async def _runs_again_what_returned(queue, _):
    broker = queue._broker
    complete = broker.complete_nowait

    def release(lease, outcome, now):
        vars(broker)["complete_nowait"] = complete
        return broker.settle_nowait(Settlement(lease, Move.RELEASED, outcome), now)

    vars(broker)["complete_nowait"] = release
    await queue.submit(quick)


@breaks("fencing")
async def _counts_deliveries_down(queue, _):
    handle = await queue.submit(slow)
    await trio.sleep(0.5)
    lose_lease(handle)
    queue._broker.get(handle.id).deliveries -= 1


@breaks("fencing")
async def _lets_a_stranger_settle(queue, _):
    handle = await queue.submit(slow)
    await trio.sleep(0.5)
    lease = queue._broker.get(handle.id).lease
    settlement = Settlement(lease, Move.CANCELLED, Outcome(OutcomeKind.CANCELLED))
    queue._broker.settle_nowait(settlement, trio.current_time())


@breaks("terminal")
async def _goes_on_after_the_end(queue, _):
    handle = await queue.submit(quick)
    await handle.wait()
    queue._broker.events.task("retried", trio.current_time(), queue._broker.get(handle.id))


@breaks("stops end")
async def _forgets_the_grace(queue, _):
    await queue.submit(slow)
    await trio.sleep(0.5)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(queue.shutdown, 0.1)
        await trio.testing.wait_all_tasks_blocked()
        queue.pool._scope.deadline = float("inf")


@breaks("limits hold")
async def _admits_everything(queue, monkeypatch):
    monkeypatch.setattr(Worker, "hold", lambda self, task_type: None)
    vars(queue.pool)["admits"] = lambda task_type: True
    for _ in range(2):
        await queue.submit(capped)


@breaks("capacity holds")
async def _finds_room_that_is_not_there(queue, _):
    for _ in range(6):
        await queue.submit(slow)
        queue._broker._room.used -= 1
    queue._broker._room.used += 6


@breaks("tokens never leak")
async def _keeps_tokens(queue, monkeypatch):
    monkeypatch.setattr(Worker, "let_go", lambda self: None)
    await queue.submit(capped)


@breaks("no burned attempt")
async def _charges_for_an_interruption(queue, monkeypatch):
    classify = worker_module.classify

    def as_error(lease, facts):
        return classify(lease, facts._replace(outer=False, error=ValueError()))

    monkeypatch.setattr(worker_module, "classify", as_error)
    await queue.submit(slow)
    await trio.sleep(0.5)
    await queue.shutdown(grace=0)


@breaks("isolation")
async def _keeps_a_spoilt_context(queue, monkeypatch):
    monkeypatch.setattr(Worker, "is_clean", lambda self: True)
    for _ in range(4):
        await queue.submit(leaky)


@breaks("nothing after stop")
async def _opens_again(queue, _):
    queue.close()
    queue._broker._closed = queue._broker._room.closed = False
    queue.submit_nowait(quick)


@breaks("nothing after stop")
async def _starts_what_it_should_hand_back(queue, _):
    vars(queue._broker)["stop"] = queue.close
    for _ in range(3):
        await queue.submit(slow)
    await trio.sleep(0.5)
    stop = vars(queue.pool)["stop"]

    def stop_without_a_word(grace):
        stop(grace)
        queue.pool.stopping = False

    vars(queue.pool)["stop"] = stop_without_a_word
    await queue.shutdown(grace=2)


@breaks("work conservation")
async def _calls_nobody(queue, _):
    vars(queue.pool)["on_ready"] = queue._broker._on_ready = lambda: None
    await trio.testing.wait_all_tasks_blocked()
    await queue.submit(quick)
    await trio.sleep(1)


@breaks("order")
async def _lets_the_second_go_first(queue, monkeypatch):
    take = Lanes.take

    def take_second(self, admits, paused):
        first = take(self, admits, paused)
        second = None if first is None else take(self, admits, paused)
        if second is None:
            return first
        self.put(first)
        return second

    monkeypatch.setattr(Lanes, "take", take_second)
    for _ in range(4):
        await queue.submit(slow)


@breaks("never early")
async def _halves_timeouts(queue, monkeypatch):
    arm = Worker.arm
    monkeypatch.setattr(
        Worker, "arm", lambda self, now, timeout: arm(self, now, timeout and timeout / 2)
    )
    await queue.submit(endless)


@breaks("never early")
async def _falls_due_too_soon(queue, _):
    handle = await queue.options(delay=5).submit(quick)
    queue._broker._timer.set(handle.id, trio.current_time() + 1)


@breaks("keys are unique")
async def _forgets_a_key(queue, _):
    await queue.options(key="k").submit(slow)
    del queue._broker._keys["default", "k"]
    await queue.options(key="k").submit(slow)


CASES = [(law, program) for law, programs in SABOTAGES.items() for program in programs]


@pytest.mark.parametrize(
    ("law", "program"), CASES, ids=[program.__name__.strip("_") for _, program in CASES]
)
def test_a_broken_queue_breaks_the_law(law, program, monkeypatch):
    broken = None

    async def main():
        nonlocal broken
        VARIABLE.set("base")
        with trio.move_on_after(100):  # what is broken may not end
            try:
                async with open_test_queue(tasks, workers=2, capacity=4) as queue:
                    await trio.testing.wait_all_tasks_blocked()
                    await program(queue, monkeypatch)
            except LawBroken as error:
                broken = error

    run(main)

    assert broken is not None
    assert law in {breach.law for breach in broken.breaches}
    assert law in str(broken)


def test_the_same_queue_unbroken_breaks_none():
    async def main():
        async with open_test_queue(tasks, workers=2, capacity=4) as queue:
            for task_type in (quick, slow, capped, capped, endless, leaky, quick):
                await queue.submit(task_type)

    run(main)


def test_every_law_but_one_is_broken_by_a_sabotage():
    assert set(SABOTAGES) == {law.name for law in LAWS} - {"no orphan"}
