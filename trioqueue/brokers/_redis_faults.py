"""What an error of a server, or of the way to it, means: wait and try again, or look at it."""

from __future__ import annotations

import ssl
from typing import Final, cast

import trio
from coredis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    MovedError,
    NoScriptError,
    ProtocolError,
    ReadOnlyError,
    RedisError,
    TryAgainError,
    UnknownCommandError,
)
from coredis.exceptions import ConnectionError as TurnedAway

from .._errors import BrokerFailed, BrokerUnavailable


class Lost(Exception):
    """The connection is gone: what was asked has been done, or not, or will be yet."""


#: First words of errors that pass, of those that coredis has no class for.
_PASSING: Final = ("BUSY", "MASTERDOWN", "MISCONF", "NOREPLICAS", "OOM", "UNKILLABLE")
#: Another server has the keys now. (An `AskError` is no such: while a slot moves, its keys are in
#: two places, and a script must not see a half of them.)
_ELSEWHERE: Final = (ReadOnlyError, MovedError, ClusterDownError)
#: `TurnedAway`: too many clients. The parser makes no other reply that error.
_REFUSED: Final = (*_ELSEWHERE, AskError, BusyLoadingError, TryAgainError, TurnedAway)
_ADVICE: Final = {
    "OOM": "the server has no memory left: raise its maxmemory, or let workers catch up",
    "MISCONF": "the server cannot write to its disk",
    "BUSY": "a script on the server does not end",
    "UNKILLABLE": "a script on the server does not end",
    "MASTERDOWN": "the server is a replica whose master is away",
    "NOREPLICAS": "too few replicas are connected",
}


def is_refused(error: Exception) -> bool:
    """Whether the server said so before it ran anything: to ask again is always safe."""
    if isinstance(error, ProtocolError):  # it does not speak RESP3
        return False
    return isinstance(error, _REFUSED) or _word(error) in _PASSING


def is_elsewhere(error: Exception) -> bool:
    """Whether another server is the one to ask now."""
    return isinstance(error, _ELSEWHERE) or _word(error) == "MASTERDOWN"


def is_lost(error: Exception) -> bool:
    """Whether the server was not reached, or the connection is gone."""
    return isinstance(error, (Lost, OSError))


def is_unknown_script(error: Exception) -> bool:
    """Whether the server does not have the script."""
    return isinstance(error, NoScriptError)


def moved_to(error: Exception) -> tuple[str, int] | None:
    """Where a node of a cluster says that the keys are. The host is empty if it is the same."""
    return (error.host, error.port) if isinstance(error, MovedError) else None


def cause_of(error: BaseException) -> str:
    """The sentence that says most: what Trio wraps is more telling than the wrapper."""
    while not isinstance(error, Lost) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, BaseExceptionGroup):  # of all addresses of a host
        group = cast("BaseExceptionGroup[BaseException]", error)
        return "; ".join(dict.fromkeys(cause_of(each) for each in group.exceptions))
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def tls_fault(error: BaseException | None) -> ssl.SSLError | None:
    """What is wrong with a certificate, or with who speaks TLS here: no wait helps."""
    while isinstance(error, (trio.BrokenResourceError, Lost)) and error.__cause__ is not None:
        error = error.__cause__
    ends = ssl.SSLEOFError, ssl.SSLZeroReturnError
    return error if isinstance(error, ssl.SSLError) and not isinstance(error, ends) else None


def translated(where: str, doing: str, error: Exception) -> BrokerUnavailable | BrokerFailed:
    """The error that the caller gets."""
    text = cause_of(error)
    if isinstance(error, BrokerUnavailable | BrokerFailed):
        return error
    if is_lost(error):
        return BrokerUnavailable(f"{where}: {doing}: {text}")
    if is_refused(error):
        return BrokerUnavailable(f"{where}: {doing}: {_explained(error)}")
    if isinstance(error, AuthenticationError):
        return BrokerFailed(f"{where}: {text}: check the user and the password in the URL")
    if isinstance(error, AuthorizationError):
        advice = "the user needs more permissions; `trioqueue check` lists them"
        return BrokerFailed(f"{where}: {doing}: {text}: {advice}")
    if isinstance(error, UnknownCommandError | ProtocolError):
        return BrokerFailed(
            f"{where}: {doing}: {text}: Redis 7.0, or Valkey, is the oldest that will do"
        )
    if isinstance(error, RedisError):
        return BrokerFailed(f"{where}: {doing}: {text}")
    return BrokerFailed(f"{where}: {doing}: {type(error).__name__}: {text}")


def _explained(error: Exception) -> str:
    """coredis cuts the first word off where it has a class."""
    text = str(error)
    if isinstance(error, BusyLoadingError):
        return f"the server is loading its data ({text})"
    if isinstance(error, ReadOnlyError):
        return f"the server is a replica now ({text})"
    if isinstance(error, ClusterDownError):
        return f"the cluster does not serve now ({text})"
    if isinstance(error, MovedError):
        return f"another node has the queue's slot now ({text})"
    if isinstance(error, AskError | TryAgainError):
        return f"the queue's slot is moving to another node ({text})"
    advice = _ADVICE.get(_word(error))
    return f"{advice} ({text})" if advice else text


def _word(error: Exception) -> str:
    return str(error).partition(" ")[0]
