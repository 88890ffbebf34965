"""The rules of the checker about fencing tokens: who has which, and what it is good for."""

from __future__ import annotations

from itertools import pairwise
from math import inf
from typing import Final

from ._case import Case, Findings, holder, unfenced_pair
from ._story import TaskStory

#: Leases after which what was sent can have no effect any more.
_LATE: Final = 5


def unfenced(case: Case) -> Findings:
    """Old tokens that had an effect."""
    for task in case.story.tasks.values():
        for first, then in pairwise(a for a in task.claims() if a.claimed < inf):
            if unfenced_pair(first, then):
                yield (
                    task.id,
                    f"{holder(first)} settled it as {first.move}, which it had begun only after "
                    f"delivery {then.token} had been given out",
                )
        final = case.final.tasks.get(task.id)
        if final and final.winner is not None and final.winner != final.deliveries:
            yield task.id, f"keeps the result of delivery {final.winner} of {final.deliveries}"


def token(case: Case) -> Findings:
    """Tokens that went to two, or that did not grow."""
    for task in case.story.tasks.values():
        claims = task.claims()
        for attempt in claims:
            for what in attempt.twice:
                yield task.id, f"delivery {attempt.token} was {what}"
        for first, then in pairwise(claims):
            if first.since > then.claimed and first.since < inf:
                yield (
                    task.id,
                    f"delivery {first.token} was given out to {first.process} "
                    f"after delivery {then.token} had been",
                )
        final = case.final.tasks.get(task.id)
        if final and claims and final.deliveries < claims[-1].token:
            yield (
                task.id,
                f"counts {final.deliveries} deliveries, but {claims[-1].token} was given out",
            )


def unheard(case: Case) -> Findings:
    """Tokens that went to nobody."""
    for task in case.story.tasks.values():
        final = case.final.tasks.get(task.id)
        known, since = 0, -inf
        heard = [(each.token, each.claimed) for each in task.claims()]
        for number, until in [*heard, (final.deliveries + 1 if final else 0, inf)]:
            missing = number - known - 1
            if missing > 0 and missing > (calls := _without_answer(task, since, until, case)):
                yield (
                    task.id,
                    f"was given out {missing} times after delivery {known} to nobody known, "
                    f"though only {calls} claims had no answer",
                )
            known, since = number, until


def _without_answer(task: TaskStory, since: float, until: float, case: Case) -> float:
    """How many claims may have taken a task in that time without anybody's hearing of it.

    What was sent may be delivered later, when the network is as it should again.
    """
    if task.asked("revoke", since, until):
        return inf  # who took it may have been told in time that it has it no more
    late = _LATE * case.terms.lease
    number = 0
    for process in case.story.processes.values():
        calls = list(process.unheard)
        if process.status:
            calls.append((process.begun, process.died))
        number += sum(begun <= until and since <= end + late for begun, end in calls)
    return number
