"""A busy queue for the pictures: its tasks, and ten minutes that it has not had."""

from __future__ import annotations

import itertools
import linecache
import math
import random
import time
from pathlib import Path
from typing import Any

import trio

import trioqueue
from tests.browser_world import World
from trioqueue import Move
from trioqueue._rates import Window
from trioqueue.web._series import Series, Times, no_times

#: Seconds of the past that is made up: what the first chart shows.
PAST = 598

_FILE = "/app/jobs.py"

tasks = trioqueue.TaskSet(retry=trioqueue.Retry(attempts=3, initial=0.6, maximum=1.5))
slow = trioqueue.Retry(attempts=4, initial=90, maximum=400)


@tasks.task(timeout=30)
async def resize_image(path: str, *, width: int = 640) -> str:
    """Make a picture smaller."""
    if path.endswith(".tiff"):
        await _a_moment()
        raise OSError("cannot identify image file")
    await _work(12)
    return f"{path} at {width}"


@tasks.task(queue="mail", limit=2)
async def send_mail(to: str, *, template: str) -> None:
    """Send one mail."""
    if to.endswith(".invalid"):
        await _a_moment()
        raise ConnectionError("the mail server refused: mailbox unavailable")
    await _work(9)


@tasks.task(queue="reports", timeout=600)
async def export_report(customer: int, *, month: str) -> None:
    """Write the report of a month."""
    if customer > 900:
        await _a_moment()
        raise ValueError(f"customer {customer} has no contract")
    await _work(40)


@tasks.task(queue="hooks", retry=slow)
async def call_webhook(url: str, *, event: str) -> None:
    """Tell a customer's server."""
    if "down" in url:
        await _a_moment()
        raise TimeoutError(f"{url} did not answer within 10 s")
    await _work(15)


@tasks.task(queue="thumbnails")
async def make_thumbnail(number: int) -> None:
    """One of many."""
    await trio.sleep(0.05 + 0.01 * (number % 11))
    if number % 997 == 0:
        raise OSError(f"upload {number} is empty")


async def _work(total: int) -> None:
    """Some of the way, and then no further: a picture wants progress that stays."""
    current = trioqueue.current_task()
    current.progress(sum(map(ord, current.id)) % (total - 2) + 1, total)
    await trio.sleep_forever()


def hide_the_path() -> None:
    """What a traceback in a picture names is a file of a user's, not one of this checkout."""
    linecache.cache[_FILE] = (1, None, Path(__file__).read_text().splitlines(keepends=True), _FILE)
    for task_type in tasks:
        handler: Any = task_type.handler
        handler.__code__ = handler.__code__.replace(co_filename=_FILE)


async def _a_moment() -> None:
    """As long as it takes to find out."""
    await trio.sleep(0.18)


async def keep_busy(queue: trioqueue.Queue) -> None:
    """Many small tasks, for as long as the pictures take."""
    began = trio.current_time()
    for number in itertools.count(1):
        await trio.sleep_until(began + number / 45)
        await queue.submit(make_thumbnail, number)


async def fail(world: World) -> None:
    """What failed for good before the page looked."""
    submit = world.queue.submit
    for number in range(14):
        await submit(export_report, 901 + number, month="2026-10")
    for number in range(9):
        await submit(resize_image, f"scans/{1200 + number}.tiff", width=1280)
    for name in ("ada", "grace", "edsger", "barbara", "leslie", "tony"):
        await submit(send_mail, f"{name}@example.invalid", template="invoice")
    for number in range(5):
        await submit(call_webhook, f"https://down.example/hook/{number}", event="order.paid")
    await _until_dead(world, 29)


async def fill(world: World) -> None:
    """Submit what the pictures show; returns when there is enough to see."""
    options = world.queue.options
    luck = random.Random(7)
    world.nursery.start_soon(keep_busy, world.queue)
    headers = {"tenant": "acme", "request-id": "6f1c2a", "locale": "en-GB"}
    invoice = options(id="invoice-2026-1187", key="acme/1187", timeout=20, headers=headers)
    await invoice.submit(send_mail, "billing@acme.invalid", template="reminder")
    await _until_dead(world, 30)
    for number in range(30):
        path = f"uploads/{luck.randrange(10**6):06}.jpg"
        await options(delay=120 + 40 * number).submit(resize_image, path)
    types = itertools.cycle((_resize, _mail, _hook))
    for call in itertools.islice(types, 7):
        await call(world.queue, luck)
    await world.queue.submit(export_report, 318, month="2026-11")
    while world.queue.statistics().succeeded < 500:  # noqa: ASYNC110 - no need for an event
        await trio.sleep(0.05)


async def _until_dead(world: World, number: int) -> None:
    while world.queue.statistics().dead < number:  # noqa: ASYNC110 - no need for an event
        await trio.sleep(0.05)


async def _resize(queue: trioqueue.Queue, luck: random.Random) -> None:
    await queue.submit(resize_image, f"uploads/{luck.randrange(10**6):06}.jpg", width=960)


async def _mail(queue: trioqueue.Queue, luck: random.Random) -> None:
    await queue.submit(send_mail, f"user{luck.randrange(999)}@example.org", template="welcome")


async def _hook(queue: trioqueue.Queue, luck: random.Random) -> None:
    await queue.submit(call_webhook, f"https://shop{luck.randrange(40)}.example/hook", event="paid")


# --- the past ------------------------------------------------------------------------------------


class BusyPast(Series):
    """A series whose last ten minutes are made up; only their curves are, and only in pictures."""

    def __init__(self) -> None:
        super().__init__()
        now, wall, luck = trio.current_time(), time.time(), random.Random(3)
        # Counters that end at nought, where those of the queue itself begin.
        history = list(_history(luck))
        sums: dict[Move, float] = {
            move: -sum(moves.get(move, 0) for _, moves, _ in history) for move in Move
        }
        for second, (counts, moves, times) in enumerate(history):
            for move, number in moves.items():
                sums[move] += number
            ago = PAST - second
            whole: Any = _Counts(counts, {move: round(value) for move, value in sums.items()})
            self.add(now - ago, wall - ago, whole, times)


class BusyMinute(Window):
    """The same for the rates of the last minute."""

    def __init__(self) -> None:
        super().__init__()
        now, history = trio.current_time(), list(_history(random.Random(3)))[-60:]
        sums = {move: -sum(moves.get(move, 0) for _, moves, _ in history) for move in Move}
        for second, (_, moves, _) in enumerate(history):
            self.note(now - len(history) + second, dict(sums))
            for move, number in moves.items():
                sums[move] += number


class _Counts:
    def __init__(self, counts: dict[str, int], moves: dict[Move, int]) -> None:
        self.__dict__.update(counts)
        self.moves = moves


def _history(luck: random.Random) -> Any:
    ready, dead = 14.0, 9.0
    for second in range(PAST):
        day = math.sin(second / 95) + 0.4 * math.sin(second / 31 + 1)
        trouble = math.exp(-(((second - 390) / 28) ** 2))  # a mail server that was away
        submitted = max(0, round(luck.gauss(46 + 9 * day, 3)))
        failed = max(0, round(luck.gauss(0.8 + 11 * trouble, 0.6)))
        succeeded = max(0, round(luck.gauss(45 + 9 * day - 14 * trouble, 3)))
        ready += 0.06 * (9 + 4 * day + 330 * trouble - ready)
        dead += 0.012 + 0.28 * trouble
        moves = {Move.SUBMITTED: submitted, Move.SUCCEEDED: succeeded, Move.RETRIED: failed}
        counts = {
            "ready": round(ready),
            "running": round(luck.gauss(12.5 + day / 2, 0.6)),
            "scheduled": round(34 + 3 * day + 26 * trouble),
            "dead": round(dead),
        }
        yield counts, moves, _times(luck, 0.004 + ready / 900, 0.1 + 0.5 * trouble)


def _times(luck: random.Random, waiting: float, duration: float) -> Times:
    times = no_times()
    for _ in range(25):
        times.waiting.add(waiting * luck.lognormvariate(0, 0.5))
        times.duration.add(duration * luck.lognormvariate(0, 0.6))
    return times
