"""The memory broker's bounds and its clock: who gets room, what is due, and books that balance."""

from contextlib import suppress
from random import Random

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.contract import (
    KINDS,
    Ledger,
    a_task,
    check_places,
    end,
    take,
    take_all,
    verdict,
)
from trioqueue import KeyTaken, MemoryBroker, Move, QueueClosed, State, TaskSet, open_memory_broker
from trioqueue._model import Lease, Task


async def submit(broker: MemoryBroker, tasks: list[Task], done: list[str]) -> None:
    """Publish, and note who was let in, or that the broker was closed."""
    try:
        await broker.publish(tasks)
    except QueueClosed:
        done.append("closed")
    else:
        done.extend(task.id for task in tasks)


def large(broker: MemoryBroker) -> dict[str, int]:
    """Whatever in the broker and its parts, by any name, holds over 100 of something."""
    owners = [broker, broker._timer, broker._lanes, broker._room, broker._delayed]
    sizes: dict[str, int] = {}
    for owner in owners:
        for name in dir(owner):
            value = None if name.startswith("__") else getattr(owner, name)
            if hasattr(value, "__len__") and not isinstance(value, str):
                sizes[f"{type(owner).__name__}.{name}"] = len(value)
    return {name: size for name, size in sizes.items() if size > 100}


# --- room ----------------------------------------------------------------------------------------


async def test_a_full_broker_lets_in_one_for_each_that_ends() -> None:
    """In the order in which they asked, the unequal batches among them included."""
    done: list[str] = []
    async with open_memory_broker(capacity=3) as broker, trio.open_nursery() as nursery:
        await broker.publish([a_task(str(n)) for n in range(3)])
        batches = [["a"], ["b", "c", "d"], ["e"], ["f", "g"]]
        for batch in batches:
            nursery.start_soon(submit, broker, [a_task(id) for id in batch], done)
            await wait_all_tasks_blocked()
        assert broker.counts().waiting_submitters == 4
        with pytest.raises(trio.WouldBlock):
            broker.publish_nowait([a_task("hasty")])
        seen = []
        for _ in range(10):
            broker.settle_nowait(verdict(take(broker), Move.SUCCEEDED), 0)
            await wait_all_tasks_blocked()
            check_places(broker)
            seen.append("".join(done))
        assert seen == ["a", "a", "a", "abcd", "abcde", "abcde", *["abcdefg"] * 4]


@pytest.mark.parametrize(
    ("move", "delay"), [(Move.RETRIED, 9), (Move.RETRIED, 0), (Move.RELEASED, 0)]
)
async def test_a_place_is_kept_until_the_task_has_ended(move: Move, delay: float) -> None:
    """Running, backing off, given back: none of these makes room for another."""
    async with open_memory_broker(capacity=1) as broker:
        await broker.publish([a_task("1")])
        lease = take(broker)
        with pytest.raises(trio.WouldBlock):
            broker.publish_nowait([a_task("2")])
        end(broker, lease, move, delay)
        with pytest.raises(trio.WouldBlock):
            broker.publish_nowait([a_task("2")])


@pytest.mark.parametrize("move", [Move.SUCCEEDED, Move.DIED, Move.CANCELLED])
async def test_every_end_makes_room(move: Move) -> None:
    async with open_memory_broker(capacity=1) as broker:
        for n in range(3):
            broker.publish_nowait([a_task(str(n))])
            end(broker, take(broker), move)


async def test_more_than_can_ever_fit_is_an_error_at_once() -> None:
    async with open_memory_broker(capacity=2, delayed_capacity=1) as broker:
        with pytest.raises(ValueError, match="3"):
            await broker.publish([a_task(str(n)) for n in range(3)])
        with pytest.raises(ValueError, match="2"):
            await broker.publish([a_task(str(n), delay=1) for n in range(2)])
        assert broker.counts().submitted == 0
        check_places(broker)


async def test_a_batch_is_accepted_whole_or_not_at_all() -> None:
    async with open_memory_broker(capacity=3) as broker:
        await broker.publish([a_task("1"), a_task("2")])
        with pytest.raises(trio.WouldBlock):
            broker.publish_nowait([a_task("3"), a_task("4")])
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(broker.publish, [a_task("3"), a_task("4")])
                await wait_all_tasks_blocked()
                scope.cancel()
        assert broker.counts().submitted == 2
        broker.publish_nowait([a_task("5")])
        check_places(broker)


async def test_a_submitter_behind_a_cancelled_large_batch_is_let_in() -> None:
    done: list[str] = []
    async with open_memory_broker(capacity=3) as broker, trio.open_nursery() as nursery:
        await broker.publish([a_task("1"), a_task("2")])
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as large:
                large.start_soon(submit, broker, [a_task("3"), a_task("4")], done)
                await wait_all_tasks_blocked()
                nursery.start_soon(submit, broker, [a_task("5")], done)
                await wait_all_tasks_blocked()
                assert done == []
                scope.cancel()
        await wait_all_tasks_blocked()
        assert done == ["5"]


@pytest.mark.parametrize("cancel_first", [False, True])
async def test_a_submit_cancelled_in_the_step_of_its_grant_leaves_no_ghost(
    cancel_first: bool,
) -> None:
    """Either it was accepted, or the place goes to the next in line."""
    done: list[str] = []
    async with open_memory_broker(capacity=1) as broker, trio.open_nursery() as nursery:
        await broker.publish([a_task("1")])
        scope = trio.CancelScope()

        async def impatient() -> None:
            with scope:
                await submit(broker, [a_task("2")], done)

        nursery.start_soon(impatient)
        await wait_all_tasks_blocked()
        nursery.start_soon(submit, broker, [a_task("3")], done)
        await wait_all_tasks_blocked()
        settlement = verdict(take(broker), Move.SUCCEEDED)
        if cancel_first:
            scope.cancel()
        broker.settle_nowait(settlement, 0)
        scope.cancel()
        await wait_all_tasks_blocked()
        assert done == (["3"] if cancel_first else ["2"])
        assert (broker.get("2") is None) == cancel_first
        check_places(broker)
        broker.cancel(done[0])


async def test_closing_wakes_everybody_who_waits() -> None:
    """Also one that had just been granted its place."""
    done: list[str] = []
    async with open_memory_broker(capacity=1, delayed_capacity=1) as broker:
        async with trio.open_nursery() as nursery:
            await broker.publish([a_task("1")])
            await broker.publish([a_task("2", delay=9)])
            for n in range(3):
                nursery.start_soon(submit, broker, [a_task(f"w{n}")], done)
                nursery.start_soon(submit, broker, [a_task(f"d{n}", delay=9)], done)
            await wait_all_tasks_blocked()
            broker.settle_nowait(verdict(take(broker), Move.SUCCEEDED), 0)
            broker.close()
        assert done == ["closed"] * 6
        assert broker.counts().submitted == 2
        check_places(broker)


async def test_a_key_taken_while_waiting_answers_with_its_holder() -> None:
    async with open_memory_broker(capacity=1) as broker, trio.open_nursery() as nursery:
        await broker.publish([a_task("1")])
        answers: list[str] = []

        async def ask(id: str) -> None:
            (task,) = await broker.publish([a_task(id, key="k")])
            answers.append(task.id)

        for id in ("2", "3"):
            nursery.start_soon(ask, id)
            await wait_all_tasks_blocked()
        broker.cancel("1")
        await wait_all_tasks_blocked()
        assert answers[0] == "2"
        broker.cancel("2")
        await wait_all_tasks_blocked()
        assert broker.counts().submitted == 1 + len(set(answers))
        check_places(broker)


# --- time ----------------------------------------------------------------------------------------


async def test_a_delayed_task_is_ready_exactly_when_it_is_due(autojump_clock: MockClock) -> None:
    async with open_memory_broker() as broker:
        tasks = [a_task(str(n), delay=n) for n in (3, 1, 2)]
        await broker.publish(tasks)
        for n in (1, 2, 3):
            assert take_all(broker) == []
            await broker.wait_ready()
            assert trio.current_time() == n
            assert take_all(broker) == [str(n)]


async def test_delayed_tasks_never_close_the_queue_for_the_others(
    autojump_clock: MockClock,
) -> None:
    async with open_memory_broker(capacity=1, delayed_capacity=2) as broker:
        await broker.publish([a_task("1", delay=9), a_task("2", delay=9)])
        broker.publish_nowait([a_task("3")])
        with pytest.raises(trio.WouldBlock):
            broker.publish_nowait([a_task("4", delay=9)])
        check_places(broker)


async def test_what_falls_due_without_room_goes_ahead_of_waiting_submitters(
    autojump_clock: MockClock,
) -> None:
    done: list[str] = []
    async with open_memory_broker(capacity=1) as broker, trio.open_nursery() as nursery:
        await broker.publish([a_task("running")])
        lease = take(broker)
        nursery.start_soon(submit, broker, [a_task("waits")], done)
        await wait_all_tasks_blocked()
        await broker.publish([a_task("due", delay=1)])
        await trio.sleep(2)
        assert (done, take_all(broker)) == ([], [])
        check_places(broker)
        end(broker, lease, Move.SUCCEEDED)
        await wait_all_tasks_blocked()
        assert (done, take_all(broker)) == ([], ["due"])
        broker.stop()


async def test_a_task_that_waits_for_room_when_due_can_end_meanwhile(
    autojump_clock: MockClock,
) -> None:
    """Cancelled, or expired: and nothing of it is kept."""
    async with open_memory_broker(capacity=1, results=5) as broker:
        await broker.publish([a_task("running")])
        for n in range(100):
            await broker.publish([a_task(f"c{n}", delay=1), a_task(f"e{n}", delay=1, expires=2)])
            await trio.sleep(1)
            assert broker.cancel(f"c{n}")
            await trio.sleep(2)
            check_places(broker)
        assert broker.counts().expired == broker.counts().cancelled == 100
        assert large(broker) == {}
        end(broker, take(broker), Move.SUCCEEDED)
        assert take_all(broker) == []


async def test_a_snoozed_task_is_counted_apart_while_it_sleeps(autojump_clock: MockClock) -> None:
    async with open_memory_broker(capacity=1, delayed_capacity=1) as broker:
        await broker.publish([a_task("1")])
        end(broker, take(broker), Move.SNOOZED, delay=5)
        broker.publish_nowait([a_task("2")])
        end(broker, take(broker), Move.SUCCEEDED)
        await broker.wait_ready()
        assert trio.current_time() == 5
        check_places(broker)


async def test_a_snooze_of_no_time_is_ready_at_once() -> None:
    """However often: each time in the common room."""
    async with open_memory_broker(capacity=1, delayed_capacity=1) as broker:
        await broker.publish([a_task("1")])
        for _ in range(3):
            end(broker, take(broker), Move.SNOOZED, delay=0)
        end(broker, take(broker), Move.SUCCEEDED)


async def test_a_snooze_into_a_full_delayed_room_keeps_its_place(
    autojump_clock: MockClock,
) -> None:
    async with open_memory_broker(capacity=2, delayed_capacity=1) as broker:
        await broker.publish([a_task("delayed", delay=9)])
        await broker.publish([a_task("1")])
        end(broker, take(broker), Move.SNOOZED, delay=5)
        broker.publish_nowait([a_task("2")])
        with pytest.raises(trio.WouldBlock):
            broker.publish_nowait([a_task("3")])
        assert take_all(broker) == ["2"]
        await broker.wait_ready()
        assert (trio.current_time(), take_all(broker)) == (5, ["1"])


@pytest.mark.parametrize(("delay", "expires"), [(0.0, 3.0), (1.0, 3.0), (9.0, 3.0)])
async def test_a_task_that_has_not_started_in_time_expires(
    delay: float, expires: float, autojump_clock: MockClock
) -> None:
    async with open_memory_broker() as broker:
        task = a_task("1", delay=delay, expires=expires)
        await broker.publish([task])
        await broker.wait_settled(task)
        assert (task.state, trio.current_time()) == (State.EXPIRED, expires)
        assert take_all(broker) == []
        check_places(broker)


async def test_only_the_first_start_has_to_be_in_time(autojump_clock: MockClock) -> None:
    async with open_memory_broker() as broker:
        await broker.publish([a_task("1", expires=3)])
        lease = take(broker)
        await trio.sleep(5)
        end(broker, lease, Move.RETRIED, delay=5)
        await broker.wait_ready()
        end(broker, take(broker), Move.RELEASED)
        assert take_all(broker) == ["1"]


# --- what is bounded -----------------------------------------------------------------------------


async def test_nothing_grows_with_the_tasks_that_have_been(autojump_clock: MockClock) -> None:
    """Ended, cancelled, expired, delayed, in lanes of all names and priorities: all forgotten."""
    async with open_memory_broker(4, delayed_capacity=4, dead_capacity=2, results=5) as broker:
        for n in range(600):
            options = {"queue": f"q{n}", "priority": n % 256, "key": f"k{n}"}
            await broker.publish([a_task(f"a{n}", **options), a_task(f"b{n}")])
            for move in (Move.SUCCEEDED, Move.DIED):
                end(broker, take(broker), move)
            await broker.publish([a_task(f"c{n}", delay=50, expires=70)])
            broker.cancel(f"c{n}")
            await broker.publish([a_task(f"d{n}", expires=1)])
            await trio.sleep(1)
        await trio.sleep(1)
        assert broker.counts().expired == broker.counts().cancelled == 600
        assert large(broker) == {}


# --- a walk at random ----------------------------------------------------------------------------


async def step(broker: MemoryBroker, random: Random, leases: list[Lease], number: int) -> None:
    """One verb, drawn at random, on whatever there is."""
    lane = random.choice(["x", "y"])
    match random.choice("sssscccceeekprt"):
        case "s":
            delay, expires = random.choice([0, 0, 1]), random.choice([None, 2])
            key = random.choice([None, None, "k"])
            task = a_task(str(number), lane, queue=lane, delay=delay, expires=expires, key=key)
            with suppress(trio.WouldBlock):
                broker.publish_nowait([task])
        case "c":
            leases += await broker.claim({lane: 9}, random.randrange(3))
        case "e" if leases:
            lease = leases.pop(random.randrange(len(leases)))
            end(broker, lease, random.choice(list(KINDS)), random.choice([0, 0, 0.5, 3]))
        case "k" if broker.tasks():
            broker.cancel(random.choice(broker.tasks()).id)
        case "p":
            random.choice([broker.pause, broker.resume])(random.choice([lane, None]))
        case "r" if broker.dead_letters():
            with suppress(KeyTaken), trio.move_on_after(0.1):
                await broker.replay(random.choice(broker.dead_letters()).id)
        case _:
            await trio.sleep(random.choice([0.3, 1, 2]))


@pytest.mark.parametrize("seed", range(20))
async def test_the_books_balance_after_every_verb(seed: int, autojump_clock: MockClock) -> None:
    """Places, states and counts, on a small broker that is often full."""
    random, leases, states = Random(seed), [], Ledger(TaskSet(), 10**6)
    states._limits = {"x": 10**6, "y": 10**6}
    async with open_memory_broker(4, delayed_capacity=2, dead_capacity=2, results=3) as broker:
        broker.events.add(states)
        for number in range(300):
            await step(broker, random, leases, number)
            check_places(broker)
    counts = broker.counts()
    assert counts.handed_back == sum(s is State.HANDED_BACK for s in states.states.values())
    assert counts.running == len(leases)
    assert not states.wrongs


async def test_an_observer_may_make_due_what_it_is_told_of(autojump_clock: MockClock) -> None:
    """It is called in the middle of a settlement."""
    async with open_memory_broker(capacity=2) as broker:
        broker.events.add(lambda event: event.name == "snoozed" and broker.run_now("1"))
        await broker.publish([a_task("1")])
        end(broker, take(broker), Move.SNOOZED, delay=5)
        assert [task.state for task in broker.tasks()] == [State.READY]
        await trio.sleep(6)
        assert take_all(broker) == ["1"]
        check_places(broker)
