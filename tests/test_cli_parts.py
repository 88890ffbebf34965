"""The demo's parts: the board that follows the events, the sum that is checked, the stop."""

from collections.abc import AsyncIterator
from dataclasses import replace
from signal import SIGINT, SIGTERM

import pytest
import trio
import trio.testing

import trioqueue
from trioqueue import OutcomeKind, Retry, State, TaskSet
from trioqueue.cli._demo import GRACE, Settings, Stopper, make_tasks
from trioqueue.cli._demo_board import Board
from trioqueue.cli._demo_report import check, describe_dead, describe_sum
from trioqueue.cli._demo_view import View


async def test_the_board_agrees_with_the_queue_at_every_event():
    """Folding the events gives the counts that the queue has itself, running tasks included."""
    tasks = TaskSet(retry=Retry(attempts=2, initial=0, maximum=0))

    @tasks.task
    async def work(fails: bool) -> None:
        if fails:
            raise ValueError

    board = Board(["work"], 6, trio.current_time())
    async with trioqueue.open_queue(tasks, workers=2, observers=[board]) as queue:
        for number in range(6):
            await queue.submit(work, number % 2 == 0)
            counts = queue.statistics()
            assert board.count(State.RUNNING) == counts.running == len(board.running)
            assert board.count(State.READY) == counts.ready
    assert (board.count(State.SUCCEEDED), board.count(State.DEAD)) == (3, 3)
    assert board.done == 6
    assert board.failures.total() == 6
    assert board.running == {}
    assert check(queue.statistics(), board, letters=3)


async def numbers_of_two_dead() -> tuple[trioqueue.Statistics, Board]:
    tasks = TaskSet(retry=Retry(attempts=1))

    @tasks.task
    async def broken() -> None:
        raise ValueError

    board = Board(["broken"], 2, trio.current_time())
    async with trioqueue.open_queue(tasks, observers=[board]) as queue:
        await queue.submit(broken)
        await queue.submit(broken)
    return queue.statistics(), board


@pytest.mark.parametrize(
    "wrong", [{"submitted": 3}, {"dead": 1}, {"succeeded": 1}, {"dead": 1, "evicted": 1}], ids=str
)
async def test_numbers_that_do_not_add_up_are_found(wrong: dict[str, int]):
    """A task too many or too few, or in another state than the events say, is not passed over."""
    statistics, board = await numbers_of_two_dead()
    assert check(statistics, board, letters=2)
    assert not check(statistics, board, letters=1)
    assert not check(replace(statistics, **wrong), board, letters=2)
    assert "DO NOT ADD UP" in describe_sum(statistics, adds_up=False)


async def test_many_dead_letters_are_not_all_written_out():
    """The first twenty, and how many more there are."""
    tasks = TaskSet(retry=Retry(attempts=1))

    @tasks.task
    async def broken() -> None:
        raise ValueError("why")

    async with trioqueue.open_queue(tasks) as queue:
        await queue.submit_many([broken.bind() for _ in range(30)])
    lines = list(describe_dead(queue.dead_letters.list()))
    assert lines[0] == "Dead letters: 30 (30 broken)"
    assert lines[-1].endswith("and 10 more")
    assert sum("ValueError: why" in line for line in lines) == 20


class QuietView(View):
    def __init__(self) -> None:
        self.told: list[tuple[str, float]] = []

    def tell_stop(self, why: str, grace: float) -> None:
        self.told.append((why, grace))


async def signals_at(*times: float) -> AsyncIterator[int]:
    for time in times:
        await trio.sleep_until(time)
        yield SIGINT


@pytest.mark.parametrize(
    ("times", "end"), [((1,), 1 + GRACE), ((1, 2), 2), ((1, 2, 3), 2)], ids=["once", "twice", "3"]
)
async def test_a_second_signal_shortens_the_grace(
    times: tuple[float, ...], end: float, autojump_clock: trio.testing.MockClock
):
    """Once: running tasks have the whole grace. Twice: they end at once. More changes nothing."""
    tasks = TaskSet()

    @tasks.task
    async def endless() -> None:
        await trio.sleep_forever()

    begin = trio.current_time()
    view = QuietView()
    async with trio.open_nursery() as nursery:
        async with trioqueue.open_queue(tasks) as queue:
            await queue.submit(endless)
            stopper = Stopper(queue, view)
            nursery.start_soon(stopper.listen, signals_at(*(begin + time for time in times)))
        assert trio.current_time() - begin == end
        nursery.cancel_scope.cancel()
    assert view.told[0] == ("SIGINT", GRACE)
    assert all(grace == 0 for _, grace in view.told[1:])
    assert stopper.signal is SIGINT
    assert stopper.signal is not SIGTERM


@pytest.mark.parametrize("tasks", [10, 1_000])
async def test_a_plain_demo_takes_the_time_of_its_work(
    tasks: int, autojump_clock: trio.testing.MockClock
):
    """Every type's work fits its timeout: what times out is only what never answers."""
    settings = Settings(tasks, 20, 3, 0.5, seed=1, work=None)
    registry = make_tasks(settings)
    kinds: list[tuple[str, OutcomeKind]] = []

    def note(event: trioqueue.Event) -> None:
        if event.outcome is not None:
            kinds.append((event.task_type, event.outcome.kind))

    async with trioqueue.open_queue(
        registry, workers=20, capacity=1_000, observers=[note]
    ) as queue:
        for number in range(1, tasks + 1):
            await queue.submit(list(registry)[number % 4], number)
    timed_out = {name for name, kind in kinds if kind is OutcomeKind.TIMEOUT}
    assert timed_out <= {"fetch_page"}
    assert queue.statistics().submitted == tasks
