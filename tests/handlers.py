"""Task types that the behavioural tests share. A TaskSet has no state: one serves them all."""

import trio

from tests.contract import ONCE
from trioqueue import Handle, TaskSet, current_task

tasks = TaskSet(retry=ONCE)


@tasks.task
async def double(n: int) -> int:
    """Twice the number."""
    return 2 * n


@tasks.task
async def rest(seconds: float = 1) -> float:
    """Take some time."""
    await trio.sleep(seconds)
    return seconds


@tasks.task
async def fail(text: str = "bad") -> None:
    """Fail, for good."""
    raise ValueError(text)


@tasks.task
async def for_ever() -> None:
    """End only when cancelled."""
    await trio.sleep_forever()


@tasks.task
async def submit_more(depth: int, seconds: float = 1) -> None:
    """Submit one that submits one, and so on."""
    await trio.sleep(seconds)
    if depth:
        await current_task().queue.submit(submit_more, depth - 1)


@tasks.task
async def stubborn(seconds: float) -> str:
    """Shield itself from whatever cancels it."""
    with trio.CancelScope(shield=True):
        await trio.sleep(seconds)
    return "done all the same"


async def outcome_of(handle: Handle[object]) -> str:
    """How a task ended, as a word."""
    return str((await handle.wait()).kind)
