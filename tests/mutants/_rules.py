"""Mutants of what is decided: outcomes, settlements, the table, the queue's own steps, events."""

from typing import Final

from tests.mutants._mutant import Mutant

_STRIKES = "test_cancel_everywhere.py::test_a_strike_at_every_29th_moment_breaks_no_law"

RULES: Final = (
    Mutant(
        "an interruption is a failure",
        "_decide.py",
        "Settlement(lease, Move.RELEASED, outcome)",
        "Settlement(lease, Move.RELEASED, outcome, failed=True)",
        "no burned attempt",
        (f"{_STRIKES}[mixed_kinds]",),
        ledger=True,
    ),
    Mutant(
        "a snooze is a failure",
        "_decide.py",
        "Settlement(lease, Move.SNOOZED, outcome, outcome.delay or 0.0)",
        "Settlement(lease, Move.SNOOZED, outcome, outcome.delay or 0.0, failed=True)",
        "no burned attempt",
        (f"{_STRIKES}[mixed_kinds]",),
        ledger=True,
    ),
    Mutant(
        "a requested cancellation outranks a lost lease",
        "_decide.py",
        """\
    if lease.lost:
        kind = OutcomeKind.LOST
    elif lease.cancel_requested:
        kind = OutcomeKind.CANCELLED
""",
        """\
    if lease.cancel_requested:
        kind = OutcomeKind.CANCELLED
    elif lease.lost:
        kind = OutcomeKind.LOST
""",
        "fencing",
        ("test_model.py::test_classify_ranks_what_holds_at_once",),
    ),
    Mutant(
        "the own timeout outranks a stop",
        "_decide.py",
        """\
    elif facts.outer:
        kind = OutcomeKind.INTERRUPTED
    elif facts.overdue and (facts.caught or is_a(error, Exception)):
        kind = OutcomeKind.TIMEOUT
""",
        """\
    elif facts.overdue and (facts.caught or is_a(error, Exception)):
        kind = OutcomeKind.TIMEOUT
    elif facts.outer:
        kind = OutcomeKind.INTERRUPTED
""",
        "no burned attempt",
        ("test_model.py::test_classify_ranks_what_holds_at_once",),
    ),
    Mutant(
        "an error past the deadline is an error",
        "_decide.py",
        "facts.overdue and (facts.caught or is_a(error, Exception))",
        "facts.overdue and facts.caught",
        "life cycle",
        ("test_worker.py",),
    ),
    Mutant(
        "one attempt too many",
        "_decide.py",
        "failures >= retry.attempts",
        "failures > retry.attempts",
        "life cycle",
        ("test_model.py::test_a_failure_is_retried_while_attempts_are_left",),
    ),
    Mutant(
        "the wish of RetryLater is ignored",
        "_decide.py",
        "retry.delay(failures, chance) if outcome.delay is None else outcome.delay",
        "retry.delay(failures, chance)",
        "life cycle",
        ("test_worker.py::test_retry_later_says_when_and_uses_an_attempt",),
    ),
    Mutant(
        "frames are kept alive by errors",
        "_decide.py",
        """\
    strip_tracebacks(error)
    return""",
        """\
    return""",
        "life cycle",
        ("test_records.py::test_no_frame_stays_alive",),
    ),
    Mutant(
        "backoff without a cap",
        "_retry.py",
        "min(self.maximum, backoff)",
        "backoff",
        "life cycle",
        ("test_model.py::test_backoff_grows_by_the_factor_up_to_the_maximum",),
    ),
    Mutant(
        "a group is retried if any error in it would be",
        "_retry.py",
        "return all(is_a(e, on)",
        "return any(is_a(e, on)",
        "life cycle",
        ("test_worker_ends.py::test_a_group_is_retried_if_every_error_in_it_would_be",),
    ),
    Mutant(
        "a succeeded task can be replayed",
        "_model.py",
        "_M.REPLAYED: {_S.DEAD: _S.READY}",
        "_M.REPLAYED: {_S.DEAD: _S.READY, _S.SUCCEEDED: _S.READY}",
        "terminal",
        ("test_model.py::test_each_move_leaves_the_states_that_the_design_lists_and_no_other",),
    ),
    Mutant(
        "submit waits after its effect",
        "_queue.py",
        """\
        await trio.lowlevel.checkpoint()
        try:
            return Handle(self, self._local.accept_nowait(made))
        except""",
        """\
        try:
            handle = Handle(self, self._local.accept_nowait(made))
            await trio.lowlevel.checkpoint()
            return handle
        except""",
        "no ghost",
        (f"{_STRIKES}[capped_types_compete]",),
        ledger=True,
    ),
    Mutant(
        "a hard stop hands nothing back to a broker that lives on",
        "_open.py",
        """\
            backend.stop()  # however""",
        """\
            pass  # however""",
        "conservation",
        ("test_hard_stops.py::test_a_queue_that_ends_hands_back_also_into_a_broker_of_ones_own",),
    ),
    Mutant(
        "the answer to a stop cuts its grace short",
        "_open.py",
        "if not (queue.pool.stopping and _is_answer_to_stop(error)):",
        "if queue.pool.stopping or not _is_answer_to_stop(error):",
        "stops end",
        ("test_first_contact.py::test_a_stop_that_ends_the_block_keeps_its_grace",),
    ),
    Mutant(
        "the block is open to Ctrl-C while it is left",
        "_open.py",
        "@enable_ki_protection\n",
        "",
        "interrupts",
        ("test_gaps.py::test_a_queue_is_opened_and_left_under_protection_from_ctrl_c",),
    ),
    Mutant(
        "a shutdown closes, and hands nothing back",
        "_queue.py",
        """\
        self._broker.stop()
        self.pool.stop(grace)
""",
        """\
        self._broker.close()
        self.pool.stop(grace)
""",
        "nothing after stop",
        ("test_queue_stops.py::test_what_had_not_started_is_handed_back_at_once",),
    ),
    Mutant(
        "the error of an observer goes up into the queue",
        "_events.py",
        "except BaseException:",
        "except ZeroDivisionError:",
        "observers are guests",
        ("test_hooks.py::test_a_broken_observer_is_dropped_and_logged_once",),
    ),
    Mutant(
        "a broken observer is kept",
        "_events.py",
        """\
                self._drop(observer)
""",
        "",
        "observers are guests",
        ("test_hooks.py::test_a_broken_observer_is_dropped_and_logged_once",),
    ),
)
