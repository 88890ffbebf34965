"""Opening a Redis broker. What it is made of is imported then: it needs an extra."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from secrets import token_hex
from typing import TYPE_CHECKING, Final, Literal

from trio.lowlevel import enable_ki_protection

from .._checks import check_count, check_name, check_seconds
from .._errors import BrokerFailed, InvalidTask
from .._model import MAX_LOSSES
from ._redis_address import RedisAddress, parse_redis_address
from ._since_boot import since_boot

if TYPE_CHECKING:
    from ._redis import RedisBroker
    from ._redis_wire import Wire

#: The part of a lease by which its holder believes it to be shorter: so that a handler is cancelled
#: before anybody else may have the task.
_MARGIN: Final = 0.05
#: Of the data that the scripts write: see _finish.lua.
_VERSION: Final = 1


@asynccontextmanager
@enable_ki_protection
async def open_redis_broker(
    address: str | RedisAddress,
    *,
    queue: str = "default",
    lease: float = 30.0,
    retention: float = 86_400.0,
    remember: float = 86_400.0,
    max_losses: int = MAX_LOSSES,
    capacity: int | None = None,
    full: Literal["wait", "refuse"] = "wait",
    replicas: int = 0,
    timeout: float = 5.0,  # noqa: ASYNC109 - of each call, not of this one
) -> AsyncGenerator[RedisBroker]:
    """Open the broker named ``queue`` on a Redis (7 or later) or Valkey server.

    ``address``: ``"redis://[user:password@]host[:port][/db]"``, or ``rediss://``,
    ``redis+sentinel://``, ``redis+cluster://``, ``redis+unix://``. ``queue``: two names on one
    server share nothing; all keys of one begin with ``tq:{name}``. ``lease``: seconds after which a
    task is given to somebody else if its worker does not renew it. ``retention``: seconds for which
    results are kept. ``remember``: seconds for which at least the id of an ended task is known, so
    that submitting it again is no second task; it costs the server some 500 bytes a task.
    ``max_losses``: a task whose lease was lost more often is a dead letter.
    ``capacity``: how many tasks may be open; then a publish waits for room, or, with
    ``full="refuse"``, raises `QueueFull`. ``replicas``: a publish or settle returns only after so
    many replicas have it. ``timeout``: seconds that any call may take, repeats and reconnects
    included; then it is a `BrokerUnavailable`.

    Raises `InvalidTask` for a value that cannot be, and `BrokerFailed` or `BrokerUnavailable` if
    the server cannot be used. Entering takes no longer than the timeout; leaving
    up to 5 seconds, to give back what was claimed for nobody.
    """
    where = address if isinstance(address, RedisAddress) else parse_redis_address(address)
    _check_options(queue, max_losses, capacity, full, replicas)
    for name, seconds in (("lease", lease), ("timeout", timeout)):
        check_seconds(name, seconds, zero=False)
    for name, seconds in (("retention", retention), ("remember", remember)):
        check_seconds(name, seconds)
    try:
        from ._redis import serve_line
        from ._redis_calls import Setting
        from ._redis_wire import open_wire
    except ModuleNotFoundError as error:
        msg = "the Redis broker needs the extra 'redis': pip install 'trioqueue[redis]'"
        raise BrokerFailed(msg) from error
    setting = Setting(
        *(token_hex(8), lease, _MARGIN * lease, retention, max_losses, capacity),
        *(full == "wait", since_boot),
        remember=remember,
    )
    async with (
        open_wire(
            where, name=queue, identity=setting.identity, deadline=timeout, replicas=replicas
        ) as line,
        serve_line(line, setting) as broker,
    ):
        await _check_version(where, line)
        yield broker


async def _check_version(where: RedisAddress, line: Wire) -> None:
    """`BrokerFailed` if a newer version has written what is there."""
    found = await line.ask("HGET", f"{line.prefix}:m", "version")
    if found is not None and int(found) > _VERSION:
        msg = (
            f"{where}: the queue has version {int(found)}, and this trioqueue knows none above "
            f"{_VERSION}: upgrade trioqueue here, or use the queue with the version that wrote it"
        )
        raise BrokerFailed(msg)


def _check_options(
    queue: str, max_losses: int, capacity: int | None, full: str, replicas: int
) -> None:
    check_name("queue", queue)
    if "{" in queue or "}" in queue:
        msg = f"the name of a queue on Redis must not have braces in it: {queue!r}"
        raise InvalidTask(msg)
    check_count("max_losses", max_losses, 0)
    check_count("replicas", replicas, 0)
    if capacity is not None:
        check_count("capacity", capacity, 1)
    if full not in {"wait", "refuse"}:
        msg = f"full must be 'wait' or 'refuse', not {full!r}"
        raise InvalidTask(msg)
