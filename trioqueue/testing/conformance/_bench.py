"""The bench that a broker is tried on: hands to drive it, and books that must balance."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import trio
import trio.testing

from ... import Counts, Event, Inspector, Move, Options, Outcome, OutcomeKind, State, fold
from ..._broker import RemoteBroker
from ..._model import Lease, Settlement, Task

if TYPE_CHECKING:
    from ._suite import BrokerConformance

T = TypeVar("T")
E = TypeVar("E", bound=BaseException)

#: What a task's arguments look like to a broker: bytes.
PAYLOAD: Final = b'[[1],{"a":2}]'
#: Where a task can be, as `Counts` names it.
PLACES: Final = tuple(state.value for state in State)
OPEN: Final = (State.SCHEDULED, State.READY, State.RUNNING)
#: Units of time after which whoever still waits is taken to wait for good.
A_WHILE: Final = 3.0
#: Seconds by which a machine that has other work to do may be late, on a real clock.
_PATIENCE: Final = 20.0
#: Unix times are floats, and not exact.
_ROUNDING: Final = 1e-5

#: What the worker's verdict looks like, for each move that ends a lease.
KINDS: Final = {
    Move.SUCCEEDED: OutcomeKind.RETURNED,
    Move.RETRIED: OutcomeKind.ERROR,
    Move.DIED: OutcomeKind.ERROR,
    Move.SNOOZED: OutcomeKind.SNOOZE,
    Move.RELEASED: OutcomeKind.INTERRUPTED,
    Move.CANCELLED: OutcomeKind.CANCELLED,
}
ENDS_OF_A_LEASE: Final = tuple(KINDS)


def verdict(
    lease: Lease, move: Move, delay: float = 0.0, *, error: str = "bad", result: bytes = b'"ok"'
) -> Settlement:
    """What a worker would settle ``lease`` with."""
    failed = move in {Move.RETRIED, Move.DIED}
    returned = move is Move.SUCCEEDED
    outcome = Outcome(
        KINDS[move],
        result if returned else None,
        exception=ValueError(error) if failed else None,
    )
    settlement = Settlement(lease, move, outcome, delay, failed)
    settlement.result = result if returned else None
    return settlement


async def raised(kind: type[E], call: Callable[..., Awaitable[object]], *args: Any) -> E:
    """The error that ``call`` must raise."""
    try:
        answer = await call(*args)
    except kind as error:
        return error
    msg = f"{kind.__name__} was not raised; the answer was {answer!r}"
    raise AssertionError(msg)


class Bench:
    """What a case is played on: one open broker, and more openings of its store if asked for.

    The hands (``publish``, ``claim``, ``settle``...) look at the sum of the counts after each step.
    """

    def __init__(self, suite: BrokerConformance, options: Mapping[str, Any]) -> None:
        self.suite = suite
        #: A `RemoteBroker` for type checkers: a case needs what it uses of it beyond `Broker`.
        self.broker: RemoteBroker
        self.inspector: Inspector
        self._options = options
        self._stack = AsyncExitStack()
        self._ids: list[str] = []
        self._types: dict[str, None] = {}
        self._states: dict[str, State | None] = {}
        self._wrongs: list[str] = []
        self._folds = True  # whether this opening's events tell all that has happened
        self.events: list[Event] = []
        #: The last lease of each task that was claimed here.
        self.held: dict[str, Lease] = {}

    # --- opening ----------------------------------------------------------------------------------

    @property
    def local(self) -> Any:
        """The same broker, for the verbs that only one in the same process has."""
        return self.broker

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[Bench]:
        """Open the broker; at the end of the block the books must balance."""
        async with AsyncExitStack() as stack:
            self._stack = stack
            await self._open()
            yield self
            await self.verify()

    async def _open(self, **options: Any) -> None:
        opening = self.suite.open_broker(**{**self._options, **options})
        self.broker = await self._stack.enter_async_context(opening)
        self.inspector = getattr(self.broker, "inspector", self.broker)
        self.broker.events.add(self._observe)

    async def reopen(self, **options: Any) -> None:
        """Close the opening and open the same store again."""
        self.forget_events()
        await self._stack.aclose()
        await self._open(**options)

    @asynccontextmanager
    async def another(self, **options: Any) -> AsyncGenerator[RemoteBroker]:
        """A second opening of the same store, as another process would have."""
        self._folds = False  # others act as well, of whom this opening does not tell
        self.broker.events.observers = ()
        async with self.suite.open_broker(**{**self._options, **options}) as other:
            yield other

    # --- the books --------------------------------------------------------------------------------

    def _observe(self, event: Event) -> None:
        self.events.append(event)
        if not self._folds:
            return
        try:
            self._states[event.task_id] = fold(self._states.get(event.task_id), event)
        except (AssertionError, RuntimeError, ValueError) as error:
            self._wrongs.append(f"{event}: {error}")

    def names(self, task_id: str | None = None) -> list[str]:
        """The names of the events so far, of one task if named."""
        return [str(e.name) for e in self.events if task_id is None or e.task_id == task_id]

    def forget_events(self) -> None:
        """The same id will be a new task: what was told of the old one is not to be folded on."""
        self._folds = False

    async def counts(self) -> Counts:
        """The counts, whose sum must hold."""
        counts = await self.inspector.counts()
        assert counts.submitted == sum(getattr(counts, place) for place in PLACES), counts
        return counts

    async def verify(self) -> None:
        """The sum holds, and what the events told is what the counts say."""
        counts = await self.counts()
        assert not self._wrongs, "\n".join(self._wrongs)
        if self._folds:
            told = Counter(str(state) for state in self._states.values())
            assert {place: getattr(counts, place) for place in PLACES} == {
                place: told[place] for place in PLACES
            }

    async def picture(self) -> dict[str, object]:
        """All that can be seen of the tasks made here, to compare before and after."""
        found: dict[str, object] = {}
        for task_id in self._ids:
            task = await self.inspector.get(task_id)
            found[task_id] = None if task is None else _seen(task)
        found["paused"] = await self.inspector.paused()
        found["counts"] = (await self.counts())[: len(PLACES) + 1]
        return found

    # --- time -------------------------------------------------------------------------------------

    def seconds(self, units: float) -> float:
        """Units of time as seconds. A broker on a real clock has short ones."""
        return units * self.suite.unit

    async def sleep(self, units: float = A_WHILE) -> None:
        """Let so many units of time pass."""
        await trio.sleep(self.seconds(units))

    @property
    def lease(self) -> float:
        """For how many units of time a lease lasts."""
        return self.broker.lease / self.suite.unit

    async def leases_expire(self) -> None:
        """Let more than a lease pass, and whoever sweeps sweep."""
        await trio.sleep(self.broker.lease * 1.5)

    async def skip(self) -> None:
        """Let three leases pass at once, while everybody is asleep."""
        await trio.testing.wait_all_tasks_blocked()
        self.suite.skip(3 * self.broker.lease)

    def stopwatch(self) -> Callable[[], float]:
        """Start one; calling it tells the seconds since then."""
        start = trio.current_time()
        return lambda: trio.current_time() - start

    def about(self, seconds: float | None, units: float) -> bool:
        """Whether a time is so many units: never less, and on a virtual clock hardly more."""
        return seconds is not None and (
            self.seconds(units) - _ROUNDING <= seconds < self._limit(units + 1)
        )

    def _limit(self, units: float) -> float:
        """The seconds for which something is waited that should take so many units at most."""
        return self.seconds(units) + (0 if self.suite.virtual else _PATIENCE)

    async def waits(self, call: Callable[..., Awaitable[object]], *args: Any) -> None:
        """``call`` must wait, as far as one can wait for that."""
        with trio.move_on_after(self.seconds(A_WHILE)) as scope:
            answer = await call(*args)
            msg = f"it should wait, and answered {answer!r}"
            raise AssertionError(msg)
        assert scope.cancelled_caught

    async def promptly(
        self, call: Callable[..., Awaitable[T]], *args: Any, units: float = 1.0
    ) -> T:
        """What ``call`` answers, which must be soon: within a unit of time."""
        with trio.move_on_after(self._limit(units)):
            return await call(*args)
        msg = "it should have returned by now"
        raise AssertionError(msg)

    @asynccontextmanager
    async def wakes(
        self, call: Callable[..., Awaitable[object]], *args: Any, units: float = 1.0
    ) -> AsyncGenerator[None]:
        """``call`` waits before the block, and returns soon after what happens in it."""
        done = trio.Event()

        async def wait() -> None:
            await call(*args)
            done.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await self.sleep()
            assert not done.is_set(), "it should wait until something happens"
            yield
            await self.promptly(done.wait, units=units)
            nursery.cancel_scope.cancel()

    # --- hands ------------------------------------------------------------------------------------

    def task(self, task_id: str, type: str = "type", **options: Any) -> Task:
        """A task as a queue would make it, not accepted yet. Times in units."""
        payload = options.pop("payload", PAYLOAD)
        for name in ("delay", "expires", "timeout"):
            if options.get(name) is not None:
                options[name] = self.seconds(options[name])
        task = Task(task_id, type, (), {}, Options(**options))
        task.payload = payload
        if task_id not in self._ids:
            self._ids.append(task_id)
        self._types[type] = None
        return task

    async def publish(self, *ids: str, type: str = "type", **options: Any) -> list[Task]:
        """Publish tasks of these ids, in one batch; the answer."""
        answer = await self.broker.publish([self.task(id, type, **options) for id in ids])
        await self.counts()
        return list(answer)

    async def claim(
        self,
        most: int = 1_000,
        *,
        room: Mapping[str, int] | None = None,
        queues: Collection[str] | None = None,
        broker: RemoteBroker | None = None,
    ) -> list[Lease]:
        """Claim; room for all types that were used here, unless told otherwise."""
        if room is None:
            room = dict.fromkeys(self._types, 1_000)
        found = await (broker or self.broker).claim(room, most, queues)
        await self.counts()
        self.held.update((lease.task.id, lease) for lease in found)
        return list(found)

    async def claimed(self, most: int = 1_000, **options: Any) -> list[str]:
        """The ids of what a claim takes, in order."""
        return [lease.task.id for lease in await self.claim(most, **options)]

    async def take(self, task_id: str | None = None) -> Lease:
        """Claim the next task, which must be there (and be this one)."""
        found = await self.claim(1)
        assert len(found) == 1, "there should be a task that is ready"
        assert task_id in (None, found[0].task.id)
        return found[0]

    async def running(self, task_id: str = "1", **options: Any) -> Lease:
        """A task that was published and claimed."""
        await self.publish(task_id, **options)
        return await self.take(task_id)

    async def settle(self, *settlements: Settlement) -> list[bool]:
        """Settle in one batch; the answers."""
        answers = list(await self.broker.settle(list(settlements)))
        await self.counts()
        return answers

    async def end(self, lease: Lease, move: Move, delay: float = 0.0, **more: Any) -> Settlement:
        """Settle ``lease`` by ``move``, which must be accepted. ``delay`` in units."""
        settlement = verdict(lease, move, self.seconds(delay), **more)
        assert await self.settle(settlement) == [True]
        return settlement

    async def dead(self, *ids: str, **options: Any) -> None:
        """Dead letters, that died in this order."""
        for task_id in ids:
            await self.end(await self.running(task_id, **options), Move.DIED)

    async def get(self, task_id: str) -> Task:
        """The task of this id, which must be known."""
        task = await self.inspector.get(task_id)
        assert task is not None, f"task {task_id} should be known"
        assert task.id == task_id
        return task

    async def state(self, task_id: str) -> State | None:
        """Where a task is; ``None`` if it is not known."""
        task = await self.inspector.get(task_id)
        return None if task is None else task.state

    async def states(self, ids: Iterable[str]) -> list[State | None]:
        """Where these tasks are."""
        return [await self.state(task_id) for task_id in ids]


def _seen(task: Task) -> tuple[object, ...]:
    trail = task.trail
    numbers = (0, 0, 0) if trail is None else (trail.losses, trail.interruptions, trail.snoozes)
    kind = None if task.outcome is None else task.outcome.kind
    return (task.state, task.deliveries, task.failures, *numbers, kind)
