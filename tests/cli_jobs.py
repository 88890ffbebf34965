"""Task types for worker processes under test. They tell what they do on standard output.

``LEDGER``: a file to which `note` appends its number, as the witness.
"""

import os
import signal
import sys
import time

import trio

from trioqueue import Retry, TaskSet

tasks = TaskSet(retry=Retry(attempts=2, initial=0.001))
mail = TaskSet()
empty = TaskSet()
rare = TaskSet()
not_tasks = [1, 2]


def tell(*words: object) -> None:
    """A line, at once."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


@tasks.task
async def note(number: int, seconds: float = 0.0) -> int:
    """Append a line to the ledger."""
    await trio.sleep(seconds)
    ledger = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(ledger, f"{number} {os.getpid()}\n".encode())
    os.close(ledger)
    return number


@tasks.task
async def slow(seconds: float = 3600.0) -> None:
    """Take some time, and tell how it ended."""
    tell("slow began", os.getpid())
    try:
        await trio.sleep(seconds)
    except trio.Cancelled:
        tell("slow was cancelled")
        raise
    tell("slow ended")


@tasks.task
async def stuck() -> None:
    """Block the whole event loop."""
    tell("stuck began", os.getpid())
    time.sleep(3600)  # noqa: ASYNC251


@tasks.task
def thread() -> None:
    """Block a thread."""
    tell("thread began", os.getpid())
    time.sleep(3600)


@tasks.task
async def shielded() -> None:
    """Shield itself from every stop."""
    tell("shielded began", os.getpid())
    with trio.CancelScope(shield=True):
        await trio.sleep(3600)


@tasks.task
async def fail(text: str = "bad") -> None:
    """Fail, for good."""
    raise ValueError(text)


@tasks.task
async def die(times: int) -> None:
    """Kill the process that runs it, until a file says that it was enough."""
    marks = f"{os.environ['LEDGER']}.deaths"
    count = os.path.getsize(marks) if os.path.exists(marks) else 0  # noqa: ASYNC240
    if count < times:
        with open(marks, "a", encoding="ascii") as file:  # noqa: ASYNC230
            file.write("x")  # noqa: ASYNC232
        os.kill(os.getpid(), signal.SIGKILL)
    await trio.lowlevel.checkpoint()


@rare.task(limit=2, scope="fleet")
async def scarce(seconds: float = 3600.0) -> None:
    """Note in the ledger when it begins and ends, whoever runs it."""
    ledger = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(ledger, f"began {os.getpid()}\n".encode())
        tell("scarce began", os.getpid())
        await trio.sleep(seconds)
    finally:
        os.write(ledger, f"ended {os.getpid()}\n".encode())
        os.close(ledger)


@tasks.task(queue="mail")
async def send(to: str = "anybody") -> None:
    """Of another queue than the others."""
    tell("sent to", to)
    await trio.lowlevel.checkpoint()


if os.environ.get("IMPORT") == "slow":
    tell("importing", os.getpid())
    sys.stdout.flush()
    time.sleep(3600)
elif os.environ.get("IMPORT") == "exit":
    sys.exit("this module ends the program")
elif os.environ.get("IMPORT") == "fail":
    raise ValueError("what a module\nmay say")
