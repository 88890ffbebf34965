"""What a rule of the checker looks at, and how it speaks of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ._excuses import Terms
from ._final import FinalState
from ._story import Attempt, Story


class Case(NamedTuple):
    """What was witnessed, what the broker says in the end, and what was agreed on."""

    story: Story
    final: FinalState
    terms: Terms


#: (task id, what) for each violation.
Findings = Iterator[tuple[str, str]]


def holder(attempt: Attempt) -> str:
    """A delivery in words."""
    return f"delivery {attempt.token} by {attempt.process}"


def unfenced_pair(first: Attempt, then: Attempt) -> bool:
    """Whether the earlier attempt was settled by a call that was begun after the later claim."""
    return first.done is True and first.settling > then.claimed
