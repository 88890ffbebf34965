"""OpenTelemetry: spans by the messaging conventions, one trace from the submit to the handler."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import trio
from opentelemetry import baggage, trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from trio.testing import MockClock, wait_all_tasks_blocked

from trioqueue import (
    Discard,
    Instrument,
    InvalidTask,
    Lease,
    Outcome,
    Queue,
    QueueClosed,
    Retry,
    RetryLater,
    Snooze,
    Task,
    TaskSet,
    current_task,
    open_queue,
)
from trioqueue.observe import Tracing

OWN = "messaging.trioqueue.task."


class Spans:
    """What has ended, by an SDK of the test's own."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self.provider.get_tracer("test")
        self.instrument = Tracing(self.provider)

    def all(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        found = [span for span in self.all() if span.name == name]
        return sorted(found, key=lambda span: span.start_time or 0)

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.named(name)
        return span

    def trees(self) -> dict[str, str | None]:
        """The name of each span -> that of its parent."""
        names = {context(span).span_id: span.name for span in self.all()}
        return {
            span.name: None if span.parent is None else names.get(span.parent.span_id, "elsewhere")
            for span in self.all()
        }


@pytest.fixture
def spans() -> Spans:
    return Spans()


def context(span: ReadableSpan) -> trace.SpanContext:
    found = span.get_span_context()
    assert found is not None
    return found


def facts(span: ReadableSpan) -> Mapping[str, Any]:
    return dict(span.attributes or {})


def linked(span: ReadableSpan) -> list[int]:
    return [link.context.span_id for link in span.links]


# --- one task ------------------------------------------------------------------------------------


async def test_a_task_is_one_trace(spans: Spans, autojump_clock: MockClock) -> None:
    """Submit, attempt, the handler's own spans, and what it submits: each below the other."""
    tasks = TaskSet()

    @tasks.task(queue="parents")
    async def parent() -> None:
        with spans.tracer.start_as_current_span("own"):
            await current_task().queue.submit(child)

    @tasks.task(queue="children")
    def child() -> None:
        with spans.tracer.start_as_current_span("in a thread"):
            pass

    async with open_queue(tasks, workers=2, instruments=[spans.instrument]) as queue:
        with spans.tracer.start_as_current_span("request"):
            await queue.submit(parent)
    assert spans.trees() == {
        "request": None,
        "send parents": "request",
        "process parents": "send parents",
        "own": "process parents",
        "send children": "own",
        "process children": "send children",
        "in a thread": "process children",
    }
    assert len({context(span).trace_id for span in spans.all()}) == 1


async def test_the_attributes_are_those_of_the_conventions(
    spans: Spans, autojump_clock: MockClock
) -> None:
    tasks = TaskSet()

    @tasks.task(queue="mail")
    async def send() -> None: ...

    async with open_queue(tasks, instruments=[spans.instrument]) as queue:
        handle = await queue.submit(send)
    common = {
        "messaging.system": "trioqueue",
        "messaging.destination.name": "mail",
        "messaging.message.id": handle.id,
        f"{OWN}type": "send",
    }
    sent, processed = spans.one("send mail"), spans.one("process mail")
    assert (sent.kind, processed.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert facts(sent) == {
        **common,
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
    }
    assert facts(processed) == {
        **common,
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        f"{OWN}attempt": 1,
        f"{OWN}delivery": 1,
        f"{OWN}outcome": "returned",
    }
    assert linked(processed) == [context(sent).span_id]
    assert {sent.status.status_code, processed.status.status_code} == {StatusCode.UNSET}


async def test_each_attempt_has_a_span_in_the_same_trace(
    spans: Spans, autojump_clock: MockClock
) -> None:
    tasks = TaskSet(retry=Retry(attempts=3, initial=1))

    @tasks.task
    async def flaky() -> None:
        if current_task().attempt < 3:
            raise KeyError("no")

    async with open_queue(tasks, instruments=[spans.instrument]) as queue:
        await queue.submit(flaky)
    first, second, third = spans.named("process default")
    sent = context(spans.one("send default"))
    for number, span in enumerate((first, second, third), 1):
        assert facts(span)[f"{OWN}attempt"] == facts(span)[f"{OWN}delivery"] == number
        assert span.parent is not None
        assert (span.parent.span_id, context(span).trace_id) == (sent.span_id, sent.trace_id)
    assert [span.status.status_code for span in (first, second, third)] == [
        StatusCode.ERROR,
        StatusCode.ERROR,
        StatusCode.UNSET,
    ]
    (event,) = first.events
    assert event.attributes is not None
    assert event.attributes["exception.type"] == "KeyError"
    assert "in flaky" in str(event.attributes["exception.stacktrace"])


class Own(Exception):
    def __str__(self) -> str:
        raise RuntimeError("cannot be told")


@pytest.mark.parametrize(
    ("ends", "outcome", "error_type"),
    [
        ("plain", "error", "OSError"),
        ("broken", "error", f"{__name__}.Own"),
        ("discard", "discard", "discard"),
        ("later", "retry_later", "retry_later"),
        ("snooze", "snooze", None),
        ("timeout", "timeout", "timeout"),
        ("exit", "crash", "crash"),
        ("cancel", "cancelled", None),
        ("revoke", "lost", "lost"),
        ("stop", "interrupted", None),
    ],
)
async def test_however_an_attempt_ends_its_span_ends_and_says_so(
    spans: Spans, ends: str, outcome: str, error_type: str | None, autojump_clock: MockClock
) -> None:
    """As the queue judges it; a deploy and a cancellation on request are no errors."""
    tasks = TaskSet(retry=Retry(attempts=1))
    raised: dict[str, BaseException] = {
        "plain": OSError("no"),
        "broken": Own(),
        "discard": Discard("never"),
        "later": RetryLater(1),
        "snooze": Snooze(1),
        "exit": SystemExit(),
    }

    @tasks.task(timeout=5 if ends == "timeout" else None)
    async def work() -> None:
        if current_task().fencing_token[1] == 1:
            if ends in raised:
                raise raised[ends]
            await trio.sleep_forever()

    async with open_queue(tasks, workers=1, instruments=[spans.instrument]) as queue:
        handle = await queue.submit(work)
        await wait_all_tasks_blocked()
        if ends == "cancel":
            await handle.cancel()
        elif ends == "revoke":
            await queue.inspector.revoke(handle.id)
        elif ends == "stop":
            await queue.shutdown(grace=0)
    span = spans.named("process default")[0]
    assert facts(span)[f"{OWN}outcome"] == outcome
    assert facts(span).get("error.type") == error_type
    assert (span.status.status_code is StatusCode.ERROR) is (error_type is not None)
    assert span.end_time is not None


async def test_a_hard_stop_ends_spans(spans: Spans, autojump_clock: MockClock) -> None:
    tasks = TaskSet()

    @tasks.task
    async def work() -> None:
        await trio.sleep_forever()

    with trio.move_on_after(5):
        async with open_queue(tasks, workers=1, instruments=[spans.instrument]) as queue:
            await queue.submit(work)
            await trio.sleep_forever()
    assert facts(spans.one("process default"))[f"{OWN}outcome"] == "interrupted"


@pytest.mark.parametrize("ambient", [False, True])
async def test_the_worker_is_as_clean_as_before(
    spans: Spans, ambient: bool, autojump_clock: MockClock
) -> None:
    """The context is put back, so that no worker has to be replaced; where it was opened within a
    span, that is linked to, and is nobody's parent."""
    tasks = TaskSet()
    workers = set[object]()

    @tasks.task
    async def work() -> None:
        workers.add(trio.lowlevel.current_task())

    opened = spans.tracer.start_as_current_span("program") if ambient else nullcontext()
    with opened:
        async with open_queue(tasks, workers=1, instruments=[spans.instrument]) as queue:
            token = attach(Context())
            for _ in range(5):
                await (await queue.submit(work)).result()
            detach(token)
    assert len(workers) == 1
    for sent, done in zip(spans.named("send default"), spans.named("process default"), strict=True):
        assert done.parent is not None
        assert done.parent.span_id == context(sent).span_id
        wanted = [context(sent).span_id]
        assert linked(done) == wanted + [context(s).span_id for s in spans.named("program")]


# --- headers -------------------------------------------------------------------------------------


async def test_the_context_crosses_a_broker(spans: Spans, tmp_path: Path) -> None:
    """From a producer to a worker that share a file alone: the trace, and baggage."""
    url = f"sqlite:///{tmp_path}/jobs.db"
    tasks = TaskSet()
    seen: list[object] = []

    @tasks.task
    async def work() -> None:
        seen.append((baggage.get_baggage("tenant"), current_task().headers["theirs"]))

    async with open_queue(tasks, broker=url, workers=0, instruments=[spans.instrument]) as producer:
        token = attach(baggage.set_baggage("tenant", "ann"))
        await producer.options(headers={"theirs": "1"}).submit(work)
        detach(token)
    worker = Spans()
    async with open_queue(tasks, broker=url, instruments=[worker.instrument]) as queue:
        await queue.drain()
    assert seen == [("ann", "1")]
    sent, done = context(spans.one("send default")), worker.one("process default")
    assert done.parent is not None
    assert (done.parent.trace_id, done.parent.span_id) == (sent.trace_id, sent.span_id)


async def test_a_context_of_the_users_own_is_not_touched(
    spans: Spans, autojump_clock: MockClock
) -> None:
    """It is the parent of the attempt, and the submit links to it."""
    tasks = TaskSet()

    @tasks.task
    async def work() -> None: ...

    theirs = f"00-{'a' * 32}-{'b' * 16}-01"
    async with open_queue(tasks, instruments=[spans.instrument]) as queue:
        await queue.options(headers={"traceparent": theirs}).submit(work)
    sent, done = spans.one("send default"), spans.one("process default")
    assert (sent.kind, linked(sent)) == (SpanKind.CLIENT, [0xBBBBBBBBBBBBBBBB])
    assert done.parent is not None
    assert done.parent.span_id == 0xBBBBBBBBBBBBBBBB


async def test_what_does_not_fit_leaves_the_trace(spans: Spans, autojump_clock: MockClock) -> None:
    """Headers are bounded: the user's own come first, then the trace, then baggage."""
    tasks = TaskSet()

    @tasks.task
    async def work() -> list[str]:
        return sorted(current_task().headers)

    async with open_queue(tasks, instruments=[spans.instrument]) as queue:
        much = baggage.set_baggage("more", "x" * 3_000, baggage.set_baggage("much", "x" * 3_000))
        token = attach(much)
        handle = await queue.options(headers={"theirs": "y" * 12_000}).submit(work)
        detach(token)
        assert await handle.result() == ["theirs", "traceparent"]
    assert spans.trees()["process default"] == "send default"


async def test_a_link_instead_of_a_parent(spans: Spans, autojump_clock: MockClock) -> None:
    """For batches of a hundred thousand, whose one trace nobody could read; baggage still comes."""
    tasks = TaskSet()
    seen: list[object] = []

    @tasks.task
    async def work() -> None:
        seen.append(baggage.get_baggage("tenant"))

    tracing = Tracing(spans.provider, parent=False)
    async with open_queue(tasks, instruments=[tracing]) as queue:
        token = attach(baggage.set_baggage("tenant", "ann"))
        await queue.submit(work)
        detach(token)
    sent, done = spans.one("send default"), spans.one("process default")
    assert done.parent is None
    assert linked(done) == [context(sent).span_id]
    assert seen == ["ann"]


# --- batches and refusals ------------------------------------------------------------------------


@pytest.mark.parametrize("create", [True, False])
async def test_a_batch(spans: Spans, create: bool, autojump_clock: MockClock) -> None:
    """Each task has a creation context of its own, unless that is turned off."""
    tasks = TaskSet()

    @tasks.task(queue="one")
    async def first() -> None: ...

    @tasks.task(queue="two")
    async def second() -> None: ...

    tracing = Tracing(spans.provider, create_spans=create)
    async with open_queue(tasks, instruments=[tracing]) as queue:
        await queue.submit_many([first.bind(), second.bind()])
    sent = spans.one("send")
    assert facts(sent)["messaging.batch.message_count"] == 2
    assert "messaging.destination.name" not in facts(sent)
    assert "messaging.message.id" not in facts(sent)
    if create:
        made = [spans.one("create one"), spans.one("create two")]
        assert sent.kind is SpanKind.CLIENT
        assert linked(sent) == [context(span).span_id for span in made]
        assert spans.trees()["process two"] == "create two"
    else:
        assert sent.kind is SpanKind.PRODUCER
        assert linked(sent) == []
        assert spans.trees()["process two"] == "send"


async def submit_to_closed(queue: Queue, submit: Callable[[], Any]) -> None:
    queue.close()
    with pytest.raises(QueueClosed):
        submit()


async def test_a_submit_that_is_refused_is_an_error(
    spans: Spans, autojump_clock: MockClock
) -> None:
    tasks = TaskSet()

    @tasks.task
    async def work() -> None: ...

    async with open_queue(tasks, instruments=[spans.instrument]) as queue:
        await submit_to_closed(queue, lambda: queue.submit_nowait(work))
    sent = spans.one("send default")
    assert sent.status.status_code is StatusCode.ERROR
    assert facts(sent)["error.type"] == "trioqueue.QueueClosed"


# --- the hook itself -----------------------------------------------------------------------------


class Scripted:
    """An instrument that raises where it is told to."""

    def __init__(self, fails: str = "") -> None:
        self.fails = fails
        self.calls: list[str] = []

    def note(self, call: str) -> None:
        self.calls.append(call)
        if call == self.fails:
            raise RuntimeError(f"broken in {call}")

    @contextmanager
    def round(self, name: str, value: Any) -> Generator[Any]:
        self.note(f"enter {name}")
        try:
            yield value
        finally:
            self.note(f"leave {name}")

    def submitting(
        self, tasks: Sequence[Task], *, batch: bool
    ) -> AbstractContextManager[Sequence[Mapping[str, str]] | None]:
        self.note("make submit")
        headers = "nonsense" if self.fails == "headers" else [{"mine": "1"} for _ in tasks]
        return self.round("submit", headers)

    def running(self, lease: Lease) -> AbstractContextManager[Callable[[Outcome], object] | None]:
        def end(outcome: Outcome) -> None:
            self.note(f"end {outcome.kind}")

        return self.round("attempt", end)


async def test_an_instrument_is_there_while_it_happens(autojump_clock: MockClock) -> None:
    """Round a submit and round an attempt, outside of `around`, and it may add headers."""
    instrument = Scripted()

    class Around:
        def __init__(self, current: object) -> None: ...

        async def __aenter__(self) -> None:
            instrument.note("around")

        async def __aexit__(self, *error: object) -> None: ...

    tasks = TaskSet(around=Around)

    @tasks.task
    async def work() -> str:
        return current_task().headers["mine"]

    async with open_queue(tasks, instruments=[instrument]) as queue:
        assert await (await queue.submit(work)).result() == "1"
    assert instrument.calls == [
        "make submit",
        "enter submit",
        "leave submit",
        "enter attempt",
        "around",
        "leave attempt",
        "end returned",
    ]


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize(
    "breaks",
    [
        "make submit",
        "headers",
        "enter submit",
        "leave submit",
        "enter attempt",
        "leave attempt",
        "end returned",
        "end error",
    ],
)
async def test_an_instrument_that_raises_is_dropped_and_breaks_nothing(
    breaks: str, fails: bool, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    """It is told once; the work, the outcome and the other instruments go on."""
    bad, good = Scripted(breaks), Scripted()
    tasks = TaskSet(retry=Retry(attempts=1))

    @tasks.task
    async def work() -> int:
        if fails:
            raise OSError
        return 7

    kind = "error" if fails else "returned"
    async with open_queue(tasks, workers=1, instruments=[bad, good]) as queue:
        for _ in range(2):
            assert (await (await queue.submit(work)).wait()).kind == kind
    used = breaks != ("end returned" if fails else "end error")
    told = [record for record in caplog.records if "was dropped" in record.getMessage()]
    assert len(told) == used
    assert good.calls.count(f"end {kind}") == 2
    in_submit = "submit" in breaks or breaks == "headers"
    assert bad.calls.count("enter attempt") == (0 if in_submit else 1 if used else 2)


@pytest.mark.parametrize("wrong", [7, [7], [Tracing], [object()]])
async def test_what_is_no_instrument_is_told(wrong: Any) -> None:
    with pytest.raises(InvalidTask, match="instruments"):
        async with open_queue(TaskSet(), instruments=wrong):
            pass


def test_tracing_is_an_instrument(spans: Spans) -> None:
    """For type checkers; at run time it is only looked at."""
    instrument: Instrument = spans.instrument
    assert isinstance(instrument, Tracing)
