"""What an error of a server, or of the way to it, means: wait and try again, or look at it."""

from __future__ import annotations

from typing import Final

from coredis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    MovedError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
    UnknownCommandError,
)
from coredis.exceptions import ConnectionError as LostConnection

from .._errors import BrokerFailed, BrokerUnavailable

#: First words of errors that pass, of those that coredis has no class for.
_PASSING: Final = ("BUSY", "MASTERDOWN", "MISCONF", "NOREPLICAS", "OOM")
#: The same, where another server is to be asked.
_ELSEWHERE: Final = (ReadOnlyError, MovedError, AskError, ClusterDownError)
_REFUSED: Final = (*_ELSEWHERE, BusyLoadingError, TryAgainError)
_ADVICE: Final = {
    "OOM": "the server has no memory left: raise its maxmemory, or let workers catch up",
    "MISCONF": "the server cannot write to its disk",
    "BUSY": "a script on the server does not end",
    "MASTERDOWN": "the server is a replica whose master is away",
    "NOREPLICAS": "too few replicas are connected",
}


def is_refused(error: Exception) -> bool:
    """Whether the server said so before it ran anything: to ask again is always safe."""
    return isinstance(error, _REFUSED) or str(error).startswith(_PASSING)


def is_elsewhere(error: Exception) -> bool:
    """Whether another server is the one to ask now."""
    return isinstance(error, _ELSEWHERE) or str(error).startswith("MASTERDOWN")


def is_lost(error: Exception) -> bool:
    """Whether the connection is gone: what was sent may have been done, or not."""
    return isinstance(error, (LostConnection, OSError)) and not isinstance(error, BusyLoadingError)


def is_unknown_script(error: Exception) -> bool:
    """Whether the server does not have the script."""
    return isinstance(error, NoScriptError) or str(error).startswith("NOSCRIPT")


def unavailable(where: str, what: str) -> BrokerUnavailable:
    """That the server cannot be used at the moment."""
    return BrokerUnavailable(f"{where}: {what}")


def translated(where: str, doing: str, error: Exception) -> BrokerUnavailable | BrokerFailed:
    """The error that the caller gets."""
    text = str(error) or type(error).__name__
    if is_lost(error):
        return unavailable(where, f"{doing}: {text}")
    if is_refused(error):
        word = text.split(" ", 1)[0]
        if isinstance(error, BusyLoadingError):
            text = f"the server is loading its data ({text})"
        elif isinstance(error, ReadOnlyError):
            text = f"the server is a replica now ({text})"
        elif word in _ADVICE:
            text = f"{_ADVICE[word]} ({text})"
        return unavailable(where, f"{doing}: {text}")
    if isinstance(error, AuthenticationError):
        return BrokerFailed(f"{where}: {text}: check the user and the password in the URL")
    if isinstance(error, AuthorizationError):
        advice = "the user needs more permissions; `trioqueue check` lists them"
        return BrokerFailed(f"{where}: {doing}: {text}: {advice}")
    if isinstance(error, UnknownCommandError):
        return BrokerFailed(
            f"{where}: {doing}: {text}: Redis 7.0, or Valkey, is the oldest that will do"
        )
    if isinstance(error, ResponseError | RedisError):
        return BrokerFailed(f"{where}: {doing}: {text}")
    return BrokerFailed(f"{where}: {doing}: {type(error).__name__}: {text}")
