"""Observers: one file for each sink, each a plain callable that is fed one event at a time."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._configure import configure_logging as configure_logging
from ._context import TaskContextFilter as TaskContextFilter
from ._context import add_task_context as add_task_context
from ._human import HumanFormatter as HumanFormatter
from ._log import JsonFormatter as JsonFormatter
from ._log import log_events as log_events

if TYPE_CHECKING:
    from ._metrics import Metrics as Metrics
    from ._tracing import Tracing as Tracing

#: Name -> its module, the package of an extra that this imports, and the extra.
_LATER = {
    "Metrics": ("_metrics", "prometheus_client", "metrics"),
    "Tracing": ("_tracing", "opentelemetry", "otel"),
}


def __getattr__(name: str) -> Any:
    """What needs packages of its own is imported at its first use."""
    if name not in _LATER:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    module, package, extra = _LATER[name]
    try:
        return getattr(import_module(f"{__name__}.{module}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package:
            raise
        msg = (
            f"trioqueue.observe.{name} needs the extra {extra!r}: pip install 'trioqueue[{extra}]'"
        )
        raise ImportError(msg) from None
