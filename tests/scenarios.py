"""Small programs that use much of the queue, to be disturbed at every step.

Each asserts only what is true in spite of a cancellation; the laws are checked by the test queue.
"""

from contextlib import asynccontextmanager
from contextvars import ContextVar

import trio

from trioqueue import (
    Discard,
    QueueClosed,
    Retry,
    RetryLater,
    Snooze,
    TaskSet,
    TrioqueueError,
    WouldDeadlock,
    current_task,
)
from trioqueue.testing import (
    lose_lease,
    open_test_queue,
    raises,
    raises_when_cancelled,
    returns,
    script,
    shields,
    swallows_cancellation,
    target,
    times_out,
)

ONCE = Retry(attempts=1)
TWICE = Retry(attempts=2, initial=0.3, jitter=0)


async def mixed_kinds():
    tasks = TaskSet(retry=Retry(attempts=3, initial=0.25, maximum=1))
    steps = {
        "quick": returns(1),
        "slow": returns(2, after=1),
        "flaky": script(raises(OSError("down"), after=0.1), returns(3)),
        "hopeless": raises(ValueError("no")),
        "discarded": raises(Discard("never")),
        "snoozing": script(raises(Snooze(0.5)), raises(Snooze(0)), returns(4)),
        "later": script(raises(RetryLater(0.7)), returns(5)),
        "endless": times_out(),
        "crashing": script(raises(SystemExit()), returns(6)),
    }
    types = [
        tasks.task(name=name, timeout=2 if name == "endless" else None)(script(step))
        for name, step in steps.items()
    ]
    async with open_test_queue(tasks, workers=2, capacity=4) as queue:
        with target("submitter"):
            for task_type in types:
                await queue.submit(task_type)


async def capped_types_compete():
    tasks = TaskSet()
    one = tasks.task(name="one", limit=1)(script(returns(after=0.4)))
    two = tasks.task(name="two", limit=2)(script(returns(after=0.3)))
    free = tasks.task(name="free")(script(returns()))
    async with open_test_queue(tasks, workers=3, capacity=5) as queue:

        async def submit(name, *types):
            with target(name):
                for task_type in types:
                    await queue.submit(task_type)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(submit, "first", one, one, two, one, free)
            nursery.start_soon(submit, "second", two, two, free, one)


async def stop_while_submitters_block():
    tasks = TaskSet()
    slow = tasks.task(name="slow")(script(returns(after=1)))
    async with open_test_queue(tasks, workers=1, capacity=2) as queue:

        async def submit(name):
            with target(name):
                for _ in range(2):
                    try:
                        await queue.submit(slow)
                    except QueueClosed:
                        return

        async with trio.open_nursery() as nursery:
            for name in ("first", "second", "third"):
                nursery.start_soon(submit, name)
            await trio.sleep(1.5)
            with target("stopper"):
                await queue.shutdown(grace=1)


async def close_while_submitters_block():
    tasks = TaskSet()
    slow = tasks.task(name="slow")(script(returns(after=1)))
    async with open_test_queue(tasks, workers=1, capacity=1) as queue:

        async def submit(name):
            with target(name):
                try:
                    await queue.submit(slow)
                except QueueClosed:
                    return

        async with trio.open_nursery() as nursery:
            for name in ("first", "second", "third"):
                nursery.start_soon(submit, name)
            await trio.sleep(1.5)
            queue.close()
            await queue.drain()


async def shutdown_with_grace():
    tasks = TaskSet(retry=TWICE)
    fast = tasks.task(name="fast")(script(returns(after=0.5)))
    slow = tasks.task(name="slow")(script(returns(after=60)))
    firm = tasks.task(name="firm")(script(shields(4)))
    flaky = tasks.task(name="flaky")(script(raises(OSError("down"))))
    async with open_test_queue(tasks, workers=4) as queue:
        for task_type in (fast, slow, firm, flaky, fast, slow):
            await queue.submit(task_type)
        await trio.sleep(0.1)

        async def stop(name, grace):
            with target(name):
                await queue.shutdown(grace=grace)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(stop, "long", 3)
            await trio.sleep(0.6)
            nursery.start_soon(stop, "short", 1)


async def dead_letters():
    tasks = TaskSet(retry=ONCE)
    doomed = tasks.task(name="doomed")(script(raises(ValueError("no"))))
    mended = []

    @tasks.task(name="mendable")
    async def mendable():
        if not mended:
            raise OSError("down")

    async with open_test_queue(tasks, workers=2, capacity=2, dead_capacity=3) as queue:
        with target("submitter"):
            for _ in range(4):
                await queue.submit(doomed)
            await queue.options(key="k").submit(mendable)
            await queue.drain()
        mended.append(True)
        with target("operator"):
            letters = queue.dead_letters.list()
            for letter in letters[:1]:
                queue.dead_letters.purge(letter.id)
            for letter in letters[2:]:
                await queue.dead_letters.replay(letter.id)
            await queue.dead_letters.replay_all("doomed")
        with target("waiter"):
            await queue.drain()


async def cancel_by_handle():
    tasks = TaskSet(retry=TWICE)
    plain = tasks.task(name="plain")(script(returns(after=5)))
    deaf = tasks.task(name="deaf", timeout=60)(script(swallows_cancellation("done")))
    bitter = tasks.task(name="bitter", timeout=60)(
        script(raises_when_cancelled(OSError("cleanup")))
    )
    async with open_test_queue(tasks, workers=3) as queue:
        handles = [await queue.submit(t) for t in (plain, deaf, bitter, plain)]
        handles.append(await queue.options(delay=9).submit(plain))
        await trio.sleep(1)

        async def cancel(number):
            with target(f"canceller {number}"):
                await handles[number].cancel()
                await handles[number].wait()

        async with trio.open_nursery() as nursery:
            for number in range(len(handles)):
                nursery.start_soon(cancel, number)


async def pause_and_resume():
    tasks = TaskSet()
    mail = tasks.task(name="mail", queue="mail")(script(returns(after=0.2)))
    other = tasks.task(name="other")(script(returns(after=0.2)))
    async with open_test_queue(tasks, workers=2) as queue:
        queue.pause("mail")
        for task_type in (mail, other, mail, other):
            await queue.submit(task_type)
        await trio.sleep(1)
        queue.pause()
        await queue.submit(other)
        queue.resume()
        await trio.sleep(0.1)
        queue.pause("mail")
        await queue.submit(mail)
        with target("drainer"):
            try:
                await queue.drain()
            except TrioqueueError:
                pass
        queue.resume("mail")


async def priorities_and_delays():
    tasks = TaskSet()
    job = tasks.task(name="job")(script(returns(after=0.3)))
    async with open_test_queue(tasks, workers=1, capacity=3, delayed_capacity=2) as queue:
        with target("planner"):
            for delay in (0.5, 0.4):
                await queue.options(delay=delay, priority=7).submit(job)
            await queue.options(delay=0.1, expires=0.2).submit(job)
        with target("submitter"):
            for priority in (1, 200, 100, 200):
                await queue.options(priority=priority).submit(job)
            await queue.options(expires=0.1).submit(job)
            await queue.options(key="k").submit(job)
            await queue.options(key="k").submit(job)


async def unequal_batches():
    tasks = TaskSet()
    job = tasks.task(name="job")(script(returns(after=0.2)))
    async with open_test_queue(tasks, workers=2, capacity=4) as queue:

        async def submit(count):
            with target(f"batch of {count}"):
                await queue.submit_many([job.bind(n) for n in range(count)])

        async with trio.open_nursery() as nursery:
            for count in (3, 4, 1, 2):
                nursery.start_soon(submit, count)


async def handlers_that_submit():
    tasks = TaskSet(retry=ONCE)
    leaf = tasks.task(name="leaf")(script(returns(1, after=0.1)))

    @tasks.task(name="branch")
    async def branch(depth):
        queue = current_task().queue
        try:
            handle = await queue.submit(branch, depth - 1) if depth else await queue.submit(leaf)
            return await handle.result()
        except WouldDeadlock:
            return 0

    async with open_test_queue(tasks, workers=2, capacity=3) as queue:
        with target("submitter"):
            for depth in (2, 1, 0):
                await queue.submit(branch, depth)


async def leaked_contextvars():
    tasks = TaskSet(retry=TWICE)
    leak: ContextVar[str] = ContextVar("leak")
    leak.set("base")

    @tasks.task(name="leaky")
    async def leaky(how):
        leak.set(how)
        await trio.sleep(0.1)
        if how == "raises":
            raise OSError

    @tasks.task(name="clean")
    async def clean():
        assert leak.get() == "base"

    async with open_test_queue(tasks, workers=2) as queue:
        with target("submitter"):
            for how in ("returns", "raises", "returns"):
                await queue.submit(leaky, how)
                await queue.submit(clean)


async def unruly_handlers():
    tasks = TaskSet(retry=TWICE)
    types = [
        tasks.task(name="deaf", timeout=0.5)(script(swallows_cancellation())),
        tasks.task(name="bitter", timeout=0.5)(script(raises_when_cancelled(OSError("cleanup")))),
        tasks.task(name="firm", timeout=0.5)(script(shields(1))),
        tasks.task(name="quitter", timeout=0.5)(script(raises_when_cancelled(SystemExit()))),
    ]

    @tasks.task(name="stray")
    async def stray():
        with trio.CancelScope() as scope:
            scope.cancel()
            try:
                await trio.sleep_forever()
            except trio.Cancelled as cancelled:  # noqa: ASYNC103 - to stray from here
                kept = cancelled
        raise kept

    @tasks.task(name="grouped", timeout=0.5)
    async def grouped():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            nursery.start_soon(raises_when_cancelled(KeyError("inner")))

    async with open_test_queue(tasks, workers=3) as queue:
        with target("submitter"):
            for task_type in (*types, stray, grouped):
                await queue.submit(task_type)


async def lost_leases():
    tasks = TaskSet(retry=TWICE)
    plain = tasks.task(name="plain", limit=2)(script(returns(after=1)))
    deaf = tasks.task(name="deaf", timeout=2)(script(swallows_cancellation("zombie")))
    async with open_test_queue(tasks, workers=3) as queue:
        with target("submitter"):
            handles = [await queue.submit(t) for t in (plain, plain, deaf, plain)]
            await trio.sleep(0.5)
            for handle in handles:
                if handle.state == "running":
                    lose_lease(handle)
            for handle in handles:
                await handle.wait()


async def impatient_callers():
    tasks = TaskSet()
    job = tasks.task(name="job")(script(returns(after=1)))
    async with open_test_queue(tasks, workers=1, capacity=1) as queue:

        async def try_to_submit(patience):
            with target(f"patience {patience}"), trio.move_on_after(patience):
                handle = await queue.submit(job)
                with trio.move_on_after(0.4):
                    await handle.result()
                await handle.cancel()

        async with trio.open_nursery() as nursery:
            for patience in (0.5, 1, 1.5, 3):
                nursery.start_soon(try_to_submit, patience)


async def two_queues_in_a_row():
    second_tasks = TaskSet()
    pack = second_tasks.task(name="pack", limit=1)(script(returns(after=0.2)))
    first_tasks = TaskSet()
    ids = iter(f"packed-{n}" for n in range(99))
    async with open_test_queue(second_tasks, workers=2, capacity=2, new_id=ids.__next__) as second:

        @first_tasks.task(name="make")
        async def make():
            await trio.sleep(0.1)
            await second.submit(pack)

        async with open_test_queue(first_tasks, workers=2, capacity=2) as first:
            with target("submitter"):
                for _ in range(4):
                    await first.submit(make)


async def lifespan_and_around():
    open_now = []

    @asynccontextmanager
    async def lifespan():
        await trio.sleep(0.1)
        open_now.append("pool of connections")
        try:
            yield open_now
        finally:
            open_now.pop()

    @asynccontextmanager
    async def around(current):
        assert current.state
        await trio.sleep(0.1)
        try:
            yield
        finally:
            assert current.state, "a handler outlived what it works with"

    tasks = TaskSet(retry=TWICE, lifespan=lifespan, around=around)
    plain = tasks.task(name="plain", limit=1)(script(returns(after=0.2)))
    flaky = tasks.task(name="flaky")(script(raises(OSError("down"), after=0.1), returns()))
    endless = tasks.task(name="endless", timeout=0.5)(script(times_out()))

    @tasks.task(name="inline")
    def inline():
        return current_task().state

    async with open_test_queue(tasks, workers=2) as queue:
        with target("submitter"):
            for task_type in (plain, flaky, inline, plain, endless):
                await queue.submit(task_type)
    assert not open_now


ALL = (
    mixed_kinds,
    capped_types_compete,
    stop_while_submitters_block,
    close_while_submitters_block,
    shutdown_with_grace,
    dead_letters,
    cancel_by_handle,
    pause_and_resume,
    priorities_and_delays,
    unequal_batches,
    handlers_that_submit,
    leaked_contextvars,
    unruly_handlers,
    lost_leases,
    impatient_callers,
    two_queues_in_a_row,
    lifespan_and_around,
)
