"""``trioqueue publish``: tasks from the command line."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Annotated, Any, Final, cast

import msgspec

import trioqueue

from .. import Call, Submission, TaskSet
from ..brokers._open import codec_of
from ..brokers._url import check_broker_url, parse_broker_url
from ._broker import BrokerOption, broker_url
from ._errors import Wrong
from ._exits import OK
from ._interrupt import interruptible
from ._load import load_tasks
from ._output import flush
from ._progress import Count, progress
from ._text import complain, say
from ._types import SECONDS, within

EPILOGUE: Final = """\
Examples:

  trioqueue publish jobs:tasks resize --json '["cat.png"]'\n
  trioqueue publish jobs:tasks resize --json '{"path": "cat.png", "width": 640}' --delay 60\n
  trioqueue publish jobs:tasks ping --count 10000

Prints the ids, one per line.\
"""

#: Tasks that are accepted in one go: few enough to be a short transaction, and to see ids early.
BATCH: Final = 1_000

#: Seconds that those have, once a signal has come: they may be waiting for room.
UNDER_WAY: Final = 1.0


async def publish(
    tasks: str,
    name: str,
    /,
    *,
    broker: BrokerOption = None,
    json: str | None = None,
    delay: Annotated[float | None, SECONDS] = None,
    key: str | None = None,
    id: str | None = None,
    priority: Annotated[int | None, within(0, 255)] = None,
    queue: str | None = None,
    count: Annotated[int, within(1)] = 1,
) -> int:
    """Submit tasks of one type. Its arguments are checked before anything is accepted.

    Parameters
    ----------
    tasks
        MODULE:TASKS, where the TaskSet is, such as jobs:tasks.
    name
        The task type's name.
    broker
        Where the tasks are kept, such as sqlite:///jobs.db or redis://host.
    json
        The arguments: a list for positional ones, an object for keywords.
    delay
        Seconds until it may start.
    key
        While an open task of the same queue has this key, its id is printed and none is added.
    id
        The task's id. Publishing the same id again adds nothing.
    priority
        0 to 255, higher first.
    queue
        The queue, unless the one that the type says.
    count
        How many to submit.
    """
    if count > 1 and (key is not None or id is not None):
        raise Wrong("--key and --id are for one task: they do not go with --count")
    url = broker_url(broker)
    check_broker_url(url)
    args, kwargs = parse_arguments(json)
    task_set = load_tasks(tasks)
    task_type = task_set[name]
    task_type.check_arguments(args, kwargs)
    given: dict[str, Any] = {
        "delay": delay,
        "key": key,
        "id": id,
        "priority": priority,
        "queue": queue,
    }
    options = {option: value for option, value in given.items() if value is not None}
    args, kwargs = typed(task_set, name, args, kwargs)
    async with trioqueue.open_queue(task_set, broker=url, workers=0) as opened:
        call = task_type.bind(*args, **kwargs)
        most = min(BATCH, parse_broker_url(url).options.get("capacity", BATCH))
        return await submit_all(opened.options(**options), call, count, most)


async def submit_all(target: Submission, call: Call[Any], count: int, most: int) -> int:
    """Submit the call ``count`` times, ``most`` in one go; print the ids as they are accepted.

    Returns the exit code. A signal lets those under way be accepted, and printed.
    """
    began = time.perf_counter()
    bar = Count(count)
    # Ids that scroll past show as much, and each of them would draw the bar again.
    scrolls = sys.stdout is not None and sys.stdout.isatty()
    async with (
        interruptible(UNDER_WAY) as interrupt,
        progress("publish", bar, shown=not scrolls),
    ):
        while bar.done < count and interrupt.number is None:
            batch = min(most, count - bar.done)
            handles = await target.submit_many([call] * batch)
            say(*(handle.id for handle in handles))
            flush()
            bar.done += batch
    if interrupt.number is not None and bar.done < count:
        return interrupt.tell(f"{bar.done:,} of {count:,} were accepted")
    if count > 1 and sys.stderr is not None and sys.stderr.isatty():
        complain(f"{count:,} tasks in {time.perf_counter() - began:.2f} s")
    return OK


def parse_arguments(text: str | None) -> tuple[tuple[object, ...], Mapping[str, object]]:
    """Positional and keyword arguments, from what ``--json`` says. Raises `Wrong`."""
    if text is None:
        return (), {}
    try:
        value: object = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise Wrong(f"--json is not JSON: {error}") from None
    if isinstance(value, list):
        return tuple(cast("list[object]", value)), {}
    if isinstance(value, dict):
        return (), cast("dict[str, object]", value)  # JSON has no other keys
    msg = (
        "--json must be a list (positional arguments) or an object (keywords), like '[\"cat.png\"]'"
    )
    raise Wrong(msg)


def typed(
    tasks: TaskSet, name: str, args: tuple[object, ...], kwargs: Mapping[str, object]
) -> tuple[tuple[object, ...], Mapping[str, object]]:
    """JSON values as the handler's annotations want them. Raises `InvalidArguments`."""
    return codec_of(tasks).decode_arguments(name, msgspec.json.encode([args, kwargs]))
