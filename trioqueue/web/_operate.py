"""What operators do. Each thing that is done, or refused by the broker, is a line of the audit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, cast, final

import trio
from starlette.requests import Request

from .._errors import BrokerFailed, BrokerUnavailable, TrioqueueError
from ._api import Wrong, body_of, checked_id, id_of
from ._audit import note
from ._letters import COUNTED, filter_of, matching_letters
from ._source import Source
from ._text import one_line

#: Dead letters that are operated on at once: they share transactions, and none waits for long.
_AT_ONCE: Final = 100

#: Seconds for one request; what is left then is done by the next.
_ENOUGH: Final = 15.0

#: Seconds that a replay waits for room in a queue that is full.
_PATIENCE: Final = 5.0

#: What was refused, of which that many are told.
_TOLD: Final = 100

Act = Callable[[str], Awaitable[object]]


@final
class Operations:
    """The endpoints that change something. ``changed`` is called when they have."""

    def __init__(self, source: Source, changed: Callable[[], None]) -> None:
        self._source = source
        self._inspector = source.inspector
        self._changed = changed

    # --- one task ---------------------------------------------------------------------------------

    async def cancel(self, request: Request) -> object:
        """Cancel a waiting task, or ask for a running one's cancellation."""
        return await self._do(request, "cancel", self._inspector.cancel)

    async def run(self, request: Request) -> object:
        """Make a scheduled task due now."""
        return await self._do(request, "run", self._inspector.run_now)

    async def replay(self, request: Request) -> object:
        """Run a dead letter again."""
        return await self._do(request, "replay", self._replay)

    async def purge(self, request: Request) -> object:
        """Throw a dead letter away."""
        return await self._do(request, "purge", self._inspector.purge)

    async def _do(self, request: Request, verb: str, act: Act) -> object:
        task_id = id_of(request)
        with note(request, verb, task_id) as said:
            done = await act(task_id) is not False
            said.done = done
        self._changed()
        return {"done": done}

    async def _replay(self, task_id: str) -> None:
        """Waits for room, but not for ever."""
        with trio.move_on_after(_PATIENCE) as waiting:
            if self._source.queue is None:
                await self._inspector.replay(task_id)
            else:
                await self._source.queue.dead_letters.replay(task_id)
        if waiting.cancelled_caught:
            raise Wrong(f"the queue is full: no room came in {_PATIENCE:.0f} s", 503)

    # --- many -------------------------------------------------------------------------------------

    async def replay_many(self, request: Request) -> object:
        """Run many dead letters again."""
        return await self._do_many(request, "replay", self._replay)

    async def purge_many(self, request: Request) -> object:
        """Throw many dead letters away."""
        return await self._do_many(request, "purge", self._inspector.purge)

    async def _do_many(self, request: Request, verb: str, act: Act) -> object:
        body = body_of(request, "ids", "filter", "expected")
        ids, more, target = await self._chosen(body)
        with note(request, verb, target) as said:
            done, refused, left = await _do_all(ids, act)
            said.done = done
        self._changed()
        return {
            "done": done,
            "refused": [{"id": task_id, "error": error} for task_id, error in refused[:_TOLD]],
            "refused_count": len(refused),
            "more": more or left > 0,
        }

    async def _chosen(self, body: dict[str, Any]) -> tuple[list[str], bool, str]:
        """The ids, whether there are more of them, and how the audit names them."""
        if ("ids" in body) == ("filter" in body):
            raise Wrong("give ids, or a filter and how many dead letters are expected")
        if "ids" in body:
            await trio.lowlevel.checkpoint()
            ids: object = body["ids"]
            if not isinstance(ids, list) or len(cast("list[object]", ids)) > COUNTED:
                raise Wrong(f"ids must be a list of up to {COUNTED:,} ids")
            unique = list(dict.fromkeys(map(checked_id, cast("list[object]", ids))))
            return unique, False, f"{len(unique)} dead letters: {', '.join(unique[:10])}"
        wanted = filter_of(body["filter"])
        expected: object = body.get("expected")
        letters = await matching_letters(self._source, wanted)
        total = min(len(letters), COUNTED)
        if isinstance(expected, bool) or not isinstance(expected, int) or expected != total:
            # What is done to many was seen by somebody: not what has come, or gone, since.
            raise Wrong(f"{total:,} dead letters match now, not {expected!r}", 409, total=total)
        named = ", ".join(f"{name}={value!r}" for name, value in wanted._asdict().items() if value)
        target = f"{total} dead letters with {named or 'no filter'}"
        return [letter.id for letter in letters[:COUNTED]], len(letters) > COUNTED, target

    # --- queues -----------------------------------------------------------------------------------

    async def pause(self, request: Request) -> object:
        """Stop claims from a queue, or from all."""
        return await self._switch(request, "pause", self._inspector.pause)

    async def resume(self, request: Request) -> object:
        """Undo it."""
        return await self._switch(request, "resume", self._inspector.resume)

    async def _switch(
        self, request: Request, verb: str, act: Callable[[str | None], Awaitable[None]]
    ) -> object:
        body = body_of(request, "queue")
        queue: object = body.get("queue")
        if "queue" not in body or not (queue is None or (isinstance(queue, str) and queue)):
            raise Wrong("queue must be the name of a queue, or null for all")
        if self._source.queue is not None and isinstance(queue, str):
            self._source.queue._check_queue(queue)
        with note(request, verb, "everything" if queue is None else f"queue {queue}") as said:
            await act(queue if isinstance(queue, str) else None)
            said.done = True
        self._changed()
        return {}


async def _do_all(ids: Sequence[str], act: Act) -> tuple[int, list[tuple[str, str]], int]:
    """Do it to each, a portion at a time: how many were done, what was refused, what is left.

    A broker that fails ends it; what was done until then stays done.
    """
    refused: list[tuple[str, str]] = []
    done = 0

    async def one(task_id: str) -> None:
        nonlocal done
        try:
            await act(task_id)
        except (BrokerFailed, BrokerUnavailable):
            raise
        except (TrioqueueError, Wrong) as error:
            refused.append((task_id, one_line(str(error))))
        else:
            done += 1

    enough = trio.current_time() + _ENOUGH
    for start in range(0, len(ids), _AT_ONCE):
        if trio.current_time() >= enough:
            return done, refused, len(ids) - start
        try:
            async with trio.open_nursery() as nursery:
                for task_id in ids[start : start + _AT_ONCE]:
                    nursery.start_soon(one, task_id)
        except* (BrokerFailed, BrokerUnavailable) as failed:
            raise _first(failed) from None
    return done, refused, 0


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    """One error of a group of like ones."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error
