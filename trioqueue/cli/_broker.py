"""The broker that a command works on: ``--broker``, or ``TRIOQUEUE_BROKER``."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from ._errors import Wrong

BrokerOption = Annotated[str | None, Parameter(env_var="TRIOQUEUE_BROKER")]


def broker_url(given: str | None) -> str:
    """What was given, on the command line or in the environment. Raises `Wrong` if nothing was."""
    if not given:
        msg = (
            "no broker: give --broker URL or set TRIOQUEUE_BROKER; "
            "a URL is sqlite:///jobs.db, sqlite:////var/lib/jobs.db or redis://host:6379/0"
        )
        raise Wrong(msg)
    return given
