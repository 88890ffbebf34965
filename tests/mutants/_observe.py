"""Mutants of what says whose line, and whose span, it is."""

from typing import Final

from tests.mutants._mutant import Mutant

_CONTEXT: Final = "test_observe_context.py"
_TRACING: Final = "test_tracing.py"

OBSERVE: Final = (
    Mutant(
        "what is logged between two attempts is said to be of the one before",
        "_running.py",
        'if lease is None or getattr(lease.holder, "lease", None) is not lease:',
        "if lease is None:",
        "observers are guests",
        (f"{_CONTEXT}::test_what_is_logged_beside_handlers_says_nothing",),
    ),
    Mutant(
        "a handler that has lost its lease is not known in its logs",
        "_running.py",
        'if lease is None or getattr(lease.holder, "lease", None) is not lease:',
        "if lease is None or lease.task.lease is not lease:",
        "observers are guests",
        (f"{_CONTEXT}::test_a_handler_that_cleans_up_after_it_lost_its_lease_is_still_known",),
    ),
    Mutant(
        "an extra is overwritten by the task's fields",
        "observe/_context.py",
        "facts.setdefault(name, value)",
        "facts[name] = value",
        "observers are guests",
        (f"{_CONTEXT}::test_extras_of_the_same_names_are_left_as_they_are",),
    ),
    Mutant(
        "a line of another task's gets this one's attempt",
        "observe/_context.py",
        "            fields = _NOTHING\n",
        "            pass\n",
        "observers are guests",
        (f"{_CONTEXT}::test_extras_of_the_same_names_are_left_as_they_are",),
    ),
    Mutant(
        "a traceback's lines are not escaped",
        "observe/_human.py",
        'yield f"  {_one_line(line.expandtabs(4))}"',
        "yield line",
        "strangers are kept out",
        (f"{_CONTEXT}::test_a_traceback_is_indented_and_forges_nothing",),
    ),
    Mutant(
        "an instrument that raises breaks the work",
        "_instrument.py",
        "            return None  # noqa",
        "            raise  # noqa",
        "observers are guests",
        (f"{_TRACING}::test_an_instrument_that_raises_is_dropped_and_breaks_nothing",),
    ),
    Mutant(
        "an instrument that raises is kept",
        "_instrument.py",
        "self.instruments = tuple(kept)",
        "pass",
        "observers are guests",
        (f"{_TRACING}::test_an_instrument_that_raises_is_dropped_and_breaks_nothing",),
    ),
    Mutant(
        "instruments are not told of attempts that did not return",
        "_pool.py",
        """\
        if self._instruments is not None:
            self._instruments.ended(lease, outcome)
        if outcome.kind is not OutcomeKind.LOST:
""",
        """\
        if outcome.kind is not OutcomeKind.LOST:
""",
        "observers are guests",
        (f"{_TRACING}::test_however_an_attempt_ends_its_span_ends_and_says_so",),
    ),
    Mutant(
        "headers of an instrument come before the user's own",
        "_instrument.py",
        "{**more, **(task.options.headers or {})}",
        "{**(task.options.headers or {}), **more, 'traceparent': '00-0-0-00'}",
        "observers are guests",
        (f"{_TRACING}::test_a_context_of_the_users_own_is_not_touched",),
    ),
    Mutant(
        "the span stays in the worker's context",
        "observe/_tracing.py",
        """\
            yield lambda outcome: _end(span, outcome)
        finally:
            detach(token)
""",
        """\
            yield lambda outcome: _end(span, outcome)
        finally:
            token.var
""",
        "isolation",
        (f"{_TRACING}::test_the_worker_is_as_clean_as_before",),
    ),
    Mutant(
        "baggage that does not fit takes the trace with it",
        "observe/_tracing.py",
        'headers.pop("baggage" if "baggage" in headers else next(reversed(headers)))',
        "headers.clear()",
        "observers are guests",
        (f"{_TRACING}::test_what_does_not_fit_leaves_the_trace",),
    ),
    Mutant(
        "a deploy is an error in every trace",
        "observe/_tracing.py",
        "        OutcomeKind.INTERRUPTED,\n",
        "",
        "no burned attempt",
        (f"{_TRACING}::test_however_an_attempt_ends_its_span_ends_and_says_so",),
    ),
)
