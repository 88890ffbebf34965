"""``--tracing``: spans by OpenTelemetry, sent where its own variables (``OTEL_*``) say.

A provider that is set up already, by the user's module or by ``opentelemetry-instrument``, is used
as it is. Else one is made: worker processes of ``--processes`` have none, as that tool leaves the
children of what it starts alone.
"""

from __future__ import annotations

import os
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from .. import Instrument
from ._errors import Wrong

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

_NONE_SET_UP = (
    "--tracing: no tracer provider is set up. Let your module set one, or pip install "
    "opentelemetry-sdk opentelemetry-exporter-otlp and set OTEL_EXPORTER_OTLP_ENDPOINT"
)
_PROTOCOLS = {"grpc": "otlp_proto_grpc", "http/protobuf": "otlp_proto_http"}


def open_tracing() -> Instrument:
    """The instrument; before it the provider, if there is none. Raises `Wrong` if it cannot be."""
    try:
        from opentelemetry import trace

        from ..observe import Tracing
    except ImportError as error:
        msg = "--tracing needs the extra 'otel': pip install 'trioqueue[otel]'"
        raise Wrong(msg) from error
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        trace.set_tracer_provider(_make_provider())
    return Tracing()


def _make_provider() -> Any:
    """The SDK's, which reads its sampler and its resource from the environment by itself."""
    try:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise Wrong(_NONE_SET_UP) from error
    provider = TracerProvider()  # sends what is left at the exit of the process
    for name in os.environ.get("OTEL_TRACES_EXPORTER", "otlp").split(","):
        if name.strip() not in {"", "none"}:
            provider.add_span_processor(BatchSpanProcessor(_make_exporter(name.strip())))
    return provider


def _make_exporter(name: str) -> SpanExporter:
    known = {each.name: each for each in entry_points(group="opentelemetry_traces_exporter")}
    found = known.get(name) or (_otlp(known) if name == "otlp" else None)
    if found is None:
        have = ", ".join(sorted(known)) or "none"
        msg = f"{_NONE_SET_UP} (OTEL_TRACES_EXPORTER={name} is not installed; there are: {have})"
        raise Wrong(msg)
    exporter: SpanExporter = found.load()()
    return exporter


def _otlp(known: dict[str, EntryPoint]) -> EntryPoint | None:
    """By the protocol that is asked for; else whichever is installed."""
    asked = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or os.environ.get(
        "OTEL_EXPORTER_OTLP_PROTOCOL"
    )
    wanted = [_PROTOCOLS.get(asked, asked)] if asked else list(_PROTOCOLS.values())
    return next((known[name] for name in wanted if name in known), None)
