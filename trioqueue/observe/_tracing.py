"""OpenTelemetry: spans by its messaging conventions, and a context that travels with the task.

``send {queue}`` round a submit, ``process {queue}`` round each attempt; ``create {queue}`` for each
task of a ``submit_many``. What a producer's context is travels in the task's headers, written by
the propagator that the program has configured.

The attempt is a child of the submit and links to it. The conventions prefer links alone, as a
consumer may work on many messages at once, or within a span of its own; here it is always one task,
and a worker has no span of its own: so one trace shows the whole story, retries included. Where the
queue was opened within a span, the attempt links to that as well.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final, cast, final

from opentelemetry import propagate, trace
from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.propagators.textmap import Setter, TextMapPropagator, default_setter
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode

from .._checks import check_headers
from .._errors import InvalidTask
from .._instrument import End
from .._model import Lease, Outcome, OutcomeKind, Task

#: Ends of an attempt that are no failure of it: nobody is to be woken by a deploy.
_FINE: Final = frozenset(
    {
        OutcomeKind.RETURNED,
        OutcomeKind.SNOOZE,
        OutcomeKind.CANCELLED,
        OutcomeKind.INTERRUPTED,
    }
)
#: A system's own attributes go there, say the conventions.
_OWN: Final = "messaging.trioqueue.task."

_SETTER: Final[Setter[dict[str, str]]] = cast("Any", default_setter)


@final
class Tracing:
    """An `Instrument` that makes spans: ``open_queue(tasks, instruments=[Tracing()])``.

    ``tracer_provider`` and ``propagator``: those that are configured globally unless given.
    ``parent``: whether an attempt is a child of its submit; else it begins a trace of its own (or
    goes on with that in which the queue was opened), and only links to it. ``create_spans``:
    whether ``submit_many`` makes one for each task; else all share its ``send`` span.
    """

    def __init__(
        self,
        tracer_provider: trace.TracerProvider | None = None,
        propagator: TextMapPropagator | None = None,
        *,
        parent: bool = True,
        create_spans: bool = True,
    ) -> None:
        self._tracer = trace.get_tracer("trioqueue", _version(), tracer_provider)
        self._propagator = propagator
        self._parent = parent
        self._create_spans = create_spans

    # --- submitting ------------------------------------------------------------------------------

    @contextmanager
    def submitting(
        self, tasks: Sequence[Task], *, batch: bool
    ) -> Generator[Sequence[Mapping[str, str]]]:
        """See `Instrument`."""
        # The context of each task: its own if the user gave it one, else that of its create span.
        creations = [self._given(task) for task in tasks]
        if batch and self._create_spans:
            creations = [
                given or self._create(task) for given, task in zip(creations, tasks, strict=True)
            ]
        links = [Link(_span_of(each), _one(task)) for each, task in _pairs(creations, tasks)]
        span = self._tracer.start_span(
            _name("send", tasks),
            kind=SpanKind.CLIENT if len(links) == len(tasks) and tasks else SpanKind.PRODUCER,
            attributes={**_shared("send", tasks), **_told(tasks, batch=batch)},
            links=links,
        )
        sending = trace.set_span_in_context(span)
        token = attach(sending)
        try:
            yield [
                self._headers(task, creation or sending)
                for creation, task in zip(creations, tasks, strict=True)
            ]
        except BaseException as error:  # looked at, and raised again
            _fail(span, error, _type_of(error))
            raise
        finally:
            detach(token)
            span.end()

    def _given(self, task: Task) -> Context | None:
        """The context that a user has put into the headers, if any."""
        headers = task.options.headers
        if not headers:
            return None
        found = self._propagate.extract(headers, Context())
        return found if _span_of(found).is_valid else None

    def _create(self, task: Task) -> Context:
        span = self._tracer.start_span(
            _name("create", (task,)),
            kind=SpanKind.PRODUCER,
            attributes={**_shared("create", (task,)), **_one(task)},
        )
        span.end()
        return trace.set_span_in_context(span)

    def _headers(self, task: Task, context: Context) -> dict[str, str]:
        """What carries the context, as far as there is room: the trace before the baggage."""
        headers: dict[str, str] = {}
        self._propagate.inject(headers, context, _SETTER)
        while headers:
            try:
                check_headers("headers", {**headers, **(task.options.headers or {})})
            except InvalidTask:
                headers.pop("baggage" if "baggage" in headers else next(reversed(headers)))
            else:
                break
        return headers

    @property
    def _propagate(self) -> TextMapPropagator:
        return self._propagator or propagate.get_global_textmap()

    # --- running ---------------------------------------------------------------------------------

    @contextmanager
    def running(self, lease: Lease) -> Generator[End]:
        """See `Instrument`."""
        task = lease.task
        ambient = get_current()
        carried = self._propagate.extract(task.options.headers or {}, ambient)
        creation, around = _span_of(carried), _span_of(ambient)
        sent = creation.is_valid and creation != around
        links = [Link(creation)] if sent else []
        if sent and not self._parent:
            carried = trace.set_span_in_context(trace.get_current_span(ambient), carried)
        elif sent and around.is_valid:
            links.append(Link(around))
        span = self._tracer.start_span(
            _name("process", (task,)),
            context=carried,
            kind=SpanKind.CONSUMER,
            attributes={
                **_shared("process", (task,)),
                **_one(task),
                f"{_OWN}attempt": task.attempt,
                f"{_OWN}delivery": lease.token,
            },
            links=links,
        )
        token = attach(trace.set_span_in_context(span, carried))
        try:
            yield lambda outcome: _end(span, outcome)
        finally:
            detach(token)


def _end(span: Span, outcome: Outcome) -> None:
    """Say how the attempt ended, and end its span."""
    kind, error = outcome.kind, outcome.exception
    span.set_attribute(f"{_OWN}outcome", kind.value)
    if outcome.late:
        span.set_attribute(f"{_OWN}late", value=True)
    if kind not in _FINE:
        by_name = kind is OutcomeKind.ERROR and error is not None
        _fail(span, error, _type_of(error) if by_name else kind.value)
    span.end()


def _fail(span: Span, error: BaseException | None, name: str) -> None:
    """Mark a span as failed; its attribute ``error.type`` is ``name``."""
    span.set_attribute("error.type", name)
    if error is None:
        span.set_status(Status(StatusCode.ERROR, name))
        return
    try:
        span.record_exception(error)
        text = f"{type(error).__qualname__}: {error}"
    except BaseException:  # noqa: ASYNC103 - a user's __str__ may raise anything
        text = _type_of(error)  # noqa: ASYNC104
    span.set_status(Status(StatusCode.ERROR, text))


# --- by the messaging conventions ----------------------------------------------------------------


def _name(operation: str, tasks: Sequence[Task]) -> str:
    """``{operation} {destination}``; a batch for several queues has none."""
    queues = {task.options.queue for task in tasks}
    return f"{operation} {queues.pop()}" if len(queues) == 1 else operation


def _shared(operation: str, tasks: Sequence[Task]) -> dict[str, Any]:
    """What says which operation it is, and where to."""
    attributes = {
        "messaging.system": "trioqueue",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
    }
    queues = {task.options.queue for task in tasks}
    if len(queues) == 1:
        attributes["messaging.destination.name"] = queues.pop()
    return attributes


def _told(tasks: Sequence[Task], *, batch: bool) -> dict[str, Any]:
    """What is submitted: a batch by its size, one by its name."""
    return {"messaging.batch.message_count": len(tasks)} if batch else _one(tasks[0])


def _one(task: Task) -> dict[str, Any]:
    return {"messaging.message.id": task.id, f"{_OWN}type": task.type}


def _pairs(contexts: Sequence[Context | None], tasks: Sequence[Task]) -> list[tuple[Context, Task]]:
    """The tasks that have a creation context of their own, with it."""
    return [(each, task) for each, task in zip(contexts, tasks, strict=True) if each is not None]


def _span_of(context: Context) -> trace.SpanContext:
    return trace.get_current_span(context).get_span_context()


def _type_of(error: BaseException | None) -> str:
    kind = type(error)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return f"{module}{kind.__qualname__}"


def _version() -> str | None:
    try:
        return version("trioqueue")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return None
