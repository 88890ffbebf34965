"""Trying on a server what the broker does there: scripts, commands, messages."""

from __future__ import annotations

from typing import Final, NamedTuple

import trio

from .._errors import BrokerFailed, BrokerUnavailable
from .._nursery import open_bare_nursery
from ._redis_probe import PROBE, Probed, find_refusal, probe_args, read_probe
from ._redis_wire import Wire

#: Seconds that a message may take to come back.
MESSAGE: Final = 2.0


class Tried(NamedTuple):
    """What came of `PROBE`, and of the message that it sends."""

    probed: Probed = Probed()
    scripts: str | None = None
    messages: str | None = None
    message_time: float | None = None  # in seconds, script and all


async def try_all(wire: Wire) -> Tried:
    """Takes some round trips, and `MESSAGE` if no message comes back.

    Raises nothing of the broker's. Cancelled: what was tried is deleted.
    """
    arrived, listening = trio.Event(), trio.Event()

    async def listen() -> None:
        await wire.listen(lambda _: arrived.set(), listening.set)

    async with open_bare_nursery() as nursery:
        nursery.start_soon(listen)
        with trio.move_on_after(MESSAGE):
            await listening.wait()
        began = trio.current_time()
        tried = await _try_commands(wire)
        if listening.is_set() and tried.scripts is None and not tried.probed.mute:
            with trio.move_on_after(MESSAGE):
                await arrived.wait()
        took = trio.current_time() - began
        nursery.cancel_scope.cancel(reason="all was tried")
    if not listening.is_set():
        return tried._replace(messages=await _why_deaf(wire))
    if arrived.is_set():
        return tried._replace(message_time=took)
    if tried.scripts is not None or tried.probed.mute or tried.probed.broken:
        return tried
    return tried._replace(messages=f"none came back within {MESSAGE:g} s")


async def _try_commands(wire: Wire) -> Tried:
    try:
        args = probe_args(wire.channel, cluster=wire.cluster)
        return Tried(read_probe(await wire.run(PROBE, args), wire.prefix))
    except BrokerUnavailable as error:
        return Tried(Probed(broken=_words(error)))
    except BrokerFailed as error:
        refused = find_refusal(_words(error), wire.prefix)
        return Tried(Probed((refused,), mute=True)) if refused else Tried(scripts=_words(error))


def _words(error: Exception) -> str:
    """What the server itself has said."""
    return str(error.__cause__ or error)


async def _why_deaf(wire: Wire) -> str:
    """Why there is no subscription: whoever listens goes on trying, and does not tell."""
    with trio.move_on_after(MESSAGE):
        try:
            await wire.ask("SSUBSCRIBE" if wire.cluster else "SUBSCRIBE", wire.channel)
        except (BrokerFailed, BrokerUnavailable) as error:
            return _words(error)
    return "the subscription is not answered"
