"""From a request to an answer in JSON: parameters, bodies, errors, and the time it may take."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, cast

import msgspec
import trio
from starlette.requests import Request
from starlette.responses import Response

from .._errors import (
    BrokerFailed,
    BrokerUnavailable,
    InvalidArguments,
    InvalidTask,
    KeyTaken,
    NotRegistered,
    QueueClosed,
    QueueFull,
    TrioqueueError,
    UnknownTask,
)
from ._guard import BODY
from ._text import Json, refusal

logger = logging.getLogger("trioqueue.web")

#: Seconds for one answer. A page that waits longer has been left.
TIMEOUT: Final = 30.0

_STATUS: Final[Mapping[type[TrioqueueError], int]] = {
    UnknownTask: 404,
    KeyTaken: 409,
    QueueClosed: 409,
    QueueFull: 409,
    InvalidArguments: 422,
    InvalidTask: 422,
    NotRegistered: 422,
    BrokerUnavailable: 503,
    BrokerFailed: 503,
}

#: Answers a request; what it returns is sent as JSON.
Endpoint = Callable[[Request], Awaitable[object]]


class Wrong(Exception):
    """The request cannot be: answered with a status, and the text as error."""

    def __init__(self, text: str, status: int = 400, **more: object) -> None:
        super().__init__(text)
        self.status = status
        self.more = more


def answering(endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    """``endpoint``, with everything that can go wrong as an answer."""

    async def answer(request: Request) -> Response:
        try:
            with trio.fail_after(TIMEOUT):
                return Json(await endpoint(request))
        except Wrong as wrong:
            return refusal(wrong.status, str(wrong), **wrong.more)
        except trio.TooSlowError:
            return refusal(504, f"it took longer than {TIMEOUT:.0f} s; it may have been done")
        except TrioqueueError as error:
            return refusal(_status(error), str(error) or type(error).__name__)
        except Exception:
            logger.exception("%s %s failed", request.method, request.url.path)
            return refusal(500, "an error on our side: the log has it")

    return answer


def _status(error: TrioqueueError) -> int:
    return next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)


# --- the query -----------------------------------------------------------------------------------


def text_in(request: Request, name: str) -> str | None:
    """A parameter; ``None`` if it is not given, or empty."""
    value = request.query_params.get(name)
    if value is not None and len(value) > 1_000:
        raise Wrong(f"{name} is longer than 1,000 characters")
    return value or None


def number_in(request: Request, name: str, default: float, least: float, most: float) -> float:
    """A finite number within bounds. Raises `Wrong`."""
    text = text_in(request, name)
    if text is None:
        return default
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not least <= number <= most:
        raise Wrong(f"{name} must be a number from {least:g} to {most:g}")
    return number


def limit_in(request: Request, default: int, most: int) -> int:
    """How many are wanted."""
    return int(number_in(request, "limit", default, 1, most))


# --- the body ------------------------------------------------------------------------------------


def body_of(request: Request, *names: str) -> dict[str, Any]:
    """The body, a JSON object with no other names than these. Raises `Wrong`."""
    try:
        body: object = msgspec.json.decode(request.scope[BODY])
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise Wrong("the body is not JSON") from None
    if not isinstance(body, dict):
        raise Wrong("the body must be a JSON object")
    found = cast("dict[str, Any]", body)
    unknown = sorted(set(found) - set(names))
    if unknown:
        raise Wrong(f"unknown in the body: {', '.join(unknown)}; known: {', '.join(names)}")
    return found


def id_of(request: Request) -> str:
    """The id of the task that an operation is for."""
    return checked_id(body_of(request, "id").get("id"))


def checked_id(value: object) -> str:
    """An id that a task could have. Raises `Wrong`."""
    if not isinstance(value, str) or not value or len(value) > 1_000:
        raise Wrong("id must be the id of a task")
    return value
