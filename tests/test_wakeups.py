"""Work conservation when a wake-up and the end of an old deadline fall together."""

import trio
import trio.testing

import trioqueue
from trioqueue import TaskSet


async def test_a_worker_whose_old_deadline_ends_its_parking_is_woken_again(
    autojump_clock: trio.testing.MockClock,
):
    """A deadline left from a finished attempt must not swallow the call for a new task."""
    tasks = TaskSet()

    @tasks.task(timeout=1)
    async def quick() -> None:
        pass

    async with trioqueue.open_queue(tasks, workers=1) as queue:
        for _ in range(20):  # whether the worker or the submitter runs first is drawn each time
            first = await queue.submit(quick)
            began = trio.current_time()
            await first.wait()
            await trio.sleep_until(began + 1)  # the pass in which that attempt's deadline passes
            queue.submit_nowait(quick)
            await trio.testing.wait_all_tasks_blocked()
            last = await queue.submit(quick)
            with trio.move_on_after(0.5):
                await last.wait()
            assert last.state is trioqueue.State.SUCCEEDED
