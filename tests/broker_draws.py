"""What Hypothesis draws for `tests.broker_machine`, and how it becomes what a broker takes."""

from hypothesis import strategies as st

from tests.broker_model import Job, Verdict
from trioqueue._model import Lease, Move, Options, Outcome, OutcomeKind, Settlement, Task

#: How an attempt may end: (move, kind, failed).
ENDS = (
    ("succeeded", "returned", False),
    ("retried", "error", True),
    ("died", "discard", True),
    ("snoozed", "snooze", False),
    ("released", "interrupted", False),
    ("released", "handed_back", False),
    ("retried", "retry_later", False),
    ("cancelled", "cancelled", False),
)
ids = st.integers(0, 24).map(str)
seats = st.integers(0, 1)
numbers = st.integers(0, 40)
drafts = st.builds(
    Job,
    id=ids,
    type=st.sampled_from("xy"),
    queue=st.sampled_from("ab"),
    priority=st.sampled_from([100, 100, 100, 255, 0]),
    delay=st.sampled_from([0.0, 0.0, 0.0, 3.0, 30.0]),
    expires=st.sampled_from([None, None, None, 2.0, 40.0]),
    key=st.sampled_from([None, None, None, "k", "l"]),
    headers=st.sampled_from([None, None, {"who": "me"}]),
)
limits = st.just({}) | st.dictionaries(st.sampled_from("xy"), st.integers(1, 3))
rooms = st.dictionaries(st.sampled_from("xy"), st.integers(0, 3))
lanes = st.sampled_from([None, None, frozenset("a"), frozenset("b"), frozenset("ab"), frozenset()])
ends = st.builds(
    lambda end, delay, text: Verdict(
        *(end[0], end[1], delay if end[0] in {"retried", "snoozed"} else 0.0),
        *(text if end[2] else None, text.encode() if end[0] == "succeeded" else None),
    ),
    st.sampled_from(ENDS),
    st.sampled_from([0.0, 4.0, 30.0]),
    st.sampled_from(["1", "2", "3"]),
)


def as_task(draft: Job) -> Task:
    options = Options(
        *(draft.queue, draft.priority, None, draft.expires, draft.delay, draft.key, draft.headers)
    )
    task = Task(draft.id, draft.type, (), {}, options)
    task.payload = draft.payload
    return task


def as_settlement(lease: Lease, verdict: Verdict) -> Settlement:
    error = None if verdict.error is None else OSError(verdict.error)
    outcome = Outcome(OutcomeKind(verdict.kind), exception=error)
    made = Settlement(
        lease, Move(verdict.move), outcome, verdict.delay, failed=verdict.error is not None
    )
    made.result = verdict.result
    return made


def as_verdict(settlement: Settlement) -> Verdict:
    error = settlement.outcome.exception
    return Verdict(
        settlement.move.value,
        settlement.outcome.kind.value,
        settlement.delay,
        None if error is None else str(error),
        settlement.result,
    )
