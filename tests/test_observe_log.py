"""The structured log: a line for each event at a sensible level; JSON that never fails."""

import io
import json
import logging
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

import trioqueue
from trioqueue import Event, Move, Outcome, OutcomeKind, Retry, TaskSet
from trioqueue._events import REMARKS
from trioqueue.observe import JsonFormatter, log_events


class Lines(logging.Handler):
    """Keeps records, formatted at once as a real handler would."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.errors = 0
        self.setFormatter(JsonFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        record.line = self.format(record)
        self.records.append(record)

    def levels(self) -> list[tuple[str, str]]:
        return [(record.event, record.levelname) for record in self.records]


@pytest.fixture
def log() -> tuple[logging.Logger, Lines]:
    logger = logging.Logger("mine", logging.DEBUG)
    lines = Lines()
    logger.addHandler(lines)
    return logger, lines


def make_event(name: str, **changes: Any) -> Event:
    base = Event(name, 1.0, "t1", "resize", "mail", 2, 3, None)
    return base._replace(**changes)


def error_outcome(message: str = "boom") -> Outcome:
    outcome = Outcome(OutcomeKind.ERROR, None, 0.25, ValueError(message))
    outcome.error = trioqueue.ErrorRecord(2, "error", "ValueError", message, "Traceback: the whole")
    return outcome


def test_what_was_never_started_is_given_back_in_silence(log: tuple[logging.Logger, Lines]):
    """A durable broker's worker claims ahead: what it gives back was not interrupted."""
    logger, lines = log
    observe = log_events(logger)
    observe(make_event(Move.RELEASED, outcome=Outcome(OutcomeKind.HANDED_BACK)))
    observe(make_event(Move.RELEASED, outcome=Outcome(OutcomeKind.INTERRUPTED)))
    assert lines.levels() == [("released", "DEBUG"), ("released", "WARNING")]
    assert "not started" in lines.records[0].getMessage()


async def test_each_event_of_a_life_is_one_line_at_its_level(log: tuple[logging.Logger, Lines]):
    """A task that fails once and one that dies leave the lines that an operator expects."""
    logger, lines = log
    tasks = TaskSet(retry=Retry(attempts=2, initial=0, maximum=0))

    @tasks.task
    async def flaky() -> None:
        if trioqueue.current_task().attempt == 1:
            raise ValueError("once")

    @tasks.task
    async def broken() -> None:
        raise KeyError("always")

    async with trioqueue.open_queue(tasks, workers=1, observers=[log_events(logger)]) as queue:
        await (await queue.submit(flaky)).wait()
        await (await queue.submit(broken)).wait()
    again = [("submitted", "DEBUG"), ("started", "DEBUG"), ("retried", "WARNING"), ("due", "DEBUG")]
    assert lines.levels() == [
        *again,
        ("started", "DEBUG"),
        ("succeeded", "INFO"),
        *again,
        ("started", "DEBUG"),
        ("died", "ERROR"),
    ]


async def test_a_handed_back_task_is_a_warning(log: tuple[logging.Logger, Lines]):
    """What a stop leaves unfinished is told at WARNING, interrupted attempts included."""
    logger, lines = log
    tasks = TaskSet()

    @tasks.task
    async def endless() -> None:
        await trio.sleep_forever()

    async with trioqueue.open_queue(tasks, observers=[log_events(logger)]) as queue:
        await queue.submit(endless)
        await trio.testing.wait_all_tasks_blocked()
        await queue.shutdown(grace=0)
    assert lines.levels()[-2:] == [("released", "WARNING"), ("handed_back", "WARNING")]


async def test_an_evicted_dead_letter_is_a_warning(log: tuple[logging.Logger, Lines]):
    """A dead letter that had to make room is told at WARNING."""
    logger, lines = log
    tasks = TaskSet(retry=Retry(attempts=1))

    @tasks.task
    async def broken() -> None:
        raise KeyError

    async with trioqueue.open_queue(
        tasks, dead_capacity=1, observers=[log_events(logger)]
    ) as queue:
        await queue.submit(broken)
        await queue.submit(broken)
    assert lines.levels()[-1] == ("evicted", "WARNING")


@pytest.mark.parametrize("name", [*(str(move) for move in Move), *sorted(REMARKS), "unheard-of"])
@pytest.mark.parametrize("full", [False, True])
def test_every_event_makes_one_readable_line(
    log: tuple[logging.Logger, Lines], name: str, full: bool
):
    """No event, with or without its optional fields, breaks the message or spills over a line."""
    logger, lines = log
    facts = {
        "outcome": error_outcome("two\nlines"),
        "delay": 1.5,
        "waited": 0.5,
        "progress": (1, None),
    }
    log_events(logger)(make_event(name, **(facts if full else {})))
    (record,) = lines.records
    message = record.getMessage()
    assert message.startswith("resize t1 ")
    assert "\n" not in message
    assert "None" not in message or not full
    assert "%" not in message


def test_the_fields_are_attributes_of_the_record(log: tuple[logging.Logger, Lines]):
    """A formatter or filter of the user's own finds each fact under its name."""
    logger, lines = log
    log_events(logger)(make_event("died", outcome=error_outcome(), state=trioqueue.State.DEAD))
    (record,) = lines.records
    fields = {name: getattr(record, name) for name in ("task_id", "task_type", "queue", "state")}
    assert fields == {"task_id": "t1", "task_type": "resize", "queue": "mail", "state": "dead"}
    assert (record.attempt, record.delivery) == (2, 3)
    assert (record.outcome, record.duration, record.error) == ("error", 0.25, "ValueError: boom")
    assert record.traceback == "Traceback: the whole"
    assert record.delay is None
    assert record.waited is None


def test_a_level_that_is_off_costs_no_record(log: tuple[logging.Logger, Lines]):
    """Below the logger's level nothing is looked at: not even the event's fields."""
    logger, lines = log
    logger.setLevel(logging.INFO)

    class Started:
        name = "started"

    log_events(logger)(Started())  # type: ignore[arg-type]
    assert lines.records == []


def test_levels_can_be_changed_by_name(log: tuple[logging.Logger, Lines]):
    """An operator who finds a level wrong changes that one."""
    logger, lines = log
    log_events(logger, levels={"succeeded": logging.DEBUG})(
        make_event("succeeded", outcome=Outcome(OutcomeKind.RETURNED))
    )
    assert lines.levels() == [("succeeded", "DEBUG")]


def test_a_level_for_an_event_that_does_not_exist_is_refused():
    """A misspelt event name is found at once, and the message has the right ones."""
    with pytest.raises(ValueError, match=r"'sucess'.*succeeded"):
        log_events(levels={"sucess": logging.DEBUG})


def test_the_default_logger_is_a_child_of_the_packages(caplog: pytest.LogCaptureFixture):
    """Whoever configures `trioqueue` has the events as well, and can silence them apart."""
    with caplog.at_level(logging.INFO, "trioqueue"):
        log_events()(make_event("cancelled"))
    assert [record.name for record in caplog.records] == ["trioqueue.events"]


# --- JSON --------------------------------------------------------------------------------------


def as_json(level: int = logging.INFO, message: object = "hello", *args: Any, **more: Any) -> Any:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logger = logging.Logger("mine")
    logger.addHandler(handler)
    logger.log(level, message, *args, **more)
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert text.isascii()
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"not JSON: {name}"))


def test_json_has_time_level_logger_message_and_fields():
    """A line says when, how grave, who and what, and then the fields as they are."""
    before = datetime.now().astimezone()
    line = as_json(logging.WARNING, "%s of %d", "one", 2, extra={"task_id": "t1", "delay": 0.5})
    assert list(line) == ["time", "level", "logger", "message", "task_id", "delay"]
    assert line["level"] == "WARNING"
    assert line["message"] == "one of 2"
    assert (line["task_id"], line["delay"]) == ("t1", 0.5)
    assert line["time"].endswith("Z")
    time = datetime.fromisoformat(line["time"])
    assert abs(time - before) < timedelta(minutes=5)


def test_json_of_an_event_leaves_out_what_does_not_apply(log: tuple[logging.Logger, Lines]):
    """A started task has no outcome, so its line has none either."""
    logger, lines = log
    log_events(logger)(make_event("started", waited=0.5))
    line = json.loads(lines.records[0].line)
    assert "outcome" not in line
    assert line["waited"] == 0.5
    assert line["event"] == "started"


def test_json_has_the_text_of_an_exception():
    """An exception and a stack are fields, on the same line."""
    try:
        raise ValueError("boom\n")
    except ValueError:
        line = as_json(exc_info=True, stack_info=True)
    assert line["exception"].startswith("Traceback")
    assert "ValueError: boom" in line["exception"]
    assert "in test_json_has_the_text" in line["stack"]


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


def cyclic() -> list[object]:
    found: list[object] = []
    found.append(found)
    return found


def deep() -> list[object]:
    found: list[object] = []
    for _ in range(100_000):
        found = [found]
    return found


HOSTILE = {
    "no text": Unprintable(),
    "no text inside": [Unprintable()],
    "no text as a key": {Unprintable(): 1},
    "tuple as a key": {(1, 2): 3},
    "cycle": cyclic(),
    "too deep": deep(),
    "nan": float("nan"),
    "infinity inside": {"a": float("inf")},
    "long number": 10**5000,
    "surrogate": "lone \ud800 surrogate",
    "bytes": b"\xff",
    "path": Path("/tmp"),
    "object": object(),
    "set": {1, 2},
    "line break": "line\nbreak\u2028",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_json_takes_any_extra_value(name: str):
    """Whatever is passed as extra, the line is there, is JSON, and is one line."""
    assert "thing" in as_json(extra={"thing": HOSTILE[name]})


def test_json_keeps_an_extra_field_that_is_named_like_one_of_ours():
    """Neither of the two is lost."""
    line = as_json(extra={"time": "noon", "level": 9, "level_": 10})
    assert (line["time_"], line["level_"], line["level__"]) == ("noon", 9, 10)
    assert line["level"] == "INFO"


@pytest.mark.parametrize("message", [Unprintable(), "%d pieces", "%(name)s"])
def test_json_survives_a_message_that_cannot_be_made(message: object):
    """Arguments that do not fit their message cost the message its form, not the line."""
    line = as_json(logging.INFO, message, "many", extra={"kept": 1})
    assert line["kept"] == 1


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers() | st.none(), inner),
)


@given(value=anything)
def test_json_is_one_line_of_json_for_anything(value: object):
    """The property behind the examples."""
    as_json(extra={"thing": value})


def test_json_has_no_field_that_nobody_passed():
    """Newer Pythons add attributes to every record (`taskName`): they are not the user's fields."""
    assert list(as_json()) == ["time", "level", "logger", "message"]
