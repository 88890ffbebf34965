"""One call of a server, over several tries perhaps: what is known of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, final

from .._errors import BrokerFailed, BrokerUnavailable
from .._events import logger
from ._redis_connection import Request
from ._redis_faults import Lost, translated
from ._redis_line import Arg, Script

_NOTHING: Final = object()


@final
class Call:
    """``deadline`` on Trio's clock. ``again``: it may be sent once more after a lost reply."""

    __slots__ = (
        *("abandoned", "again", "args", "arrived", "deadline", "doubtful", "last", "name", "reply"),
        *("request", "script"),
    )

    def __init__(self, name: str, args: Sequence[Arg], deadline: float, *, again: bool) -> None:
        self.name = name
        self.args = args
        self.deadline = deadline
        self.again = again
        self.script: Script | None = None
        self.abandoned: Callable[[Any], object] | None = None
        self.arrived: Callable[[Any], object] | None = None
        self.request: Request | None = None  # the last one that was sent
        self.reply: Any = _NOTHING  # if replicas are waited for
        self.doubtful = False  # it may have been done without an answer
        self.last: Exception | None = None

    @property
    def copying(self) -> bool:
        """Whether it was done, and replicas are waited for."""
        return self.reply is not _NOTHING

    @property
    def answered(self) -> bool:
        """Whether the last request was answered, and nothing else is waited for."""
        request = self.request
        answered = request is not None and request.ended and request.error is None
        return answered and not self.copying

    def given_up(self, where: str, within: float, link: Exception | None) -> Exception:
        """Why there is no answer ``within`` seconds. ``link``: why there is no connection."""
        request, last = self.request, self.last
        if request is not None:
            request.on_reply = None  # as good as lost, whenever it comes
        if request is not None and (not request.ended or self.copying):
            last = Lost(f"no answer within {within:g} s")
            self.doubtful = True
        elif last is None:
            last = link or Lost(f"no connection within {within:g} s")
        error: BrokerFailed | BrokerUnavailable = translated(where, self.name, last)
        if self.doubtful and isinstance(error, BrokerUnavailable):
            error = BrokerUnavailable(f"{error} (whether it was done is not known)")
        error.__cause__ = last
        return error

    def tell(self, reply: Any) -> None:
        """Nobody waits for it any more: hand over the reply, or ``None`` if none will come."""
        assert self.abandoned is not None
        try:
            self.abandoned(reply)
        except Exception:
            logger.exception("the late reply to %s could not be made use of", self.name)
