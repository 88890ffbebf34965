"""Observers: one file for each sink, each a plain callable that is fed one event at a time."""

from ._log import JsonFormatter as JsonFormatter
from ._log import log_events as log_events
