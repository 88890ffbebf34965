"""``trioqueue health``: for containers without curl, and for whoever wants an exit code."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Annotated, Final

import trio
from cyclopts import Parameter
from cyclopts.validators import Number

from .. import InvalidTask, TrioqueueError, WorkerRecord
from ..brokers._url import open_broker_url, redact
from ._broker import BrokerOption, broker_url
from ._errors import Wrong, only
from ._probe import TIMEOUT, URL, Health, ask, tell
from ._text import duration, one_line
from ._types import FLAG

EPILOGUE: Final = f"""\
Examples:

  trioqueue health\n
  trioqueue health --url http://127.0.0.1:8080/health/ready\n
  trioqueue health --here --broker redis://localhost

Without --here it asks {URL}, which `run --listen` serves.

Exit codes: 0 well, 1 not well, 2 wrong arguments.\
"""


def health(
    *,
    url: str = URL,
    here: Annotated[bool, FLAG] = False,
    broker: BrokerOption = None,
    timeout: Annotated[float, Parameter(validator=Number(gt=0, lte=3600))] = TIMEOUT,
) -> int:
    """Say in one line, and by the exit code, whether a process of this machine is well.

    Parameters
    ----------
    url
        What to ask, of a worker with --listen or of the page; an answer of 200 is well.
    here
        Ask the broker instead: a worker process of this host must be alive there.
    broker
        Where the tasks are kept, with --here.
    timeout
        Seconds in which the answer must be there.
    """
    if here:
        if url != URL:
            raise Wrong("give --url or --here, not both")
        return tell(trio.run(find_worker, broker_url(broker), socket.gethostname(), timeout))
    try:
        return tell(trio.run(ask, url, timeout))
    except ValueError as error:
        raise Wrong(str(error)) from None


async def find_worker(url: str, host: str, patience: float) -> Health:
    """Whether a worker process of ``host`` is alive, as the broker knows; for ``patience`` seconds.

    Raises `InvalidTask` for a URL that cannot be. Cancelled: nothing is left open.
    """
    try:
        with trio.fail_after(patience):
            async with open_broker_url(url, create=False) as broker:
                return judge_workers(await broker.workers(), host)
    except trio.TooSlowError:
        return Health(False, f"{redact(url)}: no answer for {patience:g} s")
    except (TrioqueueError, OSError, BaseExceptionGroup) as error:
        match only(error):
            case InvalidTask():
                raise
            case TrioqueueError() | OSError() as failure:
                return Health(False, redact(one_line(str(failure))))
            case _:
                raise


def judge_workers(workers: Sequence[WorkerRecord], host: str) -> Health:
    """What the registry means for this host."""
    ours = [worker for worker in workers if worker.host == host]
    live = [worker for worker in ours if worker.live]
    if live:
        last = min(worker.seen for worker in live)
        return Health(True, f"{len(live)} live on {host}, heard of {duration(last)} ago")
    if ours:
        last = min(worker.seen for worker in ours)
        return Health(
            False, f"no worker of {host} is alive, the last was heard of {duration(last)} ago"
        )
    return Health(False, f"no worker of {host} was heard of")
