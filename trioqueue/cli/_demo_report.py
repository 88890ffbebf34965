"""What the demo says at its end: the dead letters, what is unfinished, and the sum of it all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from signal import Signals
from typing import Final

from .. import DeadLetter, Queue, State, Statistics, Unfinished
from ._demo_board import Board
from ._output import flush

#: Dead letters, and ids of unfinished tasks, that are written out.
SHOWN: Final = 20
IDS_SHOWN: Final = 5

#: The ways in which a task may have ended, in the order of the last line.
_ENDS: Final = (
    State.SUCCEEDED,
    State.DEAD,
    State.CANCELLED,
    State.EXPIRED,
    State.HANDED_BACK,
    State.PURGED,
    State.EVICTED,
)


def report(board: Board, queue: Queue, stopped_by: Signals | None) -> bool:
    """Print how it ended. ``False`` if the numbers do not add up."""
    statistics = queue.statistics()
    letters = queue.dead_letters.list()
    adds_up = check(statistics, board, len(letters))
    print()
    for line in describe_dead(letters):
        print(line)
    if stopped_by is not None:
        for line in describe_stop(queue.unfinished(), statistics, board.total):
            print(line)
    print(describe_sum(statistics, adds_up))
    flush()
    return adds_up


def check(statistics: Statistics, board: Board, letters: int) -> bool:
    """Whether the queue's own counts, the stream of events and the dead letters agree."""
    ends = [getattr(statistics, end.value) for end in _ENDS]
    return (
        statistics.submitted == sum(ends)
        and ends == [board.count(end) for end in _ENDS]
        and letters == statistics.dead
    )


def describe_dead(letters: Sequence[DeadLetter]) -> Iterator[str]:
    """The dead letters as a table: the first ones, if there are many."""
    if not letters:
        yield "Dead letters: none"
        return
    types = Counter(letter.type for letter in letters)
    by_type = ", ".join(f"{count:,} {name}" for name, count in types.most_common())
    yield f"Dead letters: {len(letters):,} ({by_type})"
    yield f"  {'type':13} {'id':11} {'attempts':>8}  last error"
    for letter in letters[:SHOWN]:
        yield f"  {letter.type:13} {letter.id:11} {letter.failures:8}  {letter.error}"
    if len(letters) > SHOWN:
        yield f"  ... and {len(letters) - SHOWN:,} more"


def describe_stop(
    unfinished: Sequence[Unfinished], statistics: Statistics, total: int
) -> Iterator[str]:
    """What a stop left undone."""
    kinds = Counter(map(_kind, unfinished))
    if kinds:
        counts = ", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.items()))
        ids = ", ".join(task.id for task in unfinished[:IDS_SHOWN])
        yield f"Stopped, unfinished: {len(unfinished):,} ({counts})"
        yield f"  {ids}{', ...' if len(unfinished) > IDS_SHOWN else ''}"
    else:
        yield "Stopped, unfinished: none"
    never = total - statistics.submitted
    if never:
        yield f"Never submitted: {never:,} of {total:,}"


def _kind(task: Unfinished) -> str:
    if task.state is State.RUNNING:
        return "still running"
    if task.interruptions:
        return "cut short while running"
    return "waiting for a retry" if task.attempt > 1 else "not started"


def describe_sum(statistics: Statistics, adds_up: bool) -> str:
    """The last line: what was submitted is what has ended."""
    parts = [
        f"{count:,} {end.value.replace('_', ' ')}"
        for end in _ENDS
        if (count := getattr(statistics, end.value)) or end in {State.SUCCEEDED, State.DEAD}
    ]
    verdict = "the numbers add up" if adds_up else "THE NUMBERS DO NOT ADD UP"
    return f"{statistics.submitted:,} submitted = {' + '.join(parts)}: {verdict}"
