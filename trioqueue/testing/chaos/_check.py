"""The checker: what many processes witnessed, held against what the broker says in the end.

Pure functions over records, so that each rule can be shown a history that breaks it. Order is told
by the tokens and not by the times wherever possible: a process may be stopped between what it does
and what it writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf
from typing import Final, NamedTuple

from ... import Move, State
from ..._model import TERMINAL
from ._case import Case, Findings, holder, unfenced_pair
from ._excuses import ENDED, TICK, Terms, repeats, zombie_until
from ._final import FinalState
from ._records import Record
from ._story import Attempt, Story, TaskStory
from ._tokens import token, unfenced, unheard

_FAILED: Final = frozenset({Move.RETRIED, Move.DIED})
_FINISHED: Final = frozenset({Move.SUCCEEDED, Move.DIED, Move.CANCELLED})


class Violation(NamedTuple):
    """One breach of one rule of ``RULES``. ``task_id`` is empty if no single task is concerned."""

    rule: str
    task_id: str
    what: str

    def __str__(self) -> str:
        return f"{self.rule}: {f'task {self.task_id}: ' if self.task_id else ''}{self.what}"


def _lost(case: Case) -> Findings:
    for task in case.story.tasks.values():
        if task.accepted == inf:
            continue
        final = case.final.tasks.get(task.id)
        if final is None:
            if not task.asked("purge", 0, inf):
                yield task.id, "was accepted, and the broker does not know it"
        elif case.final.drained and final.state not in TERMINAL:
            yield task.id, f"was accepted, and is {final.state} still although all is drained"
        elif final.state is State.SUCCEEDED and not _has_returned(task, final.deliveries):
            yield task.id, "is said to have succeeded, and its handler never returned"


def _has_returned(task: TaskStory, token: int) -> bool:
    """Whether a handler returned under this token. Under another one is for "unfenced" to say."""
    others = any(each.how == "returned" for each in task.attempts.values() if each.token != token)
    attempt = task.attempts.get(token)
    return others or (attempt is not None and attempt.how == "returned")


def _ghost(case: Case) -> Findings:
    for task in case.story.tasks.values():
        exists = task.id in case.final.tasks or bool(task.attempts)
        if task.refused and task.accepted == inf and exists:
            yield task.id, f"exists, though its submit was refused: {task.refused}"
        elif task.submitting == inf and task.attempts:
            yield task.id, "was given out, and nobody submitted it"


def _duplicated(case: Case) -> Findings:
    for first, then, excuse in repeats(case.story, case.terms):
        if excuse is None and not _finished(first) and not _at_once(first, then):
            left = first.expires - then.claimed
            known = f"{left:.3f} s before its lease was over" if left > TICK else "without a cause"
            yield first.id, f"delivery {then.token} was given out {known} ({holder(first)})"


def _overlapping(case: Case) -> Findings:
    for first, then, excuse in repeats(case.story, case.terms):
        if (excuse is None or excuse in ENDED) and not _finished(first) and _at_once(first, then):
            late = max(first.busy) - then.began
            yield (
                first.id,
                f"deliveries {first.token} and {then.token} ran at once for {late:.3f} s "
                f"({holder(first)}, {holder(then)}), with {excuse or 'no'} excuse",
            )


def _at_once(first: Attempt, then: Attempt) -> bool:
    return bool(first.busy) and max(first.busy) > then.began + TICK


def _finished(attempt: Attempt) -> bool:
    """Whether the attempt is known to have ended its task."""
    return attempt.done is True and attempt.move in _FINISHED


def _out_of_lease(case: Case) -> Findings:
    for task in case.story.tasks.values():
        for attempt in task.claims():
            if attempt.thread or not attempt.busy or attempt.claimed == inf:
                continue
            until = zombie_until(attempt, case.story, case.terms)
            if max(attempt.busy) > until:
                over = max(attempt.busy) - min(attempt.expires, attempt.learnt)
                yield task.id, f"{holder(attempt)} was at work {over:.3f} s after its lease"


def _resurrected(case: Case) -> Findings:
    for first, then, excuse in repeats(case.story, case.terms):
        if _finished(first) and excuse != "replay" and not unfenced_pair(first, then):
            yield first.id, f"was {first.move} by {holder(first)}, then ran again: {holder(then)}"
    for task in case.story.tasks.values():
        yield from _woken(task)


def _woken(task: TaskStory) -> Findings:
    """What was cancelled before it was first given out never runs."""
    cancelled = [each.at for each in task.operations if _is_done(each, "cancel")]
    # Of a claim whose process did not live to hear of it nobody has told: but for its token.
    first = task.attempts.get(1)
    if cancelled and first is not None and min(cancelled) < first.since < inf:
        yield task.id, "was cancelled before it was ever given out, and was given out afterwards"


def _is_done(operation: object, verb: str) -> bool:
    return getattr(operation, "verb", "") == verb and getattr(operation, "done", False) is True


def _crowded(case: Case) -> Findings:
    for prefix, limit in case.terms.limits.items():
        steps: list[tuple[float, int, str]] = []
        for task in case.story.tasks.values():
            if task.id.startswith(prefix):
                for begun, until in map(task.held, task.claims()):
                    steps += [(begun, 1, task.id), (until, -1, task.id)]
        at_work = 0
        for at, step, task_id in sorted(steps):
            at_work += step
            if at_work > limit:
                yield task_id, f"is one of {at_work} {prefix} tasks at work at once, at {at:.3f}"


def _burned(case: Case) -> Findings:
    for task in case.story.tasks.values():
        charged = [attempt for attempt in task.claims() if attempt.move in _FAILED]
        for attempt in charged:
            if attempt.how == "cancelled":
                yield task.id, f"{holder(attempt)} was cut short, and {attempt.move} for it"
        final = case.final.tasks.get(task.id)
        if final and final.failures > len(charged):
            yield task.id, f"is charged with {final.failures} failures, and failed {len(charged)}"


def _counts(case: Case) -> Findings:
    counts = case.final.counts
    if counts is None:
        return
    total = sum(getattr(counts, state.value) for state in State)
    if counts.submitted != total:
        yield "", f"{counts.submitted} submitted, but {total} in all states: {counts}"
    tasks = case.story.tasks.values()
    least = sum(task.accepted < inf for task in tasks)
    most = sum(task.submitting < inf and not task.refused for task in tasks)
    if not least <= counts.submitted <= most:
        yield (
            "",
            f"{counts.submitted} counted as submitted, but between {least} and {most} were",
        )
    for state in State:
        known = sum(final.state is state for final in case.final.tasks.values())
        if known > getattr(counts, state.value):
            yield "", f"{known} tasks are {state}, but {getattr(counts, state.value)} counted"


def _corrupt(case: Case) -> Findings:
    if case.final.integrity:
        yield "", f"the store's own check found: {case.final.integrity}"


class Rule(NamedTuple):
    """A rule: its name, what it says, and the check that finds its violations."""

    name: str
    says: str
    check: Callable[[Case], Findings]


RULES: Final[tuple[Rule, ...]] = (
    Rule("lost", "what was accepted is known, and ends; what succeeded has returned", _lost),
    Rule("ghost", "what was refused, or never submitted, does not exist and never runs", _ghost),
    Rule("duplicated", "a task is given out again only with an excuse", _duplicated),
    Rule("overlapping", "two attempts of a task never run at once, but for a zombie", _overlapping),
    Rule("out-of-lease", "a handler does not go on after its lease is over", _out_of_lease),
    Rule("resurrected", "what has ended runs again only by a replay", _resurrected),
    Rule("unfenced", "what an old token asks for after a newer one has no effect", unfenced),
    Rule("token", "every delivery has a token of its own, greater than those before", token),
    Rule("unheard", "a delivery that nobody has heard of was to a claim without answer", unheard),
    Rule("crowded", "no more are at work at once than a limit lets, but for zombies", _crowded),
    Rule("burned", "an interruption or a lost lease is never charged as a failure", _burned),
    Rule("counts", "the broker's numbers add up, and agree with its tasks", _counts),
    Rule("corrupt", "the store is whole", _corrupt),
)


def check(records: Iterable[Record], final: FinalState, terms: Terms) -> list[Violation]:
    """All violations of all rules: what processes witnessed against the broker's final state."""
    case = Case(Story(records), final, terms)
    return [
        Violation(rule.name, task_id, what) for rule in RULES for task_id, what in rule.check(case)
    ]
