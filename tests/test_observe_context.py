"""Every line that a handler logs says whose it is, without the handler's help; no other does."""

import io
import json
import logging
import logging.handlers
import queue as threads_queue
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from trioqueue import Event, Retry, TaskSet, current_task, open_queue
from trioqueue.observe import (
    HumanFormatter,
    JsonFormatter,
    TaskContextFilter,
    add_task_context,
    configure_logging,
    log_events,
)
from trioqueue.observe._context import FIELDS

ONCE_MORE = Retry(attempts=2, initial=0, maximum=0)


class Lines(logging.Handler):
    """Keeps what a formatter of the program's own finds on each record."""

    def __init__(self, formatter: logging.Formatter | None = None) -> None:
        super().__init__()
        self.fields: list[dict[str, object]] = []
        self.texts: list[str] = []
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))
        self.fields.append({name: vars(record).get(name) for name in ("message", *FIELDS)})


@pytest.fixture
def log() -> logging.Logger:
    return logging.Logger("theirs", logging.DEBUG)


def lines_of(logger: logging.Logger, formatter: logging.Formatter | None = None) -> Lines:
    lines = Lines(formatter)
    add_task_context(lines)
    logger.addHandler(lines)
    return lines


def library(log: logging.Logger) -> None:
    """Knows nothing of tasks."""
    log.info("from a library")


async def test_each_line_of_a_handler_says_whose_it_is(
    log: logging.Logger, autojump_clock: MockClock
) -> None:
    """Of the handler, its child tasks and the libraries that it calls, in every attempt."""
    lines = lines_of(log)
    tasks = TaskSet(retry=ONCE_MORE)

    async def child() -> None:
        log.info("from a child")

    @tasks.task(queue="mail")
    async def send(fails: bool) -> None:
        log.info("from the handler")
        library(log)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)
            nursery.start_soon(child)
        if fails and current_task().attempt == 1:
            raise OSError

    async with open_queue(tasks, workers=3) as queue:
        failing = await queue.submit(send, fails=True)
        quiet = await queue.submit(send, fails=False)
    told = {"from the handler", "from a library", "from a child"}
    for task_id, attempt in ((failing.id, 1), (failing.id, 2), (quiet.id, 1)):
        mine = [
            line
            for line in lines.fields
            if (line["task_id"], line["attempt"]) == (task_id, attempt)
        ]
        assert {line["message"] for line in mine} == told
        facts = {tuple(line[name] for name in FIELDS) for line in mine}
        assert facts == {(task_id, "send", "mail", attempt, attempt)}
    assert len(lines.fields) == 12


async def test_a_handler_in_a_thread_is_known_there(log: logging.Logger) -> None:
    lines = lines_of(log)
    tasks = TaskSet()

    @tasks.task
    def work() -> int:
        log.info("in a thread")
        return threading.get_ident()

    async with open_queue(tasks, workers=1) as queue:
        handle = await queue.submit(work)
        assert await handle.result() != threading.get_ident()
    assert [(line["task_id"], line["attempt"]) for line in lines.fields] == [(handle.id, 1)]


async def test_what_is_logged_beside_handlers_says_nothing(
    log: logging.Logger, autojump_clock: MockClock
) -> None:
    """Before and after, by the lifespan, by observers of the worker's own steps and by on_dead."""
    lines = lines_of(log)
    tasks = TaskSet(retry=Retry(attempts=1), on_dead=lambda letter: log.info("dead"))

    @tasks.task
    async def work(fails: bool) -> None:
        log.info("work")
        if fails:
            raise OSError

    def observe(event: Event) -> None:
        if event.name != "submitted":
            log.info("observed")

    log.info("before")
    async with open_queue(tasks, workers=1, observers=[observe]) as queue:
        for fails in (False, True, False):
            await queue.submit(work, fails=fails)
        await wait_all_tasks_blocked()
        log.info("between")
    log.info("after")
    known = {line["message"] for line in lines.fields if line["task_id"] is not None}
    assert known == {"work"}
    unknown = {line["message"] for line in lines.fields if line["task_id"] is None}
    assert unknown == {"before", "observed", "dead", "between", "after"}
    assert all(line["attempt"] is None for line in lines.fields if line["message"] != "work")


async def test_a_handler_that_cleans_up_after_it_lost_its_lease_is_still_known(
    log: logging.Logger, autojump_clock: MockClock
) -> None:
    """That is when its lines matter most; the delivery tells it from its successor."""
    lines = lines_of(log)
    tasks = TaskSet()

    @tasks.task
    async def work() -> None:
        try:
            if current_task().fencing_token[1] == 1:
                await trio.sleep_forever()
        finally:
            log.info("cleaning up")

    async with open_queue(tasks, workers=2) as queue:
        handle = await queue.submit(work)
        await wait_all_tasks_blocked()
        await queue.inspector.revoke(handle.id)
    assert sorted((line["task_id"], line["delivery"]) for line in lines.fields) == [
        (handle.id, 1),
        (handle.id, 2),
    ]


# --- on the way of a record ----------------------------------------------------------------------


async def test_a_record_keeps_its_task_when_it_leaves_the_context(
    log: logging.Logger, autojump_clock: MockClock
) -> None:
    """A filter on a QueueHandler sees it where it was logged; a listener's knows nothing."""
    channel: threads_queue.SimpleQueue[logging.LogRecord] = threads_queue.SimpleQueue()
    sender = logging.handlers.QueueHandler(channel)
    add_task_context(sender)
    log.addHandler(sender)
    lines = Lines(HumanFormatter())
    add_task_context(lines)
    listener = logging.handlers.QueueListener(channel, lines)
    tasks = TaskSet()

    @tasks.task
    async def work() -> None:
        log.info("hello %s", "you")

    listener.start()
    async with open_queue(tasks, workers=1) as queue:
        log.info("outside")
        handle = await queue.submit(work)
    listener.stop()
    assert [line["task_id"] for line in lines.fields] == [None, handle.id]
    assert lines.texts[1].endswith(f"hello you [work {handle.id} attempt 1]")


async def test_a_record_that_comes_late_is_not_another_tasks(
    log: logging.Logger, autojump_clock: MockClock
) -> None:
    """A buffer that is emptied within a handler holds lines that it has not logged."""
    lines = Lines(JsonFormatter())
    add_task_context(lines)
    memory = logging.handlers.MemoryHandler(10, target=lines)
    add_task_context(memory)
    log.addHandler(memory)
    tasks = TaskSet()

    @tasks.task
    async def work() -> None:
        memory.flush()

    log.info("outside")
    async with open_queue(tasks, workers=1) as queue:
        await queue.submit(work)
    assert [line["task_id"] for line in lines.fields] == [None]
    assert "task_id" not in json.loads(lines.texts[0])


async def test_extras_of_the_same_names_are_left_as_they_are(
    log: logging.Logger, autojump_clock: MockClock
) -> None:
    """Never a KeyError, as a record factory would bring; what is about another task stays so."""
    lines = lines_of(log)
    tasks = TaskSet()

    @tasks.task
    async def work() -> None:
        log.info("own", extra={"queue": "the printer's", "attempt": 77})
        log.info("other", extra={"task_id": "another"})
        log.info("odd", extra={"task_id": 7, "delivery": 9})
        log.info("none", extra={"task_id": None})
        log.info("same", extra={"task_id": current_task().id})

    async with open_queue(tasks, workers=1) as queue:
        handle = await queue.submit(work)
    facts = {str(line["message"]): tuple(line[name] for name in FIELDS) for line in lines.fields}
    assert facts == {
        "own": (handle.id, "work", "the printer's", 77, 1),
        "other": ("another", None, None, None, None),
        "odd": (7, None, None, None, 9),
        "none": (None, None, None, None, None),
        "same": (handle.id, "work", "default", 1, 1),
    }


async def test_the_events_keep_their_own_fields(
    log: logging.Logger, autojump_clock: MockClock
) -> None:
    """What a handler submits is told of as that task's, though it is logged within the handler."""
    lines = lines_of(log)
    tasks = TaskSet()

    @tasks.task(queue="parents")
    async def parent() -> str:
        return (await current_task().queue.submit(child)).id

    @tasks.task(queue="children")
    async def child() -> None: ...

    async with open_queue(tasks, workers=2, observers=[log_events(log)]) as queue:
        handle = await queue.submit(parent)
        child_id = await handle.result()
    by_task = {(line["task_id"], line["queue"]) for line in lines.fields}
    assert by_task == {(handle.id, "parents"), (child_id, "children")}


def test_doing_it_twice_adds_one_filter_before_the_others() -> None:
    """A filter of the program's own may ask for the fields."""
    handler = Lines()
    seen: list[object] = []

    def look(record: logging.LogRecord) -> bool:
        seen.append(vars(record)["task_id"])
        return True

    handler.addFilter(look)
    add_task_context(handler)
    add_task_context(handler)
    assert [type(each) for each in handler.filters] == [TaskContextFilter, type(look)]
    handler.handle(logging.makeLogRecord({}))
    assert seen == [None]


# --- lines for people ----------------------------------------------------------------------------

HUMAN = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} "


def human(message: object, *args: object, **facts: object) -> str:
    record = logging.LogRecord("app", logging.INFO, "", 0, message, args, None)
    vars(record).update(facts)
    return HumanFormatter().format(record)


async def test_a_human_line(log: logging.Logger, autojump_clock: MockClock) -> None:
    """Time, level, logger, message, and whose handler has logged it. No filter is needed."""
    lines = Lines(HumanFormatter())
    log.addHandler(lines)
    tasks = TaskSet()

    @tasks.task
    async def resize() -> None:
        log.warning("%d cats", 3)

    async with open_queue(tasks, workers=1) as queue:
        handle = await queue.submit(resize)
    (line,) = lines.texts
    assert line[23:] == f" WARNING  theirs: 3 cats [resize {handle.id} attempt 1]"


def test_a_line_that_names_its_task_is_not_tagged_again() -> None:
    """The lines of `log_events` begin with it."""
    facts = {"task_type": "resize", "task_id": "t1", "attempt": 2}
    assert human("resize t1 accepted", **facts).endswith("app: resize t1 accepted")
    assert human("t1 accepted", **facts).endswith("t1 accepted [resize t1 attempt 2]")
    assert human("theirs", task_id="t1").endswith("theirs [t1]")
    assert human("bad %d %d", 1).endswith("app: bad %d %d (1,)")


def test_a_traceback_is_indented_and_forges_nothing() -> None:
    """Each of its lines, also those that the error's own text brings along."""
    formatter = HumanFormatter()
    try:
        raise OSError("gone\n2026-11-24 10:00:00.000 INFO     app: all is well\x1b[2J")
    except OSError as error:
        info = (OSError, error, error.__traceback__)
    record = logging.LogRecord("app", logging.ERROR, "", 0, "failed", (), info, sinfo="Stack")
    first, *others = formatter.format(record).split("\n")
    assert first.endswith("app: failed")
    assert others[0] == "  Traceback (most recent call last):"
    assert others[-2:] == [
        "  2026-11-24 10:00:00.000 INFO     app: all is well\\x1b[2J",
        "  Stack",
    ]
    assert all(line.startswith("  ") for line in others)


@given(st.text(), st.text(min_size=1), st.text(min_size=1))
def test_no_text_makes_a_second_line_or_commands_the_terminal(
    message: str, name: str, task_id: str
) -> None:
    """Whoever can choose a message, a logger's name or an id."""
    record = logging.LogRecord(name, logging.INFO, "", 0, message, (), None)
    vars(record).update(task_id=task_id, task_type=message, attempt=1)
    line = HumanFormatter(process=True).format(record)
    assert line.isprintable()
    assert line.splitlines() == [line]


# --- in one call ---------------------------------------------------------------------------------


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, put back as it was."""
    before = logging.root.level, logging.root.handlers[:]
    yield logging.root
    logging.root.setLevel(before[0])
    logging.root.handlers[:] = before[1]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


async def test_one_call_is_enough(root: logging.Logger, autojump_clock: MockClock) -> None:
    """All loggers, from the level on; again replaces the first; other handlers stay, and know."""
    old, new = io.StringIO(), io.StringIO()
    theirs = Lines()
    root.addHandler(theirs)
    configure_logging(stream=old)
    configure_logging("json", "warning", new)
    tasks = TaskSet()

    @tasks.task
    async def work() -> None:
        logging.getLogger("some.library").info("not this")
        logging.getLogger("some.library").warning("but this")

    async with open_queue(tasks, workers=1) as queue:
        handle = await queue.submit(work)
    assert old.getvalue() == ""
    line = json.loads(new.getvalue())
    assert (line["message"], line["logger"]) == ("but this", "some.library")
    assert [line[name] for name in FIELDS] == [handle.id, "work", "default", 1, 1]
    assert [line["task_id"] for line in theirs.fields] == [handle.id]


@pytest.mark.parametrize(
    ("variables", "stream", "colored"),
    [
        ({}, Terminal, True),
        ({"NO_COLOR": "1"}, Terminal, False),
        ({"NO_COLOR": ""}, Terminal, True),
        ({"TERM": "dumb"}, Terminal, False),
        ({}, io.StringIO, False),
    ],
)
def test_colour_is_for_terminals(
    root: logging.Logger,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    stream: type[io.StringIO],
    colored: bool,
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    shown = stream()
    configure_logging(stream=shown)
    root.error("hello")
    assert ("\x1b[31mERROR" in shown.getvalue()) is colored
    assert ("\x1b" in shown.getvalue()) is colored
    assert "root: hello" in shown.getvalue()


def test_what_a_stream_cannot_write_is_escaped(root: logging.Logger) -> None:
    """A line in another alphabet is a line all the same."""
    raw = io.BytesIO()
    configure_logging(stream=io.TextIOWrapper(raw, "latin-1", line_buffering=True))
    root.error("grüß %s", "中")
    assert raw.getvalue().decode("latin-1").endswith("root: grüß \\u4e2d\n")


def test_the_process_is_shown_where_there_are_many(root: logging.Logger) -> None:
    stream = io.StringIO()
    configure_logging(stream=stream, process=True)
    root.error("hello")
    configure_logging("json", stream=stream, process=True)
    root.error("hello")
    person, machine = stream.getvalue().splitlines()
    number = json.loads(machine)["process"]
    assert f" root[{number}]: hello" in person


@pytest.mark.parametrize("wrong", [{"format": "xml"}, {"level": "LOUD"}])
def test_a_wrong_word_is_told_and_changes_nothing(
    root: logging.Logger, wrong: dict[str, Any]
) -> None:
    before = root.handlers[:]
    with pytest.raises(ValueError, match=next(iter(wrong.values()))):
        configure_logging(**wrong)
    assert root.handlers == before


def test_without_a_standard_error_nothing_is_written(
    root: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a program without a console on Windows."""
    monkeypatch.setattr("sys.stderr", None)
    assert isinstance(configure_logging(), logging.NullHandler)
    root.error("nowhere")
