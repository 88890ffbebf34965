"""Cases of ``limit_fleet``: limits per type that hold over all openings and all queues.

A slot is a running task of the type, and nothing else: what ends a lease frees its slot, once.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio

from ... import Move, RemoteBroker, State, TaskSet, open_queue
from ._bench import ENDS_OF_A_LEASE, Bench, verdict
from ._case import Has, case
from ._places import LATER

_FLEET = (Has.REMOTE, Has.SHARED)


@asynccontextmanager
async def _two(bench: Bench, limit: int) -> AsyncGenerator[RemoteBroker]:
    """Another opening; in both of them so many of "type" may be held."""
    bench.broker.limit_fleet({"type": limit})
    async with bench.another() as other:
        other.limit_fleet({"type": limit})
        yield other


# --- counting -------------------------------------------------------------------------------------


@case(Has.REMOTE)
async def no_claim_takes_more_than_the_limit_leaves(bench: Bench) -> None:
    """Of all that are held, whoever claimed them, and in order."""
    bench.broker.limit_fleet({"type": 3})
    await bench.publish(*"12345")
    assert await bench.claimed(2) == ["1", "2"]
    assert await bench.claimed(9) == ["3"]
    assert await bench.claimed(9) == []
    await bench.end(bench.held["2"], Move.SUCCEEDED)
    assert await bench.claimed(9) == ["4"]


@case(Has.REMOTE)
async def room_and_limit_hold_both(bench: Bench) -> None:
    bench.broker.limit_fleet({"type": 3})
    await bench.publish(*"12345")
    assert await bench.claimed(room={"type": 2}) == ["1", "2"]
    assert await bench.claimed(room={"type": 0}) == []
    assert await bench.claimed(room={"type": 2}) == ["3"]
    assert await bench.claimed(room={"type": 2}) == []


@case(*_FLEET)
async def all_openings_together_hold_no_more_than_the_limit(bench: Bench) -> None:
    async with _two(bench, 3) as other:
        await bench.publish(*"12345")
        assert await bench.claimed(2) == ["1", "2"]
        assert await bench.claimed(9, broker=other) == ["3"]
        assert await bench.claimed(9) == []
        assert await bench.claimed(9, broker=other) == []


@case(*_FLEET)
async def at_no_instant_are_more_held_than_the_limit(bench: Bench) -> None:
    """Four who claim whenever they are told to, from two openings; and all tasks get done."""
    ids = [str(n) for n in range(30)]
    await bench.publish(*ids)
    held = most = 0
    done: list[str] = []

    async def work(broker: RemoteBroker) -> None:
        nonlocal held, most
        while len(done) < len(ids):
            with trio.move_on_after(bench.seconds(1)):  # the last tasks may be another's
                await broker.wait_ready(["type"])
            leases = await broker.claim({"type": 2}, 2)
            held += len(leases)
            most = max(most, held)
            await trio.lowlevel.checkpoint()
            for lease in leases:
                held -= 1
                assert list(await broker.settle([verdict(lease, Move.SUCCEEDED)])) == [True]
                done.append(lease.task.id)

    async with _two(bench, 3) as other, trio.open_nursery() as nursery:
        for broker in (bench.broker, other, bench.broker, other):
            nursery.start_soon(work, broker)
    assert most <= 3
    assert sorted(done) == sorted(ids)


@case(*_FLEET)
async def the_limit_holds_over_all_queues(bench: Bench) -> None:
    async with _two(bench, 2) as other:
        for n, queue in enumerate(("x", "y", "z", "x")):
            await bench.publish(str(n), queue=queue)
        assert await bench.claimed(queues=["y"]) == ["1"]
        assert await bench.claimed(broker=other) == ["0"]
        assert await bench.claimed(queues=["z"]) == []
        async with bench.wakes(other.wait_ready, None, ["z"]):
            await bench.end(bench.held["1"], Move.SUCCEEDED)
        assert await bench.claimed(queues=["z"], broker=other) == ["2"]
        assert await bench.claimed() == []


@case(Has.REMOTE)
async def a_full_type_stands_in_nobodys_way(bench: Bench) -> None:
    """Neither at the head of the line, nor by its priority, nor for those who wait."""
    bench.broker.limit_fleet({"full": 1, "other": 2})
    await bench.publish("f1", "f2", type="full", priority=200)
    await bench.publish("o1", type="other")
    await bench.publish("p1", "p2")
    assert await bench.claimed(3) == ["f1", "o1", "p1"]
    assert await bench.claimed(3) == ["p2"]
    async with bench.wakes(bench.broker.wait_ready):
        await bench.publish("o2", "o3", type="other", priority=1)
    assert await bench.claimed(3) == ["o2"]
    await bench.end(bench.held["f1"], Move.SUCCEEDED)
    assert await bench.claimed(3) == ["f2"]


# --- whose limits ---------------------------------------------------------------------------------


@case(*_FLEET)
async def each_opening_keeps_to_its_own_limits(bench: Bench) -> None:
    """As while a deploy changes one: each counts all that is held, against its own number."""
    async with _two(bench, 3) as other:
        other.limit_fleet({"type": 1})
        await bench.publish(*"123456")
        assert await bench.claimed(broker=other) == ["1"]
        assert await bench.claimed() == ["2", "3"]
        await bench.end(bench.held["1"], Move.SUCCEEDED)
        assert await bench.claimed(broker=other) == [], "two are held, and it allows one"
        assert await bench.claimed() == ["4"]
        await bench.end(bench.held["2"], Move.SUCCEEDED)
        await bench.end(bench.held["3"], Move.SUCCEEDED)
        await bench.waits(other.wait_ready)
        await bench.promptly(bench.broker.wait_ready)
        async with bench.wakes(other.wait_ready):
            await bench.end(bench.held["4"], Move.SUCCEEDED)
        assert await bench.claimed(broker=other) == ["5"]


@case(*_FLEET)
async def who_has_no_limits_is_held_to_none(bench: Bench) -> None:
    """What it holds counts for the others all the same."""
    bench.broker.limit_fleet({"type": 2})
    await bench.publish(*"12345")
    async with bench.another() as other:
        assert await bench.claimed(4, broker=other) == ["1", "2", "3", "4"]
        await bench.promptly(other.wait_ready)
        await bench.waits(bench.broker.wait_ready)
        assert await bench.claimed() == []


@case(Has.REMOTE)
async def new_limits_replace_the_old_ones(bench: Bench) -> None:
    await bench.publish(*"1234")
    bench.broker.limit_fleet({"type": 1})
    assert await bench.claimed() == ["1"]
    bench.broker.limit_fleet({"type": 2, "another": 1})
    assert await bench.claimed() == ["2"]
    await bench.waits(bench.broker.wait_ready)
    bench.broker.limit_fleet({"another": 1})
    await bench.promptly(bench.broker.wait_ready)
    assert await bench.claimed() == ["3", "4"]


# --- what frees a slot ----------------------------------------------------------------------------


@case(*_FLEET, each=ENDS_OF_A_LEASE)
async def every_end_of_a_lease_frees_its_slot(bench: Bench, move: Move) -> None:
    """Here and there at once, and whoever waits is told of it."""
    async with _two(bench, 1) as other:
        await bench.publish("1", "2")
        await bench.take("1")
        assert await bench.claimed(broker=other) == []
        async with bench.wakes(other.wait_ready):
            await bench.end(bench.held["1"], move, delay=LATER)
        free = "1" if move is Move.RELEASED else "2"
        assert await bench.claimed(broker=other) == [free]
        assert await bench.claimed() == []


@case(Has.REMOTE)
async def who_waits_in_the_same_opening_is_told_of_a_free_slot(bench: Bench) -> None:
    bench.broker.limit_fleet({"type": 1})
    await bench.publish("1", "2")
    await bench.take("1")
    async with bench.wakes(bench.broker.wait_ready, ["type", "another"]):
        await bench.end(bench.held["1"], Move.SUCCEEDED)
    assert await bench.claimed() == ["2"]


@case(Has.REMOTE)
async def settlements_of_one_batch_free_a_slot_each(bench: Bench) -> None:
    bench.broker.limit_fleet({"type": 3})
    await bench.publish(*"123456789")
    leases = await bench.claim()
    assert await bench.settle(*[verdict(lease, Move.SUCCEEDED) for lease in leases]) == [True] * 3
    assert await bench.claimed() == ["4", "5", "6"]


async def revoke_here(bench: Bench, _: RemoteBroker) -> None:
    """By the opening that holds it."""
    assert await bench.inspector.revoke("1")


async def revoke_there(_: Bench, other: RemoteBroker) -> None:
    """By the one that waits."""
    assert await other.revoke("1")


@case(*_FLEET, each=[revoke_here, revoke_there])
async def a_revoked_lease_frees_its_slot(
    bench: Bench, revoke: Callable[[Bench, RemoteBroker], Awaitable[None]]
) -> None:
    async with _two(bench, 1) as other:
        await bench.publish("1", "2")
        await bench.take("1")
        async with bench.wakes(other.wait_ready):
            await revoke(bench, other)
        assert await bench.claimed(broker=other) == ["1"]
        assert await bench.claimed() == []


@case(*_FLEET)
async def the_last_loss_frees_its_slot(bench: Bench) -> None:
    """The task is dead then, and nothing has become ready."""
    async with _two(bench, 1) as other:
        await bench.publish("1", "2")
        for _ in range(bench.suite.max_losses):
            await bench.take("1")
            assert await bench.inspector.revoke("1")
        await bench.take("1")
        async with bench.wakes(other.wait_ready):
            assert await bench.inspector.revoke("1")
        assert await bench.state("1") is State.DEAD
        assert await bench.claimed(broker=other) == ["2"]


@case(*_FLEET, Has.LEASES)
async def a_lease_that_expires_frees_its_slot(bench: Bench) -> None:
    """Whoever waits is woken within two leases; the slot is one again, not two."""
    async with _two(bench, 1) as other:
        await bench.publish("1", "2")
        await bench.take("1")
        async with bench.wakes(other.wait_ready, units=2 * bench.lease):
            pass
        assert await bench.claimed(broker=other) == ["1"]
        assert await bench.claimed() == []


@case(*_FLEET, Has.LEASES)
async def what_a_dead_process_held_frees_its_slot_in_time(bench: Bench) -> None:
    await bench.publish("1", "2")
    await bench.take("1")
    await bench.reopen()
    bench.broker.limit_fleet({"type": 1})
    assert await bench.claimed() == []
    await bench.promptly(bench.broker.wait_ready, units=2 * bench.lease)
    assert await bench.claimed() == ["1"]


# --- what frees none ------------------------------------------------------------------------------


@case(*_FLEET, Has.LEASES)
async def a_lease_that_is_renewed_keeps_its_slot(bench: Bench) -> None:
    async with _two(bench, 1) as other:
        await bench.publish("1", "2")
        lease = await bench.take("1")
        for _ in range(9):
            await bench.sleep(bench.lease / 3)
            assert list(await bench.broker.renew([lease])) == []
            assert await bench.claimed(broker=other) == []


@case(*_FLEET)
async def a_task_that_is_asked_to_cancel_keeps_its_slot(bench: Bench) -> None:
    """Its handler runs until it has obeyed."""
    async with _two(bench, 1) as other:
        await bench.publish("1", "2")
        lease = await bench.take("1")
        assert await other.cancel("1")
        assert await bench.claimed(broker=other) == []
        await bench.end(lease, Move.CANCELLED)
        assert await bench.claimed(broker=other) == ["2"]


@case(Has.REMOTE)
async def what_ends_without_having_run_frees_no_slot(bench: Bench) -> None:
    bench.broker.limit_fleet({"type": 1})
    await bench.publish("dead", "1")
    await bench.end(await bench.take("dead"), Move.DIED)
    await bench.take("1")
    await bench.publish("cancelled", "4")
    await bench.publish("expired", expires=1)
    assert await bench.inspector.cancel("cancelled")
    await bench.inspector.replay("dead")
    await bench.sleep(2)
    assert await bench.claimed() == []
    await bench.end(bench.held["1"], Move.SUCCEEDED)
    assert await bench.claimed() == ["4"]
    assert await bench.claimed() == []


@case(*_FLEET)
async def a_late_settlement_frees_no_slot(bench: Bench) -> None:
    """Whose lease was lost has no slot to give; it is the next holder's."""
    async with _two(bench, 1) as other:
        await bench.publish("1", "2")
        old = await bench.take("1")
        assert await other.revoke("1")
        (new,) = await bench.claim(broker=other)
        assert await bench.settle(verdict(old, Move.SUCCEEDED)) == [False]
        assert await bench.claimed() == []
        assert list(await other.settle([verdict(new, Move.SUCCEEDED)])) == [True]
        assert await bench.claimed() == ["2"]


@case(*_FLEET)
async def a_settlement_that_is_repeated_frees_one_slot(bench: Bench) -> None:
    async with _two(bench, 2) as other:
        await bench.publish(*"12345")
        settlement = await bench.end((await bench.claim())[0], Move.RETRIED, delay=LATER)
        assert await bench.settle(settlement) == [True]
        assert list(await other.settle([settlement])) == [True]
        assert await bench.claimed(broker=other) == ["3"]


# --- queues ---------------------------------------------------------------------------------------


@case(*_FLEET, Has.QUEUES)
async def queues_of_two_openings_run_no_more_than_the_limit(bench: Bench) -> None:
    """By what their handlers see; and no slot is left empty while there is work for it."""
    tasks = TaskSet()
    running = most = 0

    @tasks.task(limit=2, scope="fleet")
    async def scarce() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await bench.sleep(1)
        running -= 1

    async with (
        bench.another() as other,
        open_queue(tasks, workers=2, broker=other),
        open_queue(tasks, workers=2, broker=bench.broker) as queue,
    ):
        passed = bench.stopwatch()
        await queue.submit_many([scarce.bind() for _ in range(6)])
        await queue.drain()
        assert bench.about(passed(), 3)
    assert most == 2


# --- waiting --------------------------------------------------------------------------------------


@case(*_FLEET)
async def ready_tasks_of_a_full_type_do_not_make_anybody_spin(bench: Bench) -> None:
    """In vain at most, not again and again for the same cause."""
    returned = 0

    async def wait(broker: RemoteBroker) -> None:
        nonlocal returned
        while returned < 100:
            await broker.wait_ready(["type", "another"])
            returned += 1

    async with _two(bench, 1) as other:
        await bench.publish("1", "2")
        await bench.take("1")
        with trio.move_on_after(bench.seconds(6)):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait, bench.broker)
                nursery.start_soon(wait, other)
    assert returned <= 4


@case(*_FLEET)
async def who_comes_too_late_for_a_free_slot_waits_again(bench: Bench) -> None:
    """Everybody may be woken for it, and one must be; one gets it."""
    async with _two(bench, 1) as other:
        await bench.publish(*"123")
        await bench.take("1")

        async def wait() -> None:
            async with trio.open_nursery() as nursery:
                for broker in (other, bench.broker):

                    async def wait_one(broker: RemoteBroker = broker) -> None:
                        await broker.wait_ready()
                        nursery.cancel_scope.cancel()

                    nursery.start_soon(wait_one)

        async with bench.wakes(wait):
            await bench.end(bench.held["1"], Move.SUCCEEDED)
        assert await bench.claimed(broker=other) == ["2"]
        assert await bench.claimed() == []
        await bench.waits(bench.broker.wait_ready)
